/*
 * heal.c - see heal.h.
 */
#include "inject/heal.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/syscall.h>

#include "inject/tracees.h"
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

int heal_stop(struct tracee *t)
{
	const uint64_t none[6] = {0};
	bool eintr = arch_syscall_nr(&t->regs) >= 0 && arch_syscall_ret(&t->regs) == -EINTR &&
		     is_breakable(arch_syscall_nr(&t->regs));
	/* stopped before it could begin with what a rewait() had left to it */
	bool unbegun = t->limit_ns && arch_syscall_is_again(&t->regs);

	t->continues = arch_syscall_restarts(&t->regs);
	t->broken = t->continues || eintr || unbegun;
	t->begun = !unbegun;
	t->anew = eintr || unbegun ||
		  (t->continues &&
			  !policy_allows(&t->policy, arch_ip(&t->regs), SYS_restart_syscall, none));
	if (t->anew)
		arch_syscall_again(&t->regs);
	return t->anew || t->limit_ns ? arch_regs_set(t->tid, &t->regs) : 0;
}
