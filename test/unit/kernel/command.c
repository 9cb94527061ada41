/*
 * command.c - a program beside us: its status, its lines, its limits, and what it must not have of us.
 */
#include "kernel/command.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char lines[8192];
static volatile sig_atomic_t children;

static void on_line(void *arg, int fd, const char *line)
{
	size_t n = strlen(lines);

	snprintf(lines + n, sizeof(lines) - n, "%d:%s|", fd, line);
}

static void on_chld(int sig)
{
	children++;
}

static int shell(char *script, const char *input, uint64_t limit_ms, int *status)
{
	char *argv[] = {"sh", "-c", script, NULL}, *env[] = {"A=b", NULL};
	struct command c = {.path = "/bin/sh",
		.argv = argv,
		.env = env,
		.input = input,
		.input_len = strlen(input),
		.limit_ms = limit_ms,
		.line = on_line};

	lines[0] = '\0';
	*status = -1;
	return command_run(&c, status);
}

Test(command, status_and_lines)
{
	int status;

	cr_assert_eq(shell("echo $A; cat >&2; printf end; exit 5", "x\ny\n", 10000, &status), 0);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 5);
	cr_expect(strstr(lines, "1:b|") && strstr(lines, "2:x|2:y|") && strstr(lines, "1:end|"),
		"%s", lines);
	cr_assert_eq(shell("kill -USR1 $$", "", 10000, &status), 0);
	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1);
}

Test(command, what_can_t_be_run)
{
	char *argv[] = {"x", NULL}, *env[] = {NULL};
	struct command c = {.path = "/nonexistent/x", .argv = argv, .env = env, .limit_ms = 10000};
	int status;

	cr_expect_eq(command_run(&c, &status), -ENOENT);
	c.path = "/etc";
	cr_expect_eq(command_run(&c, &status), -EACCES);
}

Test(command, is_killed_with_its_group, .timeout = 20)
{
	int status;
	pid_t pid;

	cr_expect_eq(shell("sleep 1000 & echo $!; sleep 1000", "", 300, &status), -ETIMEDOUT);
	pid = atoi(lines + 2);
	cr_assert_gt(pid, 1, "%s", lines);
	for (int i = 0; i < 500 && kill(pid, 0) == 0; i++)
		usleep(10000); /* until its reaper has come by */
	cr_expect(kill(pid, 0) < 0 && errno == ESRCH);
}

/* What does not read its input, and what leaves somebody in the background, is not waited for. */
Test(command, ends_when_the_program_does, .timeout = 20)
{
	char *large = calloc(1, 1 << 20);
	int status;

	memset(large, 'x', (1 << 20) - 1);
	cr_expect_eq(shell("sleep 1 & exit 0", large, 10000, &status), 0);
	cr_expect_eq(status, 0);
	free(large);
}

/* Nobody else here sees a child, or is told of its end. */
Test(command, is_nobody_else_s_child)
{
	sigset_t set;
	int status;

	signal(SIGCHLD, on_chld);
	cr_assert_eq(shell("exit 3", "", 10000, &status), 0);
	cr_expect_eq(WEXITSTATUS(status), 3);
	cr_expect_eq(children, 0);
	cr_expect_eq(waitpid(-1, NULL, WNOHANG), -1);
	cr_expect_eq(errno, ECHILD);
	/* and its status is known where the end of children is ignored */
	signal(SIGCHLD, SIG_IGN);
	sigfillset(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	cr_assert_eq(shell("trap 'exit 4' TERM; kill -TERM $$; exit 1", "", 10000, &status), 0);
	cr_expect_eq(WEXITSTATUS(status), 4);
}

Test(command, has_no_descriptor_of_ours)
{
	int status, fd = open("/dev/null", O_RDONLY); /* not closed by an execve */

	cr_assert_geq(fd, 3);
	cr_assert_eq(
		shell("for f in /proc/$$/fd/*; do case ${f##*/} in [0-2]) ;; *) readlink $f;; esac; "
		      "done; true",
			"", 10000, &status),
		0);
	cr_expect_null(strstr(lines, "/dev/null"), "%s", lines);
	close(fd);
}
