/*
 * Holds: signals that are pending and blocked: to the process and to two threads; ordinary ones with
 * their sender, real-time ones queued many times with payloads, in order; one of a POSIX timer
 * (SI_TIMER), one of pthread_sigqueue.
 * Shows: Threads: "pending signals of thread and process with their full siginfo".
 * e2e: exec: yes
 */
#include "victim.h"

#define PENDING_MANY 20

static volatile int pending_up, pending_go;
static pid_t pending_thread_tid;

static void pending_block(void)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
}

/* The next pending one, which must be `sig`. A thread's own queue comes before the process's. */
static siginfo_t pending_take(int sig, const char *what)
{
	struct timespec now = {0, 0};
	siginfo_t info = {0};
	sigset_t set;
	int got;

	sigemptyset(&set);
	sigaddset(&set, sig);
	/* Not libc's, which makes SI_USER of SI_TKILL. */
	got = syscall(SYS_rt_sigtimedwait, &set, &info, &now, 8);
	CHECK(got == sig, "%s: expected signal %d, got %d (%s)", what, sig, got, strerror(errno));
	return info;
}

static void pending_none(int sig, const char *what)
{
	struct timespec now = {0, 0};
	sigset_t set;
	int got;

	sigemptyset(&set);
	sigaddset(&set, sig);
	got = sigtimedwait(&set, NULL, &now);
	CHECK(got == -1 && errno == EAGAIN, "%s: expected no further signal %d, got %d", what, sig,
		got);
}

static void pending_expect(const siginfo_t *info, int code, int value, const char *what)
{
	CHECK(info->si_code == code, "%s: si_code: expected %d, got %d", what, code, info->si_code);
	if (code == SI_QUEUE)
		CHECK(info->si_value.sival_int == value, "%s: value: expected %d, got %d", what,
			value, info->si_value.sival_int);
	if (code != SI_TIMER)
		CHECK(info->si_pid == getpid() && info->si_uid == getuid(),
			"%s: sender: expected %d uid %d, got %d uid %d", what, getpid(), getuid(),
			info->si_pid, info->si_uid);
}

static void *pending_thread(void *arg)
{
	siginfo_t info;

	(void)arg;
	pending_thread_tid = syscall(SYS_gettid);
	pending_up = 1;
	while (!pending_go)
		usleep(1000);
	for (int i = 0; i < PENDING_MANY; i++) {
		info = pending_take(SIGRTMIN + 3, "thread queue");
		pending_expect(&info, SI_QUEUE, 2000 + i, "thread queue");
	}
	pending_none(SIGRTMIN + 3, "thread queue");
	info = pending_take(SIGUSR2, "thread tgkill");
	pending_expect(&info, SI_TKILL, 0, "thread tgkill");
	pending_none(SIGUSR2, "thread tgkill");
	return NULL;
}

/* A timer that has fired several times by the go: one siginfo, with its id's value and overruns. */
static timer_t pending_timer(void)
{
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 5};
	struct itimerspec it = {{0, 200000000}, {0, 1000000}};
	timer_t id;

	ev.sigev_value.sival_int = 31337;
	MUST(timer_create(CLOCK_MONOTONIC, &ev, &id));
	MUST(timer_settime(id, 0, &it, NULL));
	usleep(20000);
	return id;
}

static void pending_main_check(timer_t timer)
{
	siginfo_t info = pending_take(SIGUSR1, "process kill");

	pending_expect(&info, SI_USER, 0, "process kill");
	pending_none(SIGUSR1, "process kill");
	for (int i = 0; i < PENDING_MANY; i++) {
		info = pending_take(SIGRTMIN + 2, "process queue");
		pending_expect(&info, SI_QUEUE, 1000 + i, "process queue");
	}
	pending_none(SIGRTMIN + 2, "process queue");
	info = pending_take(SIGTERM, "main tgkill");
	pending_expect(&info, SI_TKILL, 0, "main tgkill");
	info = pending_take(SIGTERM, "process SIGTERM");
	pending_expect(&info, SI_USER, 0, "process SIGTERM");
	info = pending_take(SIGRTMIN + 5, "timer");
	pending_expect(&info, SI_TIMER, 0, "timer");
	CHECK(info.si_value.sival_int == 31337, "timer: value: expected 31337, got %d",
		info.si_value.sival_int);
	pending_none(SIGRTMIN + 5, "timer");
	MUST(timer_delete(timer));
}

int main(int argc, char **argv)
{
	union sigval value;
	timer_t timer;
	pthread_t t;

	victim_init(argc, argv);
	pending_block();
	t = victim_thread(pending_thread, NULL);
	while (!pending_up)
		usleep(1000);
	MUST(kill(getpid(), SIGUSR1));
	MUST(kill(getpid(), SIGTERM));
	MUST(syscall(SYS_tgkill, getpid(), getpid(), SIGTERM));
	MUST(syscall(SYS_tgkill, getpid(), pending_thread_tid, SIGUSR2));
	for (int i = 0; i < PENDING_MANY; i++) {
		value.sival_int = 1000 + i;
		MUST(sigqueue(getpid(), SIGRTMIN + 2, value));
		value.sival_int = 2000 + i;
		CHECK(pthread_sigqueue(t, SIGRTMIN + 3, value) == 0, "pthread_sigqueue");
	}
	timer = pending_timer();
	victim_ready();
	victim_wait();
	pending_main_check(timer);
	pending_go = 1;
	pthread_join(t, NULL);
	return 0;
}
