/*
 * What victims of several processes share: children that wait at a gate for the root's go, verify
 * themselves and tell by their exit status.
 *
 * The driver's go reaches the root only; it opens the gate, a pipe, by one byte for each child.
 */
#ifndef TEST_E2E_TREE_H
#define TEST_E2E_TREE_H

#include "victim.h"
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* What a process is to find again in itself. */
struct tree_self {
	pid_t pid, ppid, pgid, sid;
};

static int tree_gate[2], tree_up[2];

/* Before the first fork. */
static inline void tree_init(void)
{
	MUST(pipe(tree_gate));
	MUST(pipe(tree_up));
}

static inline struct tree_self tree_self(void)
{
	return (struct tree_self){getpid(), getppid(), getpgrp(), getsid(0)};
}

static inline void tree_same(const struct tree_self *was, const char *what)
{
	struct tree_self now = tree_self(), want = {victim_now(was->pid), victim_now(was->ppid),
						    victim_now(was->pgid), victim_now(was->sid)};

	CHECK(now.pid == want.pid, "%s: pid: expected %d, got %d", what, want.pid, now.pid);
	CHECK(now.ppid == want.ppid, "%s: parent: expected %d, got %d", what, want.ppid, now.ppid);
	CHECK(now.pgid == want.pgid, "%s: group: expected %d, got %d", what, want.pgid, now.pgid);
	CHECK(now.sid == want.sid, "%s: session: expected %d, got %d", what, want.sid, now.sid);
}

/* In a child: it is set up. */
static inline void tree_report(void)
{
	CHECK(write(tree_up[1], "u", 1) == 1, "tree_report: %s", strerror(errno));
}

/* In the root: so many of its descendants are set up. */
static inline void tree_expect(int n)
{
	char c;

	for (int i = 0; i < n; i++)
		CHECK(read(tree_up[0], &c, 1) == 1, "a descendant ended early");
}

/* In a child: until the root opens the gate. */
static inline void tree_pass(void)
{
	char c;
	ssize_t n;

	do
		n = read(tree_gate[0], &c, 1);
	while (n < 0 && errno == EINTR);
	CHECK(n == 1, "the gate: expected 1 byte, got %zd (%s)", n, strerror(errno));
}

static inline void tree_open(int n)
{
	for (int i = 0; i < n; i++)
		CHECK(write(tree_gate[1], "g", 1) == 1, "the gate: %s", strerror(errno));
}

/* The child runs fn and ends with its result. */
static inline pid_t tree_fork(int (*fn)(int), int arg)
{
	pid_t pid = MUST(fork());

	if (!pid)
		_exit(fn(arg));
	return pid;
}

/* A child ends with this status as wait(2) tells it. */
static inline void tree_ends(pid_t pid, int want, const char *what)
{
	struct rusage use;
	int status;
	pid_t got;

	do
		got = wait4(pid, &status, __WALL, &use);
	while (got < 0 && errno == EINTR);
	CHECK(got == pid, "%s: wait4 for %d: got %d (%s)", what, pid, got, strerror(errno));
	CHECK(status == want, "%s: status of %d: expected %#x, got %#x", what, pid, want, status);
}

static inline void tree_no_more(void)
{
	CHECK(waitpid(-1, NULL, __WALL | WNOHANG) == -1 && errno == ECHILD,
		"there is a child more");
}

/* The state letter of a process, 0: none. */
static inline char tree_state(pid_t pid)
{
	char path[64], buf[512], *p;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return 0;
	buf[n] = 0;
	p = strrchr(buf, ')');
	return p ? p[2] : 0;
}

static inline void tree_until(pid_t pid, char state)
{
	for (int i = 0; i < 2000 && tree_state(pid) != state; i++)
		usleep(1000);
	CHECK(tree_state(pid) == state, "pid %d: expected state %c, got %c", pid, state,
		tree_state(pid));
}

#endif
