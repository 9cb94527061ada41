/*
 * chunks.c - see chunks.h.
 */
#include "dump/chunks.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/pagemap.h"
#include "util/vec.h"

struct chunks {
	struct collect_tree *t;
	const struct kernel_words *words;
	uint64_t zero_frame;
	struct windows windows;

	pthread_mutex_t lock; /* of everything below */
	pthread_cond_t more;
	struct chunk **v; /* those before next are taken */
	size_t n, cap, next;
	size_t next_window, cutting;
	struct piece *shared;
	size_t n_shared, cap_shared;
	bool stopped;
	int err; /* -errno of cutting */
	const struct collect *err_at;
};

struct chunks *chunks_new(struct collect_tree *t, const struct kernel_words *words)
{
	struct chunks *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	q->t = t;
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->more, NULL);
	windows_sort_wants(t);
	q->words = words;
	q->zero_frame = pagemap_zero_frame();
	if (windows_find(t, &q->windows) < 0) {
		chunks_free(q);
		return NULL;
	}
	return q;
}

void chunks_free(struct chunks *q)
{
	if (!q)
		return;
	pthread_cond_destroy(&q->more);
	pthread_mutex_destroy(&q->lock);
	windows_done(&q->windows);
	for (size_t i = q->next; i < q->n; i++)
		free(q->v[i]);
	free(q->v);
	free(q->shared);
	free(q);
}

struct cutter chunks_cutter(const struct chunks *q)
{
	return (struct cutter){.t = q->t, .words = q->words, .zero_frame = q->zero_frame};
}

/* ------------------------------------------------------------------ cutting */

static size_t chunk_size(uint32_t n)
{
	return offsetof(struct chunk, v) + n * sizeof(struct range);
}

static int add_chunk(struct chunks *q, struct chunk *c)
{
	struct chunk *copy;

	if (c->n == 0)
		return 0;
	copy = malloc(chunk_size(c->n));
	if (!copy)
		return -ENOMEM;
	memcpy(copy, c, chunk_size(c->n));
	c->n = 0;
	c->bytes = 0;
	pthread_mutex_lock(&q->lock);
	if (vec_reserve(&q->v, &q->cap, q->n + 1, sizeof(*q->v)) < 0) {
		pthread_mutex_unlock(&q->lock);
		free(copy);
		return -ENOMEM;
	}
	q->v[q->n++] = copy;
	pthread_cond_signal(&q->more);
	pthread_mutex_unlock(&q->lock);
	return 0;
}

static int add_shared(struct chunks *q, const struct piece *p)
{
	int r;

	pthread_mutex_lock(&q->lock);
	r = vec_reserve(&q->shared, &q->cap_shared, q->n_shared + 1, sizeof(*q->shared));
	if (r == 0)
		q->shared[q->n_shared++] = *p;
	pthread_mutex_unlock(&q->lock);
	return r;
}

/* @c: the chunk that grows */
static int add_own(struct chunks *q, struct chunk *c, const struct piece *p)
{
	const struct page_want *want = &q->t->wants[p->want];
	int r = 0;

	for (uint64_t at = p->start; r == 0 && at < p->end;) {
		uint64_t len;

		if (c->n && (c->fd != want->fd || c->of != want->of || c->bytes == CHUNK_BYTES ||
				    c->n == CHUNK_RANGES_MAX))
			r = add_chunk(q, c);
		len = MIN(p->end - at, CHUNK_BYTES - c->bytes);
		c->of = want->of;
		c->fd = want->fd;
		c->v[c->n++] = (struct range){at, len, p->want, p->common};
		c->bytes += len;
		at += len;
	}
	return r;
}

/* @c: room for the chunk that grows */
static int cut(struct chunks *q, struct cutter *k, const struct window *w, struct chunk *c)
{
	int r = cut_window(k, q->windows.parts + w->first, w->n);

	c->n = 0;
	c->bytes = 0;
	for (size_t i = 0; r == 0 && i < k->n; i++)
		r = k->v[i].of == FRAME_OF_NOBODY ? add_own(q, c, &k->v[i])
						  : add_shared(q, &k->v[i]);
	return r == 0 ? add_chunk(q, c) : r;
}

/* ------------------------------------------------------------------ taking */

/* The lock is held, but not while the work is done. */
static void cut_next(struct chunks *q, struct cutter *k, struct chunk *room)
{
	const struct window *w = &q->windows.v[q->next_window++];
	int r;

	q->cutting++;
	pthread_mutex_unlock(&q->lock);
	r = cut(q, k, w, room);
	pthread_mutex_lock(&q->lock);
	q->cutting--;
	if (r < 0 && !q->err) {
		q->err = r;
		q->err_at = k->at;
		q->stopped = true;
	}
	pthread_cond_broadcast(&q->more);
}

bool chunks_take(struct chunks *q, struct cutter *k, struct chunk *ret)
{
	bool ok;

	pthread_mutex_lock(&q->lock);
	while (!q->stopped && q->next == q->n) {
		if (q->next_window < q->windows.n)
			cut_next(q, k, ret);
		else if (q->cutting)
			pthread_cond_wait(&q->more, &q->lock);
		else
			break;
	}
	ok = !q->stopped && q->next < q->n;
	if (ok) {
		struct chunk *c = q->v[q->next++];

		memcpy(ret, c, chunk_size(c->n));
		free(c);
	}
	pthread_mutex_unlock(&q->lock);
	return ok;
}

void chunks_stop(struct chunks *q)
{
	pthread_mutex_lock(&q->lock);
	q->stopped = true;
	pthread_cond_broadcast(&q->more);
	pthread_mutex_unlock(&q->lock);
}

ssize_t chunks_shared(const struct chunks *q, const struct piece **ret)
{
	*ret = q->shared;
	if (q->err == 0)
		return (ssize_t)q->n_shared;
	return op_fail(q->t->op, q->err == -ENOMEM ? CKPT_E_SPACE : CKPT_E_SYSTEM, -q->err,
		"pagemap", NULL, "pid %d (%s): finding its pages", q->err_at->pid,
		q->err_at->tr->comm);
}
