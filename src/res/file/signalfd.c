/*
 * signalfd.c - signals read from a file. It holds nothing but a mask: pending signals are the
 * threads' and the process's own.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/fdtable.pb-c.h"
#include "proto/signalfd.pb-c.h"
#include "res/file/files.h"
#include "util/cleanup.h"
#include "util/str.h"

static bool match(const struct file_look *l)
{
	return strcmp(l->link, "anon_inode:[signalfd]") == 0;
}

static int line(char *key, char *value, void *arg)
{
	Ckpt__SignalFd *m = arg;
	const char *p = value;

	return strcmp(key, "sigmask") == 0 ? str_u64(&p, 16, &m->mask) : 0;
}

static int collect(struct collect *c, uint64_t id, const struct file_look *l)
{
	Ckpt__SignalFd *m = msg_new(Ckpt__SignalFd, CKPT__SIGNAL_FD__INIT);
	int r;

	if (!m)
		return collect_oom(c);
	r = files_fdinfo(c, l, line, m);
	if (r < 0) {
		free(m);
		return r;
	}
	return collect_add_take(c, &res_signalfd.type, id, m);
}

/* The raw call: libc's wrapper would not take its own internal signals. */
static int open_signalfd(
	struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record)
{
	const Ckpt__SignalFd *m = (const void *)rec->msg;
	const Ckpt__File *f = file_record;
	uint64_t mask = m->mask;
	int flags = SFD_CLOEXEC | (f && f->flags & O_NONBLOCK ? SFD_NONBLOCK : 0);
	int fd = (int)syscall(SYS_signalfd4, -1, &mask, sizeof(mask), flags);

	(void)id;
	if (fd < 0)
		return op_fail(o->op, CKPT_E_SPACE, errno, "signalfd", NULL, "a signalfd");
	return fd;
}

static const struct file_ops ops = {.match = match, .collect = collect, .open = open_signalfd};

const struct res res_signalfd = {
	.type = {"signalfd", SCOPE_FILE, &ckpt__signal_fd__descriptor, NULL},
	.file = &ops,
};
