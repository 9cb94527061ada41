/*
 * fillers.c - see fillers.h.
 */
#include "restore/fillers.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/futex.h>

#include "kernel/pidfd.h"
#include "res/mm/mm.h"
#include "res/mm/mm_uffd.h"
#include "restore/fill.h"
#include "util/cleanup.h"
#include "util/vec.h"

#define THREADS_WORTH                                                                              \
	4 /* times that something is filled in a tree, from which on there are threads for it */
#define THREADS_MAX 4U

struct fillers {
	struct run *r;
	pthread_mutex_t lock; /* of the queue and end */
	pthread_cond_t more;
	struct run_task **queue; /* a task is in it once at most */
	size_t size, first, n;
	bool end;
	bool failed; /* atomic */
	pthread_t threads[THREADS_MAX];
	size_t n_threads;
	struct fill_buf buf; /* of who is no thread of ours */
};

/* ------------------------------------------------------------------ one task */

/*
 * The userfaultfd that a task has made for this time that it is filled.
 * @ret: what has been registered with it; the caller's to release
 * Return: ours to close; -EBADF there is none; -errno it can't be had.
 */
static int take_uffd(struct run *r, const struct run_task *t, struct page_map *ret)
{
	const struct agent_step *steps =
		(const void *)area_prog(&r->area, t->plan->threads[0].id)->steps;
	size_t first = t->plan->uffd_step, good = 0;
	_cleanup_close_ int pidfd = -EBADF;

	if (t->filled - 1 != t->plan->uffd_time || first == MM_NO_UFFD || steps[first].ret < 0 ||
		mm_uffd_ranges(r->plan, t->pid, task_plan_fill(t->plan, t->filled - 1), ret) < 0)
		return -EBADF;
	for (size_t i = 0; i < ret->n; i++)
		if (steps[mm_uffd_registered(first, i)].ret == 0)
			ret->v[good++] = ret->v[i];
	ret->n = good;
	if (!good)
		return -EBADF;
	pidfd = pidfd_of(t->pid);
	return pidfd < 0 ? pidfd : pidfd_take(pidfd, (int)steps[first].ret);
}

static int fill(struct run *r, struct run_task *t, struct fill_buf *buf)
{
	const struct model *m = r->plan->model;
	struct fill_req req = {.img = r->img,
		.model = m,
		.type = &res_pages.type,
		.rec = model_find(m, &res_pages.type, (uint64_t)t->pid),
		.only = task_plan_fill(t->plan, t->filled - 1),
		.workers = r->workers,
		.buf = buf};
	struct sink to = {.fd = -EBADF, .pid = t->pid};
	_cleanup_close_ int uffd = -EBADF;
	struct page_map through = {0};
	char what[TASK_NAME_LEN + 16], name[TASK_NAME_LEN];
	uint64_t bytes = 0;
	int ret;

	if (req.only ? req.only->n == 0 : !req.rec)
		return 0;
	snprintf(what, sizeof(what), "%s: memory", task_plan_name(t->plan, name));
	to.uffd = uffd = take_uffd(r, t, &through);
	to.through = &through;
	req.to = &to;
	req.what = what;
	/* what is registered can't be written in another way */
	ret = uffd < 0 && through.n
		      ? op_fail(r->op, CKPT_E_SYSTEM, -uffd, "pidfd_getfd", NULL, "%s", what)
		      : fill_sink(r->op, &req, &bytes);
	sink_done(&to);
	page_map_done(&through);
	__atomic_add_fetch(&r->page_bytes, bytes, __ATOMIC_RELAXED);
	return ret;
}

/* A gate stays shut when something has failed. The coordinator may wait for an arrival that never comes then. */
static void fill_one(struct fillers *f, struct run_task *t, struct fill_buf *buf)
{
	if (fill(f->r, t, buf) == 0) {
		run_open_gate(f->r, t, (uint32_t)t->filled);
		return;
	}
	__atomic_store_n(&f->failed, true, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &f->r->area.ctl->arrived, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* ------------------------------------------------------------------ all of them */

/* Return: NULL at the end */
static struct run_task *take(struct fillers *f)
{
	struct run_task *t = NULL;

	pthread_mutex_lock(&f->lock);
	while (!f->n && !f->end)
		pthread_cond_wait(&f->more, &f->lock);
	if (!f->end) {
		t = f->queue[f->first];
		f->first = (f->first + 1) % f->size;
		f->n--;
	}
	pthread_mutex_unlock(&f->lock);
	return t;
}

static void *thread_main(void *arg)
{
	struct fillers *f = arg;
	struct fill_buf buf = {0};
	struct run_task *t;

	while ((t = take(f)))
		fill_one(f, t, &buf);
	fill_buf_done(&buf);
	return NULL;
}

/* Signals are for the caller. */
static void make_threads(struct fillers *f, size_t n)
{
	sigset_t all, before;

	sigfillset(&all);
	if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0)
		return;
	while (f->n_threads < n &&
		pthread_create(&f->threads[f->n_threads], NULL, thread_main, f) == 0)
		f->n_threads++;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int fillers_new(struct run *r, struct fillers **ret)
{
	struct fillers *f = calloc(1, sizeof(*f));

	if (f)
		f->queue = calloc(r->tree.n, sizeof(struct run_task *));
	if (!f || !f->queue) {
		free(f);
		return op_fail(r->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "the tasks");
	}
	f->r = r;
	f->size = r->tree.n;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->more, NULL);
	if (r->tree.n_fills >= THREADS_WORTH)
		make_threads(f, MIN(r->workers, THREADS_MAX));
	*ret = f;
	return 0;
}

void fillers_add(struct fillers *f, struct run_task *t)
{
	if (!f->n_threads) {
		fill_one(f, t, &f->buf);
		return;
	}
	pthread_mutex_lock(&f->lock);
	f->queue[(f->first + f->n++) % f->size] = t;
	pthread_cond_signal(&f->more);
	pthread_mutex_unlock(&f->lock);
}

bool fillers_failed(struct fillers *f)
{
	return __atomic_load_n(&f->failed, __ATOMIC_SEQ_CST);
}

void fillers_end(struct fillers *f)
{
	if (!f)
		return;
	pthread_mutex_lock(&f->lock);
	f->end = true;
	pthread_cond_broadcast(&f->more);
	pthread_mutex_unlock(&f->lock);
	while (f->n_threads)
		pthread_join(f->threads[--f->n_threads], NULL);
	pthread_cond_destroy(&f->more);
	pthread_mutex_destroy(&f->lock);
	fill_buf_done(&f->buf);
	free(f->queue);
	free(f);
}
