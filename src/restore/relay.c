/*
 * relay.c - see relay.h.
 *
 * Facts: a master says EIO when no slave is open any more, and hangs up for good when the session leader
 * has ended; what was written before can be read first. A read of our terminal while we are in the
 * background says EIO, as SIGTTIN is blocked. Closing a master hangs the terminal up: SIGHUP to its session.
 */
#include "restore/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "res/task/task.h"
#include "util/fd.h"

#define LAST_WAIT_MS 1000 /* for a terminal that takes no more output at the end */
#define HUP_DOZE_MS  20   /* nobody has the slave open at the moment, somebody may open it again */
#define LOOK_MS      200  /* whether we have come to the foreground: not every shell tells */

/* A description of our own, since the one that we were given is shared with the shell. */
static int open_terminal(int n)
{
	char path[32];
	int fd;

	if (!isatty(n))
		return -EBADF;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", n);
	fd = open(path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		fd = open("/dev/tty", O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return fd;
}

struct plan_relay *relay_find(struct relay *r, const struct plan *p)
{
	uint32_t index;
	pid_t leader = ctty_outside(p->model, &index);

	bool detached = p->req->detach || p->req->exec;

	r->tty = r->signals = r->end.master = -EBADF;
	if (!leader)
		return NULL;
	for (int n = 0; n <= STDERR_FILENO && r->tty < 0 && !detached; n++)
		r->tty = open_terminal(n);
	if (r->tty < 0) {
		op_warn(p->op,
			"pid %d led the session of a terminal outside: it comes back without a "
			"controlling terminal, as %s",
			leader,
			detached ? "no command stays in the foreground to pass it on"
				 : "this command has no terminal");
		return NULL;
	}
	r->on = true;
	r->end.index = index;
	r->end.terminal = r->tty;
	return &r->end;
}

static bool in_foreground(const struct relay *r)
{
	pid_t group = tcgetpgrp(r->tty);

	/* one that is not our session's has no background for us */
	return group < 0 ? errno == ENOTTY : group == getpgrp();
}

void relay_resize(struct relay *r)
{
	struct winsize have, want;

	if (!r->active || ioctl(r->tty, TIOCGWINSZ, &want) < 0)
		return;
	if (ioctl(r->end.master, TIOCGWINSZ, &have) < 0)
		return;
	if (have.ws_row != want.ws_row || have.ws_col != want.ws_col ||
		have.ws_xpixel != want.ws_xpixel || have.ws_ypixel != want.ws_ypixel)
		ioctl(r->end.master, TIOCSWINSZ, &want);
}

/* What is on our terminal's screen is not what they have drawn on theirs. */
static void have_redrawn(const struct relay *r)
{
	pid_t group;

	if (ioctl(r->end.master, TIOCGPGRP, &group) == 0 && group > 0)
		kill(-group, SIGWINCH);
}

void relay_resume(struct relay *r)
{
	struct termios raw;

	if (!r->on || !in_foreground(r))
		return;
	if (!r->raw && tcgetattr(r->tty, &r->saved) < 0)
		return;
	raw = r->saved;
	cfmakeraw(&raw);
	r->raw = r->active = tcsetattr(r->tty, TCSADRAIN, &raw) == 0;
	relay_resize(r);
	have_redrawn(r);
}

void relay_begin(struct relay *r, const sigset_t *signals)
{
	if (!r->on)
		return;
	r->signals = signalfd(-1, signals, SFD_CLOEXEC);
	relay_resume(r);
}

void relay_pause(struct relay *r)
{
	if (r->raw && in_foreground(r))
		tcsetattr(r->tty, TCSADRAIN, &r->saved);
	r->raw = r->active = false;
}

/* ------------------------------------------------------------------ one way */

/* Return: whether there may be more; false: this side has ended, with errno */
static bool way_read(struct relay_way *w, int fd)
{
	ssize_t n = read(fd, w->data, sizeof(w->data));

	if (n == 0)
		errno = EIO;
	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR);
	w->at = 0;
	w->len = (size_t)n;
	return true;
}

static bool way_write(struct relay_way *w, int fd)
{
	ssize_t n = write(fd, w->data + w->at, w->len);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	w->at += (size_t)n;
	w->len -= (size_t)n;
	return true;
}

/* ------------------------------------------------------------------ both */

/* Our terminal is gone, as a window that is closed: so is theirs. */
static void lost(struct relay *r)
{
	r->active = r->raw = false;
	r->end.master = fd_close(r->end.master);
	r->output.len = r->keys.len = 0;
}

static void take_key(struct relay *r)
{
	if (way_read(&r->keys, r->tty))
		return;
	if (in_foreground(r))
		lost(r);
	r->active = false; /* else until somebody brings us to the foreground */
}

static short events(bool in, bool out)
{
	return (short)((in ? POLLIN : 0) | (out ? POLLOUT : 0));
}

/* Return: false: the master has hung up, and nothing can be read of it now */
static bool pass(struct relay *r, const struct pollfd *tty, const struct pollfd *master)
{
	if (tty->revents & (POLLIN | POLLHUP | POLLERR) && r->active && !r->keys.len)
		take_key(r);
	if (master->revents & POLLOUT && r->keys.len && !way_write(&r->keys, r->end.master))
		r->keys.len = 0;
	if (master->revents & (POLLIN | POLLHUP) && !r->output.len &&
		!way_read(&r->output, r->end.master))
		return false;
	if (tty->revents & POLLOUT && r->output.len && !way_write(&r->output, r->tty))
		r->output.len = 0;
	return true;
}

void relay_wait(struct relay *r)
{
	int doze = -1;

	for (;;) {
		struct pollfd p[] = {
			{.fd = r->signals, .events = POLLIN},
			{.fd = r->active || r->output.len ? r->tty : -1,
				.events = events(r->active && !r->keys.len, r->output.len)},
			{.fd = doze < 0 ? r->end.master : -1,
				.events = events(!r->output.len, r->keys.len)},
		};

		int got = poll(p, 3, doze >= 0 || r->active ? doze : LOOK_MS);

		if (p[0].revents || (got < 0 && errno != EINTR))
			return;
		if (!r->active && r->end.master >= 0)
			relay_resume(r);
		doze = got <= 0 || pass(r, &p[1], &p[2]) ? -1 : HUP_DOZE_MS;
	}
}

void relay_end(struct relay *r)
{
	struct pollfd p = {.fd = r->tty, .events = POLLOUT};

	if (!r->on)
		return;
	while (r->end.master >= 0 &&
		(r->output.len || (way_read(&r->output, r->end.master) && r->output.len)))
		if (poll(&p, 1, LAST_WAIT_MS) <= 0 || !way_write(&r->output, r->tty))
			break;
	relay_pause(r);
	fd_close(r->end.master);
	fd_close(r->signals);
	fd_close(r->tty);
	*r = (struct relay){.tty = -EBADF};
}
