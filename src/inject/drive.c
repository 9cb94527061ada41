/*
 * drive.c - see drive.h.
 */
#include "inject/drive.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>

#include "inject/await.h"
#include "inject/fragile.h"
#include "inject/slack.h"
#include "kernel/proc_status.h"
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

/* Where the kernel forgets that a call was broken off, a handler would return to one that waits again. */
static int own_context(struct tracees *tr, struct tracee *t, int sig)
{
	struct arch_regs regs = t->regs;
	struct proc_status st;

	if (ARCH_STOP_REWINDS && proc_status_read(tr->proc_fd, t->tid, &st) == 0) {
		if (st.sig_caught >> (sig - 1) & 1)
			arch_syscall_handled(&t->regs, &regs);
		proc_status_done(&st);
	}
	if (fragile_put(t) < 0)
		return -EIO;
	fragile_drop(t);
	return arch_regs_set(t->tid, &regs);
}

int drive_deliver(struct tracees *tr, struct tracee *t, int sig)
{
	bool dispatch = is_dispatch(tr, t, sig);
	int r = own_context(tr, t, dispatch ? 0 : sig);

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
	if (r == 0)
		r = drive_anew(tr, t);
	return r == 0 && dispatch ? -EOPNOTSUPP : r;
}

/* Return: 0 the next stop is of this kind; 1 a signal stop; -EPROTO another */
static int stop_of(pid_t tid, enum wait_kind kind, int *sig)
{
	struct wait_status s;
	int r = ptrace_wait(tid, 0, &s);

	if (r < 0)
		return r;
	if (wait_is_dead(&s))
		return -ESRCH;
	*sig = s.sig;
	if (s.kind == WAIT_GROUP_STOP && kind == WAIT_EVENT_STOP)
		return 0;
	return s.kind == kind ? 0 : s.kind == WAIT_SIGNAL_STOP ? 1 : -EPROTO;
}

/* From an EVENT_STOP into a call and out of it, broken off. @leave: registers at its exit, or NULL. */
static int through_call(
	pid_t tid, const struct arch_regs *enter, const struct arch_regs *leave, int *sig)
{
	int tries = 0, r = arch_regs_set(tid, enter);

	/* one that was stopped by SIGSTOP may tell so once more */
	if (r == 0) {
		do {
			r = ptrace_syscall(tid, 0);
			if (r == 0)
				r = stop_of(tid, WAIT_SYSCALL_STOP, sig);
		} while (r == -EPROTO && ++tries < 3);
	}
	if (r == 0)
		r = ptrace_interrupt(tid);
	if (r == 0)
		r = ptrace_syscall(tid, 0);
	if (r == 0)
		r = stop_of(tid, WAIT_SYSCALL_STOP, sig);
	if (r == 0 && leave)
		r = arch_regs_set(tid, leave);
	if (r == 0)
		r = ptrace_interrupt(
			tid); /* any stop takes an interrupt away that was asked for before */
	if (r == 0)
		r = ptrace_cont(tid, 0);
	return r ? r : stop_of(tid, WAIT_EVENT_STOP, sig);
}

/*
 * At the exit of restart_syscall the registers say that the thread's own call was broken off, and the
 * kernel finds them so on its way to the stop. Should we die before: a sleep is continued; another call
 * returns EINTR.
 */
int drive_break_off(pid_t tid, const struct arch_regs *regs, int *sig)
{
	struct arch_regs enter, leave, stop;
	bool again = arch_syscall_is_again(regs);
	int r;

	if (!ARCH_STOP_REWINDS || (!again && !arch_syscall_restarts(regs)))
		return 0;
	arch_syscall_reenter(regs, &enter, &leave, &stop);
	r = through_call(tid, &enter, again ? &leave : NULL, sig);
	if (r || again)
		return r;
	r = arch_regs_get(tid, &leave);
	return r < 0 || !arch_syscall_restarts(&leave) ? r : arch_regs_set(tid, &stop);
}

int drive_anew(struct tracees *tr, struct tracee *t)
{
	struct arch_regs enter, leave, stop;
	uint64_t at;
	int sig, r;

	if (!ARCH_STOP_REWINDS || !t->continues || !t->anew)
		return 0;
	arch_syscall_reenter(&t->regs, &enter, &leave, &stop);
	enter = stop;
	r = slack_bounce(tr, &stop, &at);
	if (r < 0)
		return r;
	arch_ip_set(&enter, at);
	r = through_call(t->tid, &enter, &leave, &sig);
	slack_unbounce(tr, at);
	return r == 1 ? drive_deliver(tr, t, sig) : r;
}

/* Whether restart_syscall from the thread's own code goes through. */
static bool may_reenter(const struct tracee *t)
{
	const uint64_t none[6] = {0};

	return !t->sud.mode && (t->suspended || policy_allows(&t->policy, arch_ip(&t->regs),
							SYS_restart_syscall, none));
}

int drive_settle(struct tracees *tr, struct tracee *t)
{
	struct arch_regs now;
	int sig, r = arch_regs_set(t->tid, &t->regs);

	if (r == 0)
		r = fragile_put(t);
	if (r < 0 || !ARCH_STOP_REWINDS || !may_reenter(t))
		return r;
	r = drive_break_off(t->tid, &t->regs, &sig);
	if (r == 1)
		return drive_deliver(tr, t, sig);
	if (r == 0 && arch_syscall_restarts(&t->regs)) {
		/* the wait may have been over */
		r = arch_regs_get(t->tid, &now);
		if (r == 0 && !arch_syscall_restarts(&now))
			t->regs = now;
	}
	return r;
}

int drive_home(struct tracees *tr, struct tracee *t)
{
	int r = tracee_interrupt(tr, t);

	return r < 0 ? r : drive_settle(tr, t);
}
