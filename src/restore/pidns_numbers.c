/*
 * pidns_numbers.c - see pidns_numbers.h.
 *
 * The coordinator, its threads and its helpers are processes of the namespace, too. The kernel counts up for
 * them, from a number that can be chosen, and starts again at 300 (RESERVED_PIDS) when it comes to pid_max.
 */
#include "restore/pidns_numbers.h"

#include <stdlib.h>

#include "proto/task.pb-c.h"
#include "res/task/task.h"
#include "util/vec.h"

#define FIRST 300
#define ENOUGH                                                                                     \
	10000 /* helpers are made one by one for each sender of an unread message, and the like */

static int by_number(const void *a, const void *b)
{
	const pid_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* All numbers of a tree, ascending. */
static int numbers_of(const struct model *m, pid_t **ret, size_t *ret_n)
{
	const struct model_rec *rec;
	size_t pos = 0, n = 0, cap = 0;
	pid_t *v = NULL;

	while ((rec = model_next(m, &res_task.type, &pos))) {
		const Ckpt__Task *t = (const void *)rec->msg;

		if (vec_reserve(&v, &cap, n + t->n_tids + 3, sizeof(*v)) < 0) {
			free(v);
			return -ENOMEM;
		}
		v[n++] = t->pid;
		v[n++] = t->pgid;
		v[n++] = t->sid;
		for (size_t i = 0; i < t->n_tids; i++)
			v[n++] = t->tids[i];
	}
	if (n)
		qsort(v, n, sizeof(*v), by_number);
	*ret = v;
	*ret_n = n;
	return 0;
}

/* The first that is not before @from and has room behind it, else the one with most room. */
static pid_t find(const pid_t *v, size_t n, pid_t from, pid_t pid_max)
{
	pid_t lo = from, best = 0, room = 0;

	for (size_t i = 0; i <= n; i++) {
		pid_t hi = i < n ? MIN(v[i], pid_max) : pid_max;

		if (hi - lo >= ENOUGH)
			return lo;
		if (hi - lo > room) {
			room = hi - lo;
			best = lo;
		}
		lo = MAX(lo, hi + 1);
	}
	return best;
}

pid_t pidns_number_free(const struct model *m, pid_t wish, pid_t pid_max)
{
	pid_t *v, found;
	size_t n;

	if (numbers_of(m, &v, &n) < 0)
		return 0;
	found = find(v, n, MAX(wish, FIRST), pid_max);
	if (!found || found + ENOUGH > pid_max)
		found = find(v, n, FIRST, pid_max);
	free(v);
	return found ? found : FIRST;
}
