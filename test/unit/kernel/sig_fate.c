/*
 * What would become of a signal: of children that do one thing each with it.
 */
#include "kernel/sig_fate.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/proc.h"

#define SIG (SIGRTMAX - 2)

static void nothing(int sig)
{
	(void)sig;
}

static void block(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIG);
	pthread_sigmask(how, &set, NULL);
}

static void wait_for_it(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIG);
	sigwaitinfo(&set, NULL);
}

static void *unblocked(void *arg)
{
	block(SIG_UNBLOCK);
	return wait_for_it(), arg;
}

static void *elsewhere(void *arg)
{
	block(SIG_UNBLOCK);
	pause();
	return arg;
}

enum what { NOTHING, HANDLER, IGNORE, BLOCK, WAIT, WAIT_UNBLOCKED, BLOCK_HALF };

static void do_it(enum what what)
{
	pthread_t t;

	if (what == HANDLER || what == IGNORE)
		signal(SIG, what == HANDLER ? nothing : SIG_IGN);
	if (what >= BLOCK)
		block(SIG_BLOCK);
	if (what == WAIT_UNBLOCKED)
		pthread_create(&t, NULL, unblocked, NULL);
	if (what == BLOCK_HALF)
		pthread_create(&t, NULL, elsewhere, NULL);
}

/* Return: what is read of a child that does so. */
static int fate_of(enum what what)
{
	int ends[2], r = -EAGAIN, procfd;
	pid_t pid;

	cr_assert_eq(pipe(ends), 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		do_it(what);
		usleep(20000);
		if (write(ends[1], "", 1) != 1)
			_exit(1);
		if (what == WAIT)
			wait_for_it();
		for (;;)
			pause();
	}
	cr_assert_gt(pid, 0);
	cr_assert_eq(read(ends[0], &(char){0}, 1), 1);
	usleep(20000);
	procfd = proc_open(pid);
	r = sig_fate_read(procfd, SIG);
	kill(pid, SIGKILL);
	waitid(P_PID, (id_t)pid, &(siginfo_t){}, WEXITED | WNOWAIT);
	cr_expect_eq(sig_fate_read(procfd, SIG), -ESRCH, "of one that has ended");
	waitpid(pid, NULL, 0);
	cr_expect_eq(sig_fate_read(procfd, SIG), -ESRCH, "of one that is gone");
	close(procfd);
	close(ends[0]);
	close(ends[1]);
	return r;
}

Test(sig_fate, who_does_nothing_dies)
{
	cr_expect_eq(fate_of(NOTHING), SIG_FATE_DEFAULT);
}

Test(sig_fate, a_handler_takes_it)
{
	cr_expect_eq(fate_of(HANDLER), SIG_FATE_TAKEN);
}

Test(sig_fate, who_ignores_it)
{
	cr_expect_eq(fate_of(IGNORE), SIG_FATE_IGNORED);
}

Test(sig_fate, who_blocks_it_can_take_it)
{
	cr_expect_eq(fate_of(BLOCK), SIG_FATE_TAKEN);
}

Test(sig_fate, who_waits_for_it_does_not_block_it_and_takes_it)
{
	cr_expect_eq(fate_of(WAIT), SIG_FATE_TAKEN);
	cr_expect_eq(fate_of(WAIT_UNBLOCKED), SIG_FATE_TAKEN);
}

Test(sig_fate, one_thread_that_does_not_block_it_is_enough)
{
	cr_expect_eq(fate_of(BLOCK_HALF), SIG_FATE_DEFAULT);
}
