/*
 * Holds: a different signal mask in each of four threads: most signals, one real-time signal, an
 * ordinary one, and one thread that is inside sigsuspend (whose mask to come back to is not the one
 * in force).
 * Shows: Threads: "signal mask"; "sigsuspend".
 */
#include "victim.h"

static volatile int sigmask_up, sigmask_go, sigmask_hits;

static void sigmask_hit(int sig)
{
	(void)sig;
	sigmask_hits++;
}

static void sigmask_expect(const sigset_t *want, const char *who)
{
	sigset_t now;

	pthread_sigmask(SIG_SETMASK, NULL, &now);
	for (int sig = 1; sig <= 64; sig++)
		CHECK(sigismember(&now, sig) == sigismember(want, sig),
			"%s: signal %d: expected %d, got %d", who, sig, sigismember(want, sig),
			sigismember(&now, sig));
}

static void *sigmask_thread(void *arg)
{
	sigset_t mask;

	if (!arg) {
		sigfillset(&mask);
		sigdelset(&mask, SIGTERM);
	} else {
		pthread_sigmask(SIG_SETMASK, NULL, &mask);
		sigaddset(&mask, (int)(intptr_t)arg);
	}
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	pthread_sigmask(SIG_SETMASK, NULL, &mask); /* as the kernel and libc have understood it */
	__atomic_add_fetch(&sigmask_up, 1, __ATOMIC_SEQ_CST);
	while (!sigmask_go)
		usleep(2000);
	sigmask_expect(&mask, arg ? "thread with one more" : "thread with all");
	return NULL;
}

static void *sigmask_suspended(void *arg)
{
	sigset_t outer, inner;

	(void)arg;
	pthread_sigmask(SIG_SETMASK, NULL, &outer);
	sigaddset(&outer, SIGUSR1);
	sigaddset(&outer, SIGHUP);
	pthread_sigmask(SIG_SETMASK, &outer, NULL);
	inner = outer;
	sigdelset(&inner, SIGUSR1);
	__atomic_add_fetch(&sigmask_up, 1, __ATOMIC_SEQ_CST);
	CHECK(sigsuspend(&inner) == -1 && errno == EINTR, "sigsuspend: %s", strerror(errno));
	CHECK(sigmask_go && sigmask_hits == 1,
		"sigsuspend returned with %d signals: expected 1, after the go (%d)", sigmask_hits,
		sigmask_go);
	sigmask_expect(&outer, "after sigsuspend");
	return NULL;
}

int main(int argc, char **argv)
{
	struct sigaction act = {.sa_handler = sigmask_hit};
	static const int more[] = {0, 40, SIGWINCH};
	pthread_t t[4];
	sigset_t mine;

	victim_init(argc, argv);
	MUST(sigaction(SIGUSR1, &act, NULL));
	for (int i = 0; i < 3; i++)
		t[i] = victim_thread(sigmask_thread, (void *)(intptr_t)more[i]);
	t[3] = victim_thread(sigmask_suspended, NULL);
	pthread_sigmask(SIG_SETMASK, NULL, &mine);
	sigaddset(&mine, SIGINT);
	pthread_sigmask(SIG_SETMASK, &mine, NULL);
	while (sigmask_up < 4)
		usleep(1000);
	victim_ready();
	victim_wait();
	sigmask_expect(&mine, "main thread");
	sigmask_go = 1;
	pthread_kill(t[3], SIGUSR1);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	return 0;
}
