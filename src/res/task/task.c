/*
 * task.c - a thread group: its pid, its place in sessions and process groups, its threads.
 *
 * The restored root is a child of the restorer. It leads a session or a process group again where it
 * did; a session or group that it was only a member of is that of the restorer's.
 */
#include "res/task/task.h"

#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "proto/task.pb-c.h"

static int collect(struct collect *c, struct tracee *t, const struct answer *a)
{
	Ckpt__Task *m = msg_new(Ckpt__Task, CKPT__TASK__INIT);

	if (!m)
		return collect_oom(c);
	m->pid = c->pid;
	m->ppid = c->stat.ppid;
	m->pgid = c->stat.pgrp;
	m->sid = c->stat.session;
	m->leader_exited = c->tr->leader_dead;
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

	if (phase != PLAN_EARLY)
		return;
	if (m->sid == m->pid)
		PROG_CALL(prog, "task: lead a session", SYS_setsid);
	else if (m->pgid == m->pid)
		PROG_CALL(prog, "task: lead a process group", SYS_setpgid, IMM(0), IMM(0));
}

static const char *const volatile_fields[] = {"ppid", "pgid", "sid", "stopped", NULL};

const struct res res_task = {
	.type = {"task", SCOPE_TASK, &ckpt__task__descriptor, volatile_fields},
	.collect = collect,
	.plan = plan,
};
