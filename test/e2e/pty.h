/*
 * What victims with terminals share: a pseudo terminal of the devpts of their own (the marker "devpts: own"), and
 * how it looks.
 */
#ifndef TEST_E2E_PTY_H
#define TEST_E2E_PTY_H

#include "victim.h"
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>

struct pty_view {
	struct termios t;
	struct winsize w;
	int n, locked, packet;
	struct stat node;
};

static inline int pty_master(void)
{
	return MUST(open("pts/ptmx", O_RDWR | O_NOCTTY));
}

static inline void pty_name(int m, char *buf, size_t size)
{
	int n;

	MUST(ioctl(m, TIOCGPTN, &n));
	snprintf(buf, size, "pts/%d", n);
}

static inline int pty_slave(int m, int flags)
{
	char name[32];
	int off = 0;

	pty_name(m, name, sizeof(name));
	MUST(ioctl(m, TIOCSPTLCK, &off));
	return MUST(open(name, flags | O_NOCTTY));
}

static inline void pty_view(int m, struct pty_view *v)
{
	char name[32];

	memset(v, 0, sizeof(*v));
	MUST(tcgetattr(m, &v->t));
	MUST(ioctl(m, TIOCGWINSZ, &v->w));
	MUST(ioctl(m, TIOCGPTN, &v->n));
	MUST(ioctl(m, TIOCGPTLCK, &v->locked));
	MUST(ioctl(m, TIOCGPKT, &v->packet));
	pty_name(m, name, sizeof(name));
	MUST(stat(name, &v->node));
}

/* That it is as it was. */
static inline void pty_expect(int m, const struct pty_view *was)
{
	struct pty_view now;

	pty_view(m, &now);
	CHECK(now.n == was->n, "number: expected %d, got %d", was->n, now.n);
	CHECK(now.t.c_iflag == was->t.c_iflag && now.t.c_oflag == was->t.c_oflag &&
			now.t.c_cflag == was->t.c_cflag && now.t.c_lflag == was->t.c_lflag,
		"settings: expected %x %x %x %x, got %x %x %x %x", was->t.c_iflag, was->t.c_oflag,
		was->t.c_cflag, was->t.c_lflag, now.t.c_iflag, now.t.c_oflag, now.t.c_cflag,
		now.t.c_lflag);
	CHECK(!memcmp(now.t.c_cc, was->t.c_cc, sizeof(now.t.c_cc)), "the special characters");
	CHECK(cfgetospeed(&now.t) == cfgetospeed(&was->t), "the speed");
	CHECK(!memcmp(&now.w, &was->w, sizeof(now.w)), "size: expected %dx%d, got %dx%d",
		was->w.ws_row, was->w.ws_col, now.w.ws_row, now.w.ws_col);
	CHECK(now.locked == was->locked && now.packet == was->packet,
		"locked, packet: expected %d %d, got %d %d", was->locked, was->packet, now.locked,
		now.packet);
	CHECK(now.node.st_mode == was->node.st_mode && now.node.st_uid == was->node.st_uid &&
			now.node.st_gid == was->node.st_gid,
		"the node: expected %o %d:%d, got %o %d:%d", was->node.st_mode, was->node.st_uid,
		was->node.st_gid, now.node.st_mode, now.node.st_uid, now.node.st_gid);
}

#endif
