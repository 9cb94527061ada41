/*
 * Holds: the main thread in one blocking system call (the argument) with a time limit of 1.5 s, dumped
 * when about half of it is over. The call must return what it returns when the time is over, never
 * EINTR, and neither early nor as late as if it had begun again.
 * Shows: Threads: "threads stopped in every kind of system call: nanosleep and other restart-block
 * sleeps with their remaining time, poll, epoll_wait"; First, do no harm: "sees no EINTR, no shortened
 * or prolonged sleep".
 *
 * e2e: args: nanosleep clock_rel clock_abs clock_abs_real futex futex_abs futex_waitv poll poll_fd ppoll epoll_wait epoll_pwait epoll_pwait2 select pselect sigtimedwait semtimedop
 * e2e: no late for clock_rel,futex,poll,poll_fd: prolonged, the kernel tells nobody the deadline of a wait broken off before
 * e2e: settle: 0.8
 * e2e: no fg: as restore, and the time counts
 * e2e: no cycle for epoll_wait,epoll_pwait: what is left of the time stands in a register
 * e2e: no cycle for nanosleep: the kernel writes the rest of the time into its memory at every stop
 * e2e: no faults,loop,kill: its time would be over before the second fault
 */
#include "victim.h"

#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/select.h>

/* A call that newer ISAs do not have; libc does it by another there. */
#ifdef SYS_poll
#define OLDER(call, libc) (call)
#else
#define OLDER(call, libc) (libc)
#endif

#define TOTAL_S  1.5
#define TOTAL_MS 1500

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif
#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

static const struct timespec time_total = {1, 500000000};
static uint32_t time_word = 5;
static int time_fd[2], time_epoll, time_sem;

static struct timespec time_at(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	ts.tv_sec += 1 + (ts.tv_nsec + 500000000) / 1000000000;
	ts.tv_nsec = (ts.tv_nsec + 500000000) % 1000000000;
	return ts;
}

static void time_pipe_setup(void)
{
	MUST(pipe(time_fd));
}

static long time_nanosleep(void)
{
	struct timespec
		left; /* is written whenever the sleep is interrupted, even if it is resumed */

	return syscall(SYS_nanosleep, &time_total, &left);
}

static long time_clock_rel(void)
{
	return syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &time_total, NULL);
}

static long time_clock_abs(void)
{
	struct timespec ts = time_at(CLOCK_MONOTONIC);

	return syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

static long time_clock_abs_real(void)
{
	struct timespec ts = time_at(CLOCK_REALTIME);

	return syscall(SYS_clock_nanosleep, CLOCK_REALTIME, TIMER_ABSTIME, &ts, NULL);
}

static long time_futex(void)
{
	return syscall(SYS_futex, &time_word, FUTEX_WAIT_PRIVATE, 5, &time_total, NULL, 0);
}

static long time_futex_abs(void)
{
	struct timespec ts = time_at(CLOCK_MONOTONIC);

	return syscall(SYS_futex, &time_word, FUTEX_WAIT_BITSET_PRIVATE, 5, &ts, NULL, ~0U);
}

static long time_futex_waitv(void)
{
	struct futex_waitv w = {.val = 5, .uaddr = (uintptr_t)&time_word, .flags = 2 | 128};
	struct timespec ts = time_at(CLOCK_MONOTONIC);

	return syscall(SYS_futex_waitv, &w, 1, 0, &ts, CLOCK_MONOTONIC);
}

static long time_poll(void)
{
	return OLDER(syscall(SYS_poll, NULL, 0, TOTAL_MS), poll(NULL, 0, TOTAL_MS));
}

static long time_poll_fd(void)
{
	struct pollfd p = {.fd = time_fd[0], .events = POLLIN};

	return OLDER(syscall(SYS_poll, &p, 1, TOTAL_MS), poll(&p, 1, TOTAL_MS));
}

static long time_ppoll(void)
{
	struct pollfd p = {.fd = time_fd[0], .events = POLLIN};
	struct timespec ts = time_total; /* the kernel updates it */

	return syscall(SYS_ppoll, &p, 1, &ts, NULL, 8);
}

static void time_epoll_setup(void)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = 1};

	time_pipe_setup();
	time_epoll = MUST(epoll_create1(EPOLL_CLOEXEC));
	MUST(epoll_ctl(time_epoll, EPOLL_CTL_ADD, time_fd[0], &ev));
}

static long time_epoll_wait(void)
{
	struct epoll_event ev[4];

	return OLDER(syscall(SYS_epoll_wait, time_epoll, ev, 4, TOTAL_MS),
		epoll_wait(time_epoll, ev, 4, TOTAL_MS));
}

static long time_epoll_pwait(void)
{
	struct epoll_event ev[4];
	sigset_t mask;

	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	return syscall(SYS_epoll_pwait, time_epoll, ev, 4, TOTAL_MS, &mask, 8);
}

static long time_epoll_pwait2(void)
{
	struct epoll_event ev[4];

	return syscall(SYS_epoll_pwait2, time_epoll, ev, 4, &time_total, NULL, 8);
}

static long time_select(void)
{
	struct timeval tv = {1, 500000};
	fd_set set;

	FD_ZERO(&set);
	FD_SET(time_fd[0], &set);
	return OLDER(syscall(SYS_select, time_fd[0] + 1, &set, NULL, NULL, &tv),
		select(time_fd[0] + 1, &set, NULL, NULL, &tv));
}

static long time_pselect(void)
{
	struct timespec ts = time_total;
	sigset_t mask;
	struct {
		sigset_t *mask;
		size_t size;
	} arg = {&mask, 8};

	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	return syscall(SYS_pselect6, 0, NULL, NULL, NULL, &ts, &arg);
}

static long time_sigtimedwait(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	return syscall(SYS_rt_sigtimedwait, &set, NULL, &time_total, 8);
}

static void time_sem_setup(void)
{
	time_sem = semget(IPC_PRIVATE, 1, 0600);
	CHECK(time_sem >= 0, "semget: %s", strerror(errno));
}

static long time_semtimedop(void)
{
	struct sembuf op = {.sem_num = 0, .sem_op = -1};
	long r = syscall(SYS_semtimedop, time_sem, &op, 1, &time_total);
	int err = errno;

	semctl(time_sem, 0, IPC_RMID);
	errno = err;
	return r;
}

static const struct time_case {
	const char *name;
	void (*setup)(void);
	long (*block)(void);
	int err; /* what the call says when the time is over; 0: it returns 0 */
} time_cases[] = {
	{"nanosleep", NULL, time_nanosleep, 0},
	{"clock_rel", NULL, time_clock_rel, 0},
	{"clock_abs", NULL, time_clock_abs, 0},
	{"clock_abs_real", NULL, time_clock_abs_real, 0},
	{"futex", NULL, time_futex, ETIMEDOUT},
	{"futex_abs", NULL, time_futex_abs, ETIMEDOUT},
	{"futex_waitv", NULL, time_futex_waitv, ETIMEDOUT},
	{"poll", NULL, time_poll, 0},
	{"poll_fd", time_pipe_setup, time_poll_fd, 0},
	{"ppoll", time_pipe_setup, time_ppoll, 0},
	{"epoll_wait", time_epoll_setup, time_epoll_wait, 0},
	{"epoll_pwait", time_epoll_setup, time_epoll_pwait, 0},
	{"epoll_pwait2", time_epoll_setup, time_epoll_pwait2, 0},
	{"select", time_pipe_setup, time_select, 0},
	{"pselect", NULL, time_pselect, 0},
	{"sigtimedwait", NULL, time_sigtimedwait, EAGAIN},
	{"semtimedop", time_sem_setup, time_semtimedop, EAGAIN},
};

static const struct time_case *time_find(const char *name)
{
	for (size_t i = 0; i < sizeof(time_cases) / sizeof(time_cases[0]); i++)
		if (strcmp(time_cases[i].name, name) == 0)
			return &time_cases[i];
	CHECK(0, "no such case: %s", name);
	return NULL;
}

static void *time_go(void *arg)
{
	victim_wait();
	return arg;
}

int main(int argc, char **argv)
{
	const struct time_case *c = time_find(argc > 1 ? argv[1] : "nanosleep");
	double from, took, dead;
	pthread_t t;
	long r;
	int err;

	victim_init(argc, argv);
	if (c->setup)
		c->setup();
	t = victim_thread(time_go, NULL);
	victim_ready();
	from = victim_clock_s(CLOCK_MONOTONIC);
	errno = 0;
	r = c->block();
	err = errno;
	took = victim_clock_s(CLOCK_MONOTONIC) - from;
	pthread_join(t, NULL);
	if (err == ENOSYS)
		SKIP("%s: not in this kernel", c->name);
	dead = victim_dead_s();
	CHECK(c->err ? r == -1 && err == c->err : r == 0, "%s: expected %s, got %ld (%s)", c->name,
		c->err ? strerror(c->err) : "0", r, strerror(err));
	CHECK(took > TOTAL_S - 0.01, "%s: early: %.3f s, expected %.3f s", c->name, took, TOTAL_S);
	CHECK(took - dead < TOTAL_S + 0.5, "%s: late: %.3f s without %.3f s dead, expected %.3f s",
		c->name, took - dead, dead, TOTAL_S);
	return 0;
}
