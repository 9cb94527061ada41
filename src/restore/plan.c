/*
 * plan.c - see plan.h.
 */
#include "restore/plan.h"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <linux/ioprio.h>
#include <linux/sched.h>

#include "agent/abi.h"
#include "res/file/files.h"
#include "res/mm/mm.h"
#include "res/mm/mm_inherit.h"
#include "res/mm/mm_uffd.h"
#include "res/registry.h"
#include "res/task/task.h"

#define COMM_LEN 16

#define THREAD_FLAGS                                                                               \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)

/* One phase of the resources of one owner. */
static void plan_scope(struct plan *p, enum model_scope scope, uint64_t owner,
	enum plan_phase phase, struct prog *prog)
{
	const struct res *const *reg = registry();

	for (size_t i = 0; reg[i]; i++) {
		struct model_rec rec = {.type = &reg[i]->type, .owner = owner};

		if (reg[i]->type.scope != scope || !reg[i]->plan)
			continue;
		rec.msg = model_get(p->model, &reg[i]->type, owner);
		if (rec.msg)
			reg[i]->plan(p, phase, &rec, prog);
	}
}

static void add_op(struct prog *prog, enum agent_op op, uint64_t arg, const char *what)
{
	prog_add(prog, &(struct prog_step){.op = op, .what = what, .args = {IMM(arg)}});
}

static void add_meeting(struct prog *prog, enum plan_barrier barrier, const char *what)
{
	add_op(prog, AGENT_ARRIVE, 1, what);
	add_op(prog, AGENT_WAIT, barrier, what);
}

/* Stack and program of the child are put in when their addresses are known (area.c). */
static void plan_spawn(struct thread_plan *maker, struct thread_plan *child,
	const struct clone_args *how, const char *what)
{
	struct prog *prog = &maker->prog;
	struct clone_args args = *how;
	uint64_t tid = child->tid ? prog_data(prog, &child->tid, sizeof(child->tid)) : 0;

	args.set_tid_size = child->tid != 0;
	child->maker = maker;
	child->spawn_args = prog_data(prog, &args, sizeof(args));
	if (child->tid)
		prog_pointer(prog, child->spawn_args + offsetof(struct clone_args, set_tid), tid);
	child->spawn_step = prog_add(prog,
		&(struct prog_step){.op = AGENT_SPAWN,
			.expect = child->tid ? AGENT_EXPECT_EQ : AGENT_EXPECT_OK,
			.want = child->tid,
			.nr = SYS_clone3,
			.what = what,
			.args = {DATA(child->spawn_args), IMM(sizeof(args)), IMM(child->id)}});
}

/* ------------------------------------------------------------------ being born */

/* Only the ends of the tree's children matter to it: a stand-in's are taken here. */
static void plan_reap(struct prog *prog, const struct prog_arg *who)
{
	PROG_CALL(prog, "tree: take the end of a stand-in", SYS_wait4, *who, IMM(0), IMM(__WALL),
		IMM(0));
}

/* @filled: for BIRTH_FILLED: how often the maker has been filled, from 0 on */
static void plan_births(struct tree_plan *t, size_t maker, enum birth_time when, size_t filled)
{
	struct thread_plan *first = &t->tasks[maker].threads[0];

	for (size_t i = t->tree.v[maker].made; i != BIRTH_NONE; i = t->tree.v[i].made_next) {
		const struct birth *b = &t->tree.v[i];
		struct thread_plan *child = &t->tasks[i].threads[0];
		struct clone_args how = {
			.flags = b->flags, .exit_signal = (uint64_t)b->exit_signal};

		if (b->when != when || t->lends[i].made != filled)
			continue;
		/* there is one to share when something has been set in it */
		if (b->flags & CLONE_IO)
			PROG_CALL(&first->prog, "tree: have an I/O context to share",
				SYS_ioprio_set, IMM(IOPRIO_WHO_PROCESS), IMM(0), IMM(0));
		plan_spawn(first, child, &how,
			b->kind == BIRTH_BETWEEN  ? "tree: make who makes an orphan"
			: b->kind == BIRTH_LEADER ? "tree: stand in for a dead leader"
						  : "tree: make a task");
		if (b->pid)
			prog_object(&first->prog, "pid %d", b->pid);
		if (b->kind == BIRTH_BETWEEN)
			plan_reap(&first->prog, &RES(child->spawn_step));
	}
}

/* Until it is traced, it dies with its maker. An orphan's maker is to end. */
static bool dies_with_maker(const struct birth *b)
{
	return b->maker != BIRTH_NONE && !b->orphan && b->kind != BIRTH_BETWEEN;
}

static void plan_birth(struct plan *p, struct tree_plan *t, size_t i)
{
	const struct birth *b = &t->tree.v[i];
	struct prog *prog = &t->tasks[i].threads[0].prog;

	/* so that a child costs little */
	if (i == 0 && t->n > 1)
		mm_plan_forget(p, prog);
	if (dies_with_maker(b)) {
		PROG_CALL(prog, "tree: die with the maker", SYS_prctl, IMM(PR_SET_PDEATHSIG),
			IMM(SIGKILL));
		if (t->tree.v[b->parent].pid)
			prog_add(prog, &(struct prog_step){.op = AGENT_SYSCALL,
					       .expect = AGENT_EXPECT_END,
					       .want = t->tree.v[b->parent].pid,
					       .nr = SYS_getppid,
					       .what = "tree: end if it is dead already"});
	}
	/* who makes this tree is no ancestor of it; the root has done so itself */
	if (p->req->exec && i > 0 && b->kind == BIRTH_TASK)
		PROG_CALL_ANY(prog, "tree: be traced (Yama)", SYS_prctl, IMM(PR_SET_PTRACER),
			IMM(PR_SET_PTRACER_ANY));
	if (b->subreaper)
		PROG_CALL(prog, "tree: adopt orphans", SYS_prctl, IMM(PR_SET_CHILD_SUBREAPER),
			IMM(1));
	plan_births(t, i, BIRTH_BEFORE_SESSION, 0);
	if (b->leads_session) {
		PROG_CALL(prog, "tree: lead a session", SYS_setsid);
		ctty_plan_lead(p, b->pid, prog);
	} else if (b->group == GROUP_LEAD)
		PROG_CALL(prog, "tree: lead a process group", SYS_setpgid, IMM(0), IMM(0));
	plan_births(t, i, BIRTH_BARE, 0);
	if (b->kind == BIRTH_BETWEEN)
		PROG_CALL(prog, "tree: leave the orphan", SYS_exit_group, IMM(0));
}

/* All tasks are there: they no longer depend on each other, and find their groups. */
static void plan_join(struct plan *p, struct tree_plan *t, size_t i)
{
	const struct birth *b = &t->tree.v[i];
	struct prog *prog = &t->tasks[i].threads[0].prog;

	if (t->n == 1)
		return;
	add_meeting(prog, BARRIER_BORN, "wait: until all tasks are there");
	if (dies_with_maker(b) && b->kind == BIRTH_TASK)
		PROG_CALL(prog, "tree: no longer die with the maker", SYS_prctl,
			IMM(PR_SET_PDEATHSIG), IMM(0));
	if (b->group == GROUP_JOIN || b->group == GROUP_OURS) {
		PROG_CALL(prog, "tree: join a process group", SYS_setpgid, IMM(0),
			IMM(b->group == GROUP_OURS ? p->own_group : b->group_of));
		prog_object(prog, "%d", b->group == GROUP_OURS ? p->own_group : b->group_of);
	}
	if (t->tree.n_leaders)
		add_meeting(prog, BARRIER_JOINED, "wait: until all groups have their members");
}

/* Stand-ins end when all have joined; zombies must have ended before their parents go on. */
static void plan_ends(struct tree_plan *t, size_t i)
{
	static const struct timespec at_once = {0};
	struct prog *prog = &t->tasks[i].threads[0].prog;
	uint64_t told = 0;

	for (size_t k = 0; k < t->n && t->tree.n_leaders; k++)
		if (t->tree.v[k].kind == BIRTH_LEADER && t->tree.v[k].parent == i)
			plan_reap(prog, &IMM(t->tree.v[k].pid));
	if (t->tree.v[i].subreaper) /* what it was itself is a resource of its own */
		PROG_CALL(prog, "tree: no longer adopt", SYS_prctl, IMM(PR_SET_CHILD_SUBREAPER),
			IMM(0));
	for (size_t k = 1; k < t->n && t->tree.n_zombies; k++) {
		if (t->tree.v[k].kind != BIRTH_ZOMBIE || t->tree.v[k].parent != i)
			continue;
		PROG_CALL(prog, "tree: let a child end", SYS_waitid, IMM(P_PID),
			IMM(t->tree.v[k].pid), IMM(0), IMM(WEXITED | WNOWAIT | __WALL), IMM(0));
		prog_object(prog, "pid %d", t->tree.v[k].pid);
		if (t->tree.v[k].exit_signal > 0 && t->tree.v[k].exit_signal < NSIG)
			told = 1ULL << (t->tree.v[k].exit_signal - 1);
		PROG_CALL_ANY(prog, "tree: it has been told of that before", SYS_rt_sigtimedwait,
			DATA(prog_data(prog, &told, sizeof(told))), IMM(0),
			DATA(prog_data(prog, &at_once, sizeof(at_once))), IMM(sizeof(told)));
	}
}

/* The end of what has ended: by exit, or by a signal. It leaves no core. */
static void plan_end(const struct birth *b, struct prog *prog)
{
	int status = b->task ? (int)b->task->exit_status : 0;
	uint64_t none = 0;

	if (WIFEXITED(status)) {
		PROG_CALL(prog, "tree: end", SYS_exit_group, IMM(WEXITSTATUS(status)));
		return;
	}
	PROG_CALL(prog, "tree: leave no core", SYS_prctl, IMM(PR_SET_DUMPABLE), IMM(0));
	PROG_CALL(prog, "tree: end by a signal", SYS_rt_sigprocmask, IMM(SIG_SETMASK),
		DATA(prog_data(prog, &none, sizeof(none))), IMM(0), IMM(sizeof(none)));
	PROG_CALL(prog, "tree: end by a signal", SYS_kill, IMM(b->pid), IMM(WTERMSIG(status)));
	prog_object(prog, "%d", WTERMSIG(status));
}

static void plan_ended(struct plan *p, struct tree_plan *t, size_t i)
{
	const struct birth *b = &t->tree.v[i];
	struct prog *prog = &t->tasks[i].threads[0].prog;
	char comm[COMM_LEN] = {0};

	plan_join(p, t, i);
	plan_ends(t, i);
	if (b->task) {
		snprintf(comm, sizeof(comm), "%s", b->task->comm);
		PROG_CALL(prog, "tree: its name", SYS_prctl, IMM(PR_SET_NAME),
			DATA(prog_data(prog, comm, sizeof(comm))));
	}
	plan_end(&t->tree.v[i], &t->tasks[i].threads[0].prog);
}

/* ------------------------------------------------------------------ living */

/* What every thread does once all exist. */
static void plan_own(struct plan *p, struct thread_plan *t)
{
	if (!t->exits)
		plan_scope(p, SCOPE_THREAD, t->tid, PLAN_THREAD, &t->prog);
	add_meeting(&t->prog, BARRIER_TRACED, "wait: until all threads stand");
}

static void plan_late(struct plan *p, struct thread_plan *t)
{
	if (!t->exits)
		plan_scope(p, SCOPE_THREAD, t->tid, PLAN_LATE, &t->prog);
}

static void plan_park(struct thread_plan *t)
{
	add_op(&t->prog, AGENT_PARK, 0,
		t->exits ? "wait: to exit, as it had" : "wait: to be given its registers");
}

static void plan_threads(struct task_plan *t)
{
	static const struct clone_args how = {.flags = THREAD_FLAGS};

	for (size_t i = 1; i < t->n; i++) {
		plan_spawn(&t->threads[0], &t->threads[i], &how, "task: make a thread");
		prog_object(&t->threads[0].prog, "thread %d", t->threads[i].tid);
	}
}

/* Whose program a task is of when it is made: of the last one above that was made with its maker's memory. */
static pid_t born_exe(const struct tree_plan *tree, const struct birth *b)
{
	while (b->when != BIRTH_FILLED && b->maker != BIRTH_NONE)
		b = &tree->tree.v[b->maker];
	return b->when == BIRTH_FILLED ? tree->tree.v[b->maker].pid : 0;
}

/* The time at which it is filled with most. */
static size_t largest_fill(const struct lend *l)
{
	size_t largest = 0;

	for (size_t i = 1; !l->whole && i < l->n; i++)
		if (page_map_bytes(&l->v[i].fill) > page_map_bytes(&l->v[largest].fill))
			largest = i;
	return largest;
}

/* It is filled by the coordinator, and makes the children that are to have that; perhaps several times. */
static void plan_fills(struct plan *p, struct tree_plan *tree, size_t at)
{
	struct task_plan *t = &tree->tasks[at];
	struct prog *prog = &t->threads[0].prog;

	t->uffd_time = largest_fill(t->lend);
	for (size_t i = 0; i < t->lend->n; i++) {
		/* the first time it is a part of what makes its mappings */
		if (i)
			mm_plan_drop(&t->lend->v[i].drop, prog);
		if (i == t->uffd_time)
			t->uffd_step = mm_uffd_plan(p, t->task->pid, task_plan_fill(t, i), prog);
		t->fill_steps[i] = prog->n;
		add_op(prog, AGENT_ARRIVE, 0, "wait: until memory is filled");
		add_op(prog, AGENT_GATE, i, "wait: until memory is filled");
		if (i == t->uffd_time)
			mm_uffd_plan_close(t->uffd_step, prog);
		plan_births(tree, at, BIRTH_FILLED, i);
	}
	mm_plan_drop(&t->lend->drop, prog);
	mm_plan_unroom(&t->lend->room.added, prog);
}

static void plan_first(struct plan *p, struct tree_plan *tree, size_t at)
{
	struct task_plan *t = &tree->tasks[at];
	struct thread_plan *first = &t->threads[0];
	uint64_t pid = (uint64_t)t->task->pid;
	struct mm_born born = {.mm = t->lend->mm};

	if (t->birth->when == BIRTH_FILLED) {
		born.of = tree->lends[t->birth->maker].mm;
		born.drop = &t->lend->v[0].drop;
	}
	p->born = born.mm ? &born : NULL;
	p->exe_of = born_exe(tree, t->birth);
	plan_scope(p, SCOPE_TASK, pid, PLAN_EARLY, &first->prog);
	p->born = NULL;
	plan_fills(p, tree, at);
	plan_join(p, tree, at);
	plan_ends(tree, at);
	plan_scope(p, SCOPE_TASK, pid, PLAN_FILES, &first->prog);
	plan_scope(p, SCOPE_TASK, pid, PLAN_PROCESS, &first->prog);
	plan_threads(t);
	plan_own(p, first);
	plan_scope(p, SCOPE_TASK, pid, PLAN_HANDED, &first->prog);
	if (tree->handed)
		add_meeting(
			&first->prog, BARRIER_HANDED, "wait: until what others have too is open");
	plan_scope(p, SCOPE_TASK, pid, PLAN_LATE, &first->prog);
	plan_late(p, first);
	if (tree->others)
		add_meeting(&first->prog, BARRIER_OTHERS, "wait: until the other threads are done");
	if (p->req->exec)
		PROG_CALL_ANY(&first->prog, "tree: be traced as before (Yama)", SYS_prctl,
			IMM(PR_SET_PTRACER), IMM(0));
	plan_scope(p, SCOPE_TASK, pid, PLAN_LAST, &first->prog);
	plan_park(first);
}

static void plan_one(struct plan *p, struct tree_plan *tree, size_t at)
{
	struct task_plan *t = &tree->tasks[at];

	plan_birth(p, tree, at);
	if (t->birth->kind == BIRTH_BETWEEN)
		return;
	if (!task_plan_lives(t)) {
		plan_ended(p, tree, at);
		return;
	}
	plan_first(p, tree, at);
	for (size_t i = 1; i < t->n; i++) {
		plan_own(p, &t->threads[i]);
		plan_late(p, &t->threads[i]);
		plan_park(&t->threads[i]);
	}
}

static int plan_all(struct plan *p, struct tree_plan *t)
{
	int r = 0;

	for (size_t i = 0; i < t->n; i++)
		plan_one(p, t, i);
	for (size_t i = 0; i < t->n && r == 0; i++)
		for (size_t k = 0; k < t->tasks[i].n && r == 0; k++)
			r = t->tasks[i].threads[k].prog.err;
	return r;
}

int plan_tree(struct plan *p, struct tree_plan *ret)
{
	int r = tree_plan_new(p->op, p->model, p->describe, ret);

	if (r < 0)
		return r;
	ret->handed = files_hand_over(p);
	r = plan_all(p, ret);
	if (r < 0) {
		r = op_fail(
			p->op, CKPT_E_SPACE, -r, NULL, NULL, "planning pid %d", ret->tree.v[0].pid);
		tree_plan_done(ret);
	}
	return r;
}
