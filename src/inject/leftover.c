/*
 * leftover.c - see leftover.h.
 */
#include "inject/leftover.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "inject/blob.h"
#include "inject/slack.h"
#include "util/clock.h"

#define PAGE    4096UL
#define LOOK    64 /* bytes by which the agent is known */
#define WAIT_NS (5ULL * NS_PER_S)
#define DOZE_NS 100000L

/*
 * Whether a thread is in such code: a stub, or the agent in its region. Threads wait in few places, mostly
 * in one page of the C library: the page that was found to be none of ours is remembered.
 */
static bool in_leftover(struct tracees *tr, uint64_t ip)
{
	uint64_t page = ip & ~(PAGE - 1);
	uint8_t code[LOOK];

	if (slack_holds(tr, ip) || slack_on_landing(tr, ip))
		return true;
	if (page == tr->plain_page)
		return false;
	if (tracees_read(tr, page, code, sizeof(code)) < 0)
		return false;
	if (memcmp(code, agent_blob, sizeof(code)) == 0)
		return true;
	tr->plain_page = page;
	return false;
}

/* To stop it at once again would not let it come any further. */
int leftover_leave(struct tracees *tr, struct tracee *t)
{
	const struct timespec doze = {.tv_nsec = DOZE_NS};
	uint64_t deadline = now_ns() + WAIT_NS;
	int r = 0;

	while (r == 0 && in_leftover(tr, arch_ip(&t->regs))) {
		/* it would run on a little in its own context, and nobody has sent it SIGCONT */
		if (tr->group_stopped)
			return op_fail(tr->op, CKPT_E_REFUSED, EBUSY, NULL,
				"let it go on for a moment (SIGCONT) first",
				"pid %d (%s): thread %d is stopped in code of a dump that was killed in "
				"the midst",
				tr->pid, tr->comm, t->tid);
		if (now_ns() > deadline)
			return -EBUSY;
		t->held = false;
		r = ptrace_cont(t->tid, 0);
		nanosleep(&doze, NULL);
		if (r == 0)
			r = tracee_interrupt(tr, t);
		if (r == 0)
			r = arch_regs_get(t->tid, &t->regs);
	}
	return r;
}
