/*
 * e2e: args: self thread dead outside
 * e2e: no pidns for outside: who is outside is not there
 *
 * Holds: pidfds: self: of the process itself, twice, one of them with a duplicate, non-blocking, and
 *        member of an epoll set; thread: of one of its threads; dead: of a child that has ended, by two
 *        descriptors that are of one inode where the kernel has one for each process; outside: of the
 *        process that started it.
 * Shows: Files: "pidfd (of tasks in and outside the tree, of zombies, PIDFD_THREAD)".
 * e2e: exec: yes
 */
#include "fds.h"
#include "pidfd.h"
#include <sys/epoll.h>
#include <sys/wait.h>

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif

static struct fds_table table;

static int pidfd(pid_t pid, unsigned flags)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, flags);

	if (fd < 0)
		SKIP("no such pidfd here: %s", strerror(errno));
	return fd;
}

static void handshake(int fd, const char *what)
{
	struct fds_view was;

	fds_table(&table);
	fds_view(fd, &was);
	victim_ready();
	victim_wait();
	fds_expect(fd, &was, false, what);
	fds_expect_table(&table);
}

static void of_self(void)
{
	int nb = pidfd(getpid(), O_NONBLOCK), fd = pidfd(getpid(), 0);
	int copy = MUST(fcntl(fd, F_DUPFD, 20)), ep = MUST(epoll_create1(0)), took;
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 7};

	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	handshake(fd, "self");
	CHECK(pid_of(fd) == getpid() && pid_of(copy) == getpid() && pid_of(nb) == getpid(),
		"expected %d, got %d, %d and %d", getpid(), pid_of(fd), pid_of(copy), pid_of(nb));
	CHECK(fds_same(fd, copy) && !fds_same(fd, nb), "the descriptions");
	CHECK(fcntl(copy, F_GETFD) == 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC, "close-on-exec");
	CHECK(fcntl(nb, F_GETFL) & O_NONBLOCK && !(fcntl(fd, F_GETFL) & O_NONBLOCK), "O_NONBLOCK");
	CHECK(!readable(fd), "it has ended");
	took = (int)MUST(syscall(SYS_pidfd_getfd, copy, STDOUT_FILENO, 0));
	CHECK(fds_same(took, STDOUT_FILENO), "a descriptor taken by it");
	CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == -1 && errno == EEXIST, "the epoll set");
}

static pid_t tid;

static void *sleeper(void *arg)
{
	tid = (pid_t)syscall(SYS_gettid);
	MUST(read(*(int *)arg, &(char){0}, 1));
	return NULL;
}

static void of_thread(void)
{
	int p[2], fd;
	pthread_t t;

	MUST(pipe(p));
	t = victim_thread(sleeper, &p[0]);
	while (!*(volatile pid_t *)&tid)
		usleep(1000);
	fd = pidfd(tid, PIDFD_THREAD);
	handshake(fd, "thread");
	CHECK(pid_of(fd) == tid, "expected %d, got %d", tid, pid_of(fd));
	CHECK(!readable(fd), "it has ended");
	MUST(write(p[1], "x", 1));
	pthread_join(t, NULL);
	for (int i = 0; i < 500 && !readable(fd); i++)
		usleep(1000);
	CHECK(readable(fd), "its end is not told");
}

static void of_dead(void)
{
	struct stat a, b;
	int fd, again;
	pid_t pid = MUST(fork());

	if (pid == 0)
		_exit(3);
	fd = pidfd(pid, 0);
	again = pidfd(pid, O_NONBLOCK);
	MUST(waitpid(pid, NULL, 0));
	MUST(fstat(fd, &a));
	MUST(fstat(again, &b));
	CHECK(a.st_ino == b.st_ino, "the test is broken");
	handshake(fd, "dead");
	CHECK(pid_of(fd) == -1 && pid_of(again) == -1, "expected -1, got %d and %d", pid_of(fd),
		pid_of(again));
	CHECK(readable(fd) && readable(again), "its end is not told");
	CHECK(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0) == -1 && errno == ESRCH,
		"a signal: %s", strerror(errno));
	CHECK(fcntl(again, F_GETFL) & O_NONBLOCK && !(fcntl(fd, F_GETFL) & O_NONBLOCK),
		"O_NONBLOCK");
	MUST(fstat(fd, &a));
	MUST(fstat(again, &b));
	CHECK(a.st_ino == b.st_ino, "they are not of one process any more");
	CHECK(!fds_same(fd, again), "they are one description");
}

static void of_outside(void)
{
	pid_t parent = getppid();
	int fd = pidfd(parent, 0);

	handshake(fd, "outside");
	CHECK(pid_of(fd) == parent, "expected %d, got %d", parent, pid_of(fd));
	MUST(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
}

int main(int argc, char **argv)
{
	static const struct victim_case cases[] = {{"self", of_self}, {"thread", of_thread},
		{"dead", of_dead}, {"outside", of_outside}};

	return victim_cases(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
