/*
 * epoll.c - interest lists.
 *
 * The kernel knows a member by its open file description and the descriptor number with which it was
 * added, so the task itself adds its members, when all its descriptors stand, also those that are opened
 * late. A number that was
 * closed or has come to mean another description since cannot be added again: kcmp (KCMP_EPOLL_TFD,
 * Linux >= 4.13) tells, and such a list is refused.
 *
 * Readiness is not saved: a member is looked at anew when it is added. So an edge-triggered member
 * that is ready is reported once more, which its users have to expect anyway, and a one-shot member
 * that has fired may be told of an error or a hang-up.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel/fdinfo.h"
#include "kernel/kcmp.h"
#include "proto/epoll.pb-c.h"
#include "proto/fdtable.pb-c.h"
#include "res/file/files.h"
#include "util/cleanup.h"
#include "util/str.h"
#include "util/vec.h"

static bool match(const struct file_look *l)
{
	return strcmp(l->link, "anon_inode:[eventpoll]") == 0;
}

struct reading {
	Ckpt__Epoll *m;
	size_t cap;
};

/* "tfd:        5 events:       19 data:                5  pos:0 ino:1 sdev:e" */
static int line(char *key, char *value, void *arg)
{
	struct reading *rd = arg;
	Ckpt__Epoll *m = rd->m;
	Ckpt__EpollItem *item;
	unsigned long long data;
	unsigned fd, events;

	if (strcmp(key, "tfd") != 0)
		return 0;
	if (sscanf(value, "%u events: %x data: %llx", &fd, &events, &data) != 3)
		return -EBADMSG;
	item = msg_new(Ckpt__EpollItem, CKPT__EPOLL_ITEM__INIT);
	if (!item || vec_reserve(&m->items, &rd->cap, m->n_items + 1, sizeof(*m->items)) < 0) {
		free(item);
		return -ENOMEM;
	}
	item->fd = fd;
	item->events = events & ~(EPOLLERR | EPOLLHUP); /* adding sets them */
	item->data = data;
	m->items[m->n_items++] = item;
	return 0;
}

static int by_fd(const void *a, const void *b)
{
	const Ckpt__EpollItem *const *x = a, *const *y = b;

	return ((*x)->fd > (*y)->fd) - ((*x)->fd < (*y)->fd);
}

/* Every member's number still means the description that was added. */
static int check_items(struct collect *c, const Ckpt__Epoll *m, int epfd)
{
	for (size_t i = 0; i < m->n_items; i++) {
		unsigned fd = m->items[i]->fd;
		struct kcmp_epoll_slot slot = {.efd = epfd, .tfd = fd};
		bool twice = i && m->items[i - 1]->fd == fd;
		int r = twice ? KCMP_UNORDERED
			      : kcmp_tasks(
					c->alive, c->alive, KCMP_EPOLL_TFD, fd, (uintptr_t)&slot);

		if (r == KCMP_EQUAL)
			continue;
		if (r < 0 && r != -EBADF && r != -ENOENT)
			return op_fail(c->op, CKPT_E_SYSTEM, -r, "kcmp", NULL,
				"pid %d (%s): epoll fd %d", c->pid, c->tr->comm, epfd);
		return op_fail(c->op, CKPT_E_REFUSED, 0, NULL,
			"let the program remove it from the list before it closes it",
			"pid %d (%s): epoll fd %d watches what was fd %u, a number that was closed "
			"or used again since; this can't be saved yet",
			c->pid, c->tr->comm, epfd, fd);
	}
	return 0;
}

static int collect(struct collect *c, uint64_t id, const struct file_look *l)
{
	Ckpt__Epoll *m = msg_new(Ckpt__Epoll, CKPT__EPOLL__INIT);
	struct reading rd = {.m = m};
	struct fdinfo info;
	int r;

	if (!m)
		return collect_oom(c);
	r = fdinfo_read(c->proc_fd, l->target_fd, &info, line, &rd);
	if (r < 0)
		r = op_fail(c->op, CKPT_E_SYSTEM, -r, "read", NULL, "/proc/%d/fdinfo/%d", c->pid,
			l->target_fd);
	if (r == 0 && m->n_items)
		qsort(m->items, m->n_items, sizeof(*m->items), by_fd);
	if (r == 0)
		r = check_items(c, m, l->target_fd);
	if (r < 0) {
		protobuf_c_message_free_unpacked(&m->base, NULL);
		return r;
	}
	return collect_add_take(c, &res_epoll.type, id, m);
}

static int open_epoll(
	struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record)
{
	const Ckpt__File *f = file_record;
	int fd = epoll_create1(EPOLL_CLOEXEC);

	(void)id;
	(void)rec;
	if (fd < 0)
		return op_fail(o->op, CKPT_E_SPACE, errno, "epoll_create1", NULL, "an epoll list");
	if (f && f->flags & O_NONBLOCK)
		fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static void plan(struct plan *p, enum plan_phase phase, const struct model_rec *rec, int fd,
	struct prog *prog)
{
	const Ckpt__Epoll *m = (const void *)rec->msg;

	if (phase != PLAN_LATE)
		return;
	for (size_t i = 0; i < m->n_items; i++) {
		const Ckpt__EpollItem *item = m->items[i];
		const struct plan_override *o = plan_override(p, item->fd);
		struct epoll_event ev = {.events = item->events, .data.u64 = item->data};
		uint64_t at = prog_data(prog, &ev, sizeof(ev));

		/* a file that the user has put there may not be one that can be waited for */
		if (o)
			PROG_CALL_ANY(prog, "epoll: add", SYS_epoll_ctl, IMM(fd),
				IMM(EPOLL_CTL_ADD), IMM(item->fd), DATA(at));
		else
			PROG_CALL(prog, "epoll: add", SYS_epoll_ctl, IMM(fd), IMM(EPOLL_CTL_ADD),
				IMM(item->fd), DATA(at));
		prog_object(prog, "fd %u to epoll fd %d", item->fd, fd);
	}
}

static const struct file_ops ops = {
	.match = match, .collect = collect, .open = open_epoll, .plan = plan, .after_others = true};

const struct res res_epoll = {
	.type = {"epoll", SCOPE_FILE, &ckpt__epoll__descriptor, NULL},
	.file = &ops,
};
