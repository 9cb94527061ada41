/*
 * Holds: a handler of its own kind for many signals: default, ignored, plain, with SA_SIGINFO, with
 * every flag, with a mask, on the alternate stack, one-shot.
 * Shows: Process: "signal handlers with flags".
 */
#include "victim.h"

/* The kernel's own view; libc's sigaction() hides the restorer. */
struct sigactions_kernel {
	void *handler;
	unsigned long flags;
	void *restorer;
	uint64_t mask;
};

static volatile int sigactions_plain, sigactions_value, sigactions_once;

static void sigactions_on_plain(int sig)
{
	sigactions_plain = sig;
}

static void sigactions_on_info(int sig, siginfo_t *info, void *ctx)
{
	(void)sig;
	(void)ctx;
	sigactions_value = info->si_value.sival_int;
}

static void sigactions_on_once(int sig)
{
	(void)sig;
	sigactions_once++;
}

static void sigactions_get(int sig, struct sigactions_kernel *ret)
{
	memset(ret, 0, sizeof(*ret));
	MUST(syscall(SYS_rt_sigaction, sig, NULL, ret, 8));
}

static void sigactions_set(int sig, void *handler, int flags, int masked)
{
	struct sigaction act = {.sa_handler = handler, .sa_flags = flags};

	if (masked < 0)
		sigfillset(&act.sa_mask);
	else if (masked)
		sigaddset(&act.sa_mask, masked);
	MUST(sigaction(sig, &act, NULL));
}

int main(int argc, char **argv)
{
	static struct sigactions_kernel before[65], now;
	union sigval value = {.sival_int = 4711};

	victim_init(argc, argv);
	sigactions_set(SIGHUP, SIG_IGN, 0, 0);
	sigactions_set(SIGPIPE, SIG_IGN, 0, 0);
	sigactions_set(SIGCHLD, SIG_DFL, SA_NOCLDWAIT | SA_NOCLDSTOP, 0);
	sigactions_set(SIGUSR1, sigactions_on_plain, SA_RESTART, 0);
	sigactions_set(SIGUSR2, sigactions_on_info, SA_SIGINFO | SA_NODEFER, SIGTERM);
	sigactions_set(SIGTERM, sigactions_on_plain, SA_ONSTACK, -1);
	sigactions_set(SIGALRM, sigactions_on_once, SA_RESETHAND, SIGRTMAX);
	for (int sig = SIGRTMIN; sig < VICTIM_GO; sig++)
		sigactions_set(sig, sigactions_on_info, SA_SIGINFO | (sig & 1 ? SA_RESTART : 0),
			sig & 2 ? sig + 1 : 0);
	sigactions_set(SIGRTMAX, sigactions_on_info,
		SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER, SIGRTMIN);
	for (int sig = 1; sig <= 64; sig++)
		sigactions_get(sig, &before[sig]);
	victim_ready();
	victim_wait();
	for (int sig = 1; sig <= 64; sig++) {
		sigactions_get(sig, &now);
		CHECK(memcmp(&now, &before[sig], sizeof(now)) == 0,
			"signal %d: expected handler %p flags %#lx restorer %p mask %#lx,"
			" got %p %#lx %p %#lx",
			sig, before[sig].handler, before[sig].flags, before[sig].restorer,
			before[sig].mask, now.handler, now.flags, now.restorer, now.mask);
	}
	raise(SIGHUP);
	raise(SIGUSR1);
	CHECK(sigactions_plain == SIGUSR1, "SIGUSR1: expected its handler, got %d",
		sigactions_plain);
	sigqueue(getpid(), SIGUSR2, value);
	CHECK(sigactions_value == 4711, "SIGUSR2: expected value 4711, got %d", sigactions_value);
	raise(SIGALRM);
	sigactions_get(SIGALRM, &now);
	CHECK(sigactions_once == 1 && now.handler == (void *)SIG_DFL,
		"SIGALRM: expected one call and then the default, got %d and %p", sigactions_once,
		now.handler);
	return 0;
}
