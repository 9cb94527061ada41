/*
 * Holds: seccomp filters that differ by thread: one has two stacked (the later wins where both speak),
 * one has a filter with the log flag, one has none; in the second variant one is in strict mode.
 * Shows: Threads: "per-thread ... seccomp filters".
 * e2e: args: filters strict
 * e2e: leave refused for strict: seccomp
 * e2e: no again,cycle,kill,late for strict: "dump -R" is refused
 * e2e: exec: yes
 */
#include "victim.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

enum { SECCOMP_N = 4 };
static volatile int seccomp_up, seccomp_go;
static int seccomp_pipe[2], seccomp_back[2];

/* Answers the system call `nr` with `err`, and lets all others pass. */
static void seccomp_deny(int nr, int err, unsigned flags)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)err),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {.len = 4, .filter = code};

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog) == 0)
		return;
	if (errno == ENOSYS || errno == EACCES)
		SKIP("no seccomp filters here: %s", strerror(errno));
	CHECK(0, "seccomp: %s", strerror(errno));
}

static int seccomp_errno(long r)
{
	return r == -1 ? errno : 0;
}

static int seccomp_count(void)
{
	char text[8192], *at;

	victim_slurp("/proc/thread-self/status", text, sizeof(text));
	at = strstr(text, "Seccomp_filters:");
	return at ? atoi(at + 16) : -1;
}

static void seccomp_expect(int who, int acct, int nice, int filters)
{
	int got;

	got = seccomp_errno(syscall(SYS_acct, "/nowhere/at/all"));
	CHECK(got == acct, "thread %d: acct: expected errno %d, got %d", who, acct, got);
	got = seccomp_errno(syscall(SYS_swapoff, "/nowhere/at/all"));
	CHECK(got == nice, "thread %d: swapoff: expected errno %d, got %d", who, nice, got);
	got = seccomp_count();
	CHECK(got == filters || got == -1, "thread %d: expected %d filters, got %d", who, filters,
		got);
}

static void *seccomp_thread(void *arg)
{
	int who = (int)(intptr_t)arg;

	if (who == 1) {
		seccomp_deny(SYS_acct, 71, 0);
		seccomp_deny(SYS_swapoff, 72, 0);
		seccomp_deny(SYS_acct, 73, 0);
	} else if (who == 2) {
		seccomp_deny(SYS_swapoff, 74, SECCOMP_FILTER_FLAG_LOG);
	}
	__atomic_add_fetch(&seccomp_up, 1, __ATOMIC_SEQ_CST);
	while (!seccomp_go)
		usleep(1000);
	if (who == 1)
		seccomp_expect(who, 73, 72, 3);
	else if (who == 2)
		seccomp_expect(who, ENOENT, 74, 1);
	else
		seccomp_expect(who, ENOENT, ENOENT, 0);
	return NULL;
}

/* May only read, write, exit and return from signals: nothing can be injected into it. */
static void *seccomp_strict(void *arg)
{
	char c = 0;

	MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
	__atomic_add_fetch(&seccomp_up, 1, __ATOMIC_SEQ_CST);
	if (read(seccomp_pipe[0], &c, 1) == 1 && c == 'g')
		c = 'k';
	if (write(seccomp_back[1], &c, 1) != 1)
		syscall(SYS_exit, 1);
	syscall(SYS_exit, 0);
	return arg;
}

int main(int argc, char **argv)
{
	int strict = argc > 1 && strcmp(argv[1], "strict") == 0;
	pthread_t t[SECCOMP_N];
	char c = 0;

	victim_init(argc, argv);
	if (geteuid() != 0)
		SKIP("needs root: a filter without no_new_privs");
	if (strict) {
		MUST(pipe(seccomp_pipe));
		MUST(pipe(seccomp_back));
	}
	for (int i = 1; i < SECCOMP_N; i++)
		t[i] = victim_thread(seccomp_thread, (void *)(intptr_t)i);
	if (strict)
		victim_thread(seccomp_strict, NULL);
	while (seccomp_up < SECCOMP_N - !strict)
		usleep(1000);
	victim_ready();
	victim_wait();
	seccomp_expect(0, ENOENT, ENOENT, 0);
	seccomp_go = 1;
	for (int i = 1; i < SECCOMP_N; i++)
		pthread_join(t[i], NULL);
	if (!strict)
		return 0;
	CHECK(write(seccomp_pipe[1], "g", 1) == 1, "write: %s", strerror(errno));
	CHECK(read(seccomp_back[0], &c, 1) == 1 && c == 'k', "strict thread: expected 'k', got %#x",
		c);
	return 0;
}
