/*
 * store.c - ckpt_list(), ckpt_remove(), ckpt_gc(): the checkpoints that are kept by their crid.
 *
 * The file "quota" in the store, a size as --quota has it, is what root or the user allows it to have. A dump that
 * could never fit is refused before anything is stopped; one that is done has the oldest go that nobody
 * needs: so there is never less than before, should it fail.
 */
#include "lib/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckpt.h"
#include "core/op.h"
#include "image/image.h"
#include "kernel/proc.h"
#include "lib/options.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/str.h"
#include "util/units.h"

/* ------------------------------------------------------------------ what is there */

static struct ckpt_list_item *item_of(const struct ckpt_list_result *l, uint64_t crid)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->items[i].crid == crid)
			return &l->items[i];
	return NULL;
}

/* The last line of a job's file is what it goes on from. */
static void mark_job(const struct ckpt_list_result *l, int jobs, const char *name)
{
	_cleanup_free_ char *text = NULL;
	struct ckpt_list_item *e = NULL;
	uint64_t crid;

	if (*name == '.' || file_read_at(jobs, name, &text, NULL) < 0)
		return;
	for (const char *p = text; *p; str_skip_line(&p))
		if (str_u64(&p, 10, &crid) == 0)
			e = item_of(l, crid);
	if (e)
		e->of_job = true;
}

static void mark_jobs(struct ckpt_op *op, const struct ckpt_list_result *l)
{
	_cleanup_free_ char *store = image_store_path(op), *path = NULL;
	_cleanup_closedir_ DIR *d = NULL;
	struct dirent *e;

	if (store && asprintf(&path, "%s/jobs", store) >= 0)
		d = opendir(path);
	while (d && (e = readdir(d)))
		mark_job(l, dirfd(d), e->d_name);
}

/* Of all that it needs; a chain that leads back to itself is damage, and ends. */
static uint64_t shared_bytes(const struct ckpt_list_result *l, const struct ckpt_list_item *e)
{
	uint64_t bytes = 0;

	for (size_t n = 0; n < l->n && e && e->parent_crid; n++) {
		e = item_of(l, e->parent_crid);
		bytes += e ? e->bytes : 0;
	}
	return bytes;
}

static int list(struct ckpt_op *op, struct ckpt_list_result *ret)
{
	struct store_entry *v = NULL;
	size_t n = 0;
	int r = image_store_list(op, &v, &n);

	if (r < 0)
		return r;
	*ret = (struct ckpt_list_result){.items = calloc(n ? n : 1, sizeof(*ret->items)), .n = n};
	for (size_t i = 0; ret->items && i < n; i++) {
		ret->items[i] = (struct ckpt_list_item){.crid = v[i].crid,
			.parent_crid = v[i].parent,
			.created_ns = v[i].created_ns,
			.bytes = v[i].bytes,
			.pid = v[i].pid,
			.program = v[i].program,
			.tasks = v[i].tasks,
			.threads = v[i].threads,
			.damaged = !v[i].whole};
		v[i].program = NULL;
		ret->total_bytes += v[i].bytes;
	}
	store_entries_done(v, n);
	for (size_t i = 0; ret->items && i < n; i++)
		ret->items[i].shared_bytes = shared_bytes(ret, &ret->items[i]);
	if (ret->items)
		mark_jobs(op, ret);
	return ret->items ? 0 : op_fail_errno(op, ENOMEM, NULL, "the store");
}

int ckpt_list(const struct ckpt_list_req *req, struct ckpt_list_result *ret, struct ckpt_error *err)
{
	struct ckpt_list_result result;
	struct ckpt_op op;
	int r;

	op_init(&op, &req->common);
	r = list(&op, &result);
	op_done(&op, err);
	if (r < 0)
		return -1;
	*ret = result;
	return 0;
}

void ckpt_list_result_done(struct ckpt_list_result *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->items[i].program);
	free(r->items);
	*r = (struct ckpt_list_result){0};
}

/* One that needs it; NULL: none does. */
static const struct ckpt_list_item *child_of(const struct ckpt_list_result *l, uint64_t crid)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->items[i].parent_crid == crid)
			return &l->items[i];
	return NULL;
}

int ckpt_remove(const struct ckpt_remove_req *req, struct ckpt_error *err)
{
	const struct ckpt_list_item *child;
	struct ckpt_list_result all = {0};
	struct ckpt_op op;
	int r;

	op_init(&op, &req->common);
	r = list(&op, &all);
	child = r == 0 ? child_of(&all, req->crid) : NULL;
	if (child)
		r = op_fail(&op, CKPT_E_CONFLICT, 0, NULL, "remove that one first",
			"checkpoint %llu is needed by %llu", (unsigned long long)req->crid,
			(unsigned long long)child->crid);
	if (r == 0)
		r = image_store_remove(&op, req->crid);
	ckpt_list_result_done(&all);
	op_done(&op, err);
	return r < 0 ? -1 : 0;
}

/* Nobody needs it. A damaged one is somebody's to look at. */
static bool may_go(const struct ckpt_list_result *l, size_t i)
{
	return !l->items[i].damaged && !l->items[i].of_job && !child_of(l, l->items[i].crid);
}

/* How many newer ones of the same program there are. */
static size_t newer_than(const struct ckpt_list_result *l, size_t i)
{
	const struct ckpt_list_item *e = &l->items[i];
	size_t n = 0;

	for (size_t k = i + 1; k < l->n; k++)
		n += l->items[k].pid == e->pid && e->program && l->items[k].program &&
		     strcmp(l->items[k].program, e->program) == 0;
	return n;
}

static int take_out(
	struct ckpt_op *op, struct ckpt_list_result *l, size_t i, struct ckpt_gc_result *ret)
{
	int r = image_store_remove(op, l->items[i].crid);

	if (r < 0)
		return r;
	ret->removed++;
	ret->removed_bytes += l->items[i].bytes;
	l->total_bytes -= l->items[i].bytes;
	free(l->items[i].program);
	memmove(&l->items[i], &l->items[i + 1], (l->n - i - 1) * sizeof(*l->items));
	l->n--;
	return 0;
}

/* Newest first, so that a chain goes from its end. */
static int drop_old(
	struct ckpt_op *op, struct ckpt_list_result *l, uint64_t keep, struct ckpt_gc_result *ret)
{
	int r = 0;

	for (size_t i = l->n; r == 0 && i-- > 0;)
		if (newer_than(l, i) >= keep && may_go(l, i))
			r = take_out(op, l, i, ret);
	return r;
}

/* @spared: stays in any case, or 0 */
static int drop_much(struct ckpt_op *op, struct ckpt_list_result *l, uint64_t quota,
	uint64_t spared, struct ckpt_gc_result *ret)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < l->n && l->total_bytes > quota;) {
		if (l->items[i].crid == spared || !may_go(l, i)) {
			i++;
			continue;
		}
		r = take_out(op, l, i, ret);
		i = 0; /* its parent may go now */
	}
	return r;
}

/* ------------------------------------------------------------------ the quota of the store */

/* Return: 0, *ret 0 where there is none; negative after op_fail() */
static int quota_read(struct ckpt_op *op, uint64_t *ret)
{
	_cleanup_free_ char *store = image_store_path(op), *path = NULL, *text = NULL;
	const struct option_row *row = option_find(VERB_GC, "quota");
	struct ckpt_gc_req req = {0};

	*ret = 0;
	if (!store)
		return -EINVAL;
	if (asprintf(&path, "%s/quota", store) < 0)
		return op_fail_errno(op, ENOMEM, NULL, "the store");
	if (file_read_at(AT_FDCWD, path, &text, NULL) < 0)
		return 0;
	text[strcspn(text, " \t\n")] = '\0';
	if (option_set(row, &req, NULL, text, NULL) < 0)
		return op_fail(op, CKPT_E_USAGE, 0, NULL, "write a size into it, such as 20G",
			"%s: '%s' is none", path, text);
	*ret = req.quota;
	return 0;
}

/* Memory of its own that is there now, in bytes; 0: not known. proc(5), statm: pages, of which some are of files. */
static uint64_t memory_of(pid_t pid)
{
	_cleanup_close_ int proc = proc_open(pid);
	_cleanup_free_ char *text = NULL;
	uint64_t size, resident, shared;

	if (proc < 0 || file_read_at(proc, "statm", &text, NULL) < 0 ||
		sscanf(text, "%" SCNu64 " %" SCNu64 " %" SCNu64, &size, &resident, &shared) != 3)
		return 0;
	return resident > shared ? (resident - shared) * IMAGE_PAGE_BYTES : 0;
}

int store_admits(struct ckpt_op *op, pid_t pid, uint64_t *ret_quota)
{
	uint64_t needs = memory_of(pid);
	char has[UNITS_LEN], may[UNITS_LEN];
	int r = quota_read(op, ret_quota);

	if (r < 0 || !*ret_quota || needs <= *ret_quota)
		return r;
	return op_fail(op, CKPT_E_SPACE, 0, NULL,
		"write a larger one into the file quota of the store, or choose a directory with -D",
		"pid %d: its %s of memory are more than the quota of the store, %s", pid,
		bytes_text(needs, has), bytes_text(*ret_quota, may));
}

void store_keep_to(struct ckpt_op *op, uint64_t quota, uint64_t spared)
{
	struct ckpt_gc_result done = {0};
	struct ckpt_list_result all = {0};
	struct ckpt_op own; /* what fails here fails no dump */
	char has[UNITS_LEN], may[UNITS_LEN];

	if (!quota)
		return;
	op_init(&own, NULL);
	if (list(&own, &all) == 0)
		drop_much(&own, &all, quota, spared, &done);
	if (done.removed)
		op_info(op, "the store: %" PRIu64 " removed, %s", done.removed,
			bytes_text(done.removed_bytes, has));
	if (all.total_bytes > quota)
		op_warn(op, "the store has %s, its quota is %s: what is left is needed",
			bytes_text(all.total_bytes, has), bytes_text(quota, may));
	ckpt_list_result_done(&all);
	op_done(&own, NULL);
}

/* ------------------------------------------------------------------ gc */

int ckpt_gc(const struct ckpt_gc_req *req, struct ckpt_gc_result *ret, struct ckpt_error *err)
{
	struct ckpt_gc_result result = {0};
	struct ckpt_list_result all = {0};
	uint64_t quota = req->quota;
	struct ckpt_op op;
	int r;

	op_init(&op, &req->common);
	r = req->keep || quota ? 0 : quota_read(&op, &quota);
	if (r == 0)
		r = list(&op, &all);
	if (r == 0 && req->keep)
		r = drop_old(&op, &all, req->keep, &result);
	if (r == 0 && quota)
		r = drop_much(&op, &all, quota, 0, &result);
	result.left = all.n;
	result.left_bytes = all.total_bytes;
	ckpt_list_result_done(&all);
	op_done(&op, err);
	if (r < 0)
		return -1;
	*ret = result;
	return 0;
}
