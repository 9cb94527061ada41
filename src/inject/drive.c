/*
 * drive.c - see drive.h.
 */
#include "inject/drive.h"

#include <errno.h>
#include <signal.h>

#include "inject/await.h"
#include "kernel/ptrace.h"

#define SI_CODE_USER_DISPATCH 2 /* SYS_USER_DISPATCH of asm-generic/siginfo.h, Linux >= 5.11 */

int drive_step(struct tracee *t, int *sig)
{
	for (;;) {
		struct wait_status s;
		int r = ptrace_syscall(t->tid, 0);

		if (r == 0)
			r = await_stop(t->tid, &s);
		if (r < 0)
			return r;
		if (s.kind == WAIT_SYSCALL_STOP)
			return 0;
		if (wait_is_dead(&s)) {
			t->dead = true;
			t->held = false;
			return -ESRCH;
		}
		if (s.kind == WAIT_SIGNAL_STOP) {
			*sig = s.sig;
			return 1;
		}
	}
}

/*
 * Whether a call of ours was dispatched to the program: its SIGSYS names an address in the slack.
 * Only before Linux 6.4, where ptrace does not tell that a thread has such a dispatch (see permit.c).
 */
static bool is_dispatch(const struct tracees *tr, const struct tracee *t, int sig)
{
	siginfo_t si;

	return sig == SIGSYS && ptrace_siginfo(t->tid, &si) == 0 &&
	       si.si_code == SI_CODE_USER_DISPATCH &&
	       (uintptr_t)si.si_call_addr - tr->code_start <= tr->code_end - tr->code_start;
}

int drive_deliver(struct tracees *tr, struct tracee *t, int sig)
{
	bool dispatch = is_dispatch(tr, t, sig);
	int r = arch_regs_set(t->tid, &t->regs);

	/* asked for first, the stop comes before the program's next instruction, which might fork */
	if (r == 0)
		r = ptrace_interrupt(t->tid);
	if (r == 0)
		r = ptrace_cont(t->tid, dispatch ? 0 : sig);
	t->held = false;
	if (r == 0)
		r = tracee_wait_event(tr, t);
	if (r == 0)
		r = tracee_snapshot(tr, t);
	return r == 0 && dispatch ? -EOPNOTSUPP : r;
}

int drive_home(struct tracees *tr, struct tracee *t)
{
	int r = tracee_interrupt(tr, t);

	return r < 0 ? r : arch_regs_set(t->tid, &t->regs);
}
