/*
 * fill.c - see fill.h.
 *
 * A worker takes the next group of runs that lie behind each other in one page file, reads them into
 * a buffer that stays in the cache, checks each run's hash there, and writes each to its place.
 * Measured on fresh memory: faster than read(2) straight into it, because the copy that takes the
 * page faults comes from the cache.
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
#include "util/cleanup.h"
#include "util/hash.h"
#include "util/fd.h"
#include "util/vec.h"

#define PAGE        4096UL
#define CHUNK       (512UL * 1024)
#define SMALL_BYTES (4UL << 20)
#define HUGETLBFS   0x958458f6

struct group {
	size_t first, n; /* runs */
	uint64_t bytes;
};

struct fill {
	struct ckpt_op *op;
	const struct image *img;
	const Ckpt__Pages *pages;
	int fd;
	uint8_t *map; /* of a file that takes no write(2), mapped_len bytes; else NULL */
	size_t map_len;
	const char *what;
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
	uint8_t *buf;
	size_t cap;
	int err;
	const char *call;
	const Ckpt__PageRun *bad; /* whose contents are not what was written */
};

/* An image is untrusted: every run must lie in its page file, behind the run before it. */
static int check_run(struct fill *f, const Ckpt__PageRun *r, const Ckpt__PageRun *prev)
{
	uint64_t size = r->shard < IMAGE_SHARDS_MAX ? image_page_size(f->img, r->shard) : 0;

	if (r->kind != CKPT__PAGE_RUN__KIND__SHARD || r->start % PAGE || r->pages == 0 ||
		r->pages > size / PAGE || r->offset > size || r->pages * PAGE > size - r->offset ||
		r->start + r->pages * PAGE < r->start ||
		(prev && prev->start + prev->pages * PAGE > r->start))
		return op_fail(f->op, CKPT_E_IMAGE, 0, NULL,
			"the image is damaged; see ckpt verify",
			"%s: pages at %llx: not within page file %u, or out of order", f->what,
			(unsigned long long)r->start, r->shard);
	return 0;
}

static int cut(struct fill *f)
{
	const Ckpt__PageRun *prev = NULL;

	for (size_t i = 0; i < f->pages->n_runs; i++) {
		const Ckpt__PageRun *r = f->pages->runs[i];
		struct group *g = f->n_groups ? &f->groups[f->n_groups - 1] : NULL;
		uint64_t len = r->pages * PAGE;
		int err = check_run(f, r, prev);

		if (err < 0)
			return err;
		if (!g || prev->shard != r->shard ||
			prev->offset + prev->pages * PAGE != r->offset || g->bytes + len > CHUNK) {
			if (vec_reserve(&f->groups, &f->cap_groups, f->n_groups + 1,
				    sizeof(*f->groups)) < 0)
				return op_fail(
					f->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "%s", f->what);
			g = &f->groups[f->n_groups++];
			*g = (struct group){.first = i};
		}
		g->n++;
		g->bytes += len;
		f->bytes += len;
		prev = r;
	}
	return 0;
}

/* Huge pages can only be written through a mapping. The runs are checked, and ascend. */
static int map_huge(struct fill *f)
{
	const Ckpt__PageRun *last = f->pages->n_runs ? f->pages->runs[f->pages->n_runs - 1] : NULL;
	struct statfs fs;
	void *p;

	if (!last || fstatfs(f->fd, &fs) < 0 || (uint64_t)fs.f_type != HUGETLBFS)
		return 0;
	f->map_len = ALIGN_UP(last->start + last->pages * PAGE, (uint64_t)fs.f_bsize);
	p = mmap(NULL, f->map_len, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
	if (p == MAP_FAILED)
		return op_fail(f->op, CKPT_E_SPACE, errno, "mmap",
			"allow more huge pages: /proc/sys/vm/nr_hugepages",
			"%s: %zu bytes of huge pages", f->what, f->map_len);
	f->map = p;
	return 0;
}

static int fill_group(struct fill_worker *k, const struct group *g)
{
	struct fill *f = k->fill;
	Ckpt__PageRun *const *runs = &f->pages->runs[g->first];
	uint8_t *from;
	int r = vec_reserve(&k->buf, &k->cap, g->bytes, 1);

	k->call = "pread";
	if (r == 0)
		r = pread_full(
			image_page_fd(f->img, runs[0]->shard), k->buf, g->bytes, runs[0]->offset);
	from = k->buf;
	for (size_t i = 0; r == 0 && i < g->n; i++) {
		size_t len = runs[i]->pages * PAGE;

		if (hash64(from, len) != runs[i]->xxh3) {
			k->bad = runs[i];
			return -EBADMSG;
		}
		k->call = "write";
		if (f->map)
			memcpy(f->map + runs[i]->start, from, len);
		else
			r = pwrite_full(f->fd, from, len, runs[i]->start);
		from += len;
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
		r = fill_group(k, &k->fill->groups[i]);
		if (r < 0) {
			k->err = -r;
			atomic_store(&k->fill->stop, true);
		}
	}
	free(k->buf);
	trace_end(&span);
	return NULL;
}

static int report(struct fill *f, const struct fill_worker *k)
{
	if (k->bad)
		return op_fail(f->op, CKPT_E_IMAGE, 0, NULL,
			"the image is damaged; see ckpt verify",
			"%s: pages at %llx: wrong checksum in page file %u at %llu", f->what,
			(unsigned long long)k->bad->start, k->bad->shard,
			(unsigned long long)k->bad->offset);
	return op_fail(f->op, k->err == ENOMEM || k->err == ENOSPC ? CKPT_E_SPACE : CKPT_E_SYSTEM,
		k->err, k->call, NULL, "%s: restoring its contents", f->what);
}

int fill_fd(struct ckpt_op *op, const struct image *img, const Ckpt__Pages *pages, int fd,
	const char *what, unsigned workers, uint64_t *ret_bytes)
{
	struct fill f = {.op = op, .img = img, .pages = pages, .fd = fd, .what = what};
	struct fill_worker v[IMAGE_SHARDS_MAX] = {0};
	int r = cut(&f);

	if (r == 0)
		r = map_huge(&f);
	if (r < 0)
		goto out;
	if (f.bytes < SMALL_BYTES || workers < 1)
		workers = 1;
	for (unsigned i = 0; i < workers; i++)
		v[i] = (struct fill_worker){.fill = &f, .number = i};
	for (unsigned i = 1; i < workers; i++)
		v[i].started = pthread_create(&v[i].thread, NULL, worker_main, &v[i]) == 0;
	worker_main(&v[0]);
	for (unsigned i = 1; i < workers; i++)
		if (v[i].started)
			pthread_join(v[i].thread, NULL);
	for (unsigned i = 0; i < workers && r == 0; i++)
		if (v[i].err)
			r = report(&f, &v[i]);
	if (ret_bytes)
		*ret_bytes += f.bytes;
out:
	if (f.map)
		munmap(f.map, f.map_len);
	free(f.groups);
	return r;
}
