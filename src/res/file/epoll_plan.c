/*
 * epoll_plan.c - interest lists again.
 *
 * A member that its number does not mean any more is added before anything else, when the number can
 * still be lent to it: no lock is held yet that a close would drop.
 *
 * What is ready is found anew when a member is added. That would report an edge-triggered member once
 * more, and a one-shot member that has fired may be told of an error or a hang-up, which it should not.
 * So one-shot members that have fired are added first, and the edge-triggered ones as well if nothing
 * was ready at the dump; then what they have to say is taken away; then the others are added.
 */
#include "res/file/epoll.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#include "proto/epoll.pb-c.h"
#include "proto/pipe.pb-c.h"

int epoll_open(
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

static void plan_add(
	struct plan *p, const Ckpt__EpollItem *item, const struct file_holder *h, struct prog *prog)
{
	struct epoll_event ev = {.events = item->events, .data.u64 = item->data};
	uint64_t at = prog_data(prog, &ev, sizeof(ev));

	/* a file that the user has put there may not be one that can be waited for */
	if (plan_override(p, h->pid, fdtable_entry(h->table, item->fd)))
		PROG_CALL_ANY(prog, "epoll: add", SYS_epoll_ctl, IMM(h->fd), IMM(EPOLL_CTL_ADD),
			IMM(item->fd), DATA(at));
	else
		PROG_CALL(prog, "epoll: add", SYS_epoll_ctl, IMM(h->fd), IMM(EPOLL_CTL_ADD),
			IMM(item->fd), DATA(at));
	prog_object(prog, "fd %u to epoll fd %d", item->fd, h->fd);
}

/* Its number is lent to a member that has another by now. */
static void plan_add_lent(
	struct plan *p, const Ckpt__EpollItem *item, const struct file_holder *h, struct prog *prog)
{
	const Ckpt__Fd *from = fdtable_entry_of(h->table, item->file);
	const Ckpt__Fd *owner = fdtable_entry(h->table, item->fd);
	size_t kept = 0;

	if (!from || plan_override(p, h->pid, from) || plan_override(p, h->pid, owner))
		return;
	if (owner)
		kept = PROG_CALL(prog, "epoll: lend a number", SYS_fcntl, IMM(item->fd),
			IMM(F_DUPFD_CLOEXEC), IMM(0));
	PROG_CALL(prog, "epoll: lend a number", SYS_dup3, IMM(from->fd), IMM(item->fd),
		IMM(O_CLOEXEC));
	prog_object(prog, "fd %u is fd %u", item->fd, from->fd);
	plan_add(p, item, h, prog);
	if (!owner) {
		PROG_CALL(prog, "epoll: give it back", SYS_close, IMM(item->fd));
		return;
	}
	PROG_CALL(prog, "epoll: give it back", SYS_dup3, RES(kept), IMM(item->fd),
		IMM(owner->cloexec ? O_CLOEXEC : 0));
	PROG_CALL(prog, "epoll: give it back", SYS_close, RES(kept));
}

#define PRIVATE_BITS (EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE)

static bool has_fired(const Ckpt__EpollItem *item)
{
	return item->events & EPOLLONESHOT && !(item->events & ~PRIVATE_BITS);
}

/* What is there again as it was: what it has to tell, it has told. */
static bool is_inside(struct plan *p, const struct file_holder *h, const Ckpt__EpollItem *item)
{
	const Ckpt__Fd *e = fdtable_entry(h->table, item->fd);
	const struct plan_file *f =
		e && !plan_override(p, h->pid, e) ? plan_file(p, e->file) : NULL;
	const Ckpt__Pipe *pipe;

	if (!f)
		return false;
	if (f->rec->type == &res_pipe.type) {
		pipe = (const void *)f->rec->msg;
		if (pipe->same_inode_as)
			pipe = model_get(p->model, &res_pipe.type, pipe->same_inode_as);
		return pipe && !pipe->outside;
	}
	return f->rec->type == &res_eventfd.type || f->rec->type == &res_timerfd.type;
}

/* What a list has to tell is taken away. */
static void plan_drain(const Ckpt__Epoll *m, int fd, struct prog *prog)
{
	uint64_t room = prog_data(prog, NULL, m->n_items * sizeof(struct epoll_event));

	PROG_CALL(prog, "epoll: forget what was told", SYS_epoll_pwait, IMM(fd), DATA(room),
		IMM(m->n_items), IMM(0), IMM(0), IMM(8));
	prog_object(prog, "epoll fd %d", fd);
}

/* Whether a task adds a member, and the list's first task is the only one that adds any. */
static bool is_of(const Ckpt__EpollItem *item, pid_t pid, bool first)
{
	return item->pid ? item->pid == pid : first;
}

static bool only_first(const Ckpt__Epoll *m)
{
	for (size_t i = 0; i < m->n_items; i++)
		if (m->items[i]->pid)
			return false;
	return true;
}

static void plan_late(
	struct plan *p, const Ckpt__Epoll *m, const struct file_holder *h, struct prog *prog)
{
	bool *told = calloc(m->n_items + 1, sizeof(*told)), any = false, alone = only_first(m);

	if (!told) {
		prog->err = -ENOMEM;
		return;
	}
	for (size_t i = 0; alone && h->first && i < m->n_items; i++) {
		const Ckpt__EpollItem *item = m->items[i];

		told[i] = !item->file && (has_fired(item) || (!m->ready && item->events & EPOLLET &&
								     is_inside(p, h, item)));
		any |= told[i];
		if (told[i])
			plan_add(p, item, h, prog);
	}
	if (any)
		plan_drain(m, h->fd, prog);
	for (size_t i = 0; i < m->n_items; i++)
		if (!m->items[i]->file && !told[i] && is_of(m->items[i], h->pid, h->first))
			plan_add(p, m->items[i], h, prog);
	free(told);
}

void epoll_plan_each(struct plan *p, enum plan_phase phase, const struct model_rec *rec,
	const struct file_holder *h, struct prog *prog)
{
	const Ckpt__Epoll *m = (const void *)rec->msg;

	if (phase == PLAN_LATE)
		plan_late(p, m, h, prog);
	for (size_t i = 0; phase == PLAN_FILES && i < m->n_items; i++)
		if (m->items[i]->file && is_of(m->items[i], h->pid, h->first))
			plan_add_lent(p, m->items[i], h, prog);
}

/* Descriptions are copied to above all numbers that will be lent. */
static size_t plan_copy(struct prog *prog, int fd, uint32_t above)
{
	return PROG_CALL(prog, "epoll: copy", SYS_fcntl, IMM(fd), IMM(F_DUPFD_CLOEXEC), IMM(above));
}

static void plan_add_copied(const Ckpt__EpollItem *item, size_t list, size_t fd, struct prog *prog)
{
	struct epoll_event ev = {.events = item->events, .data.u64 = item->data};

	PROG_CALL(prog, "epoll: lend a number", SYS_dup3, RES(fd), IMM(item->fd), IMM(O_CLOEXEC));
	PROG_CALL(prog, "epoll: add", SYS_epoll_ctl, RES(list), IMM(EPOLL_CTL_ADD), IMM(item->fd),
		DATA(prog_data(prog, &ev, sizeof(ev))));
	prog_object(prog, "fd %u", item->fd);
}

void epoll_adrift(struct plan *p, const struct model_rec *rec, struct prog *prog)
{
	const Ckpt__Epoll *m = (const void *)rec->msg;
	uint32_t above = m->n_items ? m->items[m->n_items - 1]->fd + 1 : 0;
	size_t list, *copies = calloc(m->n_items + 1, sizeof(*copies));

	if (!copies) {
		prog->err = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < m->n_items; i++)
		if (m->items[i]->pid == EPOLL_NOBODY)
			copies[i] = plan_copy(prog, plan_fd(p, m->items[i]->file), above);
	if (prog->n) {
		list = plan_copy(prog, plan_fd(p, rec->owner), above);
		for (size_t i = 0; i < m->n_items; i++)
			if (m->items[i]->pid == EPOLL_NOBODY)
				plan_add_copied(m->items[i], list, copies[i], prog);
	}
	free(copies);
}
