/*
 * hold.c - see hold.h.
 *
 * A thread in vfork(2) can't be stopped before its child has called execve(2) or ended. The child is not
 * held then, since parents come first, and goes on to do so; one that takes too long is the reason for
 * a refusal. Of processes of one parent one may be the other's child by vfork(2) (CLONE_PARENT): so they are
 * only asked together where none may be in it.
 */
#include "dump/hold.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "dump/vfork.h"
#include "inject/slack.h"
#include "kernel/proc.h"
#include "kernel/proc_maps.h"
#include "kernel/ptrace.h"
#include "util/cleanup.h"
#include "util/parallel.h"

#define OPENS_WORTH 16 /* processes for whose look a thread more is made */

/* Of a process without a vdso, or with one that is not where it was before the stop. */
static int find_other_place(struct tracees *tr)
{
	struct vma_list maps = {0};
	int r = proc_maps_read(tr->proc_fd, &maps);

	if (r < 0)
		return op_fail(tr->op, CKPT_E_TARGET, -r, "read", NULL, "/proc/%d/maps", tr->pid);
	for (size_t i = 0; i < maps.n; i++)
		if (maps.v[i].path && strcmp(maps.v[i].path, "[vdso]") == 0)
			slack_find(tr, maps.v[i].start, maps.v[i].end);
	if (!tr->slack_start)
		slack_find_in_files(tr, &maps);
	vma_list_done(&maps);
	return 0;
}

/* One that was asked to stop, at the latest by this. Whoever fails is released. */
static int wait_for(struct tracees *tr)
{
	int r = tracees_hold(tr);

	if (r == 0 && !tr->slack_start)
		r = find_other_place(tr);
	if (r < 0)
		tracees_release(tr, false);
	return r;
}

/* @state: as in /proc, some time ago */
static int hold(struct ckpt_op *op, pid_t pid, char state, struct tracees **ret)
{
	struct tracees *tr;
	int r = state == 'D' ? vfork_wait(op, pid) : 0;

	if (r == 0)
		r = tracees_open(op, pid, &tr);
	if (r < 0)
		return r;
	r = tracees_ask_to_stop(tr);
	if (r < 0) {
		tracees_release(tr, false);
		return r;
	}
	r = wait_for(tr);
	if (r == 0)
		*ret = tr;
	return r;
}

/* An operation within another: its errors may not matter. */
static void own_init(struct ckpt_op *own, const struct ckpt_op *op)
{
	op_init(own, NULL);
	own->common = op->common;
	own->trace = op->trace;
}

int hold_try(struct ckpt_op *op, pid_t pid, char state, struct ckpt_op *own, struct tracees **ret)
{
	int r;

	own_init(own, op);
	r = hold(own, pid, state, ret);
	own->trace = NULL;
	if (r == 0)
		(*ret)->op = op;
	if (r == -ETIMEDOUT)
		vfork_refuse(op, pid); /* says more than what is kept */
	return r;
}

int hold_zombie(pid_t pid, struct proc_stat *ret)
{
	_cleanup_close_ int proc_fd = proc_open(pid);
	int r = proc_fd < 0 ? proc_fd : proc_stat_read(proc_fd, 0, ret);

	if (r < 0)
		return r;
	if (ret->state == 'X')
		return -ESRCH;
	return ret->state == 'Z' && ret->num_threads <= 1;
}

bool hold_was_dying(pid_t pid)
{
	struct proc_stat st;

	ptrace_reap(pid); /* if we have got hold of it: its parent is to be told */
	return hold_zombie(pid, &st) != 0 || st.flags & PROC_PF_EXITING || st.state == 'Z';
}

/* ------------------------------------------------------------------ several */

static void end(struct candidate *k, bool held)
{
	if (k->tr && !held)
		tracees_release(k->tr, false);
	k->own.trace = NULL;
	op_done(&k->own, NULL);
	k->tr = NULL;
}

/* All that can be read before it is touched. */
static void open_one(void *arg, size_t i)
{
	struct candidate *k = (struct candidate *)arg + i;
	struct proc_stat st;

	if (hold_zombie(k->pid, &st) != 0 || st.ppid != k->parent || k->pid == getpid())
		return;
	k->blocked = st.state == 'D';
	own_init(&k->own, k->op);
	if (tracees_open(&k->own, k->pid, &k->tr) < 0)
		end(k, false);
}

static void ask(struct candidate *k)
{
	if (k->tr && tracees_ask_to_stop(k->tr) < 0) {
		end(k, false);
		ptrace_reap(k->pid);
	}
}

void candidates_ask(struct ckpt_op *op, struct candidate *v, size_t n)
{
	bool blocked = false;

	for (size_t i = 0; i < n; i++)
		v[i].op = op;
	if (n > 1)
		parallel_each_of(n, OPENS_WORTH, open_one, v);
	for (size_t i = 0; i < n; i++)
		blocked |= v[i].blocked;
	for (size_t i = 0; i < n; i++) {
		if (blocked && v[i].tr)
			end(&v[i], false);
		ask(&v[i]);
	}
}

struct tracees *candidate_hold(struct candidate *k)
{
	struct tracees *tr = k->tr;

	if (!tr)
		return NULL;
	if (wait_for(tr) < 0) {
		end(k, true);
		ptrace_reap(k->pid); /* its parent is to be told, as in hold_was_dying() */
		return NULL;
	}
	tr->op = k->op;
	end(k, true);
	return tr;
}

void candidate_end(struct candidate *k)
{
	if (k->tr)
		end(k, false);
}
