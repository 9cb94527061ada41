/*
 * tree.c - see tree.h.
 *
 * The root is seized whole, then its children, and so on down. A process that is held forks no more,
 * so its list of children is complete; nothing is added to it but orphans, whose parents died before
 * we came to them: those go to a subreaper above. So the lists of all that had children are read again
 * until nothing new is found in any of them.
 *
 * A thread in vfork(2) can't be stopped before its child has called execve(2) or ended. The child is not
 * held then, since parents come first, and goes on to do so; one that takes too long is the reason for
 * a refusal.
 */
#include "dump/tree.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/fault.h"
#include "dump/vfork.h"
#include "inject/slack.h"
#include "kernel/proc.h"
#include "kernel/proc_children.h"
#include "kernel/proc_maps.h"
#include "kernel/ptrace.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/vec.h"

#define SLOTS_MIN     64
#define DYING_NS      1000000000ULL /* how long a process may take to end */
#define DYING_DOZE_NS 100000L

/* ------------------------------------------------------------------ the set of pids */

static size_t slot_of(const struct tree *t, pid_t pid)
{
	size_t at = (uint32_t)pid * 0x9e3779b1U & (t->n_slots - 1);

	while (t->slots[at] && t->v[t->slots[at] - 1].pid != pid)
		at = (at + 1) & (t->n_slots - 1);
	return at;
}

static bool known(const struct tree *t, pid_t pid)
{
	return t->n_slots && t->slots[slot_of(t, pid)];
}

static int grow(struct tree *t)
{
	size_t n = t->n_slots ? t->n_slots * 2 : SLOTS_MIN;
	size_t *slots;

	if (t->n_slots > 2 * t->n)
		return 0;
	slots = calloc(n, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	free(t->slots);
	t->slots = slots;
	t->n_slots = n;
	for (size_t i = 0; i < t->n; i++)
		slots[slot_of(t, t->v[i].pid)] = i + 1;
	return 0;
}

/* Return: the new place, for what is not filled in yet; NULL after op_fail() */
static struct tree_task *add(struct tree *t, size_t parent, pid_t pid)
{
	struct tree_task *up;
	size_t at = t->n + 1;

	if (grow(t) < 0 || vec_reserve(&t->v, &t->cap, at, sizeof(*t->v)) < 0) {
		op_fail(t->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "pid %d", pid);
		return NULL;
	}
	t->v[t->n++] = (struct tree_task){.pid = pid, .parent = parent};
	t->slots[slot_of(t, pid)] = at;
	if (at > 1) {
		up = &t->v[parent];
		if (up->last)
			t->v[up->last - 1].next = at;
		else
			up->first = at;
		up->last = at;
	}
	return &t->v[at - 1];
}

/* ------------------------------------------------------------------ one process */

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

/* @state: as in /proc, some time ago */
static int hold(struct ckpt_op *op, pid_t pid, char state, struct tracees **ret)
{
	int r = state == 'D' ? vfork_wait(op, pid) : 0;

	if (r == 0)
		r = tracees_seize(op, pid, ret);
	if (r == 0 && !(*ret)->slack_start) {
		r = find_other_place(*ret);
		if (r < 0)
			tracees_release(TAKE_PTR(*ret), false);
	}
	return r;
}

/*
 * hold(), whose error is kept in an operation of its own: it may be that it does not matter.
 * @own: to be ended by op_done()
 */
static int try_hold(
	struct ckpt_op *op, pid_t pid, char state, struct ckpt_op *own, struct tracees **ret)
{
	int r;

	op_init(own, NULL);
	own->common = op->common;
	own->trace = op->trace;
	r = hold(own, pid, state, ret);
	own->trace = NULL;
	if (r == 0)
		(*ret)->op = op;
	if (r == -ETIMEDOUT)
		vfork_refuse(op, pid); /* says more than what is kept */
	return r;
}

/* A process of which nothing but its exit status is left. Return: 1 it is; 0 it lives; -ESRCH */
static int is_zombie(pid_t pid, struct proc_stat *ret)
{
	_cleanup_close_ int proc_fd = proc_open(pid);
	int r = proc_fd < 0 ? proc_fd : proc_stat_read(proc_fd, 0, ret);

	if (r < 0)
		return r;
	if (ret->state == 'X')
		return -ESRCH;
	return ret->state == 'Z' && ret->num_threads <= 1;
}

static int add_zombie(struct tree *t, size_t parent, const struct proc_stat *st)
{
	struct tree_task *k = add(t, parent, st->pid);

	if (!k)
		return -ENOMEM;
	k->stat = *st;
	k->leaf = true;
	return 1;
}

static int add_held(struct tree *t, size_t parent, struct tracees *tr)
{
	struct tree_task *k = add(t, parent, tr->pid);

	if (!k) {
		tracees_release(tr, false);
		return -ENOMEM;
	}
	k->tr = tr;
	t->threads += tr->n;
	return 1;
}

/* Whether a process that could not be held was about to end, or is one without its first thread now. */
static bool was_dying(pid_t pid)
{
	struct proc_stat st;

	ptrace_reap(pid); /* if we have got hold of it: its parent is to be told */
	return is_zombie(pid, &st) != 0 || st.flags & PROC_PF_EXITING || st.state == 'Z';
}

/* Return: 1 it is held, or a zombie; 0 it is gone; negative after op_fail() */
static int take(struct tree *t, size_t parent, pid_t pid)
{
	const struct timespec doze = {.tv_nsec = DYING_DOZE_NS};
	uint64_t deadline = now_ns() + DYING_NS;

	for (;;) {
		struct ckpt_op own;
		struct proc_stat st;
		struct tracees *tr;
		int r = is_zombie(pid, &st);

		/* gone, and the number is another's already */
		if (r == -ESRCH || (r >= 0 && st.ppid != t->v[parent].pid))
			return 0;
		if (r == 1)
			return add_zombie(t, parent, &st);
		if (pid == getpid())
			return op_fail(t->op, CKPT_E_REFUSED, 0, NULL,
				"run it from outside: setsid, or another terminal",
				"ckpt itself is in the tree of pid %d", t->v[0].pid);
		r = try_hold(t->op, pid, st.state, &own, &tr);
		if (r == 0)
			r = add_held(t, parent, tr);
		else if (!was_dying(pid) || now_ns() > deadline)
			r = op_adopt(t->op, &own);
		else
			r = 0;
		op_done(&own, NULL);
		if (r)
			return r;
		nanosleep(&doze, NULL);
	}
}

/* ------------------------------------------------------------------ children */

static int children(const struct tree_task *k, struct proc_children *ret)
{
	_cleanup_free_ pid_t *tids = calloc(k->tr->n + 1, sizeof(*tids));
	int r;

	if (!tids)
		return -ENOMEM;
	for (size_t i = 0; i < k->tr->n; i++)
		tids[i] = k->tr->v[i].tid;
	r = proc_children_of_all(k->tr->proc_fd, tids, k->tr->n, ret);
	return r == -ENOENT ? proc_children_scan(k->pid, ret) : r;
}

/* Return: how many were found that were not known; negative after op_fail() */
static int look(struct tree *t, size_t at)
{
	struct proc_children found = {0};
	int n = 0, r = children(&t->v[at], &found);

	if (r < 0)
		op_fail(t->op, CKPT_E_SYSTEM, -r, "read", NULL, "the children of pid %d (%s)",
			t->v[at].pid, t->v[at].tr->comm);
	t->v[at].leaf = found.n == 0;
	for (size_t i = 0; r >= 0 && i < found.n; i++) {
		if (known(t, found.v[i]))
			continue;
		r = take(t, at, found.v[i]);
		n += r > 0;
	}
	proc_children_done(&found);
	return r < 0 ? r : n;
}

bool tree_moved(const struct tree *t, int r)
{
	if (r == -ESRCH && t->n > 1)
		return true;
	for (size_t i = 0; t->n > 1 && i < t->n; i++)
		if (t->v[i].tr && t->v[i].tr->ran_on)
			return true;
	return false;
}

int tree_complete(const struct tree *t)
{
	struct proc_children found = {0};
	int r = 0;

	for (size_t i = 0; r == 0 && i < t->n; i++) {
		struct tree_task *k = &t->v[i];

		if (!k->tr || !k->tr->ran_on)
			continue;
		found.n = 0;
		r = children(k, &found);
		for (size_t c = 0; r == 0 && c < found.n; c++)
			if (!known(t, found.v[c]))
				r = op_fail(t->op, CKPT_E_TARGET, EAGAIN, NULL, "try again",
					"pid %d (%s) has forked pid %d while it was looked at",
					k->pid, k->tr->comm, found.v[c]);
	}
	proc_children_done(&found);
	return r;
}

static int seize_descendants(struct tree *t)
{
	int found, r = 0;

	do {
		found = 0;
		for (size_t i = 0; r >= 0 && i < t->n; i++) {
			if (t->v[i].leaf)
				continue;
			r = look(t, i);
			found += r > 0;
		}
	} while (r >= 0 && found);
	return r < 0 ? r : fault_point(t->op, "dump.tree");
}

/* ------------------------------------------------------------------ the whole */

/* From the order in which they were found to pre-order, so that a chain of tasks stands together. */
static int sort(struct tree *t)
{
	struct tree_task *v = malloc(t->n * sizeof(*v));
	size_t n = 0, at = 0;

	if (!v)
		return op_fail(t->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "%zu processes", t->n);
	for (;;) {
		v[n++] = t->v[at];
		if (t->v[at].first) {
			at = t->v[at].first - 1;
			continue;
		}
		while (at && !t->v[at].next)
			at = t->v[at].parent;
		if (!at)
			break;
		at = t->v[at].next - 1;
	}
	free(t->v);
	t->v = v;
	t->cap = t->n;
	memset(t->slots, 0, t->n_slots * sizeof(*t->slots));
	for (size_t i = 0; i < t->n; i++)
		t->slots[slot_of(t, v[i].pid)] = i + 1;
	return 0;
}

static void tree_done(struct tree *t)
{
	free(t->v);
	free(t->slots);
	*t = (struct tree){.op = t->op};
}

int tree_seize(struct ckpt_op *op, pid_t root, struct tree *ret)
{
	struct tree t = {.op = op};
	struct proc_stat st = {0};
	struct ckpt_op own;
	struct tracees *tr;
	int r;

	is_zombie(root, &st);
	op_target(op, CKPT_TARGET_RUNNING);
	r = try_hold(op, root, st.state, &own, &tr);
	if (r < 0)
		r = op_adopt(op, &own);
	op_done(&own, NULL);
	if (r < 0)
		return r;
	if (!add(&t, 0, root)) {
		tracees_release(tr, false);
		tree_done(&t);
		return -ENOMEM;
	}
	t.v[0].tr = tr;
	t.threads = tr->n;
	t.stopped_at_ns = tr->stopped_at_ns;
	r = seize_descendants(&t);
	if (r == 0)
		r = sort(&t);
	if (r < 0) {
		tree_release(&t, false);
		return r;
	}
	*ret = t;
	return 0;
}

void tree_release(struct tree *t, bool stop)
{
	for (size_t i = 0; i < t->n; i++)
		tracees_release(t->v[i].tr, stop);
	tree_done(t);
}

int tree_kill(struct tree *t)
{
	int r = 0;

	/* all at once: who is dead already is a zombie, as long as we trace it */
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i].tr)
			kill(t->v[i].pid, SIGKILL);
	for (size_t i = 0; i < t->n; i++) {
		int r2 = t->v[i].tr ? tracees_kill(t->v[i].tr) : 0;

		r = r < 0 ? r : r2;
	}
	tree_done(t);
	return r;
}
