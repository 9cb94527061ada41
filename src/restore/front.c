/*
 * front.c - see front.h.
 */
#include "restore/front.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/proc.h"
#include "kernel/proc_stat.h"
#include "restore/relay.h"
#include "util/cleanup.h"
#include "util/fd.h"

/* Signals that are about us and not sent to us. */
static bool own_affair(int sig)
{
	return sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE || sig == SIGILL ||
	       sig == SIGTRAP || sig == SIGPIPE || sig == SIGCHLD;
}

static void waited_for(sigset_t *set)
{
	sigfillset(set);
	for (int sig = 1; sig < NSIG; sig++)
		if (own_affair(sig) && sig != SIGCHLD)
			sigdelset(set, sig);
}

void front_begin(struct front *f, bool frozen, struct relay *relay)
{
	sigset_t all;

	waited_for(&all);
	*f = (struct front){.on = true, .frozen = frozen, .relay = relay};
	f->tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	pthread_sigmask(SIG_SETMASK, &all, &f->mask);
}

static bool leads_group(const struct front *f)
{
	return getpgid(f->root) == f->root && getsid(f->root) == getsid(0);
}

/* Only what is ours is given away: not when we are in the background. */
static void give_terminal(struct front *f)
{
	if (f->tty < 0 || f->given || tcgetpgrp(f->tty) != getpgrp())
		return;
	f->given = (f->foreground && tcsetpgrp(f->tty, f->foreground) == 0) ||
		   (leads_group(f) && tcsetpgrp(f->tty, f->root) == 0);
	f->foreground = 0; /* from here on it is the root that moves it on, as a shell does */
}

static void take_terminal(struct front *f)
{
	/* SIGTTOU is blocked, so that we may from the background */
	if (f->given)
		tcsetpgrp(f->tty, getpgrp());
	f->given = false;
}

void front_root(struct front *f, pid_t root, pid_t foreground)
{
	f->root = root;
	f->foreground = foreground;
	give_terminal(f);
}

/* Stop as the terminal would have us stop; in an orphaned process group it would not. */
static void stop_self(int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	raise(sig);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL); /* here we stand until SIGCONT */
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void root_stopped(struct front *f, int sig)
{
	if (f->relay->on || f->tty < 0 || (sig != SIGTSTP && sig != SIGTTIN && sig != SIGTTOU))
		return;
	take_terminal(f);
	stop_self(SIGTSTP);
}

/* The root's own session has no terminal: there, a stop by the terminal means nothing. */
static void pass_stop(struct front *f)
{
	if (getsid(f->root) == getsid(0)) {
		kill(f->root, SIGTSTP);
		return;
	}
	kill(f->root, SIGSTOP);
	relay_pause(f->relay);
	stop_self(SIGTSTP);
}

static bool is_stopped(pid_t pid)
{
	_cleanup_close_ int fd = proc_open(pid);
	struct proc_stat st;

	return fd >= 0 && proc_stat_read(fd, 0, &st) == 0 && st.state == 'T';
}

static void pass(struct front *f, const siginfo_t *si)
{
	bool in_our_group = getpgid(f->root) == getpgrp();

	if (own_affair(si->si_signo))
		return;
	if (f->relay->on && si->si_signo == SIGWINCH) {
		relay_resize(f->relay);
	} else if (si->si_signo == SIGCONT) {
		give_terminal(f);
		relay_resume(f->relay);
		if (in_our_group && !is_stopped(f->root))
			return; /* sent to the whole group */
		kill(leads_group(f) ? -f->root : f->root, SIGCONT);
	} else if (in_our_group && si->si_code == SI_KERNEL) {
		return;
	} else if (si->si_signo == SIGTSTP) {
		pass_stop(f);
	} else if (si->si_code == SI_QUEUE) {
		sigqueue(f->root, si->si_signo, si->si_value);
	} else {
		kill(f->root, si->si_signo);
	}
}

static int next_signal(struct front *f, const sigset_t *all, siginfo_t *si)
{
	static const struct timespec now;

	if (!f->relay->on)
		return sigwaitinfo(all, si);
	relay_wait(f->relay);
	return sigtimedwait(all, si, &now);
}

/* A job in the background that wants the keys is stopped until it has the terminal. */
static void begin_relay(struct front *f, const sigset_t *all)
{
	relay_begin(f->relay, all);
	if (f->relay->on && !f->relay->active)
		stop_self(SIGTTIN);
}

int front_wait(struct front *f)
{
	sigset_t all;

	waited_for(&all);
	begin_relay(f, &all);
	for (;;) {
		int status;
		siginfo_t si;
		pid_t got = waitpid(f->root, &status, WNOHANG | WUNTRACED);

		if (got < 0)
			return -errno;
		if (got == f->root && !WIFSTOPPED(status))
			return status;
		if (got == f->root && !(f->frozen && WSTOPSIG(status) == SIGSTOP))
			root_stopped(f, WSTOPSIG(status));
		else if (got == 0 && next_signal(f, &all, &si) > 0)
			pass(f, &si);
	}
}

void front_end(struct front *f)
{
	if (!f->on)
		return;
	relay_end(f->relay);
	take_terminal(f);
	f->tty = fd_close(f->tty);
	pthread_sigmask(SIG_SETMASK, &f->mask, NULL);
	f->on = false;
}
