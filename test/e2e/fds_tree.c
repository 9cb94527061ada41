/*
 * e2e: args: pidfd zombie epoll procfs
 *
 * Holds: a process and its child: pidfd: one of the child, in the parent, and of the parent, in the child;
 *        zombie: of a child that has ended; epoll: one list that both have, with a member that each has
 *        added, and that the other does not know by this number; procfs: a file of the child, in the parent.
 * Shows: descriptors that lead to tasks, or know numbers of tasks, in a tree.
 */
#include "fds.h"
#include "pidfd.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static int to_child[2], to_parent[2];

static void tell(const int *p)
{
	MUST(write(p[1], "x", 1));
}

static void hear(const int *p)
{
	char c;

	CHECK(read(p[0], &c, 1) == 1, "the other has ended");
}

static int pidfd(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd < 0)
		SKIP("no pidfd here: %s", strerror(errno));
	return fd;
}

static pid_t start(void (*child)(void))
{
	pid_t pid;

	MUST(pipe(to_child));
	MUST(pipe(to_parent));
	pid = MUST(fork());
	if (pid == 0) {
		child();
		_exit(0);
	}
	hear(to_parent);
	return pid;
}

static void end(pid_t pid)
{
	int status;

	tell(to_child);
	MUST(waitpid(pid, &status, 0));
	CHECK(status == 0, "the child: status %#x", status);
}

static void pidfd_child(void)
{
	int fd = pidfd(getppid());

	tell(to_parent);
	hear(to_child);
	CHECK(pid_of(fd) == getppid() && !readable(fd), "the child's: %d", pid_of(fd));
}

static void tree_pidfd(void)
{
	pid_t pid = start(pidfd_child);
	int fd = pidfd(pid);

	victim_ready();
	victim_wait();
	CHECK(pid_of(fd) == pid && !readable(fd), "expected %d, got %d", pid, pid_of(fd));
	end(pid);
	CHECK(readable(fd) && pid_of(fd) == -1, "its end is not told");
}

static void tree_zombie(void)
{
	pid_t pid = MUST(fork());
	siginfo_t si;
	int fd;

	if (pid == 0)
		_exit(7);
	fd = pidfd(pid);
	while (!readable(fd))
		usleep(1000);
	victim_ready();
	victim_wait();
	CHECK(pid_of(fd) == pid && readable(fd), "expected %d, got %d", pid, pid_of(fd));
	MUST(waitid(P_PIDFD, (id_t)fd, &si, WEXITED));
	CHECK(si.si_pid == pid && si.si_status == 7, "pid %d, status %d", si.si_pid, si.si_status);
}

static int list, of_parent, of_child;

static void add(int fd, uint64_t data)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = data};

	MUST(epoll_ctl(list, EPOLL_CTL_ADD, fd, &ev));
}

static void expect(uint64_t data, const char *what)
{
	struct epoll_event ev[4];
	int n = MUST(epoll_wait(list, ev, 4, 0));

	CHECK(n == 1 && ev[0].data.u64 == data, "%s: %d events, %ld", what, n,
		(long)ev[0].data.u64);
}

static void epoll_child(void)
{
	uint64_t one = 1;
	int number = MUST(fcntl(of_child, F_DUPFD, 50));

	close(of_child);
	close(of_parent);
	add(number, 2);
	tell(to_parent);
	hear(to_child);
	MUST(write(number, &one, 8));
	expect(2, "the child's");
	MUST(read(number, &one, 8));
}

static void tree_epoll(void)
{
	uint64_t one = 1;
	pid_t pid;

	list = MUST(epoll_create1(0));
	of_parent = MUST(eventfd(0, EFD_NONBLOCK));
	of_child = MUST(eventfd(0, EFD_NONBLOCK));
	add(of_parent, 1);
	pid = start(epoll_child);
	victim_ready();
	victim_wait();
	MUST(write(of_parent, &one, 8));
	expect(1, "the parent's");
	MUST(read(of_parent, &one, 8));
	end(pid);
}

static void procfs_child(void)
{
	prctl(PR_SET_NAME, "the child");
	tell(to_parent);
	hear(to_child);
}

static void tree_procfs(void)
{
	pid_t pid = start(procfs_child);
	char path[64], text[64] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	fd = MUST(open(path, O_RDONLY));
	victim_ready();
	victim_wait();
	MUST(read(fd, text, sizeof(text) - 1));
	CHECK(!strcmp(text, "the child\n"), "got '%s'", text);
	end(pid);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*fn)(void);
	} cases[] = {{"pidfd", tree_pidfd}, {"zombie", tree_zombie}, {"epoll", tree_epoll},
		{"procfs", tree_procfs}};

	victim_init(argc, argv);
	for (size_t i = 0; argc == 2 && i < sizeof(cases) / sizeof(cases[0]); i++)
		if (!strcmp(argv[1], cases[i].name)) {
			cases[i].fn();
			return 0;
		}
	CHECK(0, "no such case");
	return 1;
}
