/*
 * Holds: descriptions that only a task of the tree can open again, and that several tasks have: pidfds of
 *        the root, of a child and of a thread of another child; /proc/self/maps of the root, half read, and
 *        the status of a child. One of them the root has closed, one child has at another number, and one
 *        is also opened by a child for itself.
 * Shows: "with sharing between tasks exactly as it was".
 * e2e: exec: yes
 */
#include "pidfd.h"
#include "tree.h"
#include <linux/kcmp.h>

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif
#define HALF    40 /* bytes that are read of a file before the dump */
#define ELSE_AT 50 /* the number that a child has something at */

enum { ROOT, CHILD, MAPS, STATUS, THREAD, N };

static int fd[N], own, orphaned;
static pid_t *tid;

static void *sleeper(void *arg)
{
	*tid = (pid_t)syscall(SYS_gettid);
	pause();
	return arg;
}

static bool same(pid_t a, int fda, pid_t b, int fdb)
{
	return MUST(syscall(SYS_kcmp, a, b, KCMP_FILE, fda, fdb)) == 0;
}

/* The one that is referred to. */
static int target(int arg)
{
	(void)arg;
	victim_thread(sleeper, NULL);
	tree_report();
	tree_pass();
	return 0;
}

/* @arg: the root's number of what this one has elsewhere, 0: it has it there too */
static int child(int arg)
{
	pid_t root = getppid();

	own = MUST(syscall(SYS_pidfd_open, root, 0));
	if (arg) {
		MUST(dup2(fd[MAPS], ELSE_AT));
		close(fd[MAPS]);
		fd[MAPS] = ELSE_AT;
	}
	tree_report();
	tree_pass();
	root = victim_now(root);
	for (int i = 0; i < N; i++)
		if (fd[i] >= 0 && i != MAPS)
			CHECK(same(getpid(), fd[i], root, fd[i]), "%d is not the root's any more",
				i);
	CHECK(same(getpid(), fd[MAPS], root, arg ?: fd[MAPS]),
		"the file of /proc is not the root's any more");
	CHECK(!same(getpid(), own, root, fd[ROOT]), "opened for itself, and now the root's");
	CHECK(pid_of(own) == root && pid_of(fd[ROOT]) == root, "the pidfds of the root");
	CHECK(pid_of(orphaned) == root, "the one that the root has closed");
	CHECK(lseek(fd[MAPS], 0, SEEK_CUR) == 2 * HALF, "position: expected %d, got %lld", 2 * HALF,
		(long long)lseek(fd[MAPS], 0, SEEK_CUR));
	return 0;
}

static void open_all(pid_t pid)
{
	char path[64], text[HALF];

	fd[ROOT] = MUST(syscall(SYS_pidfd_open, getpid(), 0));
	orphaned = MUST(syscall(SYS_pidfd_open, getpid(), O_NONBLOCK));
	fd[CHILD] = MUST(syscall(SYS_pidfd_open, pid, 0));
	fd[THREAD] = (int)syscall(SYS_pidfd_open, *tid, PIDFD_THREAD);
	fd[MAPS] = MUST(open("/proc/self/maps", O_RDONLY));
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	fd[STATUS] = MUST(open(path, O_RDONLY | O_CLOEXEC));
	CHECK(read(fd[MAPS], text, HALF) == HALF, "maps: %s", strerror(errno));
}

int main(int argc, char **argv)
{
	char text[HALF], want[32], got[4096];
	pid_t pid[3];

	victim_init(argc, argv);
	tree_init();
	tid = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(tid != MAP_FAILED, "mmap: %s", strerror(errno));
	pid[0] = tree_fork(target, 0);
	tree_expect(1);
	while (!*(volatile pid_t *)tid)
		usleep(1000);
	open_all(pid[0]);
	pid[1] = tree_fork(child, 0);
	pid[2] = tree_fork(child, fd[MAPS]);
	close(orphaned);
	tree_expect(2);
	victim_ready();
	victim_wait();
	CHECK(read(fd[MAPS], text, HALF) == HALF, "maps: %s", strerror(errno));
	CHECK(pid_of(fd[CHILD]) == pid[0], "the pidfd of a child");
	CHECK(fd[THREAD] < 0 || pid_of(fd[THREAD]) == *tid, "the pidfd of a thread");
	CHECK(read(fd[STATUS], got, sizeof(got)) > 0, "status: %s", strerror(errno));
	snprintf(want, sizeof(want), "\nPid:\t%d\n", pid[0]);
	CHECK(strstr(got, want), "the status of a child: %.100s", got);
	CHECK(same(pid[1], orphaned, pid[2], orphaned),
		"the one that the root has closed is not one");
	tree_open(3);
	for (int i = 0; i < 3; i++)
		tree_ends(pid[i], 0, "a child");
	tree_no_more();
	return 0;
}
