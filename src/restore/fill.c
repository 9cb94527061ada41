/*
 * fill.c - see fill.h.
 *
 * A worker takes the next group of runs that lie behind each other in one page file, reads them into
 * a buffer that stays in the cache, checks each run's hash there, and writes each to its place.
 * Measured on fresh memory: faster than read(2) straight into it, because the copy that takes the
 * page faults comes from the cache.
 * To map the page files instead is no faster: what the copy costs, unmapping them does.
 */
#include "restore/fill.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>

#include "core/trace.h"
#include "model/pages.h"
#include "util/cleanup.h"
#include "util/hash.h"
#include "util/fd.h"
#include "util/vec.h"

#define PAGE        4096UL
#define CHUNK       (512UL * 1024)
#define SMALL_BYTES (4UL << 20)
#define HUGETLBFS   0x958458f6

/* What is wanted of a run with contents: all of it, or less for an alias or where something is there already. */
struct part {
	const Ckpt__PageRun *run;
	uint64_t start, end;
};

/* Parts of runs that stand one behind the other in a page file. */
struct group {
	size_t first, n; /* parts */
	uint64_t bytes;  /* of their runs: a checksum is that of a whole run */
};

struct fill {
	struct ckpt_op *op;
	const struct fill_req *req;
	Ckpt__PageRun *const *runs;
	size_t n_runs;
	uint8_t *map; /* of a file that takes no write(2), mapped_len bytes; else NULL */
	size_t map_len;
	struct part *parts;
	size_t n_parts, cap_parts;
	struct group *groups;
	size_t n_groups, cap_groups;
	uint64_t bytes;
	atomic_size_t next;
	atomic_bool stop;
};

struct fill_worker {
	struct fill *fill;
	pthread_t thread;
	bool started;
	unsigned number;
	struct fill_buf buf;
	int err;
	const char *call;
	const Ckpt__PageRun *bad; /* whose contents are not what was written */
};

static int damaged(struct fill *f, const Ckpt__PageRun *r, const char *why)
{
	return op_fail(f->op, CKPT_E_IMAGE, 0, NULL, "the image is damaged; see ckpt verify",
		"%s: pages at %llx: %s", f->req->what, (unsigned long long)r->start, why);
}

static int no_memory(struct fill *f)
{
	return op_fail(f->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "%s", f->req->what);
}

/* ------------------------------------------------------------------ what is wanted */

/* An image is untrusted: every run must lie in its page file. */
static bool run_is_good(const struct fill *f, const Ckpt__PageRun *r)
{
	const struct image *img = f->req->img;
	uint64_t size = r->shard < IMAGE_SHARDS_MAX ? image_page_size(img, r->shard) : 0;

	return r->kind == CKPT__PAGE_RUN__KIND__SHARD && r->start % PAGE == 0 && r->pages &&
	       r->pages <= size / PAGE && r->offset <= size &&
	       r->pages * PAGE <= size - r->offset && r->start + r->pages * PAGE > r->start;
}

/* The part joins the group where its run is the one before, or stands behind it. */
static int add_part(struct fill *f, const Ckpt__PageRun *run, uint64_t start, uint64_t end)
{
	struct group *g = f->n_groups ? &f->groups[f->n_groups - 1] : NULL;
	const Ckpt__PageRun *prev = g ? f->parts[f->n_parts - 1].run : NULL;
	uint64_t len = run == prev ? 0 : pages_run_bytes(run);

	if (!run_is_good(f, run))
		return damaged(f, run, "not within their page file");
	if (vec_reserve(&f->parts, &f->cap_parts, f->n_parts + 1, sizeof(*f->parts)) < 0)
		return no_memory(f);
	if (!prev || (run != prev && (prev->shard != run->shard ||
					     prev->offset + pages_run_bytes(prev) != run->offset ||
					     g->bytes + len > CHUNK))) {
		if (vec_reserve(&f->groups, &f->cap_groups, f->n_groups + 1, sizeof(*f->groups)) <
			0)
			return no_memory(f);
		g = &f->groups[f->n_groups++];
		*g = (struct group){.first = f->n_parts};
	}
	f->parts[f->n_parts++] = (struct part){run, start, end};
	g->n++;
	g->bytes += len;
	f->bytes += end - start;
	return 0;
}

/* What of a run of a record, or of what it is an alias of, is in [start, end). */
static int add_range(struct fill *f, const struct model_rec *rec, const Ckpt__PageRun *run,
	uint64_t start, uint64_t end)
{
	int r = 0;

	while (r == 0 && start < end) {
		const Ckpt__PageRun *of = pages_resolve(f->req->model, rec, run, start);
		uint64_t to;

		if (!of)
			return damaged(f, run, "the task that they are an alias of has none there");
		to = MIN(end, pages_run_end(of));
		r = add_part(f, of, start, to);
		start = to;
	}
	return r;
}

static int cut(struct fill *f)
{
	uint64_t end = 0;
	int r = 0;

	f->n_runs = pages_runs(f->req->rec->msg, &f->runs);
	for (size_t i = 0; r == 0 && i < f->n_runs; i++) {
		const Ckpt__PageRun *run = f->runs[i];

		if (run->start < end || run->start % PAGE || run->pages > UINT64_MAX / PAGE ||
			pages_run_end(run) <= run->start)
			return damaged(f, run, "no such range, or out of order");
		end = pages_run_end(run);
		r = add_range(f, f->req->rec, run, run->start, end);
	}
	return r;
}

/* Pages of one task. That its runs are in order was found when it was known who has what. */
static int cut_span(struct fill *f, const struct page_span *s)
{
	const struct model_rec *rec = model_find(f->req->model, f->req->type, (uint64_t)s->of);
	uint64_t at = s->start;
	int r = 0;

	f->n_runs = rec ? pages_runs(rec->msg, &f->runs) : 0;
	for (size_t i = pages_find(f->runs, f->n_runs, at); r == 0 && at < s->end; i++) {
		uint64_t to;

		if (i >= f->n_runs || f->runs[i]->start > at)
			return op_fail(f->op, CKPT_E_IMAGE, 0, NULL,
				"the image is damaged; see ckpt verify",
				"%s: pages at %llx: task %d has none there", f->req->what,
				(unsigned long long)at, s->of);
		to = MIN(s->end, pages_run_end(f->runs[i]));
		r = add_range(f, rec, f->runs[i], at, to);
		at = to;
	}
	return r;
}

static int cut_spans(struct fill *f)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < f->req->only->n; i++)
		r = cut_span(f, &f->req->only->v[i]);
	return r;
}

/* ------------------------------------------------------------------ filling */

/* Huge pages can only be written through a mapping. The runs are checked, and ascend. */
static int map_huge(struct fill *f)
{
	struct statfs fs;
	void *p;

	if (!f->n_parts || f->req->to->pid || fstatfs(f->req->to->fd, &fs) < 0 ||
		(uint64_t)fs.f_type != HUGETLBFS)
		return 0;
	f->map_len = ALIGN_UP(f->parts[f->n_parts - 1].end, (uint64_t)fs.f_bsize);
	p = mmap(NULL, f->map_len, PROT_READ | PROT_WRITE, MAP_SHARED, f->req->to->fd, 0);
	if (p == MAP_FAILED)
		return op_fail(f->op, CKPT_E_SPACE, errno, "mmap",
			"allow more huge pages: /proc/sys/vm/nr_hugepages",
			"%s: %zu bytes of huge pages", f->req->what, f->map_len);
	f->map = p;
	return 0;
}

static int write_part(struct fill_worker *k, const struct part *p, const uint8_t *run)
{
	struct fill *f = k->fill;
	const uint8_t *from = run + (p->start - p->run->start);

	if (!f->map)
		return sink_write(f->req->to, from, p->start, p->end - p->start, &k->call);
	memcpy(f->map + p->start, from, p->end - p->start);
	return 0;
}

static int fill_group(struct fill_worker *k, const struct group *g)
{
	const struct image *img = k->fill->req->img;
	const struct part *p = &k->fill->parts[g->first];
	uint64_t at = p->run->offset;
	const uint8_t *run;
	int r = vec_reserve(&k->buf.v, &k->buf.cap, g->bytes, 1);

	k->call = "pread";
	if (r == 0)
		r = pread_full(image_page_fd(img, p->run->shard), k->buf.v, g->bytes, (off_t)at);
	for (size_t i = 0; r == 0 && i < g->n; i++, p++) {
		bool again = i && p->run == p[-1].run;

		run = k->buf.v + (p->run->offset - at);
		if (!again && hash64(run, pages_run_bytes(p->run)) != p->run->xxh3) {
			k->bad = p->run;
			return -EBADMSG;
		}
		r = write_part(k, p, run);
	}
	return r;
}

static void *worker_main(void *arg)
{
	struct fill_worker *k = arg;
	struct trace_span span = trace_begin(k->fill->op->trace, "fill", 0, k->number);

	while (!atomic_load(&k->fill->stop)) {
		size_t i = atomic_fetch_add(&k->fill->next, 1);
		int r;

		if (i >= k->fill->n_groups)
			break;
		if (k->number == 0)
			op_progress(k->fill->op, "filling memory",
				k->fill->bytes * i / k->fill->n_groups, k->fill->bytes);
		r = op_cancelled(k->fill->op);
		if (r == 0)
			r = fill_group(k, &k->fill->groups[i]);
		if (r < 0) {
			k->err = -r;
			atomic_store(&k->fill->stop, true);
		}
	}
	trace_end(&span);
	return NULL;
}

static int report(struct fill *f, const struct fill_worker *k)
{
	if (k->bad)
		return op_fail(f->op, CKPT_E_IMAGE, 0, NULL,
			"the image is damaged; see ckpt verify",
			"%s: pages at %llx: wrong checksum in page file %u at %llu", f->req->what,
			(unsigned long long)k->bad->start, k->bad->shard,
			(unsigned long long)k->bad->offset);
	return op_fail(f->op, k->err == ENOMEM || k->err == ENOSPC ? CKPT_E_SPACE : CKPT_E_SYSTEM,
		k->err, k->call, NULL, "%s: restoring its contents", f->req->what);
}

int fill_sink(struct ckpt_op *op, const struct fill_req *req, uint64_t *ret_bytes)
{
	struct fill f = {.op = op, .req = req};
	unsigned workers = req->workers;
	struct fill_worker v[IMAGE_SHARDS_MAX] = {0};
	int r = req->only ? cut_spans(&f) : cut(&f);

	if (r == 0)
		r = map_huge(&f);
	if (r < 0)
		goto out;
	if (f.bytes < SMALL_BYTES || workers < 1)
		workers = 1;
	for (unsigned i = 0; i < workers; i++)
		v[i] = (struct fill_worker){.fill = &f, .number = i};
	if (req->buf)
		v[0].buf = *req->buf;
	for (unsigned i = 1; i < workers; i++)
		v[i].started = pthread_create(&v[i].thread, NULL, worker_main, &v[i]) == 0;
	worker_main(&v[0]);
	for (unsigned i = 1; i < workers; i++)
		if (v[i].started)
			pthread_join(v[i].thread, NULL);
	for (unsigned i = 0; i < workers && r == 0; i++)
		if (v[i].err)
			r = report(&f, &v[i]);
	for (unsigned i = req->buf != NULL; i < workers; i++)
		fill_buf_done(&v[i].buf);
	if (req->buf)
		*req->buf = v[0].buf;
	if (ret_bytes)
		*ret_bytes += f.bytes;
out:
	if (f.map)
		munmap(f.map, f.map_len);
	free(f.parts);
	free(f.groups);
	return r;
}

void fill_buf_done(struct fill_buf *b)
{
	free(b->v);
	*b = (struct fill_buf){0};
}
