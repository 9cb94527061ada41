/*
 * heal.c - see heal.h.
 */
#include "inject/heal.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/syscall.h>

#include "inject/tracees.h"
#include "kernel/ptrace.h"
#include "util/cleanup.h"
#include "util/vec.h"

/* Calls that a mere stop ends with EINTR, and that can be issued again without harm.
 * Measured on Linux 6.1, 6.12 and 6.18. */
static const long breakable[] = {
#ifdef SYS_epoll_wait
	SYS_epoll_wait,
#endif
	SYS_epoll_pwait,
	SYS_epoll_pwait2,
	SYS_rt_sigtimedwait,
	SYS_recvfrom,
	SYS_recvmsg,
	SYS_recvmmsg,
	SYS_read,
	SYS_readv,
	SYS_accept,
	SYS_accept4,
	SYS_connect,
	SYS_sendto,
	SYS_sendmsg,
	SYS_semop,
	SYS_semtimedop,
	SYS_io_getevents,
	SYS_io_pgetevents,
	SYS_io_uring_enter,
};

static bool is_breakable(long nr)
{
	for (size_t i = 0; i < ARRAY_SIZE(breakable); i++)
		if (breakable[i] == nr)
			return true;
	return false;
}

/* Whether a signal waits that will be delivered: then the EINTR is rightfully the program's. */
static bool signal_waits(const struct tracee *t)
{
	for (int shared = 0; shared < 2; shared++) {
		_cleanup_free_ siginfo_t *si = NULL;
		size_t n = 0;

		if (ptrace_peeksiginfo(t->tid, shared, &si, &n) < 0)
			return true;
		for (size_t i = 0; i < n; i++)
			if (!(t->sigmask & 1ULL << (si[i].si_signo - 1)))
				return true;
	}
	return false;
}

int heal_restart(struct tracee *t)
{
	const uint64_t none[6] = {0};

	t->home = t->regs;
	if (!arch_syscall_restarts(&t->regs) ||
		policy_allows(&t->policy, arch_ip(&t->regs), SYS_restart_syscall, none))
		return 0;
	arch_syscall_rewind(&t->home);
	return arch_regs_set(t->tid, &t->home);
}

void heal_wait(struct tracee *t)
{
	if (arch_syscall_nr(&t->regs) < 0 || arch_syscall_ret(&t->regs) != -EINTR)
		return;
	if (!is_breakable(arch_syscall_nr(&t->regs)) || signal_waits(t))
		return;
	arch_syscall_rewind(&t->home);
	arch_regs_set(t->tid, &t->home);
}
