/*
 * kernel_words.c - see kernel_words.h.
 */
#include "dump/kernel_words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/vec.h"

/* struct rseq: cpu_id_start and cpu_id; behind rseq_cs and flags: node_id and mm_cid (Linux 6.3). */
static const struct {
	unsigned at, len; /* bytes */
} words[] = {{0, 8}, {20, 8}};

#define AREA_BYTES 28

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

int kernel_words_find(const struct tracees *tr, struct kernel_words *ret)
{
	struct kernel_words w = {.rseq = malloc((tr->n + 1) * sizeof(*w.rseq))};

	if (!w.rseq)
		return -ENOMEM;
	for (size_t i = 0; i < tr->n; i++)
		if (tr->v[i].rseq.address)
			w.rseq[w.n++] = tr->v[i].rseq.address;
	qsort(w.rseq, w.n, sizeof(*w.rseq), by_value);
	*ret = w;
	return 0;
}

void kernel_words_done(struct kernel_words *w)
{
	free(w->rseq);
	*w = (struct kernel_words){0};
}

static size_t first_at(const struct kernel_words *w, uint64_t addr)
{
	size_t lo = 0, hi = w->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (w->rseq[mid] < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

void kernel_words_zero(const struct kernel_words *w, uint64_t start, uint8_t *copy, size_t len)
{
	/* areas are aligned to 32 bytes, so none lies across two pages */
	for (size_t i = first_at(w, start); i < w->n && w->rseq[i] + AREA_BYTES <= start + len; i++)
		for (size_t k = 0; k < ARRAY_SIZE(words); k++)
			memset(copy + (w->rseq[i] - start) + words[k].at, 0, words[k].len);
}

bool kernel_words_in(const struct kernel_words *w, uint64_t start, uint64_t end)
{
	size_t i = first_at(w, start);

	return i < w->n && w->rseq[i] < end;
}
