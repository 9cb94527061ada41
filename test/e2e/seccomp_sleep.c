/*
 * Holds: a sandboxed process, every thread under an allow-list that kills on anything else and that
 * has no restart_syscall in it, asleep in nanosleep. `roomy` allows what an injection is likely to
 * need (mmap, munmap, rt_sigprocmask, getpid, ...); `tight` only what the program itself calls.
 * Shows: First, do no harm: "under a seccomp filter too (only what the filter allows is injected)";
 * Threads: "seccomp filters"; a restart that the filter would kill.
 * e2e: args: roomy tight
 * e2e: leave refused for tight: seccomp
 * e2e: no again,cycle,late for tight: "dump -R" is refused
 * e2e: settle: 0.6
 * e2e: no faults,loop,kill: its time would be over before the second fault
 */
#include "victim.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

#define SECCOMP_MAX 64

static const int seccomp_own[] = {SYS_read, SYS_write, SYS_close, SYS_openat, SYS_nanosleep,
	SYS_exit, SYS_exit_group, SYS_futex, SYS_rt_sigtimedwait, SYS_rt_sigreturn,
	SYS_clock_gettime, SYS_madvise};
static const int seccomp_roomy[] = {
	SYS_mmap,
	SYS_munmap,
	SYS_mprotect,
	SYS_rt_sigprocmask,
	SYS_getpid,
	SYS_gettid,
	SYS_rt_sigaction,
	SYS_sigaltstack,
	SYS_prctl,
	SYS_brk,
	SYS_getitimer,
	SYS_timer_gettime,
	SYS_timer_getoverrun,
	SYS_ioctl,
	SYS_socketpair,
	SYS_sched_getattr,
	SYS_getrlimit,
	SYS_prlimit64,
	SYS_umask,
	SYS_userfaultfd,
	SYS_ioprio_get,
	SYS_membarrier,
	SYS_personality,
	SYS_capget,
#ifdef SYS_arch_prctl
	SYS_arch_prctl,
#endif
};

static void seccomp_install(int roomy)
{
	struct sock_filter code[2 * SECCOMP_MAX + 4];
	struct sock_fprog prog = {.filter = code};
	size_t own = sizeof(seccomp_own) / sizeof(int), more = sizeof(seccomp_roomy) / sizeof(int);
	unsigned n = 0;

	code[n++] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < own + (roomy ? more : 0); i++) {
		int nr = i < own ? seccomp_own[i] : seccomp_roomy[i - own];

		code[n++] =
			(struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)nr, 0, 1);
		code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	}
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	prog.len = n;
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &prog) != 0)
		SKIP("no seccomp filters here: %s", strerror(errno));
}

static volatile int seccomp_up, seccomp_gone;
static int seccomp_word;

static void *seccomp_go(void *arg)
{
	seccomp_up = 1;
	victim_wait();
	seccomp_gone = 1;
	/* An ending thread calls more than the filter allows. */
	for (;;)
		syscall(SYS_futex, &seccomp_word, 128, 0, NULL, NULL, 0);
	return arg;
}

int main(int argc, char **argv)
{
	struct timespec ts = {1, 500000000};
	double from, took, dead;

	victim_init(argc, argv);
	victim_thread(seccomp_go, NULL);
	while (!seccomp_up) /* its start-up's system calls are over */
		usleep(1000);
	victim_ready();
	seccomp_install(argc > 1 && strcmp(argv[1], "roomy") == 0);
	from = victim_clock_s(CLOCK_MONOTONIC);
	CHECK(syscall(SYS_nanosleep, &ts, NULL) == 0, "nanosleep: %s", strerror(errno));
	took = victim_clock_s(CLOCK_MONOTONIC) - from;
	ts = (struct timespec){0, 1000000};
	while (!seccomp_gone)
		syscall(SYS_nanosleep, &ts, NULL);
	dead = victim_dead_s();
	CHECK(took > 1.49, "early: %.3f s, expected 1.5", took);
	CHECK(took - dead < 2.0, "late: %.3f s without %.3f dead, expected 1.5", took - dead, dead);
	return 0;
}
