/*
 * proc_children.c - children of the test itself, in the order in which they were made.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/proc.h"
#include "kernel/proc_children.h"

#define N 20

static pid_t sleeper(void)
{
	pid_t pid = fork();

	if (!pid)
		for (;;)
			pause();
	return pid;
}

static void end(const pid_t *pid, int n)
{
	for (int i = 0; i < n; i++) {
		kill(pid[i], SIGKILL);
		waitpid(pid[i], NULL, 0);
	}
}

Test(proc_children, in_the_order_in_which_they_were_made)
{
	struct proc_children found = {};
	int procfd = proc_open(0);
	pid_t pid[N];

	for (int i = 0; i < N; i++)
		pid[i] = sleeper();
	cr_assert_eq(proc_children_of(procfd, getpid(), &found), 0);
	cr_assert_eq(found.n, N);
	for (int i = 0; i < N; i++)
		cr_expect_eq(found.v[i], pid[i], "child %d", i);
	proc_children_done(&found);
	end(pid, N);
	cr_assert_eq(proc_children_of(procfd, getpid(), &found), 0);
	cr_expect_eq(found.n, 0);
	close(procfd);
}

static pid_t of_thread[2];

static void *forks(void *arg)
{
	int *ready = arg;
	char c;

	of_thread[0] = (pid_t)syscall(SYS_gettid);
	of_thread[1] = sleeper();
	if (write(ready[1], "r", 1) != 1 || read(ready[2], &c, 1) != 1)
		abort();
	return NULL;
}

Test(proc_children, a_child_hangs_on_the_thread_that_forked_it)
{
	struct proc_children found = {};
	int procfd = proc_open(0), ready[4];
	pthread_t t;
	char c;

	cr_assert_eq(pipe(ready), 0);
	cr_assert_eq(pipe(ready + 2), 0);
	cr_assert_eq(pthread_create(&t, NULL, forks, ready), 0);
	cr_assert_eq(read(ready[0], &c, 1), 1);
	cr_assert_eq(proc_children_of(procfd, getpid(), &found), 0);
	cr_expect_eq(found.n, 0);
	cr_assert_eq(proc_children_of(procfd, of_thread[0], &found), 0);
	cr_assert_eq(found.n, 1);
	cr_expect_eq(found.v[0], of_thread[1]);
	proc_children_done(&found);
	cr_assert_eq(proc_children_of_all(procfd, (pid_t[]){getpid(), of_thread[0]}, 2, &found), 0);
	cr_assert_eq(found.n, 1);
	cr_expect_eq(found.v[0], of_thread[1]);
	proc_children_done(&found);
	cr_assert_eq(write(ready[3], "g", 1), 1);
	pthread_join(t, NULL);
	/* one that has ended has none */
	cr_assert_eq(proc_children_of(procfd, of_thread[0], &found), 0);
	cr_expect_eq(found.n, 0);
	end(&of_thread[1], 1);
	close(procfd);
}

Test(proc_children, a_look_at_all_processes_finds_them_too)
{
	struct proc_children found = {};
	pid_t pid[2] = {sleeper(), sleeper()};

	cr_assert_eq(proc_children_scan(getpid(), &found), 0);
	cr_assert_eq(found.n, 2);
	cr_expect((found.v[0] == pid[0] && found.v[1] == pid[1]) ||
		  (found.v[0] == pid[1] && found.v[1] == pid[0]));
	proc_children_done(&found);
	end(pid, 2);
}
