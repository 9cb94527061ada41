/*
 * Holds: the main thread in one blocking system call (the argument) without a time limit. It must
 * still be in it at the go; then another thread does what wakes it, and the call returns just that.
 * Shows: Threads: "threads stopped in every kind of system call: restarted as the kernel would have
 * (read, futex, poll, epoll_wait, sigsuspend, ...)"; First, do no harm: "sees no EINTR".
 *
 * e2e: args: read write open_fifo futex futex_bitset futex_waitv poll ppoll_mask select pselect_mask epoll_wait epoll_pwait_mask pause sigsuspend sigwaitinfo msgrcv msgsnd semop flock ofd_lock wait4
 * e2e: no kill for epoll_wait,epoll_pwait_mask,sigwaitinfo,semop: killed between stop and cure, it leaves an EINTR
 * e2e: exec: yes
 */
#include "victim.h"

#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* A call that newer ISAs do not have; libc does it by another there. */
#ifdef SYS_poll
#define OLDER(call, libc) (call)
#else
#define OLDER(call, libc) (libc)
#endif

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

struct wait_msg {
	long type;
	char text[4096];
};

static int wait_fd[2], wait_fd2, wait_epoll, wait_ipc;
static uint32_t wait_word = 5;
static pid_t wait_main, wait_child;
static volatile int wait_done, wait_hits;
static sigset_t wait_mask_usr1;

static void wait_hit(int sig)
{
	(void)sig;
	wait_hits++;
}

/* Wakes: what the other thread does. */

static void wake_byte(void)
{
	CHECK(write(wait_fd[1], "x", 1) == 1, "write: %s", strerror(errno));
}

static void wake_futex(void)
{
	long n;

	__atomic_store_n(&wait_word, 6, __ATOMIC_SEQ_CST);
	n = syscall(SYS_futex, &wait_word, FUTEX_WAKE_PRIVATE, 1);
	CHECK(n == 1, "FUTEX_WAKE: expected 1 waiter, got %ld", n);
}

static void wake_signal(void)
{
	MUST(syscall(SYS_tgkill, getpid(), victim_now(wait_main), SIGUSR1));
}

/* The calls. */

static void setup_pipe(void)
{
	MUST(pipe(wait_fd));
}

static long block_read(void)
{
	char c = 0;
	long r = read(wait_fd[0], &c, 1);

	CHECK(r != 1 || c == 'x', "read: expected 'x', got %#x", c);
	return r;
}

static void setup_full(void)
{
	char page[4096] = {0};

	setup_pipe();
	MUST(fcntl(wait_fd[1], F_SETFL, O_NONBLOCK));
	while (write(wait_fd[1], page, sizeof(page)) > 0)
		;
	MUST(fcntl(wait_fd[1], F_SETFL, 0));
}

static long block_write(void)
{
	return write(wait_fd[1], "y", 1);
}

static void wake_drain(void)
{
	char page[4096];

	for (int i = 0; i < 2; i++)
		MUST(read(wait_fd[0], page, sizeof(page)));
}

static void setup_fifo(void)
{
	MUST(mkfifo("fifo", 0600));
}

static long block_open_fifo(void)
{
	return open("fifo", O_RDONLY) >= 0 ? 0 : -1;
}

static void wake_fifo(void)
{
	MUST(open("fifo", O_WRONLY));
}

static long block_futex(void)
{
	return syscall(SYS_futex, &wait_word, FUTEX_WAIT_PRIVATE, 5, NULL, NULL, 0);
}

static long block_futex_bitset(void)
{
	return syscall(SYS_futex, &wait_word, FUTEX_WAIT_BITSET_PRIVATE, 5, NULL, NULL, 1);
}

static long block_futex_waitv(void)
{
	struct futex_waitv w = {.val = 5, .uaddr = (uintptr_t)&wait_word, .flags = 2 | 128};

	return syscall(SYS_futex_waitv, &w, 1, 0, NULL, 0);
}

static long block_poll(void)
{
	struct pollfd p = {.fd = wait_fd[0], .events = POLLIN};

	return OLDER(syscall(SYS_poll, &p, 1, -1), poll(&p, 1, -1));
}

static long block_ppoll_mask(void)
{
	struct pollfd p = {.fd = wait_fd[0], .events = POLLIN};

	return syscall(SYS_ppoll, &p, 1, NULL, &wait_mask_usr1, 8);
}

static long block_select(void)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(wait_fd[0], &set);
	return OLDER(syscall(SYS_select, wait_fd[0] + 1, &set, NULL, NULL, NULL),
		select(wait_fd[0] + 1, &set, NULL, NULL, NULL));
}

static long block_pselect_mask(void)
{
	struct {
		sigset_t *mask;
		size_t size;
	} arg = {&wait_mask_usr1, 8};

	return syscall(SYS_pselect6, 0, NULL, NULL, NULL, NULL, &arg);
}

static void setup_epoll(void)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = 0x1122334455667788};

	setup_pipe();
	wait_epoll = MUST(epoll_create1(EPOLL_CLOEXEC));
	MUST(epoll_ctl(wait_epoll, EPOLL_CTL_ADD, wait_fd[0], &ev));
}

static long block_epoll_wait(void)
{
	struct epoll_event ev = {0};
	long r = OLDER(syscall(SYS_epoll_wait, wait_epoll, &ev, 1, -1),
		epoll_wait(wait_epoll, &ev, 1, -1));

	CHECK(r != 1 || ev.data.u64 == 0x1122334455667788, "epoll data: got %#lx",
		(unsigned long)ev.data.u64);
	return r;
}

static long block_epoll_pwait_mask(void)
{
	struct epoll_event ev;

	return syscall(SYS_epoll_pwait, wait_epoll, &ev, 1, -1, &wait_mask_usr1, 8);
}

static long block_pause(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	return OLDER(syscall(SYS_pause), pause());
}

static long block_sigsuspend(void)
{
	return syscall(SYS_rt_sigsuspend, &wait_mask_usr1, 8);
}

static long block_sigwaitinfo(void)
{
	siginfo_t info = {0};
	sigset_t set;
	long r;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	r = syscall(SYS_rt_sigtimedwait, &set, &info, NULL, 8);
	CHECK(r != SIGUSR1 || info.si_code == SI_TKILL, "si_code: expected %d, got %d", SI_TKILL,
		info.si_code);
	return r;
}

static void setup_msg(void)
{
	wait_ipc = msgget(IPC_PRIVATE, 0600);
	CHECK(wait_ipc >= 0, "msgget: %s", strerror(errno));
}

static long block_msgrcv(void)
{
	struct wait_msg m;

	return msgrcv(wait_ipc, &m, sizeof(m.text), 3, 0);
}

static void wake_msgrcv(void)
{
	struct wait_msg m = {.type = 3};

	MUST(msgsnd(wait_ipc, &m, 10, 0));
}

static void setup_msg_full(void)
{
	struct wait_msg m = {.type = 3};

	setup_msg();
	while (msgsnd(wait_ipc, &m, sizeof(m.text), IPC_NOWAIT) == 0)
		;
}

static long block_msgsnd(void)
{
	struct wait_msg m = {.type = 4};

	return msgsnd(wait_ipc, &m, sizeof(m.text), 0);
}

static void wake_msgsnd(void)
{
	struct wait_msg m;

	MUST(msgrcv(wait_ipc, &m, sizeof(m.text), 3, 0));
}

static void done_msg(void)
{
	MUST(msgctl(wait_ipc, IPC_RMID, NULL));
}

static void setup_sem(void)
{
	wait_ipc = semget(IPC_PRIVATE, 1, 0600);
	CHECK(wait_ipc >= 0, "semget: %s", strerror(errno));
}

static long block_semop(void)
{
	struct sembuf op = {.sem_op = -2};

	return semop(wait_ipc, &op, 1);
}

static void wake_semop(void)
{
	struct sembuf op = {.sem_op = 2};

	MUST(semop(wait_ipc, &op, 1));
}

static void done_sem(void)
{
	MUST(semctl(wait_ipc, 0, IPC_RMID));
}

/* Two descriptions of one file in one process conflict as two processes would. */
static void setup_lock_files(void)
{
	wait_fd[0] = MUST(open("lock", O_RDWR | O_CREAT, 0600));
	wait_fd2 = MUST(open("lock", O_RDWR));
}

static void setup_flock(void)
{
	setup_lock_files();
	MUST(flock(wait_fd[0], LOCK_EX));
}

static long block_flock(void)
{
	return flock(wait_fd2, LOCK_EX);
}

static void wake_flock(void)
{
	MUST(flock(wait_fd[0], LOCK_UN));
}

static long wait_ofd(int fd, int cmd, int type)
{
	struct flock lock = {.l_type = type, .l_whence = SEEK_SET};

	return fcntl(fd, cmd, &lock);
}

static void setup_ofd(void)
{
	setup_lock_files();
	MUST(wait_ofd(wait_fd[0], F_OFD_SETLK, F_WRLCK));
}

static long block_ofd(void)
{
	return wait_ofd(wait_fd2, F_OFD_SETLKW, F_WRLCK);
}

static void wake_ofd(void)
{
	MUST(wait_ofd(wait_fd[0], F_OFD_SETLK, F_UNLCK));
}

static void setup_child(void)
{
	wait_child = MUST(fork());
	if (wait_child == 0)
		for (;;)
			pause();
}

static long block_wait4(void)
{
	int status;

	return waitpid(wait_child, &status, 0) == wait_child ? 0 : -1;
}

static void wake_child(void)
{
	MUST(kill(wait_child, SIGKILL));
}

static const struct wait_case {
	const char *name;
	void (*setup)(void);
	long (*block)(void);
	void (*wake)(void);
	long ret; /* expected; -1: EINTR, after exactly one run of the handler */
	void (*done)(void);
} wait_cases[] = {
	{"read", setup_pipe, block_read, wake_byte, 1, NULL},
	{"write", setup_full, block_write, wake_drain, 1, NULL},
	{"open_fifo", setup_fifo, block_open_fifo, wake_fifo, 0, NULL},
	{"futex", NULL, block_futex, wake_futex, 0, NULL},
	{"futex_bitset", NULL, block_futex_bitset, wake_futex, 0, NULL},
	{"futex_waitv", NULL, block_futex_waitv, wake_futex, 0, NULL},
	{"poll", setup_pipe, block_poll, wake_byte, 1, NULL},
	{"ppoll_mask", setup_pipe, block_ppoll_mask, wake_signal, -1, NULL},
	{"select", setup_pipe, block_select, wake_byte, 1, NULL},
	{"pselect_mask", NULL, block_pselect_mask, wake_signal, -1, NULL},
	{"epoll_wait", setup_epoll, block_epoll_wait, wake_byte, 1, NULL},
	{"epoll_pwait_mask", setup_epoll, block_epoll_pwait_mask, wake_signal, -1, NULL},
	{"pause", NULL, block_pause, wake_signal, -1, NULL},
	{"sigsuspend", NULL, block_sigsuspend, wake_signal, -1, NULL},
	{"sigwaitinfo", NULL, block_sigwaitinfo, wake_signal, SIGUSR1, NULL},
	{"msgrcv", setup_msg, block_msgrcv, wake_msgrcv, 10, done_msg},
	{"msgsnd", setup_msg_full, block_msgsnd, wake_msgsnd, 0, done_msg},
	{"semop", setup_sem, block_semop, wake_semop, 0, done_sem},
	{"flock", setup_flock, block_flock, wake_flock, 0, NULL},
	{"ofd_lock", setup_ofd, block_ofd, wake_ofd, 0, NULL},
	{"wait4", setup_child, block_wait4, wake_child, 0, NULL},
};

static void *wait_go(void *arg)
{
	const struct wait_case *c = arg;

	victim_wait();
	usleep(20000); /* so that a call that returned by itself is seen as that */
	CHECK(!wait_done, "%s: has returned before it was woken", c->name);
	CHECK(!wait_hits, "%s: %d signals before the wake", c->name, wait_hits);
	c->wake();
	return NULL;
}

static const struct wait_case *wait_find(const char *name)
{
	for (size_t i = 0; i < sizeof(wait_cases) / sizeof(wait_cases[0]); i++)
		if (strcmp(wait_cases[i].name, name) == 0)
			return &wait_cases[i];
	CHECK(0, "no such case: %s", name);
	return NULL;
}

static void wait_signals(void)
{
	struct sigaction act = {.sa_handler = wait_hit, .sa_flags = SA_RESTART};
	sigset_t block;

	MUST(sigaction(SIGUSR1, &act, NULL));
	pthread_sigmask(SIG_SETMASK, NULL, &wait_mask_usr1);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &block, NULL);
}

static void wait_mask_check(const char *name, const sigset_t *before)
{
	sigset_t after;

	pthread_sigmask(SIG_SETMASK, NULL, &after);
	CHECK(strcmp(name, "pause") == 0 ||
			sigismember(&after, SIGUSR1) == sigismember(before, SIGUSR1),
		"%s: the signal mask from before the call has not come back", name);
}

int main(int argc, char **argv)
{
	const struct wait_case *c = wait_find(argc > 1 ? argv[1] : "read");
	sigset_t before;
	pthread_t t;
	long r;
	int err;

	victim_init(argc, argv);
	wait_main = syscall(SYS_gettid);
	wait_signals();
	if (c->setup)
		c->setup();
	t = victim_thread(wait_go, (void *)c);
	pthread_sigmask(SIG_SETMASK, NULL, &before);
	victim_ready();
	errno = 0;
	r = c->block();
	err = errno;
	wait_done = 1;
	pthread_join(t, NULL);
	if (r == -1 && err == ENOSYS)
		SKIP("%s: not in this kernel", c->name);
	CHECK(r == c->ret && (r != -1 || err == EINTR), "%s: expected %ld, got %ld (%s)", c->name,
		c->ret, r, strerror(err));
	CHECK(wait_hits == (c->ret == -1), "%s: handler: expected %d runs, got %d", c->name,
		c->ret == -1, wait_hits);
	wait_mask_check(c->name, &before);
	if (c->done)
		c->done();
	return 0;
}
