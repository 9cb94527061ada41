/*
 * inotify.c - watches on files.
 *
 * fdinfo tells of a watch its number, what it waits for, and a file handle of the inode
 * (Linux >= 3.8), see watched.c for how it is found. One that has no name any more can only be watched
 * as long as somebody has it open. Watches get their numbers back by INOTIFY_IOC_SETNEXTWD (>= 4.17),
 * and are made when all files are open: opening them would be an event.
 *
 * Events that nobody has read can't be put back: a watch that had made them would leave IN_IGNORED behind.
 * What can be had is what the kernel itself says of lost events, so that the program looks anew: one
 * IN_Q_OVERFLOW. That is queued behind max_queued_events others, which can be read away; while it is there
 * and the queue is full, nothing else is queued, not even that a watch is gone (inotify(7)).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/fdinfo.h"
#include "proto/fdtable.pb-c.h"
#include "proto/inotify.pb-c.h"
#include "res/file/seen.h"
#include "res/file/watched.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/str.h"
#include "util/vec.h"

#ifndef INOTIFY_IOC_SETNEXTWD
#define INOTIFY_IOC_SETNEXTWD _IOW('I', 0, int32_t)
#endif

/* What inotify_add_watch takes of what fdinfo shows; the rest are the kernel's own bits. */
#define MASK_KEPT (IN_ALL_EVENTS | IN_EXCL_UNLINK | IN_ONESHOT)

#define QUEUE_LIMIT_FILE "/proc/sys/fs/inotify/max_queued_events"
#define QUEUE_LIMIT_MAX  (1 << 20) /* more takes too long to fill */

#define LOST_REASON "what it watches has no name that can be found, nor a descriptor in the process"

static bool match(const struct file_look *l)
{
	return strcmp(l->link, "anon_inode:inotify") == 0;
}

struct reading {
	struct collect *c; /* NULL for a look only */
	int procfd;
	Ckpt__Inotify *m;
	size_t cap;
	int fd; /* in the target */
	unsigned budget;
	bool lost;
};

/* "wd:1 ino:9e7e sdev:800013 mask:800afce ignored_mask:0 fhandle-bytes:8 fhandle-type:1 f_handle:7e.." */
static int parse(const char *value, struct watched *w, int *wd, unsigned *mask)
{
	if (sscanf(value, "wd:%x ino:%*x sdev:%*x mask:%x", (unsigned *)wd, mask) != 2)
		return -EBADMSG;
	return watched_parse(value, w);
}

static int look_line(char *key, char *value, void *arg)
{
	struct reading *rd = arg;
	struct watched w;
	char *path = NULL;
	unsigned mask;
	int wd;

	if (strcmp(key, "inotify") != 0 || parse(value, &w, &wd, &mask) < 0)
		return 0;
	if (watched_find(rd->procfd, &w, &rd->budget, &path) < 0 &&
		!watched_is_open(rd->procfd, &w))
		rd->lost = true;
	free(path);
	return 0;
}

static struct file_verdict verdict(int procfd, const struct file_look *l)
{
	struct reading rd = {.procfd = procfd, .budget = WATCHED_BUDGET};
	struct fdinfo info;

	if (fdinfo_read(procfd, l->target_fd, &info, look_line, &rd) == 0 && rd.lost)
		return (struct file_verdict){CKPT_REFUSED, LOST_REASON, WATCHED_ADVICE};
	return (struct file_verdict){CKPT_SAVED, NULL, NULL};
}

static int line(char *key, char *value, void *arg)
{
	struct reading *rd = arg;
	Ckpt__Inotify *m = rd->m;
	Ckpt__InotifyWatch *item;
	struct watched w;
	char *path = NULL;
	unsigned mask;
	int wd, r;

	if (strcmp(key, "inotify") != 0)
		return 0;
	r = parse(value, &w, &wd, &mask);
	if (r < 0)
		return r;
	if (watched_find(rd->procfd, &w, &rd->budget, &path) < 0)
		path = strdup("");
	item = path ? msg_new(Ckpt__InotifyWatch, CKPT__INOTIFY_WATCH__INIT) : NULL;
	if (!item || vec_reserve(&m->watches, &rd->cap, m->n_watches + 1, sizeof(item)) < 0) {
		free(item);
		free(path);
		return -ENOMEM;
	}
	item->wd = wd;
	item->mask = mask & MASK_KEPT;
	item->path = path;
	if (!*path) {
		item->dev = w.dev;
		item->ino = w.ino;
	}
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
	struct reading rd = {
		.c = c, .procfd = c->proc_fd, .m = m, .fd = l->target_fd, .budget = WATCHED_BUDGET};
	int r, unread = 0;

	if (!m)
		return collect_oom(c);
	r = files_fdinfo(c, l, line, &rd);
	if (r < 0) {
		protobuf_c_message_free_unpacked(&m->base, NULL);
		return r;
	}
	if (m->n_watches)
		qsort(m->watches, m->n_watches, sizeof(*m->watches), by_wd);
	m->unread = ioctl(l->fd, FIONREAD, &unread) == 0 && unread;
	if (m->unread)
		op_warn(c->op,
			"pid %d (%s): inotify fd %d: %d bytes of events that nobody has read are "
			"not saved: a restore tells it that events were lost (IN_Q_OVERFLOW)",
			c->pid, c->tr->comm, l->target_fd, unread);
	return collect_add_take(c, &res_inotify.type, id, m);
}

/* What has no name may be an open file of some task. */
static int finish(struct collect_tree *t)
{
	const struct model_rec *rec;
	size_t pos = 0;

	while ((rec = model_next(t->model, &res_inotify.type, &pos))) {
		const Ckpt__Inotify *m = (const void *)rec->msg;
		const struct collect_file *f = &t->files[rec->owner - 1];

		for (size_t i = 0; i < m->n_watches; i++) {
			Ckpt__InotifyWatch *w = m->watches[i];

			if (w->path[0])
				continue;
			w->file = watched_file(t->model, w->dev, w->ino);
			if (!w->file)
				return op_fail(t->op, CKPT_E_REFUSED, 0, NULL, WATCHED_ADVICE,
					"pid %d (%s): inotify fd %d: watch %d: " LOST_REASON,
					f->of->pid, f->of->tr->comm, f->target_fd, w->wd);
		}
	}
	return 0;
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

/* ---- that events were lost ---- */

/* A file without a name that makes events; those of the kernel's own mounts, memfds among them, do not. */
static int scratch_file(void)
{
	static const char *const dirs[] = {"/dev/shm", "/tmp", "/run", "."};
	int fd = -1;

	for (size_t i = 0; fd < 0 && i < ARRAY_SIZE(dirs); i++)
		fd = open(dirs[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

static int queue_limit(void)
{
	_cleanup_free_ char *text = NULL;
	const char *p;
	size_t len;
	int n;

	if (file_read_at(AT_FDCWD, QUEUE_LIMIT_FILE, &text, &len) < 0)
		return -EBADMSG;
	p = text;
	return str_int(&p, &n) < 0 ? -EBADMSG : n > QUEUE_LIMIT_MAX ? -EOVERFLOW : n;
}

/* More events than fit. A read and a write by turns: what is equal to the last one is not queued. */
static int fill(int fd, int scratch, int limit)
{
	char path[48], byte = 0;
	int wd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", scratch);
	wd = inotify_add_watch(fd, path, IN_ACCESS | IN_MODIFY);
	if (wd < 0)
		return -errno;
	for (int i = 0; i <= limit / 2; i++)
		if (pwrite(scratch, &byte, 1, 0) != 1 || pread(scratch, &byte, 1, 0) != 1)
			return -EIO;
	return inotify_rm_watch(fd, wd) < 0 ? -errno : 0;
}

/* All but the last one. */
static int read_away(int fd)
{
	struct inotify_event ev[256];
	int left = 0;

	while (ioctl(fd, FIONREAD, &left) == 0 && left > (int)sizeof(*ev)) {
		ssize_t n = read(fd, ev, MIN((size_t)left - sizeof(*ev), sizeof(ev)));

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
	}
	return left == (int)sizeof(*ev) ? 0 : -EIO;
}

static void tell_lost(struct open_ctx *o, int fd)
{
	_cleanup_close_ int scratch = scratch_file();
	int limit = queue_limit(), r = scratch < 0 ? scratch : MIN(limit, 0);

	if (r == 0)
		r = fill(fd, scratch, limit);
	if (r == 0)
		r = read_away(fd);
	if (r < 0)
		op_warn(o->op,
			"an inotify list had events that nobody had read: they are lost, and "
			"it can't be told so: %s",
			strerror(-r));
}

/* The name is the inode's own, not that of a link to it. */
static int opened_all(struct open_ctx *o, const struct model_rec *rec, int fd)
{
	const Ckpt__Inotify *m = (const void *)rec->msg;

	if (m->unread)
		tell_lost(o, fd);
	for (size_t i = 0; i < m->n_watches; i++) {
		const Ckpt__InotifyWatch *w = m->watches[i];
		char room[48];
		const char *path = watched_path(o, w->path, w->file, room);
		int wd;

		if (ioctl(fd, INOTIFY_IOC_SETNEXTWD, w->wd) < 0)
			return op_fail(o->op, CKPT_E_SYSTEM, errno, "ioctl(INOTIFY_IOC_SETNEXTWD)",
				NULL, "the number of watch %d", w->wd);
		wd = inotify_add_watch(fd, path, w->mask | (w->file ? 0 : IN_DONT_FOLLOW));
		if (wd < 0)
			return op_fail(o->op, CKPT_E_CONFLICT, errno, "inotify_add_watch",
				errno == ENOENT ? "put back what was watched" : NULL, "%s", path);
		if (wd != w->wd)
			return op_fail(o->op, CKPT_E_CONFLICT, 0, NULL, NULL,
				"%s: the watch got the number %d instead of %d", path, wd, w->wd);
	}
	return 0;
}

static const struct file_ops ops = {
	.match = match,
	.verdict = verdict,
	.collect = collect,
	.finish = finish,
	.open = open_inotify,
	.opened_all = opened_all,
};
static const char *const volatile_fields[] = {"watches.dev", "watches.ino", NULL};

const struct res res_inotify = {
	.type = {"inotify", SCOPE_FILE, &ckpt__inotify__descriptor, volatile_fields},
	.file = &ops,
};
