/*
 * e2e: args: pair closed never order lines raw output full stopped stopped-call
 * e2e: args: cloexec packet exclusive locked hung-up numbers control
 * e2e: devpts: own
 *
 * Holds: pseudo terminals whose both sides are its own: their settings, size, number and owner; one whose
 *        slave was never opened, or is closed, or whose master is closed; lines that were typed, one of
 *        them unfinished, and any bytes in raw mode; output that the master has not read; output that was
 *        stopped by a key or a call; packet mode; exclusive and locked ones; several with gaps between
 *        their numbers; one that is its controlling terminal, open as /dev/tty too.
 * Shows: Files: "terminals".
 * e2e: no exec for control: the root leads the session of a terminal of its own tree, which is refused
 */
#include "fds.h"
#include "pty.h"
#include <poll.h>

#ifndef TIOCGPTPEER
#define TIOCGPTPEER 0x5441
#endif
#ifndef TIOCGEXCL
#define TIOCGEXCL 0x80045440
#endif

static int pty_events(int fd)
{
	struct pollfd p = {fd, POLLIN | POLLOUT | POLLPRI, 0};

	MUST(poll(&p, 1, 0));
	return p.revents;
}

/* What is under way in a terminal arrives with a little delay. */
static void pty_settle(void)
{
	usleep(20000);
}

static void pty_write(int fd, const char *text, size_t len)
{
	CHECK(write(fd, text, len) == (ssize_t)len, "write: %s", strerror(errno));
	pty_settle();
}

/* One read gives exactly this. */
static void pty_read(int fd, const char *want, size_t len, const char *what)
{
	struct pollfd p = {fd, POLLIN, 0};
	char buf[8192];
	ssize_t got;
	int n = 0;

	MUST(poll(&p, 1, 3000));
	CHECK(p.revents & POLLIN, "%s: nothing to read", what);
	/* the rest of it may still be on its way */
	for (int i = 0; i < 100 && ioctl(fd, FIONREAD, &n) == 0 && n < (int)len; i++)
		usleep(1000);
	got = read(fd, buf, sizeof(buf));
	CHECK(got == (ssize_t)len && !memcmp(buf, want, len),
		"%s: expected %zu '%.*s', got %zd '%.*s'", what, len, (int)len, want, got,
		got > 0 ? (int)got : 0, buf);
}

static void pty_expect_empty(int fd, const char *what)
{
	CHECK(!(pty_events(fd) & POLLIN), "%s: there is something to read", what);
}

static void pty_raw(int fd, int min)
{
	struct termios t;

	MUST(tcgetattr(fd, &t));
	cfmakeraw(&t);
	t.c_cc[VMIN] = min;
	MUST(tcsetattr(fd, TCSANOW, &t));
}

static void pty_no_echo(int fd)
{
	struct termios t;

	MUST(tcgetattr(fd, &t));
	t.c_lflag &= ~(ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE);
	MUST(tcsetattr(fd, TCSANOW, &t));
}

static void pty_handshake(int m)
{
	struct pty_view was;

	pty_view(m, &was);
	victim_ready();
	victim_wait();
	pty_expect(m, &was);
}

/* Both ways, with echo and newlines as a new terminal has them. */
static void pty_works(int m, int s)
{
	pty_write(m, "hello\n", 6);
	pty_read(m, "hello\r\n", 7, "echo");
	pty_read(s, "hello\n", 6, "typed");
	pty_write(s, "out\n", 4);
	pty_read(m, "out\r\n", 5, "written");
}

static void pty_pair(void)
{
	struct fds_view mv, sv, sv2;
	struct winsize w = {.ws_row = 33, .ws_col = 111, .ws_xpixel = 7, .ws_ypixel = 8};
	int m = pty_master(), s = pty_slave(m, O_RDWR), s2 = pty_slave(m, O_WRONLY | O_NONBLOCK);
	struct termios t;
	char name[32];

	pty_name(m, name, sizeof(name));
	MUST(chown(name, 12, 34));
	MUST(chmod(name, 0641));
	MUST(ioctl(s, TIOCSWINSZ, &w));
	MUST(tcgetattr(s, &t));
	t.c_cc[VINTR] = 7;
	t.c_cc[VEOF] = 0x1a;
	t.c_iflag |= IXANY;
	t.c_lflag &= ~ECHOK;
	MUST(cfsetspeed(&t, B9600));
	MUST(tcsetattr(s, TCSANOW, &t));
	fds_view(m, &mv);
	fds_view(s, &sv);
	fds_view(s2, &sv2);
	pty_handshake(m);
	fds_expect(m, &mv, false, "master");
	fds_expect(s, &sv, false, "slave");
	fds_expect(s2, &sv2, false, "the slave for writing");
	CHECK(!fds_same(s, s2), "two opens have become one");
	pty_works(m, s);
	close(s);
	CHECK(!(pty_events(m) & POLLHUP), "a slave is missing");
	close(s2);
	CHECK(pty_events(m) & POLLHUP, "a slave is too many");
}

static void pty_closed(void)
{
	int m = pty_master(), s = pty_slave(m, O_RDWR);

	pty_no_echo(s);
	pty_write(m, "for the next\n", 13);
	pty_write(s, "the last words", 14);
	close(s);
	pty_handshake(m);
	CHECK(pty_events(m) & POLLHUP, "the master does not see that its slave is closed");
	pty_read(m, "the last words", 14, "output");
	s = pty_slave(m, O_RDWR);
	CHECK(!(pty_events(m) & POLLHUP), "the slave is open again");
	pty_read(s, "for the next\n", 13, "input");
}

static void pty_never(void)
{
	int m = pty_master(), locked;

	pty_handshake(m);
	MUST(ioctl(m, TIOCGPTLCK, &locked));
	CHECK(locked, "it was locked");
	CHECK(!(pty_events(m) & POLLHUP), "the master sees a slave that never was");
	pty_works(m, pty_slave(m, O_RDWR));
}

/* The slave has the lower descriptor, so that it comes first in the image. */
static void pty_order(void)
{
	int hole = MUST(open("/dev/null", O_RDONLY)), m = pty_master(), s = pty_slave(m, O_RDWR);

	MUST(dup2(s, hole));
	close(s);
	pty_handshake(m);
	pty_works(m, hole);
}

static void pty_lines(void)
{
	int m = pty_master(), s = pty_slave(m, O_RDWR);

	pty_no_echo(s);
	pty_write(m, "one\n", 4);
	/* a literal newline and end of file, and the end; an end of file, an empty line, ^V^S */
	pty_write(m, "two\x16\n\x16\x04 three\x04", 14);
	pty_write(m, "\x04\n\x16\x16\x16\x13\n", 7);
	pty_write(m, "par\x16\x03", 5);
	pty_handshake(m);
	pty_expect_empty(m, "nothing is echoed");
	pty_read(s, "one\n", 4, "first line");
	pty_read(s, "two\n\x04 three", 11, "line without newline");
	pty_read(s, "", 0, "end of file");
	pty_read(s, "\n", 1, "empty line");
	pty_read(s, "\x16\x13\n", 3, "a line of control characters");
	pty_expect_empty(s, "the unfinished line");
	pty_write(m, "txx\x7f\x7f", 5);
	pty_write(m, "ial\n", 4);
	pty_read(s, "par\x03tial\n", 9, "the finished line");
}

static void pty_raw_bytes(void)
{
	int m = pty_master(), s = pty_slave(m, O_RDWR);
	char all[600];

	for (int i = 0; i < 600; i++)
		all[i] = i * 7;
	pty_raw(s, 5);
	pty_write(m, all, 600);
	pty_handshake(m);
	pty_read(s, all, 600, "raw input");
	pty_write(m, all, 300);
	pty_read(s, all, 300, "raw input afterwards");
	pty_expect_empty(m, "nothing is echoed");
}

static void pty_output(void)
{
	int m = pty_master(), s = pty_slave(m, O_RDWR);

	pty_write(m, "typed\n", 6);
	pty_write(s, "a\nb\tc\n\x1b[1m", 10);
	pty_handshake(m);
	pty_read(m, "typed\r\na\r\nb\tc\r\n\x1b[1m", 19, "output");
	pty_read(s, "typed\n", 6, "input");
	pty_works(m, s);
}

/* As much as goes in, both ways. */
static void pty_full(void)
{
	int m = pty_master(), s = pty_slave(m, O_RDWR), got[2] = {0};
	int ends[2] = {s, m};

	pty_raw(s, 1);
	for (int way = 0; way < 2; way++) {
		MUST(fcntl(ends[way], F_SETFL, O_NONBLOCK));
		for (int tries = 0; tries < 3; usleep(5000), tries++)
			while (got[way] < 12000 || way) {
				char c = fds_byte(way, got[way]);

				if (write(ends[way], &c, 1) != 1)
					break;
				got[way]++;
			}
		CHECK(got[way] >= 12000, "the test is broken: %d bytes", got[way]);
	}
	pty_handshake(m);
	fds_expect_read(m, 0, 0, got[0], "output");
	for (int at = 0; at < got[1];) {
		struct pollfd p = {s, POLLIN, 0};
		char buf[512];
		ssize_t n;

		MUST(poll(&p, 1, 1000));
		n = MUST(read(s, buf, sizeof(buf)));
		for (int i = 0; i < n; i++, at++)
			CHECK(buf[i] == fds_byte(1, at), "input: byte %d", at);
	}
	pty_expect_empty(m, "output");
	pty_expect_empty(s, "input");
}

static void pty_stopped(bool by_call)
{
	int m = pty_master(), s = pty_slave(m, O_RDWR | O_NONBLOCK);

	pty_write(s, "before", 6);
	if (by_call)
		MUST(tcflow(s, TCOOFF));
	else
		pty_write(m, "\x13", 1);
	for (int i = 0; i < 3000 && pty_events(s) & POLLOUT; i++)
		usleep(1000);
	CHECK(write(s, "x", 1) <= 0, "the test is broken: output is not stopped");
	pty_handshake(m);
	pty_read(m, "before", 6, "output");
	CHECK(write(s, "x", 1) <= 0, "output is not stopped any more");
	if (by_call)
		MUST(tcflow(s, TCOON));
	else
		pty_write(m, "\x11", 1);
	for (int i = 0; i < 3000 && !(pty_events(s) & POLLOUT); i++)
		usleep(1000);
	pty_write(s, "after", 5);
	pty_read(m, "after", 5, "output");
}

static void pty_packet(void)
{
	int m = pty_master(), s = pty_slave(m, O_RDWR), on = 1;

	MUST(ioctl(m, TIOCPKT, &on));
	pty_write(s, "data", 4);
	MUST(tcflush(s, TCIFLUSH));
	CHECK(pty_events(m) & POLLPRI, "the test is broken: no status");
	pty_handshake(m);
	CHECK(pty_events(m) & POLLPRI, "no status any more");
	pty_read(m, "\x01", 1, "TIOCPKT_FLUSHREAD");
	pty_read(m, "\0data", 5, "data");
	pty_expect_empty(m, "packets");
	MUST(tcflow(s, TCOOFF));
	pty_read(m, "\x04", 1, "TIOCPKT_STOP");
}

static void pty_exclusive(void)
{
	int m = pty_master(), s = pty_slave(m, O_RDWR), is;
	char name[32];

	MUST(ioctl(s, TIOCEXCL));
	pty_handshake(m);
	MUST(ioctl(s, TIOCGEXCL, &is));
	CHECK(is, "the slave is not exclusive");
	MUST(ioctl(m, TIOCGEXCL, &is));
	CHECK(!is, "the master is exclusive");
	pty_name(m, name, sizeof(name));
	MUST(seteuid(1));
	CHECK(open(name, O_RDWR | O_NOCTTY) < 0, "somebody else could open it");
}

static void pty_locked(void)
{
	int m = pty_master(), s = pty_slave(m, O_RDWR), on = 1;
	char name[32];

	MUST(ioctl(m, TIOCSPTLCK, &on));
	pty_handshake(m);
	pty_works(m, s);
	pty_name(m, name, sizeof(name));
	CHECK(open(name, O_RDWR | O_NOCTTY) < 0 && errno == EIO, "it is not locked any more");
}

/* An O_CLOEXEC by TIOCGPTPEER is not only the descriptor's. */
static void pty_cloexec(void)
{
	int m = pty_master(), off = 0, s;

	MUST(ioctl(m, TIOCSPTLCK, &off));
	s = ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	CHECK(s >= 0, "TIOCGPTPEER: %s", strerror(errno));
	MUST(dup2(s, 0));
	pty_handshake(m);
	CHECK(fcntl(0, F_GETFD) == 0, "stdin: expected no flag, got %d", fcntl(0, F_GETFD));
	CHECK(fcntl(s, F_GETFD) == FD_CLOEXEC, "the slave is not close-on-exec");
	CHECK(fds_same(0, s), "they are not one description any more");
}

static void pty_hung_up(void)
{
	int m = pty_master(), s = pty_slave(m, O_RDWR), n;
	char c;

	close(m);
	victim_ready();
	victim_wait();
	CHECK(read(s, &c, 1) == 0, "a read: %s", strerror(errno));
	CHECK(write(s, "x", 1) < 0 && errno == EIO, "a write: %s", strerror(errno));
	CHECK(ioctl(s, FIONREAD, &n) < 0 && errno == EIO, "an ioctl: %s", strerror(errno));
	CHECK(pty_events(s) & POLLHUP, "poll");
}

static void pty_numbers(void)
{
	int m[9];
	struct pty_view was[9];

	for (int i = 0; i < 9; i++)
		m[i] = pty_master();
	for (int i = 0; i < 9; i += 2)
		close(m[i]);
	MUST(dup2(m[7], m[0])); /* the highest has the lowest descriptor */
	close(m[7]);
	m[7] = m[0];
	for (int i = 1; i < 9; i += 2)
		pty_view(m[i], &was[i]);
	victim_ready();
	victim_wait();
	for (int i = 1; i < 9; i += 2)
		pty_expect(m[i], &was[i]);
	CHECK(was[7].n == 7 && was[1].n == 1, "the test is broken");
	for (int i = 1; i < 9; i += 2)
		pty_works(m[i], pty_slave(m[i], O_RDWR));
}

static volatile sig_atomic_t pty_interrupted;

static void pty_on_signal(int sig)
{
	pty_interrupted = sig;
}

static void pty_control(void)
{
	int m = pty_master(), s = pty_slave(m, O_RDWR), t;
	struct fds_view tv;

	MUST(ioctl(s, TIOCSCTTY, 0));
	t = MUST(open("/dev/tty", O_RDWR));
	signal(SIGINT, pty_on_signal);
	signal(SIGWINCH, pty_on_signal);
	fds_view(t, &tv);
	pty_handshake(m);
	fds_expect(t, &tv, true, "/dev/tty");
	CHECK(!pty_interrupted, "signal %d out of nothing", pty_interrupted);
	CHECK(tcgetpgrp(s) == getpgrp(), "foreground group: %d, not %d", tcgetpgrp(s), getpgrp());
	CHECK(tcgetsid(t) == getsid(0), "the session of /dev/tty");
	pty_write(m, "\x03", 1);
	for (int i = 0; i < 3000 && !pty_interrupted; i++)
		usleep(1000);
	CHECK(pty_interrupted == SIGINT, "Ctrl-C did nothing");
	pty_read(m, "^C", 2, "echo");
	pty_works(m, t);
	MUST(open("/dev/tty", O_RDWR));
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {{"pair", pty_pair}, {"closed", pty_closed}, {"never", pty_never}, {"order", pty_order},
	{"lines", pty_lines}, {"raw", pty_raw_bytes}, {"output", pty_output}, {"full", pty_full},
	{"packet", pty_packet}, {"exclusive", pty_exclusive}, {"locked", pty_locked},
	{"cloexec", pty_cloexec}, {"hung-up", pty_hung_up}, {"numbers", pty_numbers},
	{"control", pty_control}};

int main(int argc, char **argv)
{
	const char *arg = argc > 1 ? argv[1] : "pair";

	victim_init(argc, argv);
	if (strncmp(arg, "stopped", 7) == 0) {
		pty_stopped(arg[7] != 0);
		return 0;
	}
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (strcmp(cases[i].name, arg) == 0) {
			cases[i].run();
			return 0;
		}
	CHECK(0, "no such case: %s", arg);
}
