/*
 * tree.c - see tree.h.
 *
 * The root is seized whole, then its children, and so on down. A process that is held forks no more,
 * so its list of children is complete, and they are stopped together. Nothing is added to it but orphans,
 * whose parents died before we came to them: those go to a subreaper above. So the lists of all that had
 * children are read again until nothing new is found in any of them.
 */
#include "dump/tree.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/fault.h"
#include "dump/hold.h"
#include "kernel/proc.h"
#include "kernel/proc_children.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/vec.h"

#define SLOTS_MIN     64
#define DYING_NS      NS_PER_S /* how long a process may take to end */
#define DYING_DOZE_NS 100000L
#define STANDING_NS   200000000ULL /* how long stopped ones may take to stand again */

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
	t->v[t->n] = (struct tree_task){
		.pid = pid, .ppid = t->n ? t->v[parent].pid : 0, .parent = parent};
	t->n++;
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

/* Return: 1 it is held, or a zombie; 0 it is gone; negative after op_fail() */
static int take(struct tree *t, size_t parent, pid_t pid)
{
	const struct timespec doze = {.tv_nsec = DYING_DOZE_NS};
	uint64_t deadline = now_ns() + DYING_NS;

	for (;;) {
		struct ckpt_op own;
		struct proc_stat st;
		struct tracees *tr;
		int r = hold_zombie(pid, &st);

		/* gone, and the number is another's already */
		if (r == -ESRCH || (r >= 0 && st.ppid != t->v[parent].pid))
			return 0;
		if (r == 1)
			return add_zombie(t, parent, &st);
		if (pid == getpid())
			return op_fail(t->op, CKPT_E_REFUSED, 0, NULL,
				"run it from outside: setsid, or another terminal",
				"ckpt itself is in the tree of pid %d", t->v[0].pid);
		r = hold_try(t->op, pid, st.state, &own, &tr);
		if (r == 0)
			r = add_held(t, parent, tr);
		else if (!hold_was_dying(pid) || now_ns() > deadline)
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

/*
 * Processes of one parent. Whoever can't be held with the others is tried once more by itself.
 * Return: how many are held, or zombies; negative after op_fail()
 */
static int take_all(struct tree *t, size_t parent, const pid_t *pids, size_t n)
{
	struct candidate *v = calloc(n + 1, sizeof(*v));
	int taken = 0, r = 0;

	if (!v)
		return op_fail(t->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "%zu processes", n);
	for (size_t i = 0; i < n; i++) {
		v[i].pid = pids[i];
		v[i].parent = t->v[parent].pid;
	}
	candidates_ask(t->op, v, n);
	for (size_t i = 0; i < n; i++) {
		bool known_now = known(t, pids[i]);
		struct tracees *tr = r < 0 || known_now ? NULL : candidate_hold(&v[i]);

		if (r >= 0 && !known_now)
			r = tr ? add_held(t, parent, tr) : take(t, parent, pids[i]);
		taken += r > 0 && !known_now;
		candidate_end(&v[i]);
	}
	free(v);
	return r < 0 ? r : taken;
}

/* Return: how many were found that were not known; negative after op_fail() */
static int look(struct tree *t, size_t at)
{
	struct proc_children found = {0};
	size_t unknown = 0;
	int r = children(&t->v[at], &found);

	if (r < 0)
		op_fail(t->op, CKPT_E_SYSTEM, -r, "read", NULL, "the children of pid %d (%s)",
			t->v[at].pid, t->v[at].tr->comm);
	t->v[at].leaf = found.n == 0;
	for (size_t i = 0; r >= 0 && i < found.n; i++)
		if (!known(t, found.v[i]))
			found.v[unknown++] = found.v[i];
	if (r >= 0)
		r = take_all(t, at, found.v, unknown);
	proc_children_done(&found);
	return r;
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

	hold_zombie(root, &st);
	op_target(op, CKPT_TARGET_RUNNING);
	r = hold_try(op, root, st.state, &own, &tr);
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

/* Who is stopped stands before the others go on, so that nobody sees it run. */
void tree_release(struct tree *t, bool stop)
{
	bool *stands = calloc(t->n + 1, sizeof(*stands));
	uint64_t deadline;

	for (size_t i = 0; stands && i < t->n; i++) {
		if (!t->v[i].tr || !(stop || t->v[i].tr->group_stopped))
			continue;
		stands[i] = true;
		tracees_release(t->v[i].tr, stop);
		t->v[i].tr = NULL;
	}
	deadline = now_ns() + STANDING_NS;
	for (size_t i = 0; stands && i < t->n; i++)
		if (stands[i])
			proc_stat_until_stopped(t->v[i].pid, deadline);
	free(stands);
	for (size_t i = 0; i < t->n; i++)
		tracees_release(t->v[i].tr, stop);
	tree_done(t);
}

/* All at once: who is dead already is a zombie, as long as we trace it. */
void tree_signal_death(void *arg)
{
	const struct tree *t = arg;

	for (size_t i = 0; i < t->n; i++)
		if (t->v[i].tr)
			kill(t->v[i].pid, SIGKILL);
}

int tree_kill(struct tree *t)
{
	int r = 0;

	tree_signal_death(t);
	for (size_t i = 0; i < t->n; i++) {
		int r2 = t->v[i].tr ? tracees_kill(t->v[i].tr) : 0;

		r = r < 0 ? r : r2;
	}
	tree_done(t);
	return r;
}
