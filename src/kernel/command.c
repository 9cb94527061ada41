/*
 * command.c - see command.h.
 *
 *   we       read what is printed, keep the time
 *   keeper   a copy of us with no descriptor but its own; writes the input, waits, tells the status by a pipe
 *   program  the keeper's child
 *
 * The keeper is a child without an exit signal (fork_raw.h), which it would have after an execve(2) of its own.
 */
#include "kernel/command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/fork_raw.h"
#include "kernel/sig_default.h"
#include "util/clock.h"
#include "util/fd.h"

#define ASK_MS    50 /* so often somebody is asked whether it is to end */
#define STATUS_FD 3
#define ROOM_FD   10 /* above those that are set */

/* What the keeper tells: an errno of execve(2) comes before the status. */
struct told {
	int failed; /* errno, or 0 */
	int status; /* of wait(2) */
};

/* Lines of one descriptor. */
struct lines {
	int fd, number;
	size_t len;
	char text[COMMAND_LINE_MAX + 1];
};

/* ------------------------------------------------------------------ the other side: no allocation, no lock */

static void die_with(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if ((pid_t)syscall(SYS_getppid) != parent)
		_exit(127);
}

static void program(const struct command *c, pid_t keeper)
{
	struct told told = {0};
	sigset_t none;

	die_with(keeper);
	sig_default_all();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(c->path, c->argv, c->env);
	told.failed = errno;
	write_full(STATUS_FD, &told, sizeof(told));
	_exit(127);
}

/* @fds: its 0, 1, 2 and the pipe of the status */
static void keeper(const struct command *c, pid_t parent, const int fds[4], int input)
{
	struct told told = {0};
	pid_t self = (pid_t)syscall(SYS_getpid), pid;
	int high[5];

	die_with(parent);
	setpgid(0, 0);
	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	/* first out of the way of each other */
	for (int i = 0; i < 5; i++)
		high[i] = fcntl(i < 4 ? fds[i] : input, F_DUPFD_CLOEXEC, ROOM_FD);
	for (int i = 0; i < 4; i++)
		if (high[i] < 0 || dup2(high[i], i) < 0)
			_exit(127);
	dup2(high[4], 4);
	close_range(5, ~0U, 0);
	fcntl(STATUS_FD, F_SETFD, FD_CLOEXEC);
	fcntl(4, F_SETFD, FD_CLOEXEC);
	pid = fork_raw(SIGCHLD);
	if (pid == 0)
		program(c, self);
	close(0);
	write_full(4, c->input, c->input_len); /* whoever does not read it need not */
	close(4);
	if (pid < 0)
		told.failed = errno;
	while (pid > 0 && waitpid(pid, &told.status, 0) < 0 && errno == EINTR)
		;
	write_full(STATUS_FD, &told, sizeof(told));
	_exit(0);
}

/* ------------------------------------------------------------------ our side */

static void say(const struct command *c, struct lines *l)
{
	l->text[l->len] = '\0';
	if (l->len && c->line)
		c->line(c->arg, l->number, l->text);
	l->len = 0;
}

/* Return: false: there is nothing more */
static bool hear(const struct command *c, struct lines *l)
{
	char buf[4096];
	ssize_t n = read(l->fd, buf, sizeof(buf));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return errno == EINTR;
	if (n <= 0) {
		l->fd = fd_close(l->fd);
		return false;
	}
	for (ssize_t i = 0; i < n; i++) {
		if (buf[i] == '\n' || l->len == COMMAND_LINE_MAX)
			say(c, l);
		if (buf[i] != '\n')
			l->text[l->len++] = buf[i] == '\0' ? '?' : buf[i];
	}
	return true;
}

/* Until the keeper has told the status. Return: 0; -errno */
static int attend(const struct command *c, int status_fd, struct lines out[2], int *ret_status)
{
	uint64_t until = now_ns() + c->limit_ms * NS_PER_MS;

	for (;;) {
		struct pollfd v[] = {{.fd = status_fd, .events = POLLIN},
			{.fd = out[0].fd, .events = POLLIN}, {.fd = out[1].fd, .events = POLLIN}};
		struct told told;

		if (poll(v, 3, ASK_MS) < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < 2; i++)
			if (v[1 + i].revents)
				hear(c, &out[i]);
		if (v[0].revents) {
			if (read_full(status_fd, &told, sizeof(told)) < 0)
				return -ECHILD; /* somebody has killed the keeper */
			*ret_status = told.status;
			return -told.failed;
		}
		if (c->ended && c->ended(c->arg))
			return -ECANCELED;
		if (now_ns() >= until)
			return -ETIMEDOUT;
	}
}

static int run(const struct command *c, int pipes[4][2], int *ret_status)
{
	struct lines out[2] = {{.fd = pipes[1][0], .number = 1}, {.fd = pipes[2][0], .number = 2}};
	const int fds[4] = {pipes[0][0], pipes[1][1], pipes[2][1], pipes[3][1]};
	pid_t self = getpid(), pid;
	sigset_t all, was;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &was); /* no handler of ours runs in a copy of us */
	pid = fork_raw(0);
	r = pid < 0 ? -errno : 0;
	if (pid == 0)
		keeper(c, self, fds, pipes[0][1]);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	if (r < 0)
		return r;
	setpgid(pid, pid);
	pipes[0][0] = fd_close(pipes[0][0]);
	for (int i = 0; i < 4; i++)
		pipes[i][1] = fd_close(pipes[i][1]);
	fcntl(out[0].fd, F_SETFL, O_NONBLOCK);
	fcntl(out[1].fd, F_SETFL, O_NONBLOCK);
	r = attend(c, pipes[3][0], out, ret_status);
	if (r < 0)
		kill(-pid, SIGKILL);
	for (int i = 0; i < 2; i++) {
		while (out[i].fd >= 0 && hear(c, &out[i]))
			;
		say(c, &out[i]);
		pipes[1 + i][0] = out[i].fd;
	}
	while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	return r;
}

int command_run(const struct command *c, int *ret_status)
{
	int pipes[4][2] = {{-EBADF, -EBADF}, {-EBADF, -EBADF}, {-EBADF, -EBADF}, {-EBADF, -EBADF}};
	int r = 0;

	for (int i = 0; i < 4 && r == 0; i++)
		r = pipe2(pipes[i], O_CLOEXEC) < 0 ? -errno : 0;
	if (r == 0)
		r = run(c, pipes, ret_status);
	for (int i = 0; i < 4; i++) {
		fd_close(pipes[i][0]);
		fd_close(pipes[i][1]);
	}
	return r;
}
