/*
 * notify_guard.c - see notify_guard.h.
 *
 * It reads from a socket whose other end only we have: a byte says that all is well, the end of the file that we are
 * dead. Of what it has inherited it keeps nothing else open, so that locks and pipes of ours end with us. It
 * is a child without an exit signal: whoever calls the library sees nothing of it.
 */
#include "dump/notify_guard.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/fork_raw.h"
#include "kernel/pidfd.h"
#include "util/fd.h"

#define HEAR_US 10000 /* for who has just been told of the checkpoint, to hear that first */

struct guard {
	pid_t pid;
	int end;
};

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* @keep: ascending */
static void close_others(const int *keep, size_t n)
{
	unsigned from = 0;

	for (size_t i = 0; i < n; i++) {
		if ((unsigned)keep[i] > from)
			close_range(from, (unsigned)keep[i] - 1, 0);
		from = (unsigned)keep[i] + 1;
	}
	close_range(from, ~0U, 0);
}

/* Async-signal-safe but for memory, which was taken before: other threads of a caller may hold locks. */
static void guard_main(int from, const int *keep, const int *pidfds, size_t n, const siginfo_t *si)
{
	sigset_t all;
	ssize_t r;
	char c;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	setsid();
	close_others(keep, n + 1);
	do
		r = read(from, &c, 1);
	while (r < 0 && errno == EINTR);
	if (r == 0)
		usleep(HEAR_US);
	for (size_t i = 0; r == 0 && i < n; i++)
		pidfd_signal(pidfds[i], si->si_signo, si);
	_exit(0);
}

struct guard *guard_begin(const int *pidfds, size_t n, const siginfo_t *si)
{
	struct guard *g = calloc(1, sizeof(*g));
	int *keep = calloc(n + 1, sizeof(*keep));
	int ends[2] = {-EBADF, -EBADF};

	if (!g || !keep || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		goto failed;
	for (size_t i = 0; i < n; i++)
		keep[i] = pidfds[i];
	keep[n] = ends[0];
	qsort(keep, n + 1, sizeof(*keep), by_number);
	g->pid = fork_raw(0);
	if (g->pid == 0)
		guard_main(ends[0], keep, pidfds, n, si);
	if (g->pid < 0)
		goto failed;
	g->end = ends[1];
	close(ends[0]);
	free(keep);
	return g;
failed:
	fd_close(ends[0]);
	fd_close(ends[1]);
	free(keep);
	free(g);
	return NULL;
}

void guard_end(struct guard *g)
{
	if (!g)
		return;
	while (send(g->end, "", 1, MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
	close(g->end);
	while (waitpid(g->pid, NULL, __WCLONE) < 0 && errno == EINTR)
		;
	free(g);
}
