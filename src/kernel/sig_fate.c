/*
 * sig_fate.c - see sig_fate.h.
 */
#include "kernel/sig_fate.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#include "kernel/proc.h"
#include "kernel/proc_status.h"
#include "kernel/proc_syscall.h"
#include "util/cleanup.h"

/* How often a thread is looked at that seems to leave the signal to its default: what it blocks changes while
 * it begins to wait and ends to, in which it runs. */
#define LOOKS         2
#define LOOKS_RUNNING 10
#define DOZE_NS       100000L

/* Whether a thread is in sigwait(3) or the like for the signal. */
static bool waits_for(int procfd, pid_t tid, uint64_t bit)
{
	struct proc_syscall call;
	uint64_t set = 0;
	struct iovec local = {&set, sizeof(set)}, remote = {.iov_len = sizeof(set)};

	if (proc_syscall_read(procfd, tid, &call) < 0 || call.nr != SYS_rt_sigtimedwait)
		return false;
	remote.iov_base = (void *)(uintptr_t)call.args[0];
	return process_vm_readv(tid, &local, 1, &remote, 1, 0) == sizeof(set) && set & bit;
}

/*
 * Whether the signal stays until the thread takes it by itself. What it waits for is looked at first: should it go
 * on meanwhile, it blocks again. Should it begin to wait, it is seen by the next look.
 * Return: 1; 0 not, as it seems; -errno
 */
static int keeps(int procfd, pid_t tid, uint64_t bit, bool *ret_runs)
{
	bool blocked, waits = waits_for(procfd, tid, bit);
	struct proc_status st;
	int r = proc_status_read(procfd, tid, &st);

	if (r < 0)
		return r;
	blocked = st.sig_blocked & bit;
	*ret_runs = st.state == 'R';
	proc_status_done(&st);
	return blocked || waits;
}

static int keeps_surely(int procfd, pid_t tid, uint64_t bit)
{
	const struct timespec doze = {.tv_nsec = DOZE_NS};
	bool runs = true;
	int r = 0;

	for (int looks = 0; r == 0 && looks < (runs ? LOOKS_RUNNING : LOOKS); looks++) {
		if (looks)
			nanosleep(&doze, NULL);
		r = keeps(procfd, tid, bit, &runs);
	}
	return r;
}

/* Of all threads. Return: as sig_fate_read() */
static int fate_without_handler(int procfd, uint64_t bit)
{
	_cleanup_free_ pid_t *tids = NULL;
	size_t n = 0;
	int r = proc_tasks(procfd, &tids, &n);

	for (size_t i = 0; r >= 0 && i < n; i++) {
		r = keeps_surely(procfd, tids[i], bit);
		if (r == 0)
			return SIG_FATE_DEFAULT;
		if (r == -ESRCH)
			r = 0; /* it has ended since */
	}
	return r < 0 ? r : SIG_FATE_TAKEN;
}

int sig_fate_read(int procfd, int signo)
{
	uint64_t bit = 1ULL << (signo - 1);
	struct proc_status st;
	bool ended, caught, ignored;
	int r = proc_status_read(procfd, 0, &st);

	if (r < 0)
		return r;
	ended = st.state == 'Z' || st.state == 'X';
	caught = st.sig_caught & bit;
	ignored = st.sig_ignored & bit;
	proc_status_done(&st);
	if (ended)
		return -ESRCH;
	if (caught || ignored)
		return caught ? SIG_FATE_TAKEN : SIG_FATE_IGNORED;
	return fate_without_handler(procfd, bit);
}
