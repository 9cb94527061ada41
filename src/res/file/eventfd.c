/*
 * eventfd.c - counters that are files.
 *
 * /proc/PID/fdinfo tells the count (Linux >= 3.8) and whether it is a semaphore (>= 6.5). Before that
 * only a read tells, since it takes 1 from a semaphore and all from a counter. What was taken is put
 * back at once, but we could be killed in between: it is done only to a process that the dump ends, and
 * never at zero, where something would have to be put in first that another process may be waiting for.
 * Else a counter is assumed, with a warning.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "kernel/fdinfo.h"
#include "kernel/pidfd.h"
#include "proto/eventfd.pb-c.h"
#include "proto/fdtable.pb-c.h"
#include "res/file/files.h"
#include "res/file/seen.h"
#include "util/cleanup.h"
#include "util/str.h"

static bool match(const struct file_look *l)
{
	return strcmp(l->link, "anon_inode:[eventfd]") == 0;
}

struct lines {
	Ckpt__EventFd *m;
	bool told; /* whether it is a semaphore */
};

static int line(char *key, char *value, void *arg)
{
	struct lines *l = arg;
	const char *p = value;
	uint64_t v;

	if (strcmp(key, "eventfd-count") == 0)
		return str_u64(&p, 16, &l->m->count);
	if (strcmp(key, "eventfd-semaphore") == 0) {
		if (str_u64(&p, 10, &v) < 0)
			return -EBADMSG;
		l->m->semaphore = v != 0;
		l->told = true;
	}
	return 0;
}

/* Where the kernel does not tell. One that stands at 1 gives 1 in both cases, so it gets 1 more first. */
static int try_semaphore(struct collect *c, int fd, int target_fd, Ckpt__EventFd *m)
{
	uint64_t got, one = 1;
	struct iovec iov = {&got, sizeof(got)};

	if (!c->tr->dies || !m->count) {
		op_warn(c->op,
			"fd %d: Linux before 6.5 does not tell whether an eventfd is a semaphore: "
			"saved as a counter",
			target_fd);
		return 0;
	}
	if (m->count == 1 && write(fd, &one, sizeof(one)) != sizeof(one))
		return -errno;
	if (preadv2(fd, &iov, 1, -1, RWF_NOWAIT) != sizeof(got))
		return -errno;
	m->semaphore = got == 1;
	if (m->count == 1)
		got--; /* the one that was ours */
	return !got || write(fd, &got, sizeof(got)) == sizeof(got) ? 0 : -errno;
}

static int collect(struct collect *c, uint64_t id, const struct file_look *l)
{
	Ckpt__EventFd *m = msg_new(Ckpt__EventFd, CKPT__EVENT_FD__INIT);
	struct lines lines = {.m = m};
	int r;

	if (!m)
		return collect_oom(c);
	r = files_fdinfo(c, l, line, &lines);
	if (r < 0) {
		free(m);
		return r;
	}
	return collect_add_take(c, &res_eventfd.type, id, m);
}

/*
 * When all is known, as a read and a write are an event: an epoll set has been asked before whether it
 * has anything to tell.
 */
static int finish(struct collect_tree *t)
{
	const struct model_rec *rec;
	size_t pos = 0;
	int r = 0;

	while (r == 0 && (rec = model_next(t->model, &res_eventfd.type, &pos))) {
		const struct collect_file *f = &t->files[rec->owner - 1];
		Ckpt__EventFd told = CKPT__EVENT_FD__INIT;
		struct lines lines = {.m = &told};
		_cleanup_close_ int fd = -EBADF;
		struct fdinfo info;

		r = fdinfo_read(f->of->proc_fd, f->target_fd, &info, line, &lines);
		if (r == 0 && lines.told)
			return 0; /* this kernel tells it of all */
		fd = pidfd_take(f->of->pidfd, f->target_fd);
		if (r == 0)
			r = fd < 0 ? fd : try_semaphore(f->of, fd, f->target_fd, (void *)rec->msg);
		if (r < 0)
			return op_fail(t->op, CKPT_E_SYSTEM, -r, "read", NULL,
				"pid %d (%s): eventfd %d", f->of->pid, f->of->tr->comm,
				f->target_fd);
	}
	return r;
}

static int open_eventfd(
	struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record)
{
	const Ckpt__EventFd *m = (const void *)rec->msg;
	const Ckpt__File *f = file_record;
	_cleanup_close_ int fd =
		eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | (m->semaphore ? EFD_SEMAPHORE : 0));

	(void)id;
	if (fd < 0)
		return op_fail(o->op, CKPT_E_SPACE, errno, "eventfd", NULL, "an eventfd");
	if (m->count == UINT64_MAX)
		return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"an eventfd's count is out of range");
	if (m->count && write(fd, &m->count, sizeof(m->count)) != sizeof(m->count))
		return op_fail(o->op, CKPT_E_SYSTEM, errno, "write", NULL, "an eventfd's count");
	if (f && fcntl(fd, F_SETFL, (int)f->flags & O_NONBLOCK) < 0)
		return op_fail(o->op, CKPT_E_SYSTEM, errno, "fcntl(F_SETFL)", NULL, "an eventfd");
	return TAKE_FD(fd);
}

static const struct file_ops ops = {
	.match = match, .collect = collect, .finish = finish, .open = open_eventfd};

const struct res res_eventfd = {
	.type = {"eventfd", SCOPE_FILE, &ckpt__event_fd__descriptor, NULL},
	.file = &ops,
};
