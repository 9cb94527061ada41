/*
 * unixsock_bind.c - names of unix sockets that are restored, and acting as others.
 *
 * The kernel keeps the text that bind(2) was called with, and shows it ever after; where the file is that
 * bind makes is another matter: it may have been moved, removed, or was named from another working
 * directory or root. So a socket is bound in a directory of our own, which is the root or lies so deep
 * that the same text leads into it, and its file is then moved to where the old one was, by one rename:
 * whoever looks finds the one or the other. What is there and dead, a socket without anybody behind, is
 * replaced; anything else is somebody's.
 */
#include "res/socket/unixsock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/unix_diag.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "kernel/sock_diag.h"
#include "kernel/stand_in.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/vec.h"

#define DEPTH_MAX     (UNIX_NAME_MAX / 2)
#define KERNEL_MINORS 20 /* sock_diag tells devices as the kernel numbers them itself */

/* What is done in a child, whose root and directory are its own. */
struct binding {
	int fd, dir; /* dir: the directory of our own */
	struct unix_addr addr;
	char rel[UNIX_NAME_MAX + 2]; /* the path, from dir or from the depth */
	unsigned depth;
	bool absolute;
};

/* How many directories it goes up at most. */
static unsigned ups_in(const char *path)
{
	unsigned n = 0;

	for (const char *at = path; *at; at += strcspn(at, "/")) {
		at += strspn(at, "/");
		n += strncmp(at, "..", 2) == 0 && (at[2] == '/' || !at[2]);
	}
	return n;
}

static int make_parents(char *path)
{
	for (char *at = path; (at = strchr(at, '/')); at++) {
		*at = '\0';
		if (*path && mkdir(path, 0700) < 0 && errno != EEXIST)
			return -errno;
		*at = '/';
	}
	return 0;
}

/* Who has not the right to a root of his own has it in a user namespace of his own, where there are such. */
static int own_root(void)
{
	if (chroot(".") == 0)
		return 0;
	return errno == EPERM && unshare(CLONE_NEWUSER) == 0 ? chroot(".") : -1;
}

static int bind_inside(void *arg)
{
	struct binding *b = arg;
	int r;

	umask(0);
	if (fchdir(b->dir) < 0)
		return -errno;
	for (unsigned i = 0; i < b->depth; i++)
		if ((mkdir("d", 0700) < 0 && errno != EEXIST) || chdir("d") < 0)
			return -errno;
	if (b->absolute && own_root() < 0)
		return -errno;
	r = make_parents(b->rel);
	if (r == 0 && bind(b->fd, (struct sockaddr *)&b->addr.un, b->addr.len) < 0)
		r = -errno;
	return r;
}

/* Takes away a directory of ours with all that is in it. */
static void remove_tree(int parent, const char *name)
{
	_cleanup_close_ int fd =
		openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *e;
	int copy = fd < 0 ? -1 : dup(fd);

	dir = copy < 0 ? NULL : fdopendir(copy);
	if (copy >= 0 && !dir)
		close(copy);
	while (dir && (e = readdir(dir))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (unlinkat(fd, e->d_name, 0) < 0)
			remove_tree(fd, e->d_name);
	}
	unlinkat(parent, name, AT_REMOVEDIR);
}

static int fail_path(struct open_ctx *o, int err, const char *call, const char *path)
{
	return op_fail(o->op, err == ENOENT || err == ENOTDIR ? CKPT_E_CONFLICT : CKPT_E_SYSTEM,
		err, call, err == ENOENT ? "make its directory" : NULL, "unix socket %s", path);
}

/* Whether a socket of our network namespace is bound to a file. */
static int is_alive(struct open_ctx *o, const struct stat *st, bool *ret)
{
	struct sock_diag t = {0};
	int r = sock_diag_read(&t, AF_UNIX, 0);

	*ret = false;
	for (size_t i = 0; r == 0 && i < t.n && !*ret; i++) {
		const struct unix_diag_vfs *v = sock_diag_attr(&t.rows[i], UNIX_DIAG_VFS, NULL);

		*ret = v && v->udiag_vfs_ino == (uint32_t)st->st_ino &&
		       v->udiag_vfs_dev == (major(st->st_dev) << KERNEL_MINORS | minor(st->st_dev));
	}
	sock_diag_done(&t);
	return r < 0 ? op_fail(o->op, CKPT_E_SYSTEM, -r, "sock_diag", NULL, "unix sockets") : 0;
}

/* Whether the place where the file shall be is free, or has what may be replaced. */
static int check_place(struct open_ctx *o, const char *path)
{
	struct stat st;
	bool alive;
	int r;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : fail_path(o, errno, "lstat", path);
	if (!S_ISSOCK(st.st_mode))
		return op_fail(o->op, CKPT_E_CONFLICT, EEXIST, "bind", "move it away",
			"unix socket %s: something else is there now", path);
	r = is_alive(o, &st, &alive);
	if (r == 0 && alive)
		return op_fail(o->op, CKPT_E_CONFLICT, EADDRINUSE, "bind",
			"end the program that has it", "unix socket %s is in use", path);
	return r;
}

/* The file that bind has made, below our directory. */
static void file_below(const struct binding *b, char *ret, size_t len)
{
	size_t n = 0;

	*ret = '\0';
	for (unsigned i = 0; i < b->depth && n < len; i++)
		n += (size_t)snprintf(ret + n, len - n, "d/");
	if (n < len)
		snprintf(ret + n, len - n, "%s", b->rel);
}

static int put_file(
	struct open_ctx *o, const struct binding *b, const char *path, const Ckpt__UnixSock *m)
{
	char below[4 * UNIX_NAME_MAX];
	int r = check_place(o, path);

	if (r < 0)
		return r;
	file_below(b, below, sizeof(below));
	if (m && (fchownat(b->dir, below, m->file_uid, m->file_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
			 fchmodat(b->dir, below, m->file_mode & 07777, 0) < 0))
		return fail_path(o, errno, "chown", path);
	return renameat(b->dir, below, AT_FDCWD, path) < 0 ? fail_path(o, errno, "rename", path)
							   : 0;
}

/* Who may not ask a socket for its file later keeps it. Where that fails its name has to do. */
static void keep_file(struct open_ctx *o, const struct binding *b)
{
	struct unix_world *w = o->plan->unix_world;
	_cleanup_close_ int file = ioctl(b->fd, SIOCUNIXFILE);
	char below[4 * UNIX_NAME_MAX];
	struct stat st;

	if (file >= 0 || errno != EPERM)
		return;
	file_below(b, below, sizeof(below));
	file = openat(b->dir, below, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (file < 0 || fstat(b->fd, &st) < 0 ||
		vec_reserve(&w->kept, &w->cap_kept, w->n_kept + 1, sizeof(*w->kept)) < 0)
		return;
	w->kept[w->n_kept++] = (struct unix_kept){st.st_ino, TAKE_FD(file)};
}

/* Without the right to a root of one's own. */
static int bind_plainly(struct open_ctx *o, const struct binding *b, const char *path)
{
	int r;

	if (strcmp(path, b->addr.un.sun_path) != 0)
		return op_fail(o->op, CKPT_E_PRIVILEGE, EPERM, "chroot", "run as root",
			"unix socket %s: it is not where its name says", b->addr.un.sun_path);
	r = check_place(o, path);
	if (r == 0 && unlink(path) < 0 && errno != ENOENT)
		r = fail_path(o, errno, "unlink", path);
	if (r == 0 && bind(b->fd, (struct sockaddr *)&b->addr.un, b->addr.len) < 0)
		r = fail_path(o, errno, "bind", path);
	return r;
}

static char *own_dir_in(const char *parent, int len)
{
	char *dir = NULL;

	if (asprintf(&dir, "%.*s/.ckpt-socket-XXXXXX", len, parent) < 0)
		return NULL;
	if (mkdtemp(dir))
		return dir;
	free(dir);
	return NULL;
}

/* Our directory has to be on the file system where the file shall be; else anywhere. */
static char *own_dir(const char *path)
{
	static const char *const somewhere[] = {"/tmp", "/dev/shm", "/run", "/var/tmp"};
	char *dir = NULL;

	if (*path)
		return own_dir_in(path, (int)(strrchr(path, '/') - path));
	for (size_t i = 0; !dir && i < ARRAY_SIZE(somewhere); i++)
		dir = own_dir_in(somewhere[i], (int)strlen(somewhere[i]));
	return dir;
}

static int bind_path(
	struct open_ctx *o, struct binding *b, const char *path, const Ckpt__UnixSock *m)
{
	const struct stand_in anybody = {0};
	_cleanup_free_ char *dir = own_dir(path);
	_cleanup_close_ int at = -EBADF;
	int r;

	if (!dir)
		return fail_path(o, errno, "mkdir", path);
	at = b->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = at < 0 ? -errno : stand_in_run(&anybody, bind_inside, b);
	if (r == 0)
		keep_file(o, b);
	if (r == -EPERM)
		r = bind_plainly(o, b, path);
	else if (r < 0)
		r = fail_path(o, -r, "bind", b->addr.un.sun_path);
	else if (*path)
		r = put_file(o, b, path, m);
	remove_tree(AT_FDCWD, dir);
	return r;
}

int unix_bind(struct open_ctx *o, int fd, const ProtobufCBinaryData *name, const char *path,
	const Ckpt__UnixSock *m)
{
	struct binding b = {.fd = fd, .dir = -EBADF};

	if (!unix_addr_of(name, &b.addr) || (*path && *path != '/') || !name->len)
		return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"the name of a unix socket");
	if (name->data[0]) {
		snprintf(b.rel, sizeof(b.rel), "%.*s", (int)name->len, (char *)name->data);
		b.absolute = b.rel[0] == '/';
		b.depth = b.absolute ? 0 : ups_in(b.rel);
		if (b.absolute) /* without its first slash it leads there from our directory, too */
			memmove(b.rel, b.rel + strspn(b.rel, "/"),
				strlen(b.rel + strspn(b.rel, "/")) + 1);
		return bind_path(o, &b, path, m);
	}
	if (bind(fd, (struct sockaddr *)&b.addr.un, b.addr.len) == 0)
		return 0;
	return op_fail(o->op, errno == EADDRINUSE ? CKPT_E_CONFLICT : CKPT_E_SYSTEM, errno, "bind",
		errno == EADDRINUSE ? "end the program that has it" : NULL, "unix socket @%.*s",
		(int)name->len - 1, (char *)name->data + 1);
}

bool unix_name_taken(const ProtobufCBinaryData *name, int type)
{
	_cleanup_close_ int probe = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	struct unix_addr a;

	return name->len && !name->data[0] && unix_addr_of(name, &a) && probe >= 0 &&
	       bind(probe, (struct sockaddr *)&a.un, a.len) < 0;
}

int unix_as(struct open_ctx *o, const Ckpt__UnixCred *cred, int (*fn)(void *arg), void *arg)
{
	struct stand_in who = {0};
	int r;

	if (!cred)
		return fn(arg);
	who = (struct stand_in){.pid = cred->pid,
		.uid = cred->uid,
		.gid = cred->gid,
		.groups = cred->groups,
		.n_groups = cred->n_groups};
	who.ids = who.uid != geteuid() || who.gid != getegid();
	who.groups_too = geteuid() == 0;
	r = stand_in_run(&who, fn, arg);
	if (r != -EEXIST && r != -EPERM && r != -EINVAL)
		return r;
	op_warn(o->op,
		"pid %d, user %u made a connection of unix sockets, and can't be stood in "
		"for (%s): SO_PEERCRED will tell of another",
		cred->pid, cred->uid, strerror(-r));
	who.pid = 0;
	r = stand_in_run(&who, fn, arg);
	return r == -EPERM ? fn(arg) : r;
}
