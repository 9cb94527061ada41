/*
 * threadname.c - comm of each thread: /proc/PID/task/TID/comm, prctl(PR_SET_NAME).
 */
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "kernel/proc.h"
#include "proto/threadname.pb-c.h"
#include "res/thread/thread.h"
#include "util/cleanup.h"

#define COMM_MAX 15

static int collect(struct collect *c, struct tracee *t, const struct answer *a)
{
	_cleanup_free_ char *text = NULL;
	Ckpt__ThreadName *m;
	size_t len;
	int r = file_read_at(c->proc_fd, proc_task_path(t->tid, "comm").s, &text, &len);

	if (r < 0)
		return op_fail(c->op, CKPT_E_TARGET, -r, "read", NULL, "/proc/%d/task/%d/comm",
			c->pid, t->tid);
	m = msg_new(Ckpt__ThreadName, CKPT__THREAD_NAME__INIT);
	if (!m)
		return collect_oom(c);
	m->comm = msg_bytes(text, len ? len - 1 : 0); /* a newline ends it */
	return collect_add_take(c, &res_threadname.type, t->tid, m);
}

static void plan(
	struct plan *p, enum plan_phase phase, const struct model_rec *rec, struct prog *prog)
{
	const Ckpt__ThreadName *m = (const void *)rec->msg;
	char comm[COMM_MAX + 1] = {0};

	if (phase != PLAN_THREAD)
		return;
	memcpy(comm, m->comm.data, m->comm.len < COMM_MAX ? m->comm.len : COMM_MAX);
	PROG_CALL(prog, "threadname: set", SYS_prctl, IMM(PR_SET_NAME),
		DATA(prog_data(prog, comm, sizeof(comm))));
}

const struct res res_threadname = {
	.type = {"threadname", SCOPE_THREAD, &ckpt__thread_name__descriptor, NULL},
	.collect = collect,
	.plan = plan,
};
