/*
 * snapshot.c - what a thread is about, as it has just stopped.
 */
#include "inject/tracees.h"

#include <stddef.h>
#include <sys/syscall.h>
#include <linux/rseq.h>

#include "inject/heal.h"
#include "inject/leftover.h"
#include "inject/rewait.h"

/*
 * A thread stopped inside a restartable sequence would be sent to its abort handler when it goes on
 * by itself; code that we inject would make the kernel forget that. So its context is the handler.
 */
static void rseq_abort(struct tracees *tr, struct tracee *t)
{
	struct rseq_cs cs;
	uint64_t cs_addr = 0;

	if (tracees_read(tr, t->rseq.address + offsetof(struct rseq, rseq_cs), &cs_addr, 8) < 0 ||
		!cs_addr || tracees_read(tr, cs_addr, &cs, sizeof(cs)) < 0)
		return;
	if (arch_ip(&t->regs) - cs.start_ip < cs.post_commit_offset)
		arch_ip_set(&t->regs, cs.abort_ip);
}

int tracee_snapshot(struct tracees *tr, struct tracee *t)
{
	const struct wait_seen *seen;
	struct rseq_config rc = {0};
	int r = arch_regs_get(t->tid, &t->regs);

	if (r == 0)
		r = leftover_leave(tr, t);
	if (r < 0)
		return r;
	r = ptrace_getsigmask(t->tid, &t->sigmask);
	if (r < 0)
		return r;
	ptrace_rseq_config(t->tid, &rc);
	t->rseq = rc;
	/* inside a system call it is in no such sequence: these may hold none */
	if (rc.address && arch_syscall_nr(&t->regs) < 0)
		rseq_abort(tr, t);
	seen = wait_seen_find(tr, t->tid);
	if (seen && arch_syscall_restarts(&t->regs) &&
		arch_syscall_nr(&t->regs) == SYS_restart_syscall)
		arch_syscall_nr_set(&t->regs, seen->nr);
	t->limit_ns = 0;
	rewait_undo(tr, &t->regs, &t->limit_ns);
	r = heal_stop(t);
	arch_regs_resume(&t->regs, &t->resume);
	return r;
}
