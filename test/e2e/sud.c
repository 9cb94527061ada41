/*
 * Holds: syscall user dispatch in one of two threads, with its switch at "block" while the thread
 * spins in user code: a system call from outside of the exempted range would come back as SIGSYS.
 * Shows: Threads: what a kernel feature like Wine's needs; First, do no harm: a thread whose calls are
 * taken is not asked by them.
 *
 * e2e: leave refused: syscall user dispatch
 * e2e: no again,cycle,kill,late: "dump -R" is refused
 * e2e: isa: x86_64
 * e2e: needs: ptrace_sud_config
 */
#include "victim.h"

#include <sys/prctl.h>
#include <sys/ucontext.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_OFF          0
#define PR_SYS_DISPATCH_ON           1
#endif

enum { SUD_ALLOW, SUD_BLOCK, SUD_MAGIC = 0x5bd };

static volatile int sud_up, sud_go, sud_hits, sud_absent;
static volatile char sud_selector = SUD_ALLOW;

/* A call that was taken: answer it, and let the handler's own return pass. */
static void sud_taken(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	(void)sig;
	sud_selector = SUD_ALLOW;
	if (info->si_code == 2 /* SYS_USER_DISPATCH */ && info->si_syscall == SYS_getppid)
		sud_hits++;
	uc->uc_mcontext.gregs[REG_RAX] = SUD_MAGIC;
}

static void *sud_thread(void *arg)
{
	struct sigaction act = {.sa_sigaction = sud_taken, .sa_flags = SA_SIGINFO};
	long got;

	sigaction(SIGSYS, &act, NULL);
	if (prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, &sud_selector) != 0) {
		sud_absent = 1;
		sud_up = 1;
		return arg;
	}
	sud_selector = SUD_BLOCK;
	sud_up = 1;
	while (!sud_go)
		;
	CHECK(sud_hits == 0, "before the go: expected no call to be taken, got %d", sud_hits);
	got = syscall(SYS_getppid);
	CHECK(sud_hits == 1 && got == SUD_MAGIC,
		"expected 1 call taken, answered %#x; got %d, %#lx", SUD_MAGIC, sud_hits, got);
	got = syscall(SYS_getppid);
	CHECK(sud_hits == 1 && got == getppid(), "at `allow`: expected the parent's pid, got %ld",
		got);
	sud_selector = SUD_BLOCK;
	got = syscall(SYS_getppid);
	CHECK(sud_hits == 2 && got == SUD_MAGIC, "again: expected 2 calls taken, got %d", sud_hits);
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t t;

	victim_init(argc, argv);
	t = victim_thread(sud_thread, NULL);
	while (!sud_up)
		usleep(1000);
	if (sud_absent)
		SKIP("no syscall user dispatch here: %s", strerror(errno));
	victim_ready();
	victim_wait();
	sud_go = 1;
	pthread_join(t, NULL);
	return 0;
}
