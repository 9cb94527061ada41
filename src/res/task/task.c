/*
 * task.c - a thread group: its pid, its place in sessions and process groups, its threads.
 *
 * What comes of them at a restore is not a list of calls of each task for itself: see restore/tree.h.
 */
#include "res/task/task.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "proto/task.pb-c.h"

#define COMM_SIZE 16

static Ckpt__Task *task_msg(const struct collect *c)
{
	Ckpt__Task *m = msg_new(Ckpt__Task, CKPT__TASK__INIT);

	if (!m)
		return NULL;
	m->pid = c->pid;
	m->ppid = c->stat.ppid;
	m->pgid = c->stat.pgrp;
	m->sid = c->stat.session;
	m->exit_signal = c->stat.exit_signal;
	m->vm_of = c->shared[SHARED_VM];
	m->files_of = c->shared[SHARED_FILES];
	m->fs_of = c->shared[SHARED_FS];
	m->sighand_of = c->shared[SHARED_SIGHAND];
	m->io_of = c->shared[SHARED_IO];
	return m;
}

bool task_in_tree(const struct model *m, pid_t pid)
{
	const struct model_rec *rec;
	size_t pos = 0;

	while ((rec = model_next(m, &res_task.type, &pos))) {
		const Ckpt__Task *t = (const void *)rec->msg;

		if (t->pid == pid)
			return true;
		for (size_t i = 0; i < t->n_tids; i++)
			if (t->tids[i] == pid)
				return true;
	}
	return false;
}

int task_zombie(struct collect *c)
{
	Ckpt__Task *m = task_msg(c);

	if (m) {
		m->zombie = true;
		m->exit_status = (uint32_t)c->stat.exit_code;
		m->comm = strdup(c->stat.comm);
	}
	if (!m || model_add_take(c->model, &res_task.type, c->pid, &m->base) < 0)
		return op_fail(c->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "pid %d (%s)", c->pid,
			c->stat.comm);
	return 0;
}

#define ABOUT_STOPS (WSTOPPED | WNOHANG | WNOWAIT | __WALL)

/* No dump is refused because a filter forbids to ask this; it is not known then. */
static bool may_ask(struct collect *c)
{
	const uint64_t args[6] = {P_PID, (uint64_t)c->pid, (uintptr_t)c, ABOUT_STOPS};
	const struct tracee *leader = tracees_leader(c->tr);

	return c->tr->dies || !leader ||
	       policy_allows(&leader->policy, c->tr->slack_start, SYS_waitid, args);
}

/*
 * Whether a parent has waited for a child's stop only the parent can find out; with WNOWAIT it stays as it is.
 * That the child is traced makes no difference. Source: Linux kernel/exit.c wait_task_stopped().
 */
static void ask(struct collect *c, struct tracee *t, struct prog *p)
{
	struct collect *tasks = c->tree->tasks;
	size_t n = 0;
	uint64_t at;

	for (size_t i = 0; c->tree->n_stopped && i < c->tree->n_tasks; i++)
		if (tasks[i].tr && tasks[i].tr->group_stopped && tasks[i].stat.ppid == c->pid)
			tasks[i].stop_asked = ++n;
	if (n && !may_ask(c)) {
		for (size_t i = 0; i < c->tree->n_tasks; i++)
			if (tasks[i].stat.ppid == c->pid)
				tasks[i].stop_asked = 0;
		n = 0;
	}
	at = prog_data(p, NULL, n * sizeof(siginfo_t));
	for (size_t i = 0; n && i < c->tree->n_tasks; i++)
		if (tasks[i].stat.ppid == c->pid && tasks[i].stop_asked)
			PROG_CALL_ANY(p, "task: whether a child's stop was waited for", SYS_waitid,
				IMM(P_PID), IMM(tasks[i].pid),
				DATA(at + (tasks[i].stop_asked - 1) * sizeof(siginfo_t)),
				IMM(ABOUT_STOPS), IMM(0));
}

static void hear_stops(struct collect *c, const struct answer *a)
{
	for (size_t i = 0; c->tree->n_stopped && i < c->tree->n_tasks; i++) {
		struct collect *child = &c->tree->tasks[i];
		size_t k = child->stop_asked - 1;
		const siginfo_t *si;

		if (!child->stop_asked || child->stat.ppid != c->pid || answer_ret(a, k) != 0)
			continue;
		si = answer_data(a, k * sizeof(*si));
		child->stop_told = si->si_pid == 0;
	}
}

static int collect(struct collect *c, struct tracee *t, const struct answer *a)
{
	Ckpt__Task *m = task_msg(c);
	struct proc_stat leader;

	if (!m)
		return collect_oom(c);
	hear_stops(c, a);
	/* that of another thread is none: it is not seen by the parent */
	if (c->tr->leader_dead && proc_stat_read(c->proc_fd, c->pid, &leader) == 0)
		m->exit_signal = leader.exit_signal;
	m->leader_exited = c->tr->leader_dead;
	m->leader_exit_status = c->tr->leader_exit_status;
	m->stopped = c->tr->group_stopped;
	m->stop_told = m->stopped && c->stop_told;
	m->comm = strdup(c->tr->comm);
	m->tids = calloc(c->tr->n, sizeof(*m->tids));
	for (size_t i = 0; m->tids && i < c->tr->n; i++)
		m->tids[m->n_tids++] = c->tr->v[i].tid;
	return collect_add_take(c, &res_task.type, c->pid, m);
}

static void plan(
	struct plan *p, enum plan_phase phase, const struct model_rec *rec, struct prog *prog)
{
	const Ckpt__Task *m = (const void *)rec->msg;
	char comm[COMM_SIZE] = {0};

	/* it has no record of a thread's name */
	if (phase == PLAN_PROCESS && m->leader_exited) {
		snprintf(comm, sizeof(comm), "%s", m->comm);
		PROG_CALL(prog, "task: name of its first thread", SYS_prctl, IMM(PR_SET_NAME),
			DATA(prog_data(prog, comm, sizeof(comm))));
	}
}

static const char *const volatile_fields[] = {"ppid", "pgid", "sid", "stopped", "stop_told", NULL};

const struct res res_task = {
	.type = {"task", SCOPE_TASK, &ckpt__task__descriptor, volatile_fields},
	.ask = ask,
	.collect = collect,
	.plan = plan,
};
