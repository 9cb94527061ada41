/*
 * personality.c - the execution domain of a thread: which old behaviours of the kernel it wants.
 *
 * Each thread has its own; a new one inherits that of its maker, and the first is made with none. It is
 * set late: READ_IMPLIES_EXEC and the like change what mapping memory does.
 *
 * The thread is asked; where a seccomp filter is in force, which seldom allows that, /proc tells it too, at
 * ten times the cost.
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

#define PERSONALITY_ASK 0xffffffffUL

static void ask(struct collect *c, struct tracee *t, struct prog *p)
{
	if (!c->tr->filtered)
		PROG_CALL_RET(p, "personality: read", SYS_personality, IMM(PERSONALITY_ASK));
}

static int read_proc(const struct collect *c, pid_t tid, uint32_t *ret)
{
	_cleanup_free_ char *text = NULL;
	int r = file_read_at(c->proc_fd, proc_task_path(tid, "personality").s, &text, NULL);
	const char *at = text;

	return r < 0 ? r : str_u32(&at, 16, ret);
}

static int collect(struct collect *c, struct tracee *t, const struct answer *a)
{
	Ckpt__Personality *m;
	uint32_t persona = 0;
	int r = 0;

	if (c->tr->filtered)
		r = read_proc(c, t->tid, &persona);
	else
		persona = (uint32_t)answer_ret(a, 0);
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
	.ask = ask,
	.collect = collect,
	.plan = plan,
};
