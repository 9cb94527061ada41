/*
 * threadname.c - comm of each thread: prctl(PR_SET_NAME). It is in the status that was read at the
 * stop; a file of its own (comm) would be one more for each of thousands of threads.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "proto/threadname.pb-c.h"
#include "res/thread/thread.h"
#include "util/str.h"

#define COMM_MAX 15

/* The name in the text of status, where \n and \\ stand for a newline and a backslash. */
static size_t name_of(const char *status, char name[COMM_MAX])
{
	const char *p = str_startswith(status, "Name:\t");
	size_t n = 0;

	while (p && *p && *p != '\n' && n < COMM_MAX) {
		bool escaped = *p == '\\' && p[1];

		p += escaped;
		name[n++] = escaped && *p == 'n' ? '\n' : *p;
		p++;
	}
	return n;
}

static int collect(struct collect *c, struct tracee *t, const struct answer *a)
{
	Ckpt__ThreadName *m = msg_new(Ckpt__ThreadName, CKPT__THREAD_NAME__INIT);
	char name[COMM_MAX];
	size_t n = name_of(t->policy.status, name);

	if (!m)
		return collect_oom(c);
	m->comm = msg_bytes(name, n);
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
