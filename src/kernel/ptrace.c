/*
 * ptrace.c - see ptrace.h.
 */
#include "kernel/ptrace.h"

#include <errno.h>
#include <sys/uio.h>
#include <sys/wait.h>

long ptrace_call(int request, pid_t tid, uintptr_t addr, uintptr_t data)
{
	long r = ptrace(request, tid, addr, data);

	return r < 0 ? -errno : r;
}

int ptrace_seize(pid_t tid, unsigned options)
{
	return ptrace_call(PTRACE_SEIZE, tid, 0, options | PTRACE_O_TRACESYSGOOD);
}

int ptrace_interrupt(pid_t tid)
{
	return ptrace_call(PTRACE_INTERRUPT, tid, 0, 0);
}

int ptrace_cont(pid_t tid, int sig)
{
	return ptrace_call(PTRACE_CONT, tid, 0, sig);
}

int ptrace_syscall(pid_t tid, int sig)
{
	return ptrace_call(PTRACE_SYSCALL, tid, 0, sig);
}

int ptrace_detach(pid_t tid, int sig)
{
	return ptrace_call(PTRACE_DETACH, tid, 0, sig);
}

int ptrace_regset_get(pid_t tid, int type, void *buf, size_t *len)
{
	struct iovec v = {.iov_base = buf, .iov_len = *len};
	int r = ptrace_call(PTRACE_GETREGSET, tid, type, (uintptr_t)&v);

	if (r >= 0)
		*len = v.iov_len;
	return r;
}

int ptrace_regset_set(pid_t tid, int type, const void *buf, size_t len)
{
	struct iovec v = {.iov_base = (void *)buf, .iov_len = len};

	return ptrace_call(PTRACE_SETREGSET, tid, type, (uintptr_t)&v);
}

int ptrace_sigmask_get(pid_t tid, uint64_t *ret)
{
	return ptrace_call(PTRACE_GETSIGMASK, tid, sizeof(*ret), (uintptr_t)ret);
}

int ptrace_sigmask_set(pid_t tid, uint64_t mask)
{
	return ptrace_call(PTRACE_SETSIGMASK, tid, sizeof(mask), (uintptr_t)&mask);
}

int ptrace_siginfo_peek(pid_t tid, bool shared, uint64_t off, siginfo_t *buf, unsigned n)
{
	struct __ptrace_peeksiginfo_args args = {
		.off = off, .flags = shared ? PTRACE_PEEKSIGINFO_SHARED : 0, .nr = n};

	return ptrace_call(PTRACE_PEEKSIGINFO, tid, (uintptr_t)&args, (uintptr_t)buf);
}

static void stop_decode(const siginfo_t *si, struct stop *ret)
{
	int status = si->si_status;

	if (si->si_code == CLD_EXITED) {
		*ret = (struct stop){STOP_EXITED, status};
	} else if (si->si_code == CLD_KILLED || si->si_code == CLD_DUMPED) {
		*ret = (struct stop){STOP_KILLED, status};
	} else if (status >> 8 == PTRACE_EVENT_STOP) {
		int sig = status & 0xff;

		*ret = (struct stop){sig == SIGTRAP ? STOP_EVENT : STOP_GROUP, sig};
	} else if (status >> 8) {
		*ret = (struct stop){STOP_OTHER, status >> 8};
	} else if (status == (SIGTRAP | 0x80)) {
		*ret = (struct stop){STOP_SYSCALL, 0};
	} else {
		*ret = (struct stop){STOP_SIGNAL, status};
	}
}

int ptrace_stop_wait(pid_t tid, bool nohang, struct stop *ret)
{
	siginfo_t si = {0};
	int flags = WSTOPPED | WEXITED | __WALL | WNOWAIT | (nohang ? WNOHANG : 0);

	while (waitid(P_PID, tid, &si, flags) < 0)
		if (errno != EINTR)
			return -errno;
	if (si.si_pid == 0)
		return 0;
	stop_decode(&si, ret);
	return 1;
}

int ptrace_reap(pid_t tid)
{
	siginfo_t si = {0};

	while (waitid(P_PID, tid, &si, WEXITED | __WALL) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}
