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

static int collect(struct collect *c, struct tracee *t, const struct answer *a)
{
	Ckpt__Task *m = task_msg(c);
	struct proc_stat leader;

	if (!m)
		return collect_oom(c);
	/* that of another thread is none: it is not seen by the parent */
	if (c->tr->leader_dead && proc_stat_read(c->proc_fd, c->pid, &leader) == 0)
		m->exit_signal = leader.exit_signal;
	m->leader_exited = c->tr->leader_dead;
	m->leader_exit_status = c->tr->leader_exit_status;
	m->stopped = c->tr->group_stopped;
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

static const char *const volatile_fields[] = {"ppid", "pgid", "sid", "stopped", NULL};

const struct res res_task = {
	.type = {"task", SCOPE_TASK, &ckpt__task__descriptor, volatile_fields},
	.collect = collect,
	.plan = plan,
};
