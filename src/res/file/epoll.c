/*
 * epoll.c - interest lists.
 *
 * The kernel knows a member by its open file description and the descriptor number with which it was
 * added, so the task itself adds its members, when all its descriptors stand, also those that are opened
 * late. A number may have been closed, or have come to mean another description, since: kcmp
 * (KCMP_EPOLL_TFD, Linux >= 4.13) tells, and which of the tree's descriptions is the member.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "kernel/kcmp.h"
#include "kernel/pidfd.h"
#include "proto/epoll.pb-c.h"
#include "proto/fdtable.pb-c.h"
#include "res/file/epoll.h"
#include "res/file/in_flight.h"
#include "res/file/seen.h"
#include "util/cleanup.h"
#include "util/str.h"
#include "util/vec.h"

static bool match(const struct file_look *l)
{
	return strcmp(l->link, "anon_inode:[eventpoll]") == 0;
}

/* A member while the list is read: @order is that of fdinfo, and of the kernel's own search. */
struct member {
	Ckpt__EpollItem *item;
	size_t order;
};

struct reading {
	struct member *v;
	size_t n, cap;
};

/* "tfd:        5 events:       19 data:                5  pos:0 ino:1 sdev:e" */
static int line(char *key, char *value, void *arg)
{
	struct reading *rd = arg;
	Ckpt__EpollItem *item;
	unsigned long long data;
	unsigned fd, events;

	if (strcmp(key, "tfd") != 0)
		return 0;
	if (sscanf(value, "%u events: %x data: %llx", &fd, &events, &data) != 3)
		return -EBADMSG;
	item = msg_new(Ckpt__EpollItem, CKPT__EPOLL_ITEM__INIT);
	if (!item || vec_reserve(&rd->v, &rd->cap, rd->n + 1, sizeof(*rd->v)) < 0) {
		free(item);
		return -ENOMEM;
	}
	item->fd = fd;
	item->events = events & ~(EPOLLERR | EPOLLHUP); /* adding sets them */
	item->data = data;
	rd->v[rd->n] = (struct member){item, rd->n};
	rd->n++;
	return 0;
}

static int by_fd(const void *a, const void *b)
{
	const struct member *x = a, *y = b;

	if (x->item->fd != y->item->fd)
		return x->item->fd > y->item->fd ? 1 : -1;
	return (x->order > y->order) - (x->order < y->order);
}

static int take_members(struct collect *c, struct reading *rd, Ckpt__Epoll *m)
{
	if (!rd->n)
		return 0;
	qsort(rd->v, rd->n, sizeof(*rd->v), by_fd);
	m->items = calloc(rd->n, sizeof(*m->items));
	if (!m->items)
		return collect_oom(c);
	for (; m->n_items < rd->n; m->n_items++)
		m->items[m->n_items] = rd->v[m->n_items].item;
	rd->n = 0;
	return 0;
}

static int collect(struct collect *c, uint64_t id, const struct file_look *l)
{
	Ckpt__Epoll *m = msg_new(Ckpt__Epoll, CKPT__EPOLL__INIT);
	struct reading rd = {0};
	int r;

	if (!m)
		return collect_oom(c);
	r = files_fdinfo(c, l, line, &rd);
	if (r == 0)
		r = take_members(c, &rd, m);
	for (size_t i = 0; i < rd.n; i++)
		free(rd.v[i].item);
	free(rd.v);
	if (r < 0) {
		protobuf_c_message_free_unpacked(&m->base, NULL);
		return r;
	}
	return collect_add_take(c, &res_epoll.type, id, m);
}

/* ---- which descriptions the members are ---- */

/* The place of a member among those of its number. */
static unsigned place(const Ckpt__Epoll *m, size_t i)
{
	unsigned n = 0;

	while (i > n && m->items[i - n - 1]->fd == m->items[i]->fd)
		n++;
	return n;
}

/* A list whose members are looked for: as the first task knows it that has it. */
struct list {
	struct collect_tree *t;
	uint32_t id;
	const struct collect *of;
	int fd;
};

/* Whether a descriptor of a task is the nth member of a number. Return: KCMP_*; -errno */
static int compare(
	const struct list *l, const struct collect *c, int fd, uint32_t number, unsigned nth)
{
	struct kcmp_epoll_slot slot = {.efd = l->fd, .tfd = number, .toff = nth};

	return kcmp_tasks(c->alive, l->of->alive, KCMP_EPOLL_TFD, fd, (uintptr_t)&slot);
}

/* The next task but the first whose descriptors the list is among. */
static const struct collect *other_task(
	const struct list *l, size_t *pos, const Ckpt__FdTable **ret)
{
	while (*pos < l->t->n_tasks) {
		const struct collect *c = &l->t->tasks[(*pos)++];

		*ret = model_get(l->t->model, &res_fdtable.type, c->pid);
		if (c != l->of && *ret && fdtable_entry_of(*ret, l->id))
			return c;
	}
	return NULL;
}

static bool is_of_another(const struct list *l, Ckpt__EpollItem *item, unsigned nth)
{
	const Ckpt__FdTable *table;
	const struct collect *c;
	size_t pos = 0;

	while ((c = other_task(l, &pos, &table)))
		if (fdtable_entry(table, item->fd) &&
			compare(l, c, (int)item->fd, item->fd, nth) == KCMP_EQUAL) {
			item->pid = c->pid;
			return true;
		}
	return false;
}

/* A member that no number means any more is some description that a task with the list has. */
static bool is_elsewhere(const struct list *l, Ckpt__EpollItem *item, unsigned nth)
{
	const Ckpt__FdTable *table = model_get(l->t->model, &res_fdtable.type, l->of->pid);
	const struct collect *c;
	size_t pos = 0;

	for (uint32_t id = 1; !item->file && id <= l->t->n_files; id++) {
		const struct collect_file *f = &l->t->files[id - 1];

		if (f->target_fd >= 0 &&
			compare(l, f->of, f->target_fd, item->fd, nth) == KCMP_EQUAL)
			item->file = id;
	}
	if (!item->file || fdtable_entry_of(table, item->file))
		return item->file != 0;
	/* what no task has, or whose list none has, no task can add */
	if (files_is_in_flight(l->of) || files_is_in_flight(l->t->files[item->file - 1].of)) {
		item->pid = EPOLL_NOBODY;
		return true;
	}
	while ((c = other_task(l, &pos, &table)))
		if (fdtable_entry_of(table, item->file)) {
			item->pid = c->pid;
			return true;
		}
	return false;
}

static int find_members(const struct list *l, Ckpt__Epoll *m)
{
	for (size_t i = 0; i < m->n_items; i++) {
		Ckpt__EpollItem *item = m->items[i];
		unsigned nth = place(m, i);
		/* the numbers of a list that is in flight are those of nobody in particular */
		int r = files_is_in_flight(l->of) ? -ENOENT
						  : compare(l, l->of, (int)item->fd, item->fd, nth);

		if (r == KCMP_EQUAL)
			continue;
		if (r < 0 && r != -EBADF && r != -ENOENT)
			return op_fail(l->t->op, CKPT_E_SYSTEM, -r, "kcmp", NULL,
				"pid %d (%s): epoll fd %d", l->of->pid, l->of->tr->comm, l->fd);
		if (is_of_another(l, item, nth) || is_elsewhere(l, item, nth))
			continue;
		return op_fail(l->t->op, CKPT_E_REFUSED, 0, NULL,
			"let the program remove it from the list before it closes it",
			"pid %d (%s): epoll fd %d watches what was fd %u, which it "
			"has no descriptor of any more, but another process has",
			l->of->pid, l->of->tr->comm, l->fd, item->fd);
	}
	return 0;
}

/* The kernel's order of those that share a number is that of addresses. */
static int by_fd_and_file(const void *a, const void *b)
{
	const Ckpt__EpollItem *const *x = a, *const *y = b;

	if ((*x)->fd != (*y)->fd)
		return (*x)->fd > (*y)->fd ? 1 : -1;
	return ((*x)->file > (*y)->file) - ((*x)->file < (*y)->file);
}

/*
 * Asked last of all, so that what the other kinds have told of themselves was not ready any later than
 * this.
 */
static int finish(struct collect_tree *t)
{
	const struct model_rec *rec;
	size_t pos = 0;
	int r = 0;

	while (r == 0 && (rec = model_next(t->model, &res_epoll.type, &pos))) {
		const struct collect_file *f = &t->files[rec->owner - 1];
		struct list l = {.t = t, .id = rec->owner, .of = f->of, .fd = f->target_fd};
		Ckpt__Epoll *m = (void *)rec->msg;
		_cleanup_close_ int fd = pidfd_take(f->of->pidfd, f->target_fd);
		struct pollfd p = {.fd = fd, .events = POLLIN};

		m->ready = fd < 0 || poll(&p, 1, 0) != 0;
		r = find_members(&l, m);
		if (r == 0 && m->n_items)
			qsort(m->items, m->n_items, sizeof(*m->items), by_fd_and_file);
	}
	return r;
}

static const struct file_ops ops = {
	.match = match,
	.collect = collect,
	.finish = finish,
	.open = epoll_open,
	.plan_each = epoll_plan_each,
	.adrift = epoll_adrift,
};

static const char *const volatile_fields[] = {"ready", NULL};

const struct res res_epoll = {
	.type = {"epoll", SCOPE_FILE, &ckpt__epoll__descriptor, volatile_fields},
	.file = &ops,
};
