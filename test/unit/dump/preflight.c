/*
 * preflight.c - the look at a process: a child of the test that holds one thing of each kind.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/netlink.h>
#include <linux/perf_event.h>

#include "dump/preflight.h"

/* Descriptor numbers of the child, so that a test can name them. */
enum {
	FD_FILE = 10,
	FD_DIR,
	FD_NULL,
	FD_PIPE_R,
	FD_PIPE_W,
	FD_HALF,
	FD_PATH,
	FD_DELETED,
	FD_OUTER
};
enum { FD_SOCKET = 30, FD_MOUNT, FD_LOCK, FD_NS, FD_MEMFD };

static void move(int fd, int to)
{
	if (fd < 0 || dup2(fd, to) < 0)
		_exit(9);
	close(fd);
}

/* Where the tests leave an end of a pipe for the process to be; start() closes what is below. */
#define OUTER 100

static void make_pipes(void)
{
	int ends[2];

	if (pipe(ends) < 0)
		_exit(9);
	move(ends[0], FD_PIPE_R);
	move(ends[1], FD_PIPE_W);
	if (pipe(ends) < 0)
		_exit(9);
	move(ends[0], FD_HALF);
	close(ends[1]);
	move(OUTER, FD_OUTER);
}

static void make_plain(void)
{
	char name[] = "/tmp/ckpt-unit-XXXXXX";

	move(open("/proc/version", O_RDONLY), FD_FILE);
	move(open("/", O_RDONLY | O_DIRECTORY), FD_DIR);
	move(open("/dev/null", O_RDWR), FD_NULL);
	move(open("/dev/full", O_PATH), FD_PATH);
	move(mkstemp(name), FD_DELETED);
	unlink(name);
	move(memfd_create("m", 0), FD_MEMFD);
}

static void make_refused(void)
{
	char name[] = "/tmp/ckpt-unit-XXXXXX";
	struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK};
	int perf = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);

	move(socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT), FD_SOCKET);
	move((int)syscall(SYS_fsopen, "tmpfs", 0), FD_MOUNT);
	move(mkstemp(name), FD_LOCK);
	unlink(name);
	if (flock(FD_LOCK, LOCK_EX) < 0)
		_exit(9);
	move(open("/proc/self/ns/uts", O_RDONLY), FD_NS);
	if (mmap(NULL, 2 * 4096, PROT_READ, MAP_SHARED, perf, 0) == MAP_FAILED)
		_exit(9);
}

static pid_t start(void (*make)(void))
{
	int ready[2];
	char c;
	pid_t pid;

	cr_assert_eq(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int fd = 0; fd < 64; fd++)
			if (fd != ready[1])
				close(fd);
		move(ready[1], 60);
		if (make)
			make();
		if (write(60, "r", 1) != 1)
			_exit(9);
		close(60);
		for (;;)
			pause();
	}
	cr_assert(pid > 0);
	close(ready[1]);
	cr_assert_eq(read(ready[0], &c, 1), 1, "the child could not be set up");
	/* Its end of the pipe is none of what the tests look for; nor is that of its own child. */
	while (read(ready[0], &c, 1) == 1)
		;
	close(ready[0]);
	return pid;
}

static void stop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* The item whose object begins with text, or NULL. */
static const struct ckpt_explain_item *find(const struct preflight_report *rep, const char *text)
{
	for (size_t i = 0; i < rep->r.n; i++)
		if (!strncmp(rep->r.items[i].object, text, strlen(text)))
			return &rep->r.items[i];
	return NULL;
}

static void expect(
	const struct preflight_report *rep, int fd, enum ckpt_verdict verdict, const char *resource)
{
	const struct ckpt_explain_item *item;
	char text[16];

	snprintf(text, sizeof(text), "fd %d ", fd);
	item = find(rep, text);
	cr_assert(item, "%s is missing", text);
	cr_expect_eq(item->verdict, verdict, "%s", text);
	cr_expect_str_eq(item->resource, resource);
	cr_expect(verdict == CKPT_SAVED || item->reason, "%s", text);
}

Test(preflight, plain_descriptors_are_saved)
{
	pid_t pid = start(make_plain);
	struct ckpt_op op;
	struct preflight_report rep;

	op_init(&op, NULL);
	cr_assert_eq(preflight_deep(&op, pid, NULL, &rep), 0);
	stop(pid);
	cr_expect_eq(rep.r.pid, pid);
	cr_expect_eq(rep.r.threads, 1);
	cr_expect_eq(rep.r.refused, 0);
	cr_expect_eq(rep.r.n, rep.r.saved + rep.r.warned);
	expect(&rep, FD_FILE, CKPT_SAVED, "regfile");
	expect(&rep, FD_DIR, CKPT_SAVED, "regfile");
	expect(&rep, FD_NULL, CKPT_SAVED, "regfile");
	expect(&rep, FD_PATH, CKPT_SAVED, "regfile");
	expect(&rep, FD_DELETED, CKPT_SAVED, "regfile");
	expect(&rep, FD_MEMFD, CKPT_SAVED, "shmem");
	cr_expect_eq(preflight_refuse(&op, &rep), 0);
	preflight_done(&rep);
	op_done(&op, NULL);
}

/* Inner ones, one whose other end is closed, and one whose other end this test holds. */
Test(preflight, pipes_that_lead_outside)
{
	struct ckpt_op op;
	struct preflight_report rep;
	int ends[2];
	pid_t pid;

	cr_assert_eq(pipe(ends), 0);
	move(ends[1], OUTER);
	pid = start(make_pipes);
	close(OUTER);
	op_init(&op, NULL);
	cr_assert_eq(preflight_deep(&op, pid, NULL, &rep), 0);
	stop(pid);
	expect(&rep, FD_PIPE_R, CKPT_SAVED, "pipe");
	expect(&rep, FD_PIPE_W, CKPT_SAVED, "pipe");
	expect(&rep, FD_HALF, CKPT_SAVED, "pipe");
	expect(&rep, FD_OUTER, CKPT_WARNED, "pipe");
	close(ends[0]);
	preflight_done(&rep);
	op_done(&op, NULL);
}

Test(preflight, all_offenders_are_named_at_once)
{
	pid_t pid = start(make_refused);
	struct ckpt_op op;
	struct ckpt_error err;
	struct preflight_report rep;

	op_init(&op, NULL);
	cr_assert_eq(preflight(&op, pid, NULL, &rep), 0);
	stop(pid);
	expect(&rep, FD_SOCKET, CKPT_REFUSED, "netlink");
	expect(&rep, FD_MOUNT, CKPT_REFUSED, "mount");
	expect(&rep, FD_NS, CKPT_REFUSED, "namespace");
	cr_assert(find(&rep, "mapping "));
	cr_expect_str_eq(find(&rep, "mapping ")->resource, "perf");
	for (size_t i = 0; i < rep.r.n; i++)
		cr_expect_neq(rep.r.items[i].verdict, CKPT_SAVED, "a quick look keeps no saved");
	cr_expect(preflight_refuse(&op, &rep) < 0);
	preflight_done(&rep);
	op_done(&op, &err);
	cr_expect_eq(err.kind, CKPT_E_REFUSED);
	cr_expect_eq(err.target, CKPT_TARGET_RUNNING);
	cr_expect(strstr(err.object, "fd 30 socket:["));
	cr_expect(strstr(err.object, "fd 31 "));
	cr_expect(strstr(err.object, "anon_inode:[perf_event]"));
	ckpt_error_done(&err);
}

/* A child, which has a socket and is the other end of a pipe, and a zombie. */
static void make_children(void)
{
	int ends[2];

	if (pipe(ends) < 0)
		_exit(9);
	if (!fork()) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		move(ends[0], FD_PIPE_R);
		close(ends[1]);
		move(socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT), FD_SOCKET);
		if (write(60, "r", 1) != 1)
			_exit(9);
		close(60);
		for (;;)
			pause();
	}
	close(ends[0]);
	move(ends[1], FD_PIPE_W);
	if (!fork())
		_exit(3);
	usleep(20000);
}

Test(preflight, children_are_looked_at_too)
{
	pid_t pid = start(make_children);
	struct ckpt_op op;
	struct ckpt_error err;
	struct preflight_report rep;
	char text[32];

	op_init(&op, NULL);
	cr_assert_eq(preflight_deep(&op, pid, NULL, &rep), 0);
	stop(pid);
	cr_expect_eq(rep.r.tasks, 3);
	expect(&rep, FD_PIPE_R, CKPT_SAVED, "pipe");
	expect(&rep, FD_PIPE_W, CKPT_SAVED, "pipe");
	expect(&rep, FD_SOCKET, CKPT_REFUSED, "netlink");
	cr_expect_eq(rep.r.refused, 1);
	cr_expect_neq(find(&rep, "fd 30 ")->pid, pid);
	snprintf(text, sizeof(text), "pid %d: fd 30 ", (int)find(&rep, "fd 30 ")->pid);
	cr_expect(preflight_refuse(&op, &rep) < 0);
	preflight_done(&rep);
	op_done(&op, &err);
	cr_expect(strstr(err.object, text), "%s", err.object);
	ckpt_error_done(&err);
}

/* Its child of vfork(2) says that it is there. */
static pid_t start_vfork(void)
{
	int ready[2];
	pid_t pid;
	char c;

	cr_assert_eq(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (!vfork()) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (write(ready[1], "r", 1) == 1)
				for (;;)
					pause();
			_exit(9);
		}
		_exit(9);
	}
	cr_assert(pid > 0);
	cr_assert_eq(read(ready[0], &c, 1), 1, "the child could not be set up");
	close(ready[0]);
	close(ready[1]);
	return pid;
}

Test(preflight, a_parent_that_waits_in_vfork)
{
	pid_t pid = start_vfork();
	const struct ckpt_explain_item *item = NULL;
	struct preflight_report rep;
	struct ckpt_op op;
	char text[32];

	op_init(&op, NULL);
	snprintf(text, sizeof(text), "tid %d ", (int)pid);
	/* the child may be there a moment before its parent sleeps */
	for (int i = 0; !item && i < 100; i++) {
		if (i) {
			preflight_done(&rep);
			usleep(10000);
		}
		cr_assert_eq(preflight_deep(&op, pid, NULL, &rep), 0);
		item = find(&rep, text);
	}
	stop(pid);
	cr_assert(item, "nothing is said of it");
	cr_expect_eq(item->verdict, CKPT_WARNED);
	cr_expect(strstr(item->reason, "vfork"), "%s", item->reason);
	preflight_done(&rep);
	op_done(&op, NULL);
}

Test(preflight, a_zombie_is_refused)
{
	pid_t pid = start(NULL);
	struct ckpt_op op;
	struct preflight_report rep;
	siginfo_t si;

	kill(pid, SIGKILL);
	cr_assert_eq(waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT), 0);
	op_init(&op, NULL);
	cr_assert_eq(preflight(&op, pid, NULL, &rep), 0);
	cr_expect_eq(rep.r.refused, 1);
	cr_expect(preflight_refuse(&op, &rep) < 0);
	preflight_done(&rep);
	op_done(&op, NULL);
	waitpid(pid, NULL, 0);
}

Test(preflight, a_process_that_is_not_there)
{
	pid_t pid = start(NULL);
	struct ckpt_op op;
	struct ckpt_error err;
	struct preflight_report rep;

	stop(pid);
	op_init(&op, NULL);
	cr_expect(preflight(&op, pid, NULL, &rep) < 0);
	preflight_done(&rep);
	op_done(&op, &err);
	cr_expect_eq(err.kind, CKPT_E_TARGET);
	ckpt_error_done(&err);
}

static void make_ipc(void)
{
	int set = semget(IPC_PRIVATE, 2, IPC_CREAT | 0600);
	int queue = msgget(IPC_PRIVATE, IPC_CREAT | 0600);

	if (semctl(set, 1, SETVAL, 3) < 0 || msgsnd(queue, &(long){7}, 0, IPC_NOWAIT) < 0)
		_exit(9);
}

Test(preflight, semaphores_and_queues_that_stay)
{
	pid_t pid = start(make_ipc);
	struct ckpt_op op;
	struct preflight_report deep, quick;
	const struct ckpt_explain_item *set, *queue;
	int id;

	op_init(&op, NULL);
	cr_assert_eq(preflight_deep(&op, pid, NULL, &deep), 0);
	cr_assert_eq(preflight(&op, pid, NULL, &quick), 0);
	stop(pid);
	set = find(&deep, "System V semaphores ");
	queue = find(&deep, "System V message queue ");
	cr_assert(set && queue);
	cr_expect_eq(set->verdict, CKPT_WARNED);
	cr_expect_eq(queue->verdict, CKPT_WARNED);
	cr_assert_eq(sscanf(set->object, "System V semaphores %d", &id), 1);
	cr_expect_eq(semctl(id, 1, GETVAL), 3, "another set");
	semctl(id, 0, IPC_RMID);
	cr_assert_eq(sscanf(queue->object, "System V message queue %d", &id), 1);
	msgctl(id, IPC_RMID, NULL);
	cr_expect_null(find(&quick, "System V"), "they cost too much for a quick look");
	preflight_done(&deep);
	preflight_done(&quick);
	op_done(&op, NULL);
}
