/*
 * regfile.c - files that have a name: regular files, directories, devices without a state of their own,
 * and whatever is open with O_PATH.
 *
 * A file that no name leads to any more is saved with its contents. One that has lost the name by
 * which it was opened, but has another (a hard link), is looked for: the file system may know a name
 * of the inode (open_by_handle_at, Linux >= 2.6.39, then /proc/self/fd), or it is in the same
 * directory; if not, it is saved with its contents as well, and the user is told. One that is hidden by a
 * mount is reached by another, see covered.c.
 */
#include "res/file/regfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "kernel/build_id.h"
#include "proto/regfile.pb-c.h"
#include "res/file/covered.h"
#include "res/file/xattr.h"
#include "res/mm/mm.h"
#include "util/cleanup.h"
#include "util/str.h"
#include "util/vec.h"

#define KMSG_MAJOR 1
#define KMSG_MINOR 11

#define DELETED      " (deleted)"
#define MEM_MAJOR    1
#define MISC_MAJOR   10
#define MSR_MAJOR    202
#define CPUID_MAJOR  203
#define NAMES_MAX    100000 /* of a directory, that are looked through for a lost file */
#define HANDLE_BYTES 128

/* Devices that are the same for whoever opens them: all that a descriptor has is its position. */
static bool has_no_state(dev_t rdev)
{
	static const struct {
		unsigned maj, min;
	} devices[] = {
		{MISC_MAJOR, 183}, /* hwrng */
		{MISC_MAJOR, 232}, /* kvm: what is made by it are descriptors of their own */
		{MISC_MAJOR, 234}, /* btrfs-control */
		{MISC_MAJOR, 237}, /* loop-control */
	};

	/* null, zero, full, random, urandom, kmsg; a processor's registers and features */
	if (major(rdev) == MEM_MAJOR || major(rdev) == MSR_MAJOR || major(rdev) == CPUID_MAJOR)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
		if (devices[i].maj == major(rdev) && devices[i].min == minor(rdev))
			return true;
	return false;
}

static bool match(const struct file_look *l)
{
	if (l->link[0] != '/')
		return false;
	if (l->flags & O_PATH)
		return true;
	switch (l->st.st_mode & S_IFMT) {
	case S_IFREG:
		return !(l->deleted && strncmp(l->link, "/memfd:", 7) == 0);
	case S_IFDIR:
		return true;
	case S_IFBLK:
		return true;
	case S_IFCHR:
		return has_no_state(l->st.st_rdev);
	default:
		return false;
	}
}

/* ---- a file that has lost its name ---- */

static bool leads_to(const char *path, const struct stat *st)
{
	struct stat now;

	return lstat(path, &now) == 0 && now.st_dev == st->st_dev && now.st_ino == st->st_ino;
}

static bool is_lost(const struct file_look *l)
{
	size_t len = strlen(l->link), tail = strlen(DELETED);

	return !l->deleted && l->st.st_nlink && len > tail &&
	       strcmp(l->link + len - tail, DELETED) == 0 && !leads_to(l->link, &l->st);
}

/* The kernel opens the inode by some name of it that it has in its cache. */
static char *name_by_handle(int fd, const struct stat *st)
{
	union {
		struct file_handle h;
		char room[sizeof(struct file_handle) + HANDLE_BYTES];
	} u = {.h.handle_bytes = HANDLE_BYTES};
	_cleanup_close_ int again = -EBADF;
	_cleanup_free_ char *path = NULL;
	int mount;

	if (name_to_handle_at(fd, "", &u.h, &mount, AT_EMPTY_PATH) < 0)
		return NULL;
	again = open_by_handle_at(fd, &u.h, O_PATH | O_CLOEXEC);
	if (again < 0 || fd_path(again, &path) < 0 || !leads_to(path, st))
		return NULL;
	return TAKE_PTR(path);
}

static char *name_in_directory(const char *old, const struct stat *st)
{
	const char *slash = strrchr(old, '/');
	_cleanup_free_ char *dir = strndup(old, slash == old ? 1 : (size_t)(slash - old));
	_cleanup_closedir_ DIR *d = dir ? opendir(dir) : NULL;
	struct dirent *e;
	char *path;

	for (int i = 0; d && i < NAMES_MAX && (e = readdir(d)); i++) {
		if (e->d_ino != st->st_ino)
			continue;
		if (asprintf(&path, "%s/%s", slash == old ? "" : dir, e->d_name) < 0)
			return NULL;
		if (leads_to(path, st))
			return path;
		free(path);
	}
	return NULL;
}

static int find_lost(struct collect *c, const struct file_look *l, Ckpt__RegFile *m)
{
	/* not by O_PATH, which open_by_handle_at does not take */
	_cleanup_close_ int fd = S_ISREG(l->st.st_mode) ? openat(c->proc_fd, l->at,
								  O_RDONLY | O_NONBLOCK | O_CLOEXEC)
							: -EBADF;
	char *name = fd < 0 ? NULL : name_by_handle(fd, &l->st);

	if (!name)
		name = name_in_directory(l->link, &l->st);
	if (!name && !S_ISREG(l->st.st_mode))
		return op_fail(c->op, CKPT_E_REFUSED, 0, NULL, "close it before the dump",
			"pid %d (%s): %s has lost its name %s", c->pid, c->tr->comm, l->at,
			l->link);
	free(m->path);
	m->path = name ? name : strndup(l->link, strlen(l->link) - strlen(DELETED));
	m->deleted = !name;
	if (name)
		op_info(c->op, "%s was %s, and is %s now", l->at, l->link, name);
	else
		op_warn(c->op,
			"pid %d (%s): %s has lost its name %s and has another that can't be "
			"found; it is saved as a file of its own",
			c->pid, c->tr->comm, l->at, l->link);
	return m->path ? 0 : collect_oom(c);
}

/* ---- a file that its name does not lead to ---- */

#define NAMELESS_REASON "it has no name any more, and is neither a file nor a directory"
#define NAMELESS_ADVICE "let the program close it"

/* Nothing can make it again: a symbolic link or a socket, open with O_PATH. */
static bool is_nameless(const struct file_look *l)
{
	return l->deleted && !S_ISREG(l->st.st_mode) && !S_ISDIR(l->st.st_mode);
}

static int refuse(
	struct collect *c, const struct file_look *l, const char *reason, const char *advice)
{
	return op_fail(c->op, CKPT_E_REFUSED, 0, NULL, advice, "pid %d (%s): %s %s: %s", c->pid,
		c->tr->comm, l->at, l->link, reason);
}

/*
 * Some kernels tell another inode of a mapped file of an overlay than of its name; so a name is good
 * enough there.
 */
static bool name_will_do(const struct file_look *l)
{
	return l->target_fd < 0 && access(l->link, F_OK) == 0;
}

static int find_covered(struct collect *c, const struct file_look *l, Ckpt__RegFile *m)
{
	char *mount, *path, *name;
	int r;

	if (!covered(l))
		return 0;
	r = covered_find(c->proc_fd, l, &mount, &path);
	if (r < 0)
		return name_will_do(l) ? 0 : refuse(c, l, COVERED_REASON, COVERED_ADVICE);
	if (asprintf(&name, "%s/%s", str_eq(mount, "/") ? "" : mount, path) < 0)
		name = NULL;
	if (name && !covered_name(
			    name, &l->st)) { /* another mount shows it, and nothing is over that */
		free(m->path);
		m->path = name;
		free(mount);
		free(path);
		return 0;
	}
	free(name);
	m->mount = mount;
	m->mount_path = path;
	return 0;
}

static struct file_verdict verdict(int procfd, const struct file_look *l)
{
	_cleanup_free_ char *mount = NULL, *path = NULL;

	if (is_nameless(l))
		return (struct file_verdict){CKPT_REFUSED, NAMELESS_REASON, NAMELESS_ADVICE};
	if (!l->deleted && !is_lost(l) && covered(l) && covered_find(procfd, l, &mount, &path) < 0)
		return (struct file_verdict){CKPT_REFUSED, COVERED_REASON, COVERED_ADVICE};
	return (struct file_verdict){CKPT_SAVED, NULL, NULL};
}

/* How it is found again, whatever has become of its name. */
static int find_name(struct collect *c, const struct file_look *l, Ckpt__RegFile *m)
{
	if (is_nameless(l))
		return refuse(c, l, NAMELESS_REASON, NAMELESS_ADVICE);
	if (is_lost(l))
		return find_lost(c, l, m);
	return m->deleted ? 0 : find_covered(c, l, m);
}

/* ---- collecting ---- */

static int want_contents(struct collect *c, uint64_t id, const struct file_look *l)
{
	struct page_want w = {.type = &res_contents.type,
		.owner = id,
		.end = l->st.st_size,
		.resident_bytes = l->st.st_blocks * 512ULL};

	w.fd = openat(c->proc_fd, l->at, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (w.fd < 0)
		return op_fail(c->op, CKPT_E_SYSTEM, errno, "open", NULL,
			"pid %d (%s): deleted file %s", c->pid, c->tr->comm, l->link);
	return collect_want_take(c, &w);
}

/* Of a mapped file: whether it is code, and which. One that can't be read is told by its size. */
static void look_for_code(struct collect *c, const struct file_look *l, Ckpt__RegFile *m)
{
	_cleanup_close_ int fd = openat(c->proc_fd, l->at, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct build_id id;

	if (fd < 0 || build_id_read(fd, &id) <= 0)
		return;
	m->code = true;
	if (id.len)
		m->build_id = msg_bytes(id.bytes, id.len);
}

/* The kernel's log, in which each reader has a place of its own. */
static bool is_log_at_end(const struct file_look *l)
{
	struct pollfd p = {.fd = l->fd, .events = POLLIN};

	return S_ISCHR(l->st.st_mode) && l->st.st_rdev == makedev(KMSG_MAJOR, KMSG_MINOR) &&
	       l->fd >= 0 && !(l->flags & O_PATH) && (l->flags & O_ACCMODE) != O_WRONLY &&
	       poll(&p, 1, 0) == 0;
}

static void fill_in(Ckpt__RegFile *m, const struct file_look *l)
{
	m->mode = l->st.st_mode;
	m->dev = l->st.st_dev;
	m->ino = l->st.st_ino;
	m->rdev = l->st.st_rdev;
	m->size_bytes = l->st.st_size;
	m->mtime_ns = stat_mtime_ns(&l->st);
	m->flags = l->flags;
	m->all_read = is_log_at_end(l);
	m->uid = l->st.st_uid;
	m->gid = l->st.st_gid;
	m->deleted = l->deleted && (S_ISREG(l->st.st_mode) || S_ISDIR(l->st.st_mode));
}

/* A file of O_TMPFILE is called "#INODE" by the kernel: only its directory says anything. */
static void forget_number(Ckpt__RegFile *m)
{
	char *slash = strrchr(m->path, '/');

	if (m->deleted && (m->flags & TMPFILE_FLAG) == TMPFILE_FLAG && slash && slash[1] == '#')
		slash[2] = 0;
}

static int collect(struct collect *c, uint64_t id, const struct file_look *l)
{
	Ckpt__RegFile *m = msg_new(Ckpt__RegFile, CKPT__REG_FILE__INIT);
	bool fresh;
	int r;

	if (m)
		m->path = strdup(l->link);
	if (!m || !m->path) {
		free(m);
		return collect_oom(c);
	}
	fill_in(m, l);
	/* what follows opens it, which would break a lease */
	if ((m->deleted || is_lost(l)) && l->fd >= 0 && fcntl(l->fd, F_GETLEASE) == F_WRLCK) {
		protobuf_c_message_free_unpacked(&m->base, NULL);
		return op_fail(c->op, CKPT_E_REFUSED, 0, NULL,
			"let the program give the lease back",
			"pid %d (%s): %s: a lease on deleted file %s can't be saved", c->pid,
			c->tr->comm, l->at, l->link);
	}
	r = find_name(c, l, m);
	if (r < 0) {
		protobuf_c_message_free_unpacked(&m->base, NULL);
		return r;
	}
	forget_number(m);
	if (m->deleted)
		m->same_inode_as = l->first_id;
	else if (l->target_fd < 0 && S_ISREG(m->mode))
		look_for_code(c, l, m);
	fresh = m->deleted && !m->same_inode_as && S_ISREG(m->mode);
	if (fresh && xattr_collect(c, l->at, m) < 0) {
		protobuf_c_message_free_unpacked(&m->base, NULL);
		return -ENOMEM;
	}
	if (collect_add_take(c, &res_regfile.type, id, m) < 0)
		return -ENOMEM;
	return fresh ? want_contents(c, id, l) : 0;
}

static const struct file_ops ops = {
	.match = match, .verdict = verdict, .collect = collect, .open = regfile_open};
static const char *const volatile_fields[] = {"mtime_ns", "ino", "dev", NULL};

const struct res res_regfile = {
	.type = {"regfile", SCOPE_FILE, &ckpt__reg_file__descriptor, volatile_fields},
	.file = &ops,
};
