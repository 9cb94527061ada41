/*
 * diff_pages.c - what differs between two images' memory: see diff.h.
 *
 * Two lists of runs are swept by address. Each step is a range in which either side is one run or
 * none; the contents are read and compared there, unless the same run has the same checksum.
 */
#include "model/diff.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "model/pages.h"
#include "util/fd.h"
#include "util/vec.h"

#define CHUNK_BYTES ((size_t)64 * IMAGE_PAGE_BYTES)

/* One side of the comparison. */
struct side {
	const struct image *img;
	const struct model *model;
	const struct model_rec *rec; /* of the runs */
	Ckpt__PageRun *const *runs;
	size_t n, i;    /* the run at or behind the sweep is i */
	uint8_t *chunk; /* CHUNK_BYTES of contents */
};

struct page_diff {
	struct ckpt_op *op;
	const struct diff_pages_req *req;
	const struct model_rec *rec; /* of either side */
	struct side a, b;
	uint64_t start, end; /* of the item that is growing; empty: none */
	const char *is_a, *is_b;
	size_t n;
};

static const char zeros[] = "zeros", contents[] = "contents";

static void flush(struct page_diff *d)
{
	char path[64];
	struct diff_item item = {
		.tag = d->rec->type->name,
		.owner = d->rec->owner,
		.path = path,
		.a = d->is_a,
		.b = d->is_b,
	};

	if (d->start == d->end)
		return;
	snprintf(path, sizeof(path), "%#" PRIx64 "-%#" PRIx64, d->start, d->end);
	d->req->fn(d->req->arg, &item);
	d->n++;
	d->start = d->end = 0;
}

/* These pages differ. They join the ones before where these differ likewise. */
static void differ(
	struct page_diff *d, uint64_t start, uint64_t end, const char *is_a, const char *is_b)
{
	if (d->req->zero_is_absent && is_a != contents && is_b != contents)
		return;
	if (d->start == d->end || d->end != start || d->is_a != is_a || d->is_b != is_b) {
		flush(d);
		d->start = start;
		d->is_a = is_a;
		d->is_b = is_b;
	}
	d->end = end;
}

/* Return: the run that has what @s has at @addr, or NULL. */
static const Ckpt__PageRun *run_at(const struct side *s, uint64_t addr)
{
	if (s->i == s->n || s->runs[s->i]->start > addr)
		return NULL;
	return pages_resolve(s->model, s->rec, s->runs[s->i], addr);
}

/* Return: the next address behind @addr at which this side changes; UINT64_MAX: none. */
static uint64_t next_change(const struct side *s, uint64_t addr)
{
	const Ckpt__PageRun *run = run_at(s, addr);

	if (run)
		return MIN(pages_run_end(run), pages_run_end(s->runs[s->i]));
	return s->i < s->n ? s->runs[s->i]->start : UINT64_MAX;
}

static const char *kind_of(const Ckpt__PageRun *run)
{
	if (!run)
		return NULL;
	return run->kind == CKPT__PAGE_RUN__KIND__ZERO ? zeros : contents;
}

static int chunk_read(struct ckpt_op *op, const struct side *s, const Ckpt__PageRun *run,
	uint64_t addr, size_t len)
{
	int r;

	if (kind_of(run) != contents) {
		memset(s->chunk, 0, len);
		return 0;
	}
	r = pread_full(image_page_fd(s->img, run->shard), s->chunk, len,
		(off_t)(run->offset + (addr - run->start)));
	if (r < 0)
		return op_fail(op, CKPT_E_IMAGE, -r, "pread", NULL, "image %s: %s",
			image_dir(s->img), image_page_name(s->img, run->shard));
	return 0;
}

/* Compare what both sides have in [start, end), at least one of them with contents. */
static int compare(struct page_diff *d, const Ckpt__PageRun *a, const Ckpt__PageRun *b,
	uint64_t start, uint64_t end)
{
	while (start < end) {
		size_t len = MIN(end - start, (uint64_t)CHUNK_BYTES);
		int r = chunk_read(d->op, &d->a, a, start, len);

		if (r == 0)
			r = chunk_read(d->op, &d->b, b, start, len);
		if (r < 0)
			return r;
		for (size_t at = 0; at < len; at += IMAGE_PAGE_BYTES) {
			if (memcmp(d->a.chunk + at, d->b.chunk + at, IMAGE_PAGE_BYTES) != 0)
				differ(d, start + at, start + at + IMAGE_PAGE_BYTES, kind_of(a),
					kind_of(b));
		}
		start += len;
	}
	return 0;
}

static int range(struct page_diff *d, uint64_t start, uint64_t end)
{
	const Ckpt__PageRun *a = run_at(&d->a, start), *b = run_at(&d->b, start);
	const char *is_a = kind_of(a), *is_b = kind_of(b);

	if (is_a != contents && is_b != contents) {
		if (is_a != is_b)
			differ(d, start, end, is_a, is_b);
		return 0;
	}
	if ((!a || !b) && !d->req->zero_is_absent) {
		differ(d, start, end, is_a, is_b);
		return 0;
	}
	if (is_a == is_b && a->start == b->start && a->pages == b->pages && a->xxh3 == b->xxh3)
		return 0;
	return compare(d, a, b, start, end);
}

static void step(struct side *s, uint64_t addr)
{
	if (s->i < s->n && pages_run_end(s->runs[s->i]) <= addr)
		s->i++;
}

/* Compare the memory of one owner. Either record may be NULL. */
static int diff_owner(struct page_diff *d, const struct model_rec *a, const struct model_rec *b)
{
	uint64_t addr = 0;
	int r = 0;

	d->a.i = d->b.i = d->a.n = d->b.n = 0;
	d->a.rec = a;
	d->b.rec = b;
	if (a)
		d->a.n = pages_runs(a->msg, &d->a.runs);
	if (b)
		d->b.n = pages_runs(b->msg, &d->b.runs);
	while (r == 0 && (d->a.i < d->a.n || d->b.i < d->b.n)) {
		uint64_t end = MIN(next_change(&d->a, addr), next_change(&d->b, addr));

		if (run_at(&d->a, addr) || run_at(&d->b, addr))
			r = range(d, addr, end);
		step(&d->a, end);
		step(&d->b, end);
		addr = end;
	}
	flush(d);
	return r;
}

static int check_all(struct ckpt_op *op, const struct image *img, const struct model *m)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->n; i++)
		r = pages_check(op, img, m, &m->recs[i]);
	return r;
}

/* Every record of a, then those that only b has. */
static int diff_all(struct page_diff *d)
{
	const struct model *a = d->req->a, *b = d->req->b;
	int r = 0;

	for (size_t i = 0; r == 0 && i < a->n; i++) {
		d->rec = &a->recs[i];
		r = diff_owner(d, d->rec, model_find(b, d->rec->type, d->rec->owner));
	}
	for (size_t i = 0; r == 0 && i < b->n; i++) {
		d->rec = &b->recs[i];
		if (!model_get(a, d->rec->type, d->rec->owner))
			r = diff_owner(d, NULL, d->rec);
	}
	return r;
}

int diff_pages(struct ckpt_op *op, const struct diff_pages_req *req, size_t *ret_n)
{
	struct page_diff d = {.op = op, .req = req};
	int r;

	d.a = (struct side){.img = req->img_a, .model = req->a, .chunk = malloc(CHUNK_BYTES)};
	d.b = (struct side){.img = req->img_b, .model = req->b, .chunk = malloc(CHUNK_BYTES)};
	if (!d.a.chunk || !d.b.chunk)
		r = op_fail_errno(op, ENOMEM, NULL, "a buffer");
	else
		r = check_all(op, req->img_a, req->a);
	if (r == 0)
		r = check_all(op, req->img_b, req->b);
	if (r == 0)
		r = diff_all(&d);
	free(d.a.chunk);
	free(d.b.chunk);
	*ret_n = d.n;
	return r;
}
