/*
 * personality.c - the execution domain of a thread: which old behaviours of the kernel it wants.
 *
 * Each thread has its own; a new one inherits that of its maker, and the first is made with none. It is
 * set late: READ_IMPLIES_EXEC and the like change what mapping memory does.
 *
 * Source: personality(2), /proc/PID/task/TID/personality.
 */
#include <stdlib.h>
#include <sys/syscall.h>

#include "kernel/proc.h"
#include "proto/personality.pb-c.h"
#include "res/thread/thread.h"
#include "util/cleanup.h"
#include "util/str.h"

static int collect(struct collect *c, struct tracee *t, const struct answer *a)
{
	_cleanup_free_ char *text = NULL;
	const char *at;
	Ckpt__Personality *m;
	uint32_t persona = 0;
	int r = file_read_at(c->proc_fd, proc_task_path(t->tid, "personality").s, &text, NULL);

	at = text;
	if (r == 0)
		r = str_u32(&at, 16, &persona);
	if (r < 0)
		return op_fail(c->op, CKPT_E_TARGET, -r, "read", NULL,
			"/proc/%d/task/%d/personality", c->pid, t->tid);
	if (!persona)
		return 0;
	m = msg_new(Ckpt__Personality, CKPT__PERSONALITY__INIT);
	if (!m)
		return collect_oom(c);
	m->persona = persona;
	return collect_add_take(c, &res_personality.type, t->tid, m);
}

static void plan(
	struct plan *p, enum plan_phase phase, const struct model_rec *rec, struct prog *prog)
{
	const Ckpt__Personality *m = (const void *)rec->msg;

	if (phase != PLAN_LATE)
		return;
	PROG_CALL(prog, "personality: set", SYS_personality, IMM(m->persona));
	prog_object(prog, "%#x", m->persona);
}

const struct res res_personality = {
	.type = {"personality", SCOPE_THREAD, &ckpt__personality__descriptor, NULL},
	.collect = collect,
	.plan = plan,
};
