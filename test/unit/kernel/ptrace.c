/*
 * Wait states decoded from what waitid() reports, and the wrappers on a child of this test.
 */
#include "kernel/ptrace.h"

#include <criterion/criterion.h>
#include <elf.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/kcmp.h"
#include "kernel/pidfd.h"
#include "util/fd.h"
#include "util/vec.h"

struct decode_case {
	int code, status;
	struct wait_status want;
};

Test(wait_status, every_kind)
{
	static const struct decode_case cases[] = {
		{CLD_EXITED, 137, {.kind = WAIT_EXITED, .exit_code = 137}},
		{CLD_KILLED, SIGKILL, {.kind = WAIT_KILLED, .sig = SIGKILL}},
		{CLD_DUMPED, SIGSEGV, {.kind = WAIT_KILLED, .sig = SIGSEGV, .core_dumped = true}},
		{CLD_TRAPPED, 0x8005, {.kind = WAIT_EVENT_STOP, .sig = SIGTRAP, .event = 128}},
		{CLD_TRAPPED, 0x8013, {.kind = WAIT_GROUP_STOP, .sig = SIGSTOP, .event = 128}},
		{CLD_TRAPPED, 0x8016, {.kind = WAIT_GROUP_STOP, .sig = SIGTTOU, .event = 128}},
		{CLD_STOPPED, SIGTSTP, {.kind = WAIT_GROUP_STOP, .sig = SIGTSTP}},
		{CLD_TRAPPED, 0x85, {.kind = WAIT_SYSCALL_STOP, .sig = SIGTRAP}},
		{CLD_TRAPPED, SIGTRAP, {.kind = WAIT_SIGNAL_STOP, .sig = SIGTRAP}},
		{CLD_TRAPPED, 64, {.kind = WAIT_SIGNAL_STOP, .sig = 64}},
		{CLD_TRAPPED, 0x0305, {.kind = WAIT_EVENT, .sig = SIGTRAP, .event = 3}},
		{CLD_TRAPPED, 0x0605, {.kind = WAIT_EVENT, .sig = SIGTRAP, .event = 6}},
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct wait_status *want = &cases[i].want;
		siginfo_t si = {.si_code = cases[i].code};
		struct wait_status w;

		si.si_status = cases[i].status;
		cr_assert_eq(wait_status_decode(&si, &w), 0);
		cr_assert_eq(w.kind, want->kind, "case %zu", i);
		cr_assert_eq(w.sig, want->sig, "case %zu", i);
		cr_assert_eq(w.event, want->event, "case %zu", i);
		cr_assert_eq(w.exit_code, want->exit_code, "case %zu", i);
		cr_assert_eq(w.core_dumped, want->core_dumped, "case %zu", i);
	}
}

Test(wait_status, continued_is_no_state)
{
	siginfo_t si = {.si_code = CLD_CONTINUED};
	struct wait_status w;

	cr_assert_eq(wait_status_decode(&si, &w), -EINVAL);
}

/* A child that runs @body and then getppid() for ever; it dies with this test. */
static pid_t child_start(void (*body)(void))
{
	int ready[2];
	pid_t pid;
	char c;

	cr_assert_eq(pipe(ready), 0);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (body)
			body();
		if (write(ready[1], "r", 1) != 1)
			_exit(1);
		for (;;)
			syscall(SYS_getppid);
	}
	close(ready[1]);
	cr_assert_eq(read_full(ready[0], &c, 1), 0);
	close(ready[0]);
	return pid;
}

static void child_stop(pid_t pid)
{
	struct wait_status w;

	cr_assert_eq(ptrace_seize(pid, PTRACE_O_TRACESYSGOOD), 0);
	cr_assert_eq(ptrace_interrupt(pid), 0);
	cr_assert_eq(ptrace_wait(pid, 0, &w), 0);
	cr_assert_eq(w.kind, WAIT_EVENT_STOP);
}

static void child_end(pid_t pid)
{
	struct wait_status w;

	cr_assert_eq(kill(pid, SIGKILL), 0);
	do {
		cr_assert_eq(ptrace_wait(pid, 0, &w), 0);
	} while (!wait_is_dead(&w));
	cr_assert_eq(w.kind, WAIT_KILLED);
	cr_assert_eq(w.sig, SIGKILL);
	cr_assert_eq(ptrace_reap(pid), 0);
	cr_assert_eq(ptrace_reap(pid), -ECHILD);
	cr_assert_eq(ptrace_wait(pid, 0, &w), -ECHILD);
}

Test(ptrace, stop_is_reported_until_resumed)
{
	pid_t pid = child_start(NULL);
	struct wait_status w;

	child_stop(pid);
	cr_assert_eq(ptrace_wait(pid, WNOHANG, &w), 0);
	cr_assert_eq(w.kind, WAIT_EVENT_STOP);
	cr_assert_eq(ptrace_reap(pid), -EAGAIN);
	cr_assert_eq(ptrace_cont(pid, 0), 0);
	cr_assert_eq(ptrace_wait(pid, WNOHANG, &w), -EAGAIN);
	cr_assert_eq(ptrace_detach(pid, 0), -ESRCH);
	child_end(pid);
}

Test(ptrace, system_call_stops_tell_number_and_result)
{
	pid_t pid = child_start(NULL);
	struct syscall_info info;
	struct wait_status w;
	int i;

	child_stop(pid);
	/* It may have been stopped inside getppid: look at the second pair. */
	for (i = 0; i < 4; i++) {
		cr_assert_eq(ptrace_syscall(pid, 0), 0);
		cr_assert_eq(ptrace_wait(pid, 0, &w), 0);
		cr_assert_eq(w.kind, WAIT_SYSCALL_STOP);
		cr_assert_eq(ptrace_syscall_info(pid, &info), 0);
		if (info.op == SYSCALL_OP_ENTRY)
			cr_assert_eq(info.nr, SYS_getppid);
	}
	while (info.op != SYSCALL_OP_EXIT) {
		cr_assert_eq(ptrace_syscall(pid, 0), 0);
		cr_assert_eq(ptrace_wait(pid, 0, &w), 0);
		cr_assert_eq(ptrace_syscall_info(pid, &info), 0);
	}
	cr_assert_eq(info.rval, getpid());
	cr_assert_not(info.is_error);
	child_end(pid);
}

Test(ptrace, registers_and_mask_round_trip)
{
	struct user_regs_struct regs = {}, again = {};
	pid_t pid = child_start(NULL);
	uint64_t mask = 0, got = 0;
	size_t len = 0;

	child_stop(pid);
	cr_assert_eq(ptrace_getregset(pid, NT_PRSTATUS, &regs, sizeof(regs), &len), 0);
	cr_assert_eq(len, sizeof(regs));
	cr_assert_eq(ptrace_setregset(pid, NT_PRSTATUS, &regs, sizeof(regs)), 0);
	cr_assert_eq(ptrace_getregset(pid, NT_PRSTATUS, &again, sizeof(again), NULL), 0);
	cr_assert_arr_eq(&regs, &again, sizeof(regs));
	cr_assert_eq(ptrace_getregset(pid, 0x7777, &again, sizeof(again), NULL), -EINVAL);

	mask = 1ULL << (SIGUSR1 - 1) | 1ULL << (64 - 1);
	cr_assert_eq(ptrace_setsigmask(pid, mask), 0);
	cr_assert_eq(ptrace_getsigmask(pid, &got), 0);
	cr_assert_eq(got, mask);
	child_end(pid);
}

static void block_all(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
}

Test(ptrace, pending_signals_are_all_seen_and_stay)
{
	pid_t pid = child_start(block_all);
	siginfo_t *v = NULL;
	size_t n = 99, round;
	int i;

	for (i = 0; i < 100; i++)
		cr_assert_eq(sigqueue(pid, SIGRTMIN, (union sigval){.sival_int = i * 3}), 0);
	cr_assert_eq(syscall(SYS_tgkill, pid, pid, SIGUSR2), 0);
	child_stop(pid);
	for (round = 0; round < 2; round++) {
		cr_assert_eq(ptrace_peeksiginfo(pid, true, &v, &n), 0);
		cr_assert_eq(n, 100);
		for (i = 0; i < 100; i++) {
			cr_assert_eq(v[i].si_signo, SIGRTMIN);
			cr_assert_eq(v[i].si_code, SI_QUEUE);
			cr_assert_eq(v[i].si_value.sival_int, i * 3);
		}
		free(v);
	}
	cr_assert_eq(ptrace_peeksiginfo(pid, false, &v, &n), 0);
	cr_assert_eq(n, 1);
	cr_assert_eq(v[0].si_signo, SIGUSR2);
	cr_assert_eq(v[0].si_code, SI_TKILL);
	free(v);
	child_end(pid);
}

Test(ptrace, signal_stop_and_event_message)
{
	pid_t pid = child_start(NULL);
	struct wait_status w;
	unsigned long message = 0;

	child_stop(pid);
	cr_assert_eq(ptrace_set_options(pid, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXIT), 0);
	cr_assert_eq(ptrace_cont(pid, 0), 0);
	cr_assert_eq(kill(pid, SIGTERM), 0);
	cr_assert_eq(ptrace_wait(pid, 0, &w), 0);
	cr_assert_eq(w.kind, WAIT_SIGNAL_STOP);
	cr_assert_eq(w.sig, SIGTERM);
	cr_assert_eq(ptrace_cont(pid, SIGTERM), 0);
	cr_assert_eq(ptrace_wait(pid, 0, &w), 0);
	cr_assert_eq(w.kind, WAIT_EVENT);
	cr_assert_eq(w.event, PTRACE_EVENT_EXIT);
	cr_assert_eq(ptrace_event_message(pid, &message), 0);
	cr_assert_eq(message, SIGTERM);
	cr_assert_eq(ptrace_cont(pid, 0), 0);
	cr_assert_eq(ptrace_wait(pid, 0, &w), 0);
	cr_assert_eq(w.kind, WAIT_KILLED);
	cr_assert_eq(w.sig, SIGTERM);
	cr_assert_eq(ptrace_reap(pid), 0);
}

static const struct sock_filter allow_first[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};
static const struct sock_filter allow_second[] = {
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

static void filter_twice(void)
{
	struct sock_fprog first = {.len = 2, .filter = (struct sock_filter *)allow_first};
	struct sock_fprog second = {.len = 1, .filter = (struct sock_filter *)allow_second};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &first);
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &second);
}

Test(ptrace, seccomp_filters_oldest_first)
{
	pid_t pid = child_start(filter_twice);
	struct sock_filter *v = NULL;
	uint64_t flags = 99;
	size_t n = 0;
	int r;

	child_stop(pid);
	r = ptrace_seccomp_filter(pid, 0, &v, &n);
	if (r == -EACCES) {
		child_end(pid);
		cr_skip_test("needs CAP_SYS_ADMIN");
	}
	cr_assert_eq(r, 0);
	cr_assert_eq(n, 2);
	cr_assert_arr_eq(v, allow_first, sizeof(allow_first));
	free(v);
	cr_assert_eq(ptrace_seccomp_filter(pid, 1, &v, &n), 0);
	cr_assert_eq(n, 1);
	cr_assert_arr_eq(v, allow_second, sizeof(allow_second));
	free(v);
	cr_assert_eq(ptrace_seccomp_filter(pid, 2, &v, &n), -ENOENT);
	cr_assert_eq(ptrace_seccomp_flags(pid, 1, &flags), 0);
	cr_assert_eq(flags, 0);
	child_end(pid);
}

Test(ptrace, robust_list_and_rseq_as_the_child_has_them)
{
	uint64_t head = 0, mine = 0;
	struct rseq_config rseq;
	struct sud_config sud;
	size_t len = 0;
	pid_t pid = child_start(NULL);
	int r;

	child_stop(pid);
	/* glibc registers the robust list and rseq at the same addresses in a forked child. */
	cr_assert_eq(tracee_robust_list(0, &mine, &len), 0);
	cr_assert_neq(mine, 0);
	cr_assert_eq(tracee_robust_list(pid, &head, &len), 0);
	cr_assert_eq(head, mine);
	cr_assert_eq(len, 24);
	r = ptrace_rseq_config(pid, &rseq);
	cr_assert(r == 0 || r == -EIO);
	if (r == 0 && rseq.address)
		cr_assert_eq(rseq.signature, 0x53053053);
	r = ptrace_sud_get(pid, &sud);
	cr_assert(r == 0 || r == -EIO);
	if (r == 0)
		cr_assert_eq(sud.mode, 0);
	child_end(pid);
}

Test(ptrace, no_such_thread)
{
	struct wait_status w;

	cr_assert_eq(ptrace_seize(0x3fffffff, 0), -ESRCH);
	cr_assert_eq(ptrace_interrupt(0x3fffffff), -ESRCH);
	cr_assert_eq(ptrace_wait(0x3fffffff, 0, &w), -ECHILD);
}

Test(pidfd, takes_a_descriptor_and_signals)
{
	int p[2], pidfd, dup_fd;
	siginfo_t si;
	pid_t pid;

	cr_assert_eq(pipe(p), 0);
	pid = child_start(NULL);
	pidfd = pidfd_of(pid);
	cr_assert_geq(pidfd, 0);
	dup_fd = pidfd_take(pidfd, p[0]);
	cr_assert_geq(dup_fd, 0);
	cr_assert_eq(kcmp_files(getpid(), dup_fd, pid, p[0]), KCMP_EQUAL);
	cr_assert_neq(kcmp_files(getpid(), dup_fd, pid, p[1]), KCMP_EQUAL);
	cr_assert_neq(kcmp_tasks(getpid(), pid, KCMP_VM, 0, 0), KCMP_EQUAL);
	cr_assert_eq(pidfd_take(pidfd, 12345), -EBADF);
	cr_assert_eq(pidfd_signal(pidfd, SIGKILL, NULL), 0);
	cr_assert_eq(waitid(P_PID, (id_t)pid, &si, WEXITED), 0);
	cr_assert_eq(si.si_status, SIGKILL);
	cr_assert_eq(pidfd_signal(pidfd, 0, NULL), -ESRCH);
	cr_assert_eq(pidfd_of(0x3fffffff), -ESRCH);
	close(pidfd);
	close(dup_fd);
}
