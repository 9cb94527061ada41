/*
 * files.c - open file descriptions: what is behind the descriptors, mappings and queues of all tasks.
 *
 * A description comes into our hands by pidfd_getfd (Linux >= 5.6): it is looked at through a
 * duplicate and never opened again by its name, which could have effects (a lease broken, a device
 * opened). Two descriptors share a description if kcmp says so; it is asked only where device and
 * inode are the same.
 */
#include "res/file/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel/fdinfo.h"
#include "kernel/mountinfo.h"
#include "kernel/pidfd.h"
#include "kernel/proc.h"
#include "kernel/sock.h"
#include "proto/fdtable.pb-c.h"
#include "res/file/fdpolicy.h"
#include "res/file/in_flight.h"
#include "res/file/seen.h"
#include "res/ipc/ipc.h"
#include "res/registry.h"
#include "util/cleanup.h"
#include "util/vec.h"

/* Flags that only had a meaning when the file was opened. */
#define CREATION_FLAGS (O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC)

void files_done(struct collect_tree *t)
{
	seen_done(t);
	files_in_flight_done(t);
	if (t->mounts)
		mount_list_done(t->mounts);
	free(t->mounts);
	t->mounts = NULL;
}

int files_fdinfo(struct collect *c, const struct file_look *l,
	int (*line)(char *key, char *value, void *arg), void *arg)
{
	struct fdinfo info;
	int r = fdinfo_read(c->proc_fd, l->target_fd, &info, line, arg);

	return r < 0 ? op_fail(c->op, CKPT_E_SYSTEM, -r, "read", NULL, "/proc/%d/fdinfo/%d", c->pid,
			       l->target_fd)
		     : 0;
}

static const struct res *kind_of(const struct file_look *l)
{
	for (const struct res *const *r = registry(); *r; r++)
		if ((*r)->file && (*r)->file->match(l))
			return *r;
	return NULL;
}

static int kind_collect(struct collect *c, uint32_t id, const struct file_look *l)
{
	const struct res *kind = kind_of(l);

	if (!kind)
		return op_fail(c->op, CKPT_E_REFUSED, 0, NULL, "close it before the dump",
			"pid %d (%s): %s is %s, which can't be saved yet", c->pid, c->tr->comm,
			l->at, l->link);
	return kind->file->collect(c, id, l);
}

/* ---- mapped files ---- */

/*
 * The link of a mapping can be read by its owner, but followed only with CAP_CHECKPOINT_RESTORE: a user
 * without it goes by the name, where that leads to the very file of the mapping.
 */
static bool by_name(const struct vma *v, const char *name, struct stat *ret)
{
	return stat(name, ret) == 0 && ret->st_dev == makedev(v->dev_major, v->dev_minor) &&
	       ret->st_ino == v->ino;
}

int files_link(int procfd, const char *at, char **ret)
{
	int r = link_read_at(procfd, at, ret);

	if (r != -ENAMETOOLONG)
		return r;
	*ret = strdup(FILES_LONG_NAME);
	return *ret ? 0 : -ENOMEM;
}

/* @v: the mapping that the link is of, or NULL */
static int look_at_link(struct collect *c, const char *at, const struct vma *v, struct file_look *l,
	char **ret_link)
{
	int r = files_link(c->proc_fd, at, ret_link);
	char *tail;

	if (r == 0 && (l->fd >= 0 ? fstat(l->fd, &l->st) : fstatat(c->proc_fd, at, &l->st, 0)) < 0)
		r = -errno;
	if (r == -EPERM && v && by_name(v, *ret_link, &l->st))
		r = 0;
	if (r == -EPERM)
		return op_fail(c->op, CKPT_E_PRIVILEGE, EPERM, "stat",
			"run as root, or with CAP_CHECKPOINT_RESTORE: a mapped file whose name does not "
			"lead to it takes that",
			"pid %d (%s): /proc/%d/%s %s", c->pid, c->tr->comm, c->pid, at,
			*ret_link ? *ret_link : "");
	if (r < 0)
		return op_fail(c->op, CKPT_E_TARGET, -r, "stat", NULL, "/proc/%d/%s", c->pid, at);
	tail = strlen(*ret_link) > 10 ? *ret_link + strlen(*ret_link) - 10 : NULL;
	l->deleted = tail && strcmp(tail, " (deleted)") == 0 && l->st.st_nlink == 0;
	if (l->deleted)
		*tail = 0;
	l->link = *ret_link;
	l->at = at;
	return 0;
}

static int mapped(
	struct collect *c, const char *at, const struct vma *v, uint32_t flags, uint32_t *ret_id)
{
	_cleanup_free_ char *link = NULL;
	struct file_look l = {.fd = -EBADF, .target_fd = -1, .flags = flags};
	struct collect_file f = {.of = c, .target_fd = -1, .map_flags = flags};
	struct collect_tree *t = c->tree;
	struct seen_inode *inode;
	int r = look_at_link(c, at, v, &l, &link);

	if (r < 0)
		return r;
	/* a segment's inode number is its id, which other memory may have as its own */
	inode = seen_inode(c->tree, sysvshm_is(&l) ? ~l.st.st_dev : l.st.st_dev, l.st.st_ino);
	if (!inode)
		return collect_oom(c);
	for (uint32_t id = inode->mapped; id; id = t->files[id - 1].next_mapped) {
		if (t->files[id - 1].map_flags == flags) {
			*ret_id = id;
			return 0;
		}
	}
	l.first_id = inode->first;
	if (seen_add(c->tree, inode, 0, &f, ret_id) < 0)
		return collect_oom(c);
	return kind_collect(c, *ret_id, &l);
}

int files_of_vma(struct collect *c, const struct vma *v, uint32_t *ret_id)
{
	char at[64];
	bool shared_rw = v->prot & VMA_SHARED && v->vmflags & VMF_MW;
	int r;

	*ret_id = seen_mapping_find(c->tree, v);
	if (*ret_id)
		return 0;
	snprintf(at, sizeof(at), "map_files/%llx-%llx", (unsigned long long)v->start,
		(unsigned long long)v->end);
	r = mapped(c, at, v, shared_rw ? O_RDWR : O_RDONLY, ret_id);
	return r < 0 ? r : seen_mapping_add(c->tree, v, *ret_id) < 0 ? collect_oom(c) : 0;
}

int files_of_exe(struct collect *c, uint32_t *ret_id)
{
	return mapped(c, "exe", NULL, O_RDONLY, ret_id);
}

/* ---- descriptors ---- */

/* What the user wishes for one that is not to be saved; NULL: nothing. */
static const struct fdpolicy_entry *wish_for(struct collect *c, const struct file_look *l)
{
	struct fdpolicy *p = c->tree->policy;
	const struct fdpolicy_entry *e = NULL;
	const char *kind;

	if (!p || !p->n)
		return NULL;
	e = fdpolicy_of_fd(p, c->pid, l->target_fd);
	kind = e ? NULL : c->tree->refused(c, l);
	return kind ? fdpolicy_of_kind(p, kind) : e;
}

/* Nobody tells of directory notification (F_NOTIFY), but it leaves an owner behind, which has no other use. */
static void warn_dnotify(struct collect *c, int fd)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
		op_warn(c->op,
			"pid %d (%s): a directory of its has an owner for signals: should it be told of "
			"changes in it (F_NOTIFY), it will not be after a restore",
			c->pid, c->tr->comm);
}

static int add_file_record(struct collect *c, uint32_t id, int fd, uint32_t flags, uint64_t pos)
{
	Ckpt__File *m = msg_new(Ckpt__File, CKPT__FILE__INIT);
	struct f_owner_ex owner = {0};

	if (!m)
		return collect_oom(c);
	m->flags = flags;
	m->pos = pos;
	if (!(flags & O_PATH) && fd >= 0) {
		if (fcntl(fd, F_GETOWN_EX, &owner) == 0 && owner.pid) {
			m->owner_pid = owner.pid;
			m->owner_type = owner.type;
			warn_dnotify(c, fd);
		}
		m->signal = fcntl(fd, F_GETSIG);
		m->signal = m->signal < 0 ? 0 : m->signal;
	}
	return collect_add_take(c, &res_file.type, id, m);
}

/* NULL where they can't be read; then each name is looked at. */
static const struct mount_list *mounts_of(struct collect_tree *t)
{
	if (!t->mounts) {
		t->mounts = calloc(1, sizeof(*t->mounts));
		if (t->mounts && mountinfo_read(t->mounts) < 0)
			mount_list_done(t->mounts);
	}
	return t->mounts && t->mounts->n ? t->mounts : NULL;
}

int files_descriptor(struct collect *c, int fd, uint32_t *ret_id, bool *ret_apart)
{
	_cleanup_close_ int dup = pidfd_take(c->pidfd, fd);
	_cleanup_free_ char *link = NULL;
	struct file_look l = {.fd = dup, .target_fd = fd, .mounts = mounts_of(c->tree)};
	struct collect_file f = {.of = c, .target_fd = fd, .last = c, .last_fd = fd};
	const struct fdpolicy_entry *wish;
	struct seen_inode *inode;
	struct sock_look sock;
	char at[32];
	size_t place;
	int64_t id;
	off_t pos;
	int r;

	snprintf(at, sizeof(at), "fd/%d", fd);
	if (dup < 0)
		return op_fail(c->op, CKPT_E_PRIVILEGE, -dup, "pidfd_getfd", NULL,
			"pid %d (%s): fd %d", c->pid, c->tr->comm, fd);
	r = look_at_link(c, at, NULL, &l, &link);
	if (r < 0)
		return r;
	l.flags = fcntl(dup, F_GETFL);
	f.kept_cloexec = l.flags & O_CLOEXEC;
	l.flags &= ~CREATION_FLAGS;
	if (S_ISSOCK(l.st.st_mode) && sock_look_at(dup, &sock) == 0) {
		if (!c->tree->own_netns)
			c->tree->own_netns = sock_own_netns();
		sock.foreign = sock_foreign(&sock, c->tree->own_netns);
		l.sock = &sock;
	}
	wish = ret_apart ? wish_for(c, &l) : NULL;
	if (wish) {
		*ret_apart = true;
		if (seen_add_apart(c->tree, &f, ret_id) < 0)
			return collect_oom(c);
		r = outside_collect(c, *ret_id, &l, wish);
		return r < 0 ? r : add_file_record(c, *ret_id, -EBADF, l.flags, 0);
	}
	inode = seen_inode(c->tree, l.st.st_dev, l.st.st_ino);
	if (!inode)
		return collect_oom(c);
	id = seen_find(c, inode, fd, &place);
	if (id < 0)
		return op_fail(c->op, CKPT_E_SYSTEM, -id, "kcmp", NULL, "pid %d (%s): fd %d",
			c->pid, c->tr->comm, fd);
	*ret_id = id;
	if (id) {
		struct collect_file *known = &c->tree->files[id - 1];

		if (known->last != c)
			known->last_fd = fd;
		known->last = c;
		return 0;
	}
	l.first_id = inode->first;
	pos = l.flags & O_PATH ? 0 : lseek(dup, 0, SEEK_CUR);
	l.pos = pos < 0 ? 0 : pos;
	if (seen_add(c->tree, inode, place, &f, ret_id) < 0)
		return collect_oom(c);
	r = kind_collect(c, *ret_id, &l);
	return r < 0 ? r : add_file_record(c, *ret_id, dup, l.flags, l.pos);
}

int files_finish(struct collect_tree *t)
{
	int r = 0;

	for (const struct res *const *k = registry(); *k && r == 0; k++)
		if ((*k)->file && (*k)->file->gather)
			r = (*k)->file->gather(t);

	for (const struct res *const *k = registry(); *k && r == 0; k++)
		if ((*k)->file && (*k)->file->finish)
			r = (*k)->file->finish(t);
	return r;
}

int files_placeholder(struct open_ctx *o)
{
	int fd = open("/", O_PATH | O_CLOEXEC);

	return fd < 0 ? op_fail(o->op, CKPT_E_SYSTEM, errno, "open", NULL, "/") : fd;
}

/*
 * Who is sent a signal. The owner may be any process; one that is not of the image, and is not there
 * any more, can be told nothing.
 */
void files_plan_owner(const Ckpt__File *f, int fd, struct prog *prog)
{
	struct f_owner_ex owner = {.type = f->owner_type, .pid = f->owner_pid};

	if (f->owner_pid) {
		PROG_CALL_ANY(prog, "file: owner", SYS_fcntl, IMM(fd), IMM(F_SETOWN_EX),
			DATA(prog_data(prog, &owner, sizeof(owner))));
		prog_object(prog, "fd %d", fd);
	}
	if (f->signal) {
		PROG_CALL(prog, "file: signal", SYS_fcntl, IMM(fd), IMM(F_SETSIG), IMM(f->signal));
		prog_object(prog, "fd %d", fd);
	}
	if (f->flags & O_ASYNC) {
		PROG_CALL(prog, "file: O_ASYNC", SYS_fcntl, IMM(fd), IMM(F_SETFL), IMM(f->flags));
		prog_object(prog, "fd %d", fd);
	}
}

const struct res res_file = {
	.type = {"file", SCOPE_FILE, &ckpt__file__descriptor, NULL},
	.go = files_in_flight_go,
};
