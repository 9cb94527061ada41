/*
 * pty.c - see pty.h. What runs in the process that does the work is async-signal-safe.
 */
#include "kernel/pty.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <asm/termbits.h>

#include "kernel/apart.h"

#define LINE_MAX_BYTES 8192 /* the kernel's lines have 4096 at most */
#define CHUNK_BYTES    1023 /* of a write: measured, by this size most gets into a new terminal */
#define PATIENCE_MS    1000
#define INPUT_FITS     4095 /* in the terminal itself; the rest waits on its way */
#define INPUT_EASY     4000 /* the same, with room for keys behind it */

#define KEY_STOP  0x13
#define KEY_START 0x11

static bool ready(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	return poll(&p, 1, 0) > 0 && p.revents & events;
}

static void nap(void)
{
	struct timespec ts = {.tv_nsec = 50000};

	nanosleep(&ts, NULL);
}

/* Until the terminal takes output, or takes none: the start or stop that was typed has arrived. */
static int wait_writable(int slave, bool want)
{
	for (int i = 0; i < PATIENCE_MS * 20; i++) {
		if (ready(slave, POLLOUT) == want)
			return 0;
		nap();
	}
	return -ENODATA;
}

static bool canonical(const struct termios2 *t)
{
	return (t->c_lflag & (ICANON | EXTPROC)) == ICANON;
}

static int settings_set(int master, const struct termios2 *t)
{
	return ioctl(master, TCSETS2, t) < 0 ? -errno : 0;
}

/* ------------------------------------------------------------------ taking out */

static bool means_something(uint8_t c)
{
	return c < ' ' || c >= 0x7f;
}

static int keep_byte(struct pty_queues *q, uint8_t c)
{
	if (q->input_len >= q->input_cap)
		return -EOVERFLOW;
	q->input[q->input_len++] = c;
	return 0;
}

/* A line, or what is the beginning of one, as it would be typed. */
static int keep_typed(struct pty_queues *q, const uint8_t *line, size_t n, bool whole)
{
	bool newline = whole && n && line[n - 1] == '\n';
	int r = 0;

	for (size_t i = 0; i < n - newline && r == 0; i++) {
		if (means_something(line[i]))
			r = keep_byte(q, PTY_INPUT_LITERAL);
		if (r == 0)
			r = keep_byte(q, line[i]);
	}
	if (r == 0 && whole)
		r = keep_byte(q, newline ? '\n' : PTY_INPUT_END);
	return r;
}

static int take_lines(int slave, struct pty_queues *q)
{
	uint8_t line[LINE_MAX_BYTES];
	int r = 0;

	while (r == 0 && ready(slave, POLLIN)) {
		ssize_t n = read(slave, line, sizeof(line));

		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		r = keep_typed(q, line, n, true);
	}
	return r;
}

/* With canonical mode off, and any byte enough for a read. */
static int take_bytes(int slave, struct pty_queues *q, bool typed)
{
	uint8_t some[LINE_MAX_BYTES];
	int r = 0;

	while (r == 0 && ready(slave, POLLIN)) {
		ssize_t n = read(slave, some, sizeof(some));

		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		if (typed)
			r = keep_typed(q, some, n, false);
		for (ssize_t i = 0; !typed && r == 0 && i < n; i++)
			r = keep_byte(q, some[i]);
	}
	return r;
}

static int take_input(int master, int slave, const struct termios2 *settings, struct pty_queues *q)
{
	struct termios2 t = *settings;
	bool typed = canonical(settings);
	int r = typed ? take_lines(slave, q) : 0;

	t.c_lflag &= ~ICANON;
	t.c_cc[VMIN] = 1;
	t.c_cc[VTIME] = 0;
	if (r == 0)
		r = settings_set(master, &t);
	return r < 0 ? r : take_bytes(slave, q, typed);
}

static int take_output(int master, bool packet, struct pty_queues *q)
{
	uint8_t some[LINE_MAX_BYTES];

	while (ready(master, POLLIN | POLLPRI)) {
		ssize_t n = read(master, some, sizeof(some));

		if (n <= 0) /* its end: no slave was open but ours */
			return n < 0 && errno != EAGAIN && errno != EIO ? -errno : 0;
		if (packet && some[0]) {
			q->packet_status |= some[0];
			continue;
		}
		if (q->output_len + n > q->output_cap)
			return -EOVERFLOW;
		memcpy(q->output + q->output_len, some + packet, n - packet);
		q->output_len += n - packet;
	}
	return 0;
}

/* ------------------------------------------------------------------ putting in */

/* Nothing that is written has an effect. A packet master would be told of changes to flow control. */
static struct termios2 plain_settings(const struct termios2 *settings, bool packet)
{
	struct termios2 t = *settings;

	t.c_iflag = packet ? t.c_iflag & IXON : 0;
	t.c_oflag = 0;
	t.c_lflag = canonical(settings) ? ICANON | IEXTEN : 0;
	memset(t.c_cc, 0, sizeof(t.c_cc));
	t.c_cc[VSTART] = packet ? settings->c_cc[VSTART] : KEY_START;
	t.c_cc[VSTOP] = packet ? settings->c_cc[VSTOP] : KEY_STOP;
	if (canonical(settings)) {
		t.c_cc[VLNEXT] = PTY_INPUT_LITERAL;
		t.c_cc[VEOF] = PTY_INPUT_END;
	} else {
		t.c_cc[VMIN] = 1;
	}
	return t;
}

static int write_all(int fd, const uint8_t *p, size_t len)
{
	for (int naps = 0; len;) {
		ssize_t n = write(fd, p, len < CHUNK_BYTES ? len : CHUNK_BYTES);

		if (n < 0 && errno != EAGAIN)
			return -errno;
		if (n > 0) {
			p += n;
			len -= n;
			naps = 0;
		} else if (naps++ < PATIENCE_MS * 20) {
			nap();
		} else {
			return -ENODATA;
		}
	}
	return 0;
}

/* The master may be blocking, but has room wherever its slave can be read from: this is not much. */
static int type_key(int master, uint8_t key)
{
	return write(master, &key, 1) == 1 ? 0 : -errno;
}

/* How much of typed input fits into the terminal itself. */
static size_t input_fits(const struct pty_queues *q)
{
	size_t i = 0;

	for (size_t kept = 0; i < q->input_len && kept < INPUT_EASY; kept++)
		i += q->input[i] == PTY_INPUT_LITERAL ? 2 : 1;
	return i < q->input_len ? i : q->input_len;
}

/*
 * Whether all that was typed has been worked up shows nowhere where lines can be read already. So
 * output is stopped and started by the last two keys, which does show.
 */
static int put_lines(
	int master, int slave, struct termios2 *t, bool packet, const struct pty_queues *q)
{
	int r;

	if (!packet) {
		t->c_iflag = IXON;
		r = settings_set(master, t);
		if (r < 0)
			return r;
	}
	r = write_all(master, q->input, input_fits(q));
	for (int i = 0; i < 40 && packet; i++)
		nap();
	if (r < 0 || packet)
		return r;
	r = type_key(master, KEY_STOP);
	if (r == 0)
		r = wait_writable(slave, false);
	if (r == 0)
		r = type_key(master, KEY_START);
	return r < 0 ? r : wait_writable(slave, true);
}

static int put_bytes(int master, int slave, const struct pty_queues *q)
{
	int want = q->input_len < INPUT_FITS ? (int)q->input_len : INPUT_FITS, got = 0;
	int r = write_all(master, q->input, q->input_len);

	for (int i = 0; r == 0 && i < PATIENCE_MS * 20; i++) {
		if (ioctl(slave, FIONREAD, &got) < 0)
			return -errno;
		if (got >= want)
			return 0;
		nap();
	}
	return r < 0 ? r : -ENODATA;
}

/* Lines that do not fit are typed once more, by the program's own settings. */
static int put_rest(int master, const struct termios2 *settings, const struct pty_queues *q)
{
	int r = 0;

	for (size_t i = input_fits(q); i < q->input_len && r == 0; i++) {
		uint8_t c = q->input[i], literal = settings->c_cc[VLNEXT];

		if (c == PTY_INPUT_LITERAL && i + 1 < q->input_len) {
			if (literal && settings->c_lflag & IEXTEN)
				r = write_all(master, &literal, 1);
			c = q->input[++i];
		} else if (c == PTY_INPUT_END) {
			c = settings->c_cc[VEOF];
		}
		if (r == 0)
			r = write_all(master, &c, 1);
	}
	return r;
}

/* Output flows. Return: how it was stopped, as enum pty_stopped; negative: -errno */
static int start(int master, int slave, const struct termios2 *plain)
{
	bool stopped = !ready(slave, POLLOUT);
	int r = settings_set(master, plain); /* without IXON, no key can have stopped it */

	if (r < 0 || !stopped)
		return r;
	if (ready(slave, POLLOUT))
		return PTY_STOPPED_KEY;
	if (ioctl(slave, TCXONC, TCOON) < 0)
		return -errno;
	if (ready(slave, POLLOUT))
		return PTY_STOPPED_CALL;
	/* packet mode, where IXON stays */
	r = type_key(master, plain->c_cc[VSTART]);
	if (r == 0)
		r = wait_writable(slave, true);
	return r < 0 ? r : PTY_STOPPED_KEY;
}

static int stop(int master, int slave, const struct termios2 *settings, enum pty_stopped how)
{
	int r;

	if (how == PTY_STOPPED_CALL)
		return ioctl(slave, TCXONC, TCOOFF) < 0 ? -errno : 0;
	if (how != PTY_STOPPED_KEY || !(settings->c_iflag & IXON) || !settings->c_cc[VSTOP])
		return 0;
	r = type_key(master, settings->c_cc[VSTOP]);
	return r < 0 ? r : wait_writable(slave, false);
}

/* Output is not stopped. */
static int put(int master, int slave, const struct termios2 *settings, bool packet,
	const struct pty_queues *q)
{
	struct termios2 t = plain_settings(settings, packet);
	int r = settings_set(master, &t), last;

	if (r == 0 && q->output_len)
		r = write_all(slave, q->output, q->output_len);
	if (r == 0 && q->input_len)
		r = canonical(settings) ? put_lines(master, slave, &t, packet, q)
					: put_bytes(master, slave, q);
	last = settings_set(master, settings);
	if (r == 0)
		r = last;
	if (r == 0 && canonical(settings))
		r = put_rest(master, settings, q);
	return r < 0 ? r : stop(master, slave, settings, q->stopped);
}

int pty_queues_put(
	int master, int slave, const struct termios2 *settings, const struct pty_queues *q)
{
	return put(master, slave, settings, false, q);
}

static int flow_changed(int master, const struct termios2 *settings, bool flows)
{
	struct termios2 t = *settings;
	int r;

	t.c_iflag ^= IXON;
	if (flows != !!(settings->c_iflag & IXON))
		return 0;
	r = settings_set(master, &t);
	return r < 0 ? r : settings_set(master, settings);
}

int pty_status_put(
	int master, int slave, const struct termios2 *settings, const struct pty_queues *q)
{
	uint8_t status = q->packet_status;
	int r = 0;

	if (status & TIOCPKT_FLUSHREAD && !q->input_len)
		ioctl(slave, TCFLSH, TCIFLUSH);
	if (status & TIOCPKT_FLUSHWRITE && !q->output_len)
		ioctl(slave, TCFLSH, TCOFLUSH);
	if (status & (TIOCPKT_DOSTOP | TIOCPKT_NOSTOP))
		r = flow_changed(master, settings, status & TIOCPKT_DOSTOP);
	if (r == 0 && status & TIOCPKT_START) {
		r = stop(master, slave, settings, PTY_STOPPED_CALL);
		if (r == 0 && ioctl(slave, TCXONC, TCOON) < 0)
			r = -errno;
	}
	if (r == 0 && status & TIOCPKT_STOP && q->stopped == PTY_STOPPED_CALL &&
		(ioctl(slave, TCXONC, TCOON) < 0 || ioctl(slave, TCXONC, TCOOFF) < 0))
		r = -errno;
	return r;
}

/* ------------------------------------------------------------------ in a process of its own */

struct peek {
	int master, slave;
	struct pty_queues *q;
};

/* Nothing there that could be seen without taking it out, and lines are not kept. */
static bool surely_empty(const struct peek *p, const struct termios2 *settings)
{
	int waiting = 0;

	if (canonical(settings) || ready(p->master, POLLIN | POLLPRI) || !ready(p->slave, POLLOUT))
		return false;
	ready(p->slave, POLLIN); /* let arrive what is on its way */
	return ioctl(p->slave, FIONREAD, &waiting) == 0 && !waiting;
}

static int peek(void *arg)
{
	struct peek *p = arg;
	struct pty_queues *q = p->q;
	struct termios2 settings, t;
	int packet = 0, r, back, how;

	if (ioctl(p->master, TCGETS2, &settings) < 0 || ioctl(p->master, TIOCGPKT, &packet) < 0)
		return -errno;
	if (surely_empty(p, &settings))
		return 0;
	r = take_input(p->master, p->slave, &settings, q);
	back = take_output(p->master, packet, q);
	r = r < 0 ? r : back;
	t = plain_settings(&settings, packet);
	how = start(p->master, p->slave, &t);
	if (how > 0)
		q->stopped = how;
	back = put(p->master, p->slave, &settings, packet, q);
	if (back == 0 && packet && q->packet_status)
		back = pty_status_put(p->master, p->slave, &settings, q);
	return r < 0 ? r : how < 0 ? how : back;
}

int pty_queues_peek(int master, int slave, struct pty_queues *q)
{
	struct peek p = {.master = master, .slave = slave, .q = q};

	return apart(peek, &p);
}

struct opening {
	int master, flags;
	const char *path;
	int fd;
};

static int open_child(void *arg)
{
	struct opening *o = arg;

	if (ioctl(o->master, TIOCSCTTY, 0) < 0)
		return -errno;
	o->fd = open(o->path, o->flags);
	return o->fd < 0 ? -errno : 0;
}

int pty_open_controlling(int master, const char *path, int flags)
{
	struct opening o = {.master = master, .flags = flags, .path = path};
	int r = apart(open_child, &o);

	return r < 0 ? r : o.fd;
}
