/*
 * inotify.c - watches on files.
 *
 * fdinfo tells of a watch its number, what it waits for, and a file handle of the inode
 * (Linux >= 3.8); the name is found by opening the handle on a mount of its file system
 * (open_by_handle_at). Watches get their numbers back by INOTIFY_IOC_SETNEXTWD (>= 4.17), and are
 * made when all files are open: opening them would be an event. Events that nobody has read can't
 * be put back; the user is told.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "kernel/fdinfo.h"
#include "proto/fdtable.pb-c.h"
#include "proto/inotify.pb-c.h"
#include "res/file/files.h"
#include "util/cleanup.h"
#include "util/str.h"
#include "util/vec.h"

#ifndef INOTIFY_IOC_SETNEXTWD
#define INOTIFY_IOC_SETNEXTWD _IOW('I', 0, int32_t)
#endif

/* What inotify_add_watch takes of what fdinfo shows; the rest are the kernel's own bits. */
#define MASK_KEPT  (IN_ALL_EVENTS | IN_EXCL_UNLINK | IN_ONESHOT)
#define MINOR_BITS 20
#define HANDLE_MAX 128

static bool match(const struct file_look *l)
{
	return strcmp(l->link, "anon_inode:inotify") == 0;
}

struct watch {
	int wd;
	unsigned long ino;
	unsigned sdev, mask;
	unsigned handle_bytes, handle_type;
	uint8_t handle[HANDLE_MAX];
};

struct reading {
	struct collect *c;
	Ckpt__Inotify *m;
	size_t cap;
	int fd; /* in the target */
};

static int unhex(const char *s, uint8_t *out, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned v;

		if (sscanf(s + 2 * i, "%2x", &v) != 1)
			return -EBADMSG;
		out[i] = (uint8_t)v;
	}
	return 0;
}

/* "wd:1 ino:9e7e sdev:800013 mask:800afce ignored_mask:0 fhandle-bytes:8 fhandle-type:1 f_handle:7e.." */
static int parse(const char *value, struct watch *w)
{
	const char *hex = strstr(value, "f_handle:");

	if (sscanf(value, "wd:%x ino:%lx sdev:%x mask:%x", (unsigned *)&w->wd, &w->ino, &w->sdev,
		    &w->mask) != 4)
		return -EBADMSG;
	value = strstr(value, "fhandle-bytes:");
	if (!value || !hex ||
		sscanf(value, "fhandle-bytes:%x fhandle-type:%x", &w->handle_bytes,
			&w->handle_type) != 2)
		return 0; /* a file system without handles */
	if (w->handle_bytes > HANDLE_MAX)
		return -EBADMSG;
	return unhex(hex + strlen("f_handle:"), w->handle, w->handle_bytes);
}

/* Some directory of the file system, open. -ENOENT: it is not mounted here. */
static int open_mount(struct collect *c, unsigned sdev)
{
	_cleanup_free_ char *text = NULL;
	unsigned maj, min;
	int r = file_read_at(c->proc_fd, "mountinfo", &text, NULL);

	if (r < 0)
		return r;
	for (const char *p = text; *p; str_skip_line(&p)) {
		char at[4096];
		int fd;

		if (sscanf(p, "%*d %*d %u:%u %*s %4095s", &maj, &min, at) != 3 ||
			maj != sdev >> MINOR_BITS || min != (sdev & ((1U << MINOR_BITS) - 1)))
			continue;
		fd = open(at, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (fd >= 0)
			return fd;
	}
	return -ENOENT;
}

static int find_path(struct collect *c, const struct watch *w, char **ret)
{
	union {
		struct file_handle h;
		char room[sizeof(struct file_handle) + HANDLE_MAX];
	} u = {.h = {.handle_bytes = w->handle_bytes, .handle_type = (int)w->handle_type}};
	_cleanup_close_ int mount = open_mount(c, w->sdev), fd = -EBADF;
	_cleanup_free_ char *path = NULL;
	struct stat st;
	int r;

	if (mount < 0)
		return mount;
	if (!w->handle_bytes)
		return -EOPNOTSUPP;
	memcpy(u.h.f_handle, w->handle, w->handle_bytes);
	fd = open_by_handle_at(mount, &u.h, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = fd_path(fd, &path);
	if (r < 0)
		return r;
	if (lstat(path, &st) < 0 || st.st_ino != w->ino)
		return -ENOENT;
	*ret = TAKE_PTR(path);
	return 0;
}

static int line(char *key, char *value, void *arg)
{
	struct reading *rd = arg;
	Ckpt__Inotify *m = rd->m;
	Ckpt__InotifyWatch *item;
	struct watch w = {0};
	char *path = NULL;
	int r;

	if (strcmp(key, "inotify") != 0)
		return 0;
	r = parse(value, &w);
	if (r < 0)
		return r;
	r = find_path(rd->c, &w, &path);
	if (r < 0)
		return op_fail(rd->c->op, CKPT_E_REFUSED, -r, "open_by_handle_at",
			"let the program remove the watch",
			"pid %d (%s): inotify fd %d: watch %d of inode %lu, whose name can't be found",
			rd->c->pid, rd->c->tr->comm, rd->fd, w.wd, w.ino);
	item = msg_new(Ckpt__InotifyWatch, CKPT__INOTIFY_WATCH__INIT);
	if (!item || vec_reserve(&m->watches, &rd->cap, m->n_watches + 1, sizeof(item)) < 0) {
		free(item);
		free(path);
		return -ENOMEM;
	}
	item->wd = w.wd;
	item->mask = w.mask & MASK_KEPT;
	item->path = path;
	m->watches[m->n_watches++] = item;
	return 0;
}

static int by_wd(const void *a, const void *b)
{
	const Ckpt__InotifyWatch *const *x = a, *const *y = b;

	return ((*x)->wd > (*y)->wd) - ((*x)->wd < (*y)->wd);
}

static int collect(struct collect *c, uint64_t id, const struct file_look *l)
{
	Ckpt__Inotify *m = msg_new(Ckpt__Inotify, CKPT__INOTIFY__INIT);
	struct reading rd = {.c = c, .m = m, .fd = l->target_fd};
	struct fdinfo info;
	int r, unread = 0;

	if (!m)
		return collect_oom(c);
	r = fdinfo_read(c->proc_fd, l->target_fd, &info, line, &rd);
	if (r < 0) {
		protobuf_c_message_free_unpacked(&m->base, NULL);
		return op_fail(c->op, CKPT_E_SYSTEM, -r, "read", NULL, "/proc/%d/fdinfo/%d", c->pid,
			l->target_fd);
	}
	if (m->n_watches)
		qsort(m->watches, m->n_watches, sizeof(*m->watches), by_wd);
	if (ioctl(l->fd, FIONREAD, &unread) == 0 && unread)
		op_warn(c->op,
			"pid %d (%s): inotify fd %d: %d bytes of events that nobody has read are "
			"not saved",
			c->pid, c->tr->comm, l->target_fd, unread);
	return collect_add_take(c, &res_inotify.type, id, m);
}

static int open_inotify(
	struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record)
{
	const Ckpt__File *f = file_record;
	int fd = inotify_init1(IN_CLOEXEC | (f && f->flags & O_NONBLOCK ? IN_NONBLOCK : 0));

	(void)id;
	(void)rec;
	if (fd < 0)
		return op_fail(o->op, CKPT_E_SPACE, errno, "inotify_init1",
			errno == EMFILE ? "raise /proc/sys/fs/inotify/max_user_instances" : NULL,
			"an inotify list");
	return fd;
}

/* The name is the inode's own, not that of a link to it. */
static int opened_all(struct open_ctx *o, const struct model_rec *rec, int fd)
{
	const Ckpt__Inotify *m = (const void *)rec->msg;

	for (size_t i = 0; i < m->n_watches; i++) {
		const Ckpt__InotifyWatch *w = m->watches[i];
		int wd;

		if (ioctl(fd, INOTIFY_IOC_SETNEXTWD, w->wd) < 0)
			return op_fail(o->op, CKPT_E_SYSTEM, errno, "ioctl(INOTIFY_IOC_SETNEXTWD)",
				NULL, "the number of watch %d", w->wd);
		wd = inotify_add_watch(fd, w->path, w->mask | IN_DONT_FOLLOW);
		if (wd < 0)
			return op_fail(o->op, CKPT_E_CONFLICT, errno, "inotify_add_watch",
				errno == ENOENT ? "put back what was watched" : NULL, "%s",
				w->path);
		if (wd != w->wd)
			return op_fail(o->op, CKPT_E_CONFLICT, 0, NULL, NULL,
				"%s: the watch got the number %d instead of %d", w->path, wd,
				w->wd);
	}
	return 0;
}

static const struct file_ops ops = {
	.match = match, .collect = collect, .open = open_inotify, .opened_all = opened_all};

const struct res res_inotify = {
	.type = {"inotify", SCOPE_FILE, &ckpt__inotify__descriptor, NULL},
	.file = &ops,
};
