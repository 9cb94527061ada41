/*
 * Holds: a sandboxed program as they are made: first uid 1000 without any capability, then
 * no_new_privs, then two filters over all threads that refuse what a restore has to call (setresuid,
 * capset, seccomp, prctl's setters, ...), and kill on one call; one thread has added a third.
 * Shows: Threads: "per-thread credentials and seccomp filters", "no_new_privs", and that neither is in
 * the other's way.
 * e2e: exec: yes
 */
#include "victim.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>

enum { SANDBOX_UID = 1000, SANDBOX_N = 3 };

static const int sandbox_refused[] = {SYS_setresuid, SYS_setresgid, SYS_setgroups, SYS_capset,
	SYS_seccomp, SYS_unshare, SYS_mount, SYS_ptrace, SYS_setpriority, SYS_sched_setaffinity,
	SYS_sched_setattr, SYS_set_robust_list, SYS_rt_tgsigqueueinfo};

static volatile int sandbox_up, sandbox_go;

/* Refuses all of `nr` with `err`; SYS_acct kills when `kill` is set. */
static void sandbox_filter(const int *nr, unsigned n, int err, int kill, unsigned flags)
{
	struct sock_filter code[64];
	struct sock_fprog prog = {.filter = code};
	unsigned at = 0;

	code[at++] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (unsigned i = 0; i < n; i++) {
		code[at++] = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, (unsigned)nr[i], 0, 1);
		code[at++] = (struct sock_filter)BPF_STMT(
			BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)err);
	}
	if (kill) {
		code[at++] =
			(struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_acct, 0, 1);
		code[at++] =
			(struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	}
	code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	prog.len = at;
	/* seccomp(2) is refused itself once the second is attached */
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog) != 0 &&
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) != 0)
		SKIP("no seccomp filters here: %s", strerror(errno));
}

static void sandbox_field(const char *key, const char *want, int who)
{
	char text[8192], *at;
	size_t n = strlen(want);

	victim_slurp("/proc/thread-self/status", text, sizeof(text));
	at = strstr(text, key);
	CHECK(at && strncmp(at + strlen(key), want, n) == 0,
		"thread %d: %s: expected '%s', got '%.20s'", who, key, want,
		at ? at + strlen(key) : "?");
}

static void sandbox_check(int who, int filters)
{
	char want[8];

	sandbox_field("\nUid:\t", "1000\t1000\t1000\t1000", who);
	sandbox_field("\nCapPrm:\t", "0000000000000000", who);
	sandbox_field("\nNoNewPrivs:\t", "1", who);
	sandbox_field("\nSeccomp:\t", "2", who);
	snprintf(want, sizeof(want), "%d\n", filters);
	sandbox_field("\nSeccomp_filters:\t", want, who);
	for (size_t i = 0; i < sizeof(sandbox_refused) / sizeof(int); i++) {
		long r = syscall(sandbox_refused[i], 0, 0, 0, 0);

		CHECK(r == -1 && errno == 77, "thread %d: call %d: expected errno 77, got %ld, %d",
			who, sandbox_refused[i], r, errno);
	}
	errno = 0;
	CHECK(syscall(SYS_swapoff, "/none") == -1 && errno == (filters == 3 ? 79 : 78),
		"thread %d: swapoff: got errno %d", who, errno);
}

static void *sandbox_thread(void *arg)
{
	int who = (int)(intptr_t)arg, own = SYS_swapoff;

	__atomic_add_fetch(&sandbox_up, 1, __ATOMIC_SEQ_CST);
	while (sandbox_up < SANDBOX_N + 1)
		usleep(1000);
	if (who == 0)
		sandbox_filter(&own, 1, 79, 0, 0);
	__atomic_add_fetch(&sandbox_up, 1, __ATOMIC_SEQ_CST);
	while (!sandbox_go)
		usleep(1000);
	sandbox_check(who, who == 0 ? 3 : 2);
	return NULL;
}

int main(int argc, char **argv)
{
	const int swapoff = SYS_swapoff;
	pthread_t t[SANDBOX_N];
	int dir;

	victim_init(argc, argv);
	if (geteuid() != 0)
		SKIP("needs root: to become another user");
	dir = MUST(open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	MUST(fchmod(dir, 0777));
	close(dir);
	MUST(setresgid(SANDBOX_UID, SANDBOX_UID, SANDBOX_UID));
	MUST(setresuid(SANDBOX_UID, SANDBOX_UID, SANDBOX_UID));
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	for (int i = 0; i < SANDBOX_N; i++)
		t[i] = victim_thread(sandbox_thread, (void *)(intptr_t)i);
	while (sandbox_up < SANDBOX_N)
		usleep(1000);
	sandbox_filter(&swapoff, 1, 78, 0, SECCOMP_FILTER_FLAG_TSYNC);
	sandbox_filter(sandbox_refused, sizeof(sandbox_refused) / sizeof(int), 77, 1,
		SECCOMP_FILTER_FLAG_TSYNC);
	sandbox_up++;
	while (sandbox_up < 2 * SANDBOX_N + 1)
		usleep(1000);
	victim_ready();
	victim_wait();
	sandbox_check(-1, 2);
	sandbox_go = 1;
	for (int i = 0; i < SANDBOX_N; i++)
		pthread_join(t[i], NULL);
	return 0;
}
