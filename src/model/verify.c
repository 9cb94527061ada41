/*
 * verify.c - every checksum, length and reference of an image: see verify.h.
 *
 * The contents are read by two threads, as two page workers wrote them: one reader does not
 * saturate memory, more than two gain little (docs/ARCHITECTURE.md has the numbers).
 */
#include "model/verify.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "core/trace.h"
#include "model/pages.h"
#include "model/store.h"
#include "util/cleanup.h"
#include "util/vec.h"

#define CHUNK_BYTES (1 << 20)
#define WORKERS     2

struct job {
	uint64_t owner;
	const Ckpt__PageRun *run;
};

struct verify {
	struct ckpt_op *op;
	const struct image *img;
	struct job *jobs; /* in the order of the page files, so that reading is sequential */
	size_t n, cap;
	uint64_t total_bytes;
	_Atomic size_t next;
	_Atomic uint64_t done_bytes;
	_Atomic int r; /* of the first failure; ends every worker */
};

struct worker {
	struct verify *v;
	int k;
	pthread_t thread;
};

static int run_fail(struct verify *v, const struct job *j, const char *why)
{
	return op_fail(v->op, CKPT_E_IMAGE, EBADMSG, NULL, "take another copy of the image",
		"image %s: %s: %" PRIu64 " pages at byte %" PRIu64 ", memory of %" PRIu64
		" at %#" PRIx64 ": %s",
		image_dir(v->img), image_page_name(v->img, j->run->shard), j->run->pages,
		j->run->offset, j->owner, j->run->start, why);
}

static int run_verify(struct verify *v, const struct job *j, XXH3_state_t *hash, void *buf)
{
	uint64_t left = pages_run_bytes(j->run), at = j->run->offset;
	int fd = image_page_fd(v->img, j->run->shard), r;

	XXH3_64bits_reset(hash);
	while (left && !v->r) {
		size_t n = MIN(left, (uint64_t)CHUNK_BYTES);

		r = pread_full(fd, buf, n, (off_t)at);
		if (r < 0)
			return run_fail(v, j, strerror(-r));
		XXH3_64bits_update(hash, buf, n);
		at += n;
		left -= n;
		v->done_bytes += n;
	}
	if (!left && XXH3_64bits_digest(hash) != j->run->xxh3)
		return run_fail(v, j, "the checksum of the contents is wrong");
	return 0;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct verify *v = w->v;
	_cleanup_free_ void *buf = malloc(CHUNK_BYTES);
	XXH3_state_t *hash = XXH3_createState();
	struct trace_span span = trace_begin(v->op->trace, "verify pages", 0, w->k);
	int r = buf && hash ? 0 : op_fail_errno(v->op, ENOMEM, NULL, "a buffer");

	while (r == 0 && !v->r) {
		size_t i = v->next++;

		if (i >= v->n)
			break;
		r = run_verify(v, &v->jobs[i], hash, buf);
		if (w->k == 0)
			op_progress(v->op, "verifying", v->done_bytes, v->total_bytes);
	}
	if (r < 0)
		v->r = r;
	XXH3_freeState(hash);
	trace_end(&span);
	return NULL;
}

static int job_compare(const void *pa, const void *pb)
{
	const Ckpt__PageRun *a = ((const struct job *)pa)->run;
	const Ckpt__PageRun *b = ((const struct job *)pb)->run;

	if (a->shard != b->shard)
		return a->shard < b->shard ? -1 : 1;
	return a->offset < b->offset ? -1 : a->offset > b->offset;
}

/* Check one record's runs, and make a job of each that has contents. */
static int jobs_add(struct verify *v, const struct model *m, const struct model_rec *rec,
	struct verify_result *res)
{
	Ckpt__PageRun *const *runs;
	size_t n = pages_runs(rec->msg, &runs);
	int r = pages_check(v->op, v->img, m, rec);

	if (r < 0)
		return r;
	if (vec_reserve(&v->jobs, &v->cap, v->n + n, sizeof(*v->jobs)) < 0)
		return op_fail_errno(v->op, ENOMEM, NULL, "%zu runs of pages", n);
	for (size_t i = 0; i < n; i++) {
		if (runs[i]->kind != CKPT__PAGE_RUN__KIND__SHARD)
			continue;
		v->jobs[v->n++] = (struct job){.owner = rec->owner, .run = runs[i]};
		v->total_bytes += pages_run_bytes(runs[i]);
	}
	res->runs += n;
	return 0;
}

/* The calling thread is worker 0. Where no other can be made it does all the work. */
static int jobs_run(struct verify *v)
{
	struct worker w[WORKERS];
	int started = 1;

	if (v->n)
		qsort(v->jobs, v->n, sizeof(*v->jobs), job_compare);
	for (int k = 0; k < WORKERS; k++)
		w[k] = (struct worker){.v = v, .k = k};
	while (started < WORKERS &&
		pthread_create(&w[started].thread, NULL, work, &w[started]) == 0)
		started++;
	work(&w[0]);
	for (int k = 1; k < started; k++)
		pthread_join(w[k].thread, NULL);
	return v->r;
}

int image_verify(struct ckpt_op *op, const struct image *img, const struct model_type *const *types,
	struct verify_result *ret)
{
	struct verify v = {.op = op, .img = img};
	struct verify_result res = {};
	struct model m;
	int r;

	model_init(&m);
	r = model_load(op, img, types, &m);
	for (size_t i = 0; r == 0 && i < m.n; i++)
		r = jobs_add(&v, &m, &m.recs[i], &res);
	if (r == 0)
		r = jobs_run(&v);
	res.records = m.n;
	res.page_bytes = v.done_bytes;
	if (r == 0 && ret)
		*ret = res;
	free(v.jobs);
	model_done(&m);
	return r;
}
