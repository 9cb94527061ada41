/*
 * chunks.c - see chunks.h.
 *
 * Wants that touch each other are scanned in one go: the kernel walks over the borders of mappings,
 * and a system call for each of 50 000 mappings would be most of the cost.
 */
#include "dump/chunks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel/pagemap.h"
#include "util/vec.h"

#define PAGE 4096UL
/* One scan covers this much at first and doubles, so that there is work for others soon. */
#define SCAN_FIRST (16UL << 20)
#define SCAN_LAST  (4UL << 30)

struct piece {
	const struct collect *of;
	int fd;
	size_t first; /* in ranges */
	uint32_t n;
	uint64_t bytes;
};

struct chunks {
	struct collect_tree *t;
	uint64_t scan_bytes; /* the cutter's: of the next scan */

	pthread_mutex_t lock; /* of everything below */
	pthread_cond_t more;
	struct range *ranges;
	size_t n_ranges, cap_ranges;
	struct piece *v; /* while the queue is open, the last one may still grow */
	size_t n, cap, next;
	uint64_t bytes, taken;
	bool closed, stopped;
};

struct chunks *chunks_new(struct collect_tree *t)
{
	struct chunks *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	q->t = t;
	q->scan_bytes = SCAN_FIRST;
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->more, NULL);
	return q;
}

void chunks_free(struct chunks *q)
{
	if (!q)
		return;
	pthread_cond_destroy(&q->more);
	pthread_mutex_destroy(&q->lock);
	free(q->ranges);
	free(q->v);
	free(q);
}

/* ------------------------------------------------------------------ queue */

bool chunks_take(struct chunks *q, struct chunk *ret)
{
	bool ok;

	pthread_mutex_lock(&q->lock);
	while (!q->stopped && !q->closed && q->next + 1 >= q->n)
		pthread_cond_wait(&q->more, &q->lock);
	ok = !q->stopped && q->next < q->n;
	if (ok) {
		const struct piece *p = &q->v[q->next++];

		ret->of = p->of;
		ret->fd = p->fd;
		ret->n = p->n;
		ret->bytes = p->bytes;
		ret->done = q->taken;
		ret->total = q->closed ? q->bytes : 0;
		memcpy(ret->v, q->ranges + p->first, p->n * sizeof(*ret->v));
		q->taken += p->bytes;
	}
	pthread_mutex_unlock(&q->lock);
	return ok;
}

static void finish(struct chunks *q, bool stop)
{
	pthread_mutex_lock(&q->lock);
	q->closed = true;
	q->stopped |= stop;
	pthread_cond_broadcast(&q->more);
	pthread_mutex_unlock(&q->lock);
}

void chunks_stop(struct chunks *q)
{
	finish(q, true);
}

/* The chunk that takes more of @want, or NULL when memory ran out. The lock is held. */
static struct piece *open_piece(struct chunks *q, const struct page_want *want)
{
	struct piece *p = q->n ? &q->v[q->n - 1] : NULL;

	if (p && p->fd == want->fd && (p->fd >= 0 || p->of == want->of) && p->bytes < CHUNK_BYTES &&
		p->n < CHUNK_RANGES_MAX)
		return p;
	if (vec_reserve(&q->v, &q->cap, q->n + 1, sizeof(*q->v)) < 0)
		return NULL;
	if (p)
		pthread_cond_signal(&q->more);
	p = &q->v[q->n++];
	*p = (struct piece){.of = want->of, .fd = want->fd, .first = q->n_ranges};
	return p;
}

static int add_locked(struct chunks *q, uint32_t want, uint64_t start, uint64_t end)
{
	while (start < end) {
		struct piece *p = open_piece(q, &q->t->wants[want]);
		struct range *last;
		uint64_t len;

		if (!p || vec_reserve(&q->ranges, &q->cap_ranges, q->n_ranges + 1,
				  sizeof(*q->ranges)) < 0)
			return -ENOMEM;
		len = MIN(end - start, CHUNK_BYTES - p->bytes);
		last = p->n ? &q->ranges[q->n_ranges - 1] : NULL;
		if (last && last->want == want && last->start + last->len == start) {
			last->len += len;
		} else {
			q->ranges[q->n_ranges++] = (struct range){start, len, want};
			p->n++;
		}
		p->bytes += len;
		q->bytes += len;
		start += len;
	}
	return 0;
}

static int add_range(struct chunks *q, uint32_t want, uint64_t start, uint64_t end)
{
	int r;

	pthread_mutex_lock(&q->lock);
	r = q->stopped ? -ECANCELED : add_locked(q, want, start, end);
	pthread_mutex_unlock(&q->lock);
	return r;
}

/* ------------------------------------------------------------------ cutting */

/* The wants from *@want on lie in the scanned range; of each its part of the run. */
static int add_run(struct chunks *q, const struct page_run *run, uint32_t *want)
{
	uint64_t start = run->start;
	int r = 0;

	/* pages that are the process's own: not the zero page, not a page of a file */
	if (run->categories & (PAGE_IS_FILE | PAGE_IS_GUARD | PAGE_IS_PFNZERO))
		return 0;
	while (r == 0 && start < run->end) {
		uint64_t end;

		while (q->t->wants[*want].end <= start)
			++*want;
		end = MIN(run->end, q->t->wants[*want].end);
		r = add_range(q, *want, start, end);
		start = end;
	}
	return r;
}

/* Wants @first to @last of memory, each of which begins where the one before ends. */
static int cut_memory(struct chunks *q, const struct pagemap *pm, uint32_t first, uint32_t last)
{
	uint64_t at = q->t->wants[first].start, end = q->t->wants[last].end;
	struct page_runs runs = {0};
	uint32_t want = first;
	int r = 0;

	while (r == 0 && at < end) {
		uint64_t to = at + MIN(end - at, q->scan_bytes);

		runs.n = 0;
		r = pagemap_scan(pm, at, to, &runs);
		for (size_t i = 0; r == 0 && i < runs.n; i++)
			r = add_run(q, &runs.v[i], &want);
		at = to;
		q->scan_bytes = MIN(q->scan_bytes * 2, SCAN_LAST);
	}
	page_runs_done(&runs);
	return r;
}

static int cut_file(struct chunks *q, uint32_t want)
{
	const struct page_want *x = &q->t->wants[want];
	uint64_t at = x->start;
	int r = 0;

	while (r == 0 && at < x->end) {
		off_t data = lseek(x->fd, at, SEEK_DATA), hole;

		if (data < 0 && errno == ENXIO)
			break;
		if (data < 0) { /* no holes known: all of it */
			data = at;
			hole = x->end;
		} else {
			hole = lseek(x->fd, data, SEEK_HOLE);
		}
		if (hole < 0)
			return -errno;
		r = add_range(
			q, want, ALIGN_DOWN((uint64_t)data, PAGE), ALIGN_UP((uint64_t)hole, PAGE));
		at = ALIGN_UP((uint64_t)hole, PAGE);
	}
	return r;
}

/* The last of the wants that touch each other, from @i on. */
static uint32_t touching(const struct collect_tree *t, uint32_t i)
{
	const struct page_want *x = t->wants;

	while (i + 1 < t->n_wants && x[i + 1].fd < 0 && x[i + 1].of == x[i].of &&
		x[i + 1].start == x[i].end)
		i++;
	return i;
}

/* The wants are sorted: those of one process's memory follow each other. */
static int cut_all(struct chunks *q, const struct collect **ret_at)
{
	const struct collect *open = NULL;
	struct pagemap pm = {.fd = -EBADF};
	uint32_t last;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < q->t->n_wants; i = last + 1) {
		const struct page_want *x = &q->t->wants[i];

		*ret_at = x->of;
		last = i;
		if (x->fd >= 0) {
			r = cut_file(q, i);
			continue;
		}
		if (x->of != open) {
			pagemap_close(&pm);
			r = pagemap_open(x->of->proc_fd, &pm);
			open = x->of;
		}
		last = touching(q->t, i);
		if (r == 0)
			r = cut_memory(q, &pm, i, last);
	}
	pagemap_close(&pm);
	return r;
}

int chunks_cut(struct chunks *q)
{
	const struct collect *at = NULL;
	int r = cut_all(q, &at);

	finish(q, r < 0);
	/* a worker has failed, and says why */
	if (r >= 0 || r == -ECANCELED)
		return 0;
	return op_fail(q->t->op, r == -ENOMEM ? CKPT_E_SPACE : CKPT_E_SYSTEM, -r, "pagemap", NULL,
		"pid %d (%s): finding its pages", at->pid, at->tr->comm);
}
