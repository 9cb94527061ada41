/*
 * e2e: args: session given-up nested hang-up
 * e2e: devpts: own
 *
 * Holds: a terminal that is the controlling one of a session of children: a foreground and a background
 *        process group, a line that is typed in part; members that have given it up, or were there before
 *        it; a terminal in a terminal; the end of a master.
 * Shows: "terminals: pending input, foreground group and controlling terminal of each session".
 */
#include "pty.h"
#include "tree.h"
#include <stdbool.h>

static int m, s;               /* master and slave */
static int late[2], set_up[2]; /* a second gate; and a third */

static int tty_open(int *slave)
{
	int master = pty_master();

	*slave = pty_slave(master, O_RDWR);
	return master;
}

static void tty_lead(int slave)
{
	MUST(setsid());
	MUST(ioctl(slave, TIOCSCTTY, 0));
}

static void tty_say(int fd, const char *text)
{
	CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text), "write: %s", strerror(errno));
}

/* Exactly this comes, whatever reads it takes. */
static void tty_hear(int fd, const char *want)
{
	char got[256];
	size_t n = 0;

	while (n < strlen(want)) {
		ssize_t k = read(fd, got + n, strlen(want) - n);

		CHECK(k > 0, "read: %zd (%s) after '%.*s'", k, strerror(errno), (int)n, got);
		n += k;
	}
	CHECK(!memcmp(got, want, n), "expected '%s', got '%.*s'", want, (int)n, got);
}

static void tty_expect_open(bool can, const char *who)
{
	int fd = open("/dev/tty", O_RDWR | O_NOCTTY);

	CHECK((fd >= 0) == can, "%s: /dev/tty: %s", who, fd < 0 ? strerror(errno) : "open");
	CHECK(can || errno == ENXIO, "%s: /dev/tty: %s", who, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void tty_sigint(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL));
}

static void tty_pass(const int gate[2])
{
	char c;

	CHECK(read(gate[0], &c, 1) == 1, "a gate: %s", strerror(errno));
}

static void tty_open_gate(const int gate[2])
{
	CHECK(write(gate[1], "g", 1) == 1, "a gate: %s", strerror(errno));
}

/* ---- session ---- */

static int foreground(int arg)
{
	struct termios t;
	sigset_t set;
	int sig;

	(void)arg;
	tty_sigint();
	MUST(setpgid(0, 0));
	tree_report();
	tree_pass();
	CHECK(tcgetpgrp(s) == getpgrp(), "foreground: expected %d, got %d", getpgrp(),
		tcgetpgrp(s));
	tty_hear(s, "partial\n");
	/* no echo: the signal comes before that of its key */
	MUST(tcgetattr(s, &t));
	t.c_lflag &= ~ECHO;
	MUST(tcsetattr(s, TCSANOW, &t));
	tty_say(s, "heard\n");
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	CHECK(sigwait(&set, &sig) == 0 && sig == SIGINT, "sigwait");
	tty_say(s, "SIGINT\n");
	return 11;
}

static int background(int arg)
{
	sigset_t set;
	char c;

	(void)arg;
	tty_sigint();
	signal(SIGTTIN, SIG_IGN);
	MUST(setpgid(0, 0));
	tree_report();
	tree_pass();
	CHECK(read(s, &c, 1) < 0 && errno == EIO, "a read in the background: %s", strerror(errno));
	tty_pass(late);
	MUST(sigpending(&set));
	CHECK(!sigismember(&set, SIGINT), "the key reached the background");
	return 12;
}

static int leader(int arg)
{
	pid_t fg, bg;

	(void)arg;
	tty_lead(s);
	signal(SIGTTOU, SIG_IGN);
	fg = tree_fork(foreground, 0);
	bg = tree_fork(background, 0);
	setpgid(fg, fg);
	MUST(tcsetpgrp(s, fg));
	tree_report();
	tree_pass();
	CHECK(tcgetsid(s) == getpid(), "session: expected %d, got %d", getpid(), tcgetsid(s));
	tree_ends(fg, 11 << 8, "foreground");
	tree_ends(bg, 12 << 8, "background");
	MUST(tcsetpgrp(s, getpgrp()));
	tty_hear(s, "last\n");
	return 10;
}

static void session(void)
{
	pid_t pid;

	m = tty_open(&s);
	pid = tree_fork(leader, 0);
	tree_expect(3);
	tty_say(m, "par");
	victim_ready();
	victim_wait();
	CHECK(tcgetpgrp(m) > 0 && tcgetpgrp(m) != pid, "foreground as the master sees it: %d",
		tcgetpgrp(m));
	tree_open(3);
	tty_say(m, "tial\n");
	tty_hear(m, "partial\r\nheard\r\n");
	tty_say(m, "\x03");
	tty_hear(m, "SIGINT\r\n");
	tty_open_gate(late);
	tty_say(m, "last\n");
	tree_ends(pid, 10 << 8, "leader");
}

/* ---- given-up ---- */

static int member(int role)
{
	if (role == 2)
		MUST(ioctl(s, TIOCNOTTY));
	tree_report();
	if (role == 0) /* before the leader takes it */
		tty_pass(late);
	tree_report();
	tree_pass();
	tty_expect_open(role == 1, role == 0   ? "born before"
				   : role == 1 ? "a member"
					       : "who gave it up");
	return role;
}

static int given_up_leader(int arg)
{
	pid_t pid[3];

	(void)arg;
	MUST(setsid());
	pid[0] = tree_fork(member, 0);
	tree_expect(1);
	MUST(ioctl(s, TIOCSCTTY, 0));
	tty_open_gate(late);
	tree_expect(1);
	for (int i = 1; i < 3; i++) {
		pid[i] = tree_fork(member, i);
		tree_expect(2);
	}
	tty_open_gate(set_up);
	tree_pass();
	tty_expect_open(true, "the leader");
	for (int i = 0; i < 3; i++)
		tree_ends(pid[i], i << 8, "member");
	return 10;
}

static void given_up(void)
{
	pid_t pid;

	m = tty_open(&s);
	pid = tree_fork(given_up_leader, 0);
	tty_pass(set_up);
	victim_ready();
	victim_wait();
	tree_open(4);
	tree_ends(pid, 10 << 8, "leader");
}

/* ---- nested ---- */

static int inner(int slave)
{
	tty_lead(slave);
	tree_report();
	tree_pass();
	tty_expect_open(true, "inner");
	tty_hear(slave, "through both\n");
	tty_say(slave, "and back\n");
	return 12;
}

/* Raw outside, so that all keys are for the inner one. */
static int outer(int arg)
{
	struct termios t;
	int inner_s, inner_m;
	pid_t pid;

	(void)arg;
	tty_lead(s);
	MUST(tcgetattr(s, &t));
	cfmakeraw(&t);
	MUST(tcsetattr(s, TCSANOW, &t));
	inner_m = tty_open(&inner_s);
	pid = tree_fork(inner, inner_s);
	close(inner_s);
	tree_report();
	tree_pass();
	CHECK(tcgetsid(s) == getpid(), "outer: its session");
	tty_hear(s, "through both\n");
	tty_say(inner_m, "through both\n");
	tty_hear(inner_m, "through both\r\nand back\r\n");
	tty_say(s, "and back\r\n");
	tree_ends(pid, 12 << 8, "inner");
	return 11;
}

static void nested(void)
{
	pid_t pid;

	m = tty_open(&s);
	pid = tree_fork(outer, 0);
	close(s);
	tree_expect(2);
	victim_ready();
	victim_wait();
	tree_open(2);
	tty_say(m, "through both\n");
	tty_hear(m, "and back\r\n");
	tree_ends(pid, 11 << 8, "outer");
}

/* ---- hang-up ---- */

static int hung_up(int arg)
{
	sigset_t set;
	int sig;
	char c;

	(void)arg;
	close(m);
	tty_lead(s);
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL));
	tree_report();
	tree_pass();
	CHECK(sigwait(&set, &sig) == 0 && sig == SIGHUP, "no SIGHUP");
	CHECK(read(s, &c, 1) == 0, "no end of file");
	return 10;
}

static void hang_up(void)
{
	pid_t pid;

	m = tty_open(&s);
	pid = tree_fork(hung_up, 0);
	close(s);
	tree_expect(1);
	victim_ready();
	victim_wait();
	tree_open(1);
	close(m);
	tree_ends(pid, 10 << 8, "who was hung up");
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "session";

	victim_init(argc, argv);
	tree_init();
	MUST(pipe(late));
	MUST(pipe(set_up));
	if (strcmp(what, "session") == 0)
		session();
	else if (strcmp(what, "given-up") == 0)
		given_up();
	else if (strcmp(what, "nested") == 0)
		nested();
	else
		hang_up();
	tree_no_more();
	return 0;
}
