/*
 * res.c - helpers for resources.
 */
#include "res/res.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/fdtable.pb-c.h"
#include "util/fd.h"
#include "util/vec.h"

int collect_oom(struct collect *c)
{
	return op_fail(c->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "pid %d (%s): collecting its state",
		c->pid, c->tr->comm);
}

int collect_add_take(struct collect *c, const struct model_type *type, uint64_t owner, void *msg)
{
	int r = msg ? model_add_take(c->model, type, owner, msg) : -ENOMEM;

	if (r == -ENOMEM)
		return collect_oom(c);
	if (r < 0)
		return op_fail(c->op, CKPT_E_SYSTEM, -r, NULL, NULL, "record %s of %llu",
			type->name, (unsigned long long)owner);
	return 0;
}

int collect_want_take(struct collect *c, const struct page_want *want)
{
	struct collect_tree *t = c->tree;
	bool of_task = !t->n_tasks || (c >= t->tasks && c < t->tasks + t->n_tasks);

	if (vec_reserve(&t->wants, &t->cap_wants, t->n_wants + 1, sizeof(*t->wants)) < 0) {
		fd_close(want->fd);
		return collect_oom(c);
	}
	t->wants[t->n_wants] = *want;
	/* a file that is open in no task (in flight) is none's more than the first's */
	t->wants[t->n_wants++].of = of_task ? c : t->tasks;
	return 0;
}

ProtobufCBinaryData msg_bytes(const void *data, size_t len)
{
	ProtobufCBinaryData b = {.len = len, .data = malloc(len ? len : 1)};

	if (!b.data)
		b.len = 0;
	else
		memcpy(b.data, data, len);
	return b;
}

struct plan_file *plan_file(const struct plan *p, uint64_t file_id)
{
	size_t lo = 0, hi = p->n_files;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (p->files[mid].id == file_id)
			return &p->files[mid];
		if (p->files[mid].id < file_id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

int plan_fd(const struct plan *p, uint64_t file_id)
{
	const struct plan_file *f = plan_file(p, file_id);

	return f ? f->fd : -1;
}

const struct plan_override *plan_override(const struct plan *p, pid_t pid, const Ckpt__Fd *e)
{
	for (size_t i = e ? p->n_overrides : 0; i-- > 0;) { /* the last word counts */
		const struct plan_override *o = &p->overrides[i];

		if (o->fd == (int)e->fd && (!o->pid || o->pid == pid) &&
			(!o->file || o->file == e->file))
			return o->how == OVERRIDE_IGNORE ? NULL : o;
	}
	return NULL;
}
