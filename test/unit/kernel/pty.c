/*
 * The queues of a pseudo terminal: what peek finds, that it is there afterwards, and that put makes it.
 * The texts are what was typed and written; the kernel says what can be read.
 */
#include "kernel/pty.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <asm/termbits.h>

#include "util/cleanup.h"

static int pair(int *ret_slave)
{
	int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC), off = 0;

	cr_assert_geq(master, 0, "/dev/ptmx: %s", strerror(errno));
	cr_assert_eq(ioctl(master, TIOCSPTLCK, &off), 0);
	*ret_slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	cr_assert_geq(*ret_slave, 0);
	return master;
}

static struct termios2 settings(int fd, unsigned without)
{
	struct termios2 t;

	cr_assert_eq(ioctl(fd, TCGETS2, &t), 0);
	t.c_lflag &= ~without;
	cr_assert_eq(ioctl(fd, TCSETS2, &t), 0);
	return t;
}

static void expect_settings(int fd, const struct termios2 *want)
{
	struct termios2 t;

	cr_assert_eq(ioctl(fd, TCGETS2, &t), 0);
	cr_assert(memcmp(&t, want, sizeof(t)) == 0, "the settings are others");
}

static void type(int fd, const char *text, size_t len)
{
	cr_assert_eq(write(fd, text, len), (ssize_t)len);
	usleep(10000); /* a work queue carries it over */
}

static void expect_read(int fd, const char *want, size_t len)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char buf[256];
	int n = 0;

	cr_assert_eq(poll(&p, 1, 3000), 1);
	for (int i = 0; i < 100 && ioctl(fd, FIONREAD, &n) == 0 && n < (int)len; i++)
		usleep(1000);
	cr_assert_eq(read(fd, buf, sizeof(buf)), (ssize_t)len);
	cr_assert_eq(memcmp(buf, want, len), 0);
}

static void expect_nothing(int fd)
{
	char c;

	cr_assert_eq(read(fd, &c, 1), -1);
	cr_assert_eq(errno, EAGAIN);
}

static struct pty_queues room(uint8_t *buf)
{
	return (struct pty_queues){.input = buf,
		.output = buf + PTY_QUEUE_ROOM,
		.input_cap = PTY_QUEUE_ROOM,
		.output_cap = PTY_QUEUE_ROOM};
}

Test(pty, nothing_is_under_way)
{
	_cleanup_free_ uint8_t *buf = malloc(2 * PTY_QUEUE_ROOM);
	struct pty_queues q = room(buf);
	int slave, master = pair(&slave);
	struct termios2 t = settings(slave, 0);

	cr_assert_eq(pty_queues_peek(master, slave, &q), 0);
	cr_assert_eq(q.input_len, 0);
	cr_assert_eq(q.output_len, 0);
	cr_assert_eq(q.stopped, PTY_RUNS);
	expect_settings(slave, &t);
	expect_nothing(slave);
	expect_nothing(master);
}

Test(pty, lines_and_the_beginning_of_one)
{
	static const char encoded[] = "one\n\x16\x03\x04par";
	_cleanup_free_ uint8_t *buf = malloc(2 * PTY_QUEUE_ROOM);
	struct pty_queues q = room(buf);
	int slave, master = pair(&slave);
	struct termios2 t = settings(slave, ECHO);

	type(master, "one\n\x16\x03\x04par", 10);
	cr_assert_eq(pty_queues_peek(master, slave, &q), 0);
	cr_assert_eq(q.input_len, sizeof(encoded) - 1);
	cr_assert_eq(memcmp(q.input, encoded, q.input_len), 0);
	expect_settings(slave, &t);
	expect_read(slave, "one\n", 4);
	expect_read(slave, "\x03", 1);
	expect_nothing(slave);
	type(master, "t\n", 2);
	expect_read(slave, "part\n", 5);
	expect_nothing(master);
}

Test(pty, put_makes_what_peek_found)
{
	_cleanup_free_ uint8_t *buf = malloc(2 * PTY_QUEUE_ROOM);
	struct pty_queues q = room(buf);
	int slave, other, master = pair(&slave), second = pair(&other);
	struct termios2 t = settings(slave, 0);

	type(slave, "out\n", 4);
	type(master, "typed\nx", 7);
	type(master, "\x13", 1);
	cr_assert_eq(pty_queues_peek(master, slave, &q), 0);
	cr_assert_eq(q.stopped, PTY_STOPPED_KEY);
	cr_assert_eq(pty_queues_put(second, other, &t, &q), 0);
	for (int i = 0; i < 2; i++) {
		int m = i ? second : master, s = i ? other : slave;

		expect_settings(s, &t);
		expect_read(m, "out\r\ntyped\r\nx", 13);
		expect_read(s, "typed\n", 6);
		cr_assert_eq(write(s, "y", 1), -1, "output is not stopped");
		type(m, "\x11z\n", 3);
		expect_read(s, "xz\n", 3);
		expect_read(m, "z\r\n", 3);
	}
}

Test(pty, raw_bytes_keep_their_values)
{
	_cleanup_free_ uint8_t *buf = malloc(2 * PTY_QUEUE_ROOM);
	struct pty_queues q = room(buf);
	int slave, master = pair(&slave);
	struct termios2 t = settings(slave, ~0U);
	char all[64];

	t.c_iflag = t.c_oflag = 0;
	t.c_cc[VMIN] = 40;
	cr_assert_eq(ioctl(slave, TCSETS2, &t), 0);
	for (int i = 0; i < 64; i++)
		all[i] = i;
	type(master, all, 30);
	cr_assert_eq(pty_queues_peek(master, slave, &q), 0);
	cr_assert_eq(q.input_len, 30);
	cr_assert_eq(memcmp(q.input, all, 30), 0);
	expect_settings(slave, &t);
	type(master, all + 30, 34);
	expect_read(slave, all, 64);
}

Test(pty, more_than_there_is_room_for)
{
	_cleanup_free_ uint8_t *buf = malloc(2 * PTY_QUEUE_ROOM);
	struct pty_queues q = room(buf);
	int slave, master = pair(&slave);

	settings(slave, ECHO);
	q.input_cap = 4;
	type(master, "longer\n", 7);
	cr_assert_eq(pty_queues_peek(master, slave, &q), -EOVERFLOW);
}
