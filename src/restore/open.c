/*
 * open.c - see open.h.
 */
#include "restore/open.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/fault.h"
#include "proto/fdtable.pb-c.h"
#include "res/file/files.h"
#include "res/file/in_flight.h"
#include "res/file/pty.h"
#include "res/mm/mm.h"
#include "res/registry.h"
#include "res/socket/socket.h"
#include "restore/fill.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/vec.h"

static int by_id(const void *a, const void *b)
{
	const struct plan_file *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

int plan_files_new(const struct model *m, struct plan_file **ret, size_t *ret_n)
{
	struct plan_file *v = NULL;
	size_t n = 0, cap = 0;

	for (size_t i = 0; i < m->n; i++) {
		const struct res *res = registry_find(m->recs[i].type);

		if (!res || !res->file)
			continue;
		if (vec_reserve(&v, &cap, n + 1, sizeof(*v)) < 0) {
			free(v);
			return -ENOMEM;
		}
		v[n++] = (struct plan_file){
			.id = m->recs[i].owner, .fd = -1, .home = -1, .rec = &m->recs[i]};
	}
	if (n)
		qsort(v, n, sizeof(*v), by_id);
	*ret = v;
	*ret_n = n;
	return 0;
}

static int contents(struct open_ctx *o, uint64_t file_id, int fd)
{
	const struct model_rec *rec = model_find(o->model, &res_contents.type, file_id);
	struct sink to = {.fd = fd};
	struct fill_req req = {
		.img = o->image, .model = o->model, .rec = rec, .to = &to, .workers = 1};
	char what[48];

	if (!rec)
		return 0;
	snprintf(what, sizeof(what), "file %llu of the image", (unsigned long long)file_id);
	req.what = what;
	return fill_sink(o->op, &req, NULL);
}

/* Numbers that some task will use are not ours to hold a file at: a dup3 would close it. */
static bool number_taken(const struct model *m, int fd)
{
	const struct model_rec *rec;
	size_t pos = 0;

	while ((rec = model_next(m, &res_fdtable.type, &pos))) {
		const Ckpt__FdTable *t = (const void *)rec->msg;
		size_t lo = 0, hi = t->n_fds;

		while (lo < hi) {
			size_t mid = (lo + hi) / 2;

			if ((int)t->fds[mid]->fd == fd)
				return true;
			if ((int)t->fds[mid]->fd < fd)
				lo = mid + 1;
			else
				hi = mid;
		}
	}
	return false;
}

/* Move a descriptor to a number that no task uses. */
static int move_away(struct plan *p, int fd, int *from)
{
	int moved;

	if (!number_taken(p->model, fd))
		return fd;
	for (;; close(moved)) {
		moved = fcntl(fd, F_DUPFD_CLOEXEC, *from);
		if (moved < 0 || !number_taken(p->model, moved))
			break;
		*from = moved + 1;
	}
	if (moved < 0)
		moved = op_fail(p->op, CKPT_E_SPACE, errno, "fcntl(F_DUPFD)",
			"raise the limit of open files (ulimit -n)",
			"opening the files of the image");
	else
		*from = moved + 1;
	close(fd);
	return moved;
}

struct opening {
	struct open_ctx ctx; /* first: also() gets it */
	int from;            /* no number below is free */
};

/*
 * At the task's own number where that is free here, so that a task with as many descriptors as the
 * limit allows can be made; the first three stay ours.
 */
static int settle(struct opening *o, const struct plan_file *f, int fd)
{
	int moved;

	if (fd == f->home && fd > STDERR_FILENO)
		return fd;
	if (f->home <= STDERR_FILENO)
		return move_away(o->ctx.plan, fd, &o->from);
	moved = fcntl(fd, F_DUPFD_CLOEXEC, f->home);
	if (moved != f->home) {
		fd_close(moved);
		return move_away(o->ctx.plan, fd, &o->from);
	}
	close(fd);
	return moved;
}

/* Take a descriptor for a description; both checked, as the number may be a damaged image's. */
static int keep_take(struct opening *o, uint64_t id, int fd)
{
	struct plan_file *f = plan_file(o->ctx.plan, id);

	if (!f || f->opened) {
		fd_close(fd);
		return op_fail(o->ctx.op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify", "file %llu: %s",
			(unsigned long long)id, f ? "it is there twice" : "no such");
	}
	fd = settle(o, f, fd);
	if (fd < 0)
		return fd;
	f->fd = fd;
	f->opened = true;
	return 0;
}

static int also(struct open_ctx *ctx, uint64_t file_id, int fd)
{
	return keep_take((struct opening *)ctx, file_id, fd);
}

static int away(struct open_ctx *ctx, int fd)
{
	return move_away(ctx->plan, fd, &((struct opening *)ctx)->from);
}

/* Whether --fd says something else of every descriptor of a description that has any. */
static bool unneeded(const struct plan *p, uint64_t id)
{
	const struct plan_file *f = plan_file(p, id);
	const struct model_rec *rec;
	bool any = false;
	size_t pos = 0;

	while (p->n_overrides && !(f && f->in_flight) &&
		(rec = model_next(p->model, &res_fdtable.type, &pos))) {
		const Ckpt__FdTable *t = (const void *)rec->msg;

		for (size_t i = 0; i < t->n_fds; i++) {
			if (t->fds[i]->file != id)
				continue;
			if (!plan_override(p, (pid_t)rec->owner, t->fds[i]))
				return false;
			any = true;
		}
	}
	return any;
}

static int open_one(struct opening *o, const struct model_rec *rec, const struct res *res)
{
	struct plan *p = o->ctx.plan;
	const struct plan_file *f = plan_file(p, rec->owner);
	int fd;

	if (f && f->opened)
		return 0;
	o->ctx.unneeded = unneeded(p, rec->owner);
	fd = res->file->open(
		&o->ctx, rec->owner, rec, model_get(p->model, &res_file.type, rec->owner));
	if (fd == OPEN_NOTHING || fd < 0)
		return fd < 0 ? fd : 0;
	return keep_take(o, rec->owner, fd);
}

/* Before all others, so that no number is taken which the user means by inherit:M. */
static int open_overrides(struct opening *o)
{
	struct plan *p = o->ctx.plan;
	int r = outside_open(p);

	for (size_t i = 0; r == 0 && i < p->n_overrides; i++) {
		if (p->overrides[i].from < 0)
			continue;
		r = p->overrides[i].from = move_away(p, p->overrides[i].from, &o->from);
		r = r < 0 ? r : 0;
	}
	return r;
}

/* Where each description will be; what is wrong with a table is found here. */
static int find_homes(struct plan *p)
{
	const struct model_rec *rec;
	size_t pos = 0;

	while ((rec = model_next(p->model, &res_fdtable.type, &pos))) {
		const Ckpt__FdTable *t = (const void *)rec->msg;

		for (size_t i = 0; i < t->n_fds; i++) {
			struct plan_file *f = plan_file(p, t->fds[i]->file);

			if (!f || t->fds[i]->fd > INT32_MAX ||
				(i && t->fds[i]->fd <= t->fds[i - 1]->fd))
				return op_fail(p->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
					"fd %u: %s", t->fds[i]->fd,
					f ? "out of order"
					  : "of a file that the image does not have");
			if (f->home < 0 && !plan_override(p, (pid_t)rec->owner, t->fds[i]))
				f->home = (int)t->fds[i]->fd;
		}
	}
	return 0;
}

static int open_early(struct opening *o)
{
	struct plan *p = o->ctx.plan;
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->n_files; i++) {
		const struct res *res = registry_find(p->files[i].rec->type);

		if (res->file->early)
			r = open_one(o, p->files[i].rec, res);
	}
	return r;
}

int open_files(struct plan *p, const struct image *img)
{
	struct opening o = {.ctx = {.op = p->op,
				    .req = p->req,
				    .model = p->model,
				    .plan = p,
				    .image = img,
				    .contents = contents,
				    .also = also,
				    .away = away},
		.from = 64};
	int r = fault_point(p->op, "restore.open");

	fd_limit_raise();
	if (r == 0)
		r = find_homes(p);
	unixsock_mark(p);
	if (r == 0)
		r = open_overrides(&o);
	if (r == 0 && p->relay)
		r = pty_relay_open(&o.ctx);
	if (r == 0)
		r = open_early(&o);
	for (size_t i = 0; r == 0 && i < p->model->n; i++) {
		const struct model_rec *rec = &p->model->recs[i];
		const struct res *res = registry_find(rec->type);

		if (res && res->file)
			r = open_one(&o, rec, res);
		else if (res && res->make)
			r = res->make(p, rec);
	}
	for (size_t i = 0; r == 0 && i < p->n_files; i++) {
		const struct plan_file *f = &p->files[i];
		const struct res *res = registry_find(f->rec->type);

		if (f->opened && res->file->opened_all)
			r = res->file->opened_all(&o.ctx, f->rec, f->fd);
	}
	return r < 0 ? r : files_in_flight_locks(p);
}

void open_files_done(struct plan *p)
{
	unixsock_done(p);
	for (size_t i = 0; i < p->n_files; i++)
		if (p->files[i].opened)
			p->files[i].fd = fd_close(p->files[i].fd);
	for (size_t i = 0; i < p->n_overrides; i++)
		fd_close(p->overrides[i].from);
	p->n_overrides = 0;
}
