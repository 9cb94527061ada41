/*
 * eventfd.c - counters that are files.
 *
 * /proc/PID/fdinfo tells the count (Linux >= 3.8) and whether it is a semaphore (>= 6.5; before it,
 * a semaphore can't be told from a counter, and a counter is assumed).
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kernel/fdinfo.h"
#include "proto/eventfd.pb-c.h"
#include "proto/fdtable.pb-c.h"
#include "res/file/files.h"
#include "util/cleanup.h"
#include "util/str.h"

static bool match(const struct file_look *l)
{
	return strcmp(l->link, "anon_inode:[eventfd]") == 0;
}

static int line(char *key, char *value, void *arg)
{
	Ckpt__EventFd *m = arg;
	const char *p = value;
	uint64_t v;

	if (strcmp(key, "eventfd-count") == 0)
		return str_u64(&p, 16, &m->count);
	if (strcmp(key, "eventfd-semaphore") == 0) {
		if (str_u64(&p, 10, &v) < 0)
			return -EBADMSG;
		m->semaphore = v != 0;
	}
	return 0;
}

static int collect(struct collect *c, uint64_t id, const struct file_look *l)
{
	Ckpt__EventFd *m = msg_new(Ckpt__EventFd, CKPT__EVENT_FD__INIT);
	struct fdinfo info;
	int r;

	if (!m)
		return collect_oom(c);
	r = fdinfo_read(c->proc_fd, l->target_fd, &info, line, m);
	if (r < 0) {
		free(m);
		return op_fail(c->op, CKPT_E_SYSTEM, -r, "read", NULL, "/proc/%d/fdinfo/%d", c->pid,
			l->target_fd);
	}
	return collect_add_take(c, &res_eventfd.type, id, m);
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

static const struct file_ops ops = {.match = match, .collect = collect, .open = open_eventfd};

const struct res res_eventfd = {
	.type = {"eventfd", SCOPE_FILE, &ckpt__event_fd__descriptor, NULL},
	.file = &ops,
};
