/*
 * Holds: POSIX timers whose ids have holes: far in the future with an interval, disarmed, silent,
 * on the CPU clocks of the process and of threads, absolute, sent to a certain thread, and one that
 * fires a hundred times a second while its signal is blocked: one signal waits, and the periods that
 * it missed are its overruns.
 * `fast`: the thread's timer goes off all the time; `slow`: for the first time after a second.
 * Shows: Process: "POSIX timers with their ids, overruns and thread targets".
 * e2e: args: fast slow
 * e2e: no cycle for fast: its signals come between the two dumps
 * e2e: exec: yes
 */
#include "victim.h"

#include <sched.h>

enum { FAR, DISARMED, SILENT, CPU, ABSOLUTE, THREAD, OVERRUN, OWN_CPU, THREAD_CPU, TIMERS_N };

static const char *const timers_name[] = {"far", "disarmed", "silent", "cpu", "absolute", "thread",
	"overrun", "own cpu", "thread cpu"};
static int timers_id[TIMERS_N], timers_hole[3];
static volatile pid_t timers_tid;
static volatile int timers_hits, timers_wrong, timers_value, timers_go;

/* Raw, as libc's ids are not the kernel's. */
static int timers_create(clockid_t clock, int notify, int sig, int value, pid_t tid)
{
	struct sigevent ev;
	int id = -1;

	memset(&ev, 0, sizeof(ev));
	ev.sigev_notify = notify;
	ev.sigev_signo = sig;
	ev.sigev_value.sival_int = value;
	ev._sigev_un._tid = tid;
	MUST(syscall(SYS_timer_create, clock, &ev, &id));
	return id;
}

static void timers_set(int which, int flags, double value_s, double interval_s)
{
	struct itimerspec it;

	it.it_value.tv_sec = (long)value_s;
	it.it_value.tv_nsec = (long)((value_s - (long)value_s) * 1e9);
	it.it_interval.tv_sec = (long)interval_s;
	it.it_interval.tv_nsec = (long)((interval_s - (long)interval_s) * 1e9);
	MUST(syscall(SYS_timer_settime, timers_id[which], flags, &it, NULL));
}

static void timers_expect(int which, double min_s, double max_s, double interval_s)
{
	struct itimerspec it;
	double value, interval;

	CHECK(syscall(SYS_timer_gettime, timers_id[which], &it) == 0, "%s (id %d): %s",
		timers_name[which], timers_id[which], strerror(errno));
	value = it.it_value.tv_sec + it.it_value.tv_nsec / 1e9;
	interval = it.it_interval.tv_sec + it.it_interval.tv_nsec / 1e9;
	CHECK(value >= min_s && value <= max_s, "%s: value: expected %.3f..%.3f s, got %.6f",
		timers_name[which], min_s, max_s, value);
	CHECK(interval > interval_s - 1e-6 && interval < interval_s + 1e-6,
		"%s: interval: expected %.3f s, got %.6f", timers_name[which], interval_s,
		interval);
}

static void timers_hit(int sig, siginfo_t *info, void *ctx)
{
	(void)sig;
	(void)ctx;
	if (syscall(SYS_gettid) != timers_tid)
		timers_wrong++;
	if (info->si_code == SI_TIMER)
		timers_value = info->si_value.sival_int;
	timers_hits++;
}

static void *timers_thread(void *arg)
{
	timers_tid = syscall(SYS_gettid);
	while (!timers_go)
		usleep(1000);
	return arg;
}

static void timers_setup(double first_s, clockid_t thread_cpu)
{
	timers_hole[0] = timers_create(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0, 0);
	timers_id[FAR] = timers_create(CLOCK_REALTIME, SIGEV_SIGNAL, SIGUSR2, 1, 0);
	timers_id[DISARMED] = timers_create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR2, 2, 0);
	timers_hole[1] = timers_create(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0, 0);
	timers_hole[2] = timers_create(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0, 0);
	timers_id[SILENT] = timers_create(CLOCK_BOOTTIME, SIGEV_NONE, 0, 3, 0);
	timers_id[CPU] = timers_create(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, SIGUSR2, 4, 0);
	timers_id[ABSOLUTE] = timers_create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR2, 5, 0);
	timers_id[THREAD] =
		timers_create(CLOCK_MONOTONIC, SIGEV_THREAD_ID, SIGRTMIN + 1, 6000, timers_tid);
	timers_id[OVERRUN] = timers_create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 2, 7000, 0);
	timers_id[OWN_CPU] = timers_create(CLOCK_THREAD_CPUTIME_ID, SIGEV_NONE, 0, 8, 0);
	timers_id[THREAD_CPU] = timers_create(thread_cpu, SIGEV_SIGNAL, SIGUSR2, 9, 0);
	for (int i = 0; i < 3; i++)
		MUST(syscall(SYS_timer_delete, timers_hole[i]));
	timers_set(FAR, 0, 1000, 77.5);
	timers_set(SILENT, 0, 2000, 0);
	timers_set(CPU, 0, 500, 1.25);
	timers_set(OWN_CPU, 0, 200, 0);
	timers_set(THREAD_CPU, 0, 300, 3);
	timers_set(ABSOLUTE, TIMER_ABSTIME, victim_clock_s(CLOCK_MONOTONIC) + 3000, 0);
	timers_set(THREAD, 0, first_s, 0.02);
	timers_set(OVERRUN, 0, 0.01, 0.01);
}

/* Waits for the blocked timer's one pending signal: the periods missed before it are its overruns. */
static void timers_overrun(void)
{
	struct timespec limit = {2, 0};
	siginfo_t info = {0};
	sigset_t set;
	long over, want;

	usleep(50000);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 2);
	CHECK(sigtimedwait(&set, &info, &limit) == SIGRTMIN + 2, "overrun: no signal: %s",
		strerror(errno));
	CHECK(info.si_code == SI_TIMER && info.si_value.sival_int == 7000,
		"overrun: expected SI_TIMER 7000, got %d %d", info.si_code,
		info.si_value.sival_int);
	over = MUST(syscall(SYS_timer_getoverrun, timers_id[OVERRUN]));
	/* Ready 50 ms before the dump, and 50 ms since the go. What was missed when it died is known to
	 * nobody: the kernel counts it when the signal is taken. */
	want = victim_dead_s() > 0 ? 3 : 7;
	CHECK(over >= want, "overrun: expected at least %ld, got %ld", want, over);
	CHECK(info.si_overrun == over, "overrun: siginfo says %d, the kernel %ld", info.si_overrun,
		over);
}

static void timers_check(double first_s)
{
	struct itimerspec it;
	int before;

	timers_expect(FAR, 900, 1000, 77.5);
	timers_expect(DISARMED, 0, 0, 0);
	timers_expect(SILENT, 1900, 2000, 0);
	timers_expect(CPU, 490, 500.001, 1.25);
	timers_expect(OWN_CPU, 190, 200.001, 0);
	timers_expect(THREAD_CPU, 290, 300.001, 3);
	timers_expect(ABSOLUTE, 2900, 3000, 0);
	timers_expect(THREAD, 0, first_s + 0.001, 0.02);
	timers_overrun();
	for (int i = 0; i < 3; i++)
		CHECK(syscall(SYS_timer_gettime, timers_hole[i], &it) == -1 && errno == EINVAL,
			"id %d: expected a hole, got %s", timers_hole[i], strerror(errno));
	before = timers_hits;
	for (int i = 0; i < 400 && timers_hits < before + 3; i++)
		usleep(5000);
	CHECK(timers_hits >= before + 3, "thread: no signals after the go");
	CHECK(!timers_wrong, "thread: %d signals to another thread than %d", timers_wrong,
		timers_tid);
	CHECK(timers_value == 6000, "thread: value: expected 6000, got %d", timers_value);
}

int main(int argc, char **argv)
{
	double first_s = argc > 1 && strcmp(argv[1], "slow") == 0 ? 1 : 0.02;
	struct sigaction act = {.sa_sigaction = timers_hit, .sa_flags = SA_SIGINFO | SA_RESTART};
	clockid_t thread_cpu;
	sigset_t block;
	pthread_t t;

	victim_init(argc, argv);
	MUST(sigaction(SIGRTMIN + 1, &act, NULL));
	sigemptyset(&block);
	sigaddset(&block, SIGRTMIN + 2);
	pthread_sigmask(SIG_BLOCK, &block, NULL);
	t = victim_thread(timers_thread, NULL);
	while (!timers_tid)
		usleep(1000);
	CHECK(pthread_getcpuclockid(t, &thread_cpu) == 0, "no clock of the thread");
	timers_setup(first_s, thread_cpu);
	victim_ready();
	victim_wait();
	timers_check(first_s);
	timers_go = 1;
	pthread_join(t, NULL);
	return 0;
}
