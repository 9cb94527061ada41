/*
 * e2e: args: both one-end deleted alone waiting left full packets path two
 *
 * Holds: named pipes: with both ends and contents; with only an end that writes and none that reads;
 *        one whose name is gone; with one end for both and contents; read by one that waits for the
 *        first writer; left by the writer, with contents; full and of another size; with packets; open
 *        with O_PATH and by nobody else; left by the writer, with one reader from before and one from
 *        after that.
 * Shows: Files: "pipes inside the process with their contents", of pipes that have names.
 */
#include "fds.h"
#include <poll.h>
#include <sys/ioctl.h>

static void handshake(void)
{
	victim_ready();
	victim_wait();
}

static void both(const char *gone)
{
	struct fds_view was[3];
	int rw, rd, wr;
	char c;

	MUST(mkfifo("pipe", 0640));
	rw = MUST(open("pipe", O_RDWR));
	rd = MUST(open("pipe", O_RDONLY | O_NONBLOCK));
	wr = MUST(open("pipe", O_WRONLY | O_CLOEXEC));
	close(rw);
	if (gone)
		MUST(unlink("pipe"));
	fds_put(wr, 1, 0, 5000);
	fds_view(rd, &was[0]);
	fds_view(wr, &was[1]);
	handshake();
	fds_expect(rd, &was[0], !gone, "read end");
	fds_expect(wr, &was[1], !gone, "write end");
	CHECK((access("pipe", F_OK) != 0) == !!gone, "the name");
	fds_expect_read(rd, 1, 0, 5000, "contents");
	CHECK(read(rd, &c, 1) == -1 && errno == EAGAIN, "there is more in it");
	fds_put(wr, 2, 0, 100);
	fds_expect_read(rd, 2, 0, 100, "written afterwards");
	close(wr);
	CHECK(read(rd, &c, 1) == 0, "there is another writer");
}

static void one_end(void)
{
	int rd, wr;

	signal(SIGPIPE, SIG_IGN);
	MUST(mkfifo("pipe", 0600));
	rd = MUST(open("pipe", O_RDONLY | O_NONBLOCK));
	wr = MUST(open("pipe", O_WRONLY));
	close(rd);
	handshake();
	CHECK(write(wr, "x", 1) == -1 && errno == EPIPE, "a write without a reader: %s",
		strerror(errno));
	rd = MUST(open("pipe", O_RDONLY | O_NONBLOCK));
	fds_put(wr, 3, 0, 10);
	fds_expect_read(rd, 3, 0, 10, "by a new reader");
}

static int hung_up(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	MUST(poll(&p, 1, 0));
	return p.revents & (POLLHUP | POLLIN);
}

/* One description for both directions, so that the contents outlive every other. */
static void alone(void)
{
	struct fds_view was;
	int fd;

	MUST(mkfifo("pipe", 0600));
	fd = MUST(open("pipe", O_RDWR | O_CLOEXEC));
	fds_put(fd, 4, 0, 3000);
	fds_view(fd, &was);
	handshake();
	fds_expect(fd, &was, true, "the end for both");
	fds_put(fd, 4, 3000, 100);
	fds_expect_read(fd, 4, 0, 3100, "contents");
	CHECK(hung_up(fd) == 0, "it has hung up: %#x", hung_up(fd));
}

/* A reader that has seen no writer is not told of a hang-up. */
static void waiting(void)
{
	int fd, wr;
	char c;

	MUST(mkfifo("pipe", 0600));
	fd = MUST(open("pipe", O_RDONLY | O_NONBLOCK));
	handshake();
	CHECK(hung_up(fd) == 0, "a hang-up without a writer: %#x", hung_up(fd));
	CHECK(read(fd, &c, 1) == 0, "a read without a writer: %s", strerror(errno));
	wr = MUST(open("pipe", O_WRONLY | O_NONBLOCK));
	CHECK(read(fd, &c, 1) == -1 && errno == EAGAIN, "a read with a writer");
	close(wr);
	CHECK(hung_up(fd) == POLLHUP, "no hang-up after the writer: %#x", hung_up(fd));
}

static void left(void)
{
	int fd, wr;
	char c;

	MUST(mkfifo("pipe", 0600));
	fd = MUST(open("pipe", O_RDONLY | O_NONBLOCK));
	wr = MUST(open("pipe", O_WRONLY));
	fds_put(wr, 5, 0, 2000);
	close(wr);
	handshake();
	CHECK(hung_up(fd) == (POLLHUP | POLLIN), "contents and a hang-up: %#x", hung_up(fd));
	fds_expect_read(fd, 5, 0, 2000, "contents");
	CHECK(read(fd, &c, 1) == 0, "the end");
	CHECK(hung_up(fd) == POLLHUP, "a hang-up: %#x", hung_up(fd));
}

static void full(void)
{
	int rd, wr;
	char c = 0;

	MUST(mkfifo("pipe", 0600));
	rd = MUST(open("pipe", O_RDONLY | O_NONBLOCK));
	wr = MUST(open("pipe", O_WRONLY | O_NONBLOCK));
	MUST(fcntl(rd, F_SETPIPE_SZ, 16384));
	for (int i = 0; i < 2; i++) /* a byte, and a page that does not join it */
		CHECK(write(wr, &c, 1) == 1 &&
				write(wr, memset((char[4096]){0}, i, 4096), 4096) == 4096,
			"the test is broken");
	CHECK(write(wr, &c, 1) == -1 && errno == EAGAIN, "the test is broken");
	handshake();
	CHECK(fcntl(wr, F_GETPIPE_SZ) == 16384, "size: %d", fcntl(wr, F_GETPIPE_SZ));
	CHECK(write(wr, &c, 1) == -1 && errno == EAGAIN, "it is not full any more");
	CHECK(read(rd, &c, 1) == 1 && c == 0, "contents");
}

static void packets(void)
{
	char buf[8192];
	int rd, wr;

	MUST(mkfifo("pipe", 0600));
	rd = MUST(open("pipe", O_RDONLY | O_NONBLOCK));
	wr = MUST(open("pipe", O_WRONLY));
	MUST(fcntl(wr, F_SETFL, O_DIRECT));
	fds_put(wr, 6, 0, 10);
	fds_put(wr, 6, 10, 20);
	handshake();
	CHECK(read(rd, buf, sizeof(buf)) == 10 && read(rd, buf, sizeof(buf)) == 20, "packets");
	CHECK(fcntl(wr, F_GETFL) & O_DIRECT, "O_DIRECT");
	fds_put(wr, 6, 0, 5);
	fds_put(wr, 6, 5, 6);
	CHECK(read(rd, buf, sizeof(buf)) == 5, "a packet written afterwards");
}

static void path(void)
{
	struct fds_view was;
	char name[64];
	int fd, rd;

	MUST(mkfifo("pipe", 0600));
	fd = MUST(open("pipe", O_PATH));
	fds_view(fd, &was);
	handshake();
	fds_expect(fd, &was, true, "O_PATH");
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	rd = MUST(open(name, O_RDONLY | O_NONBLOCK));
	CHECK(hung_up(rd) == 0, "somebody has had it open");
}

static void two(void)
{
	int before, after, wr;

	MUST(mkfifo("pipe", 0600));
	before = MUST(open("pipe", O_RDONLY | O_NONBLOCK));
	wr = MUST(open("pipe", O_WRONLY));
	close(wr);
	after = MUST(open("pipe", O_RDONLY | O_NONBLOCK));
	handshake();
	CHECK(hung_up(before) == POLLHUP, "the reader from before: %#x", hung_up(before));
	CHECK(hung_up(after) == 0, "the reader from after: %#x", hung_up(after));
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*fn)(void);
	} cases[] = {{"one-end", one_end}, {"alone", alone}, {"waiting", waiting}, {"left", left},
		{"full", full}, {"packets", packets}, {"path", path}, {"two", two}};

	victim_init(argc, argv);
	for (size_t i = 0; argc == 2 && i < sizeof(cases) / sizeof(cases[0]); i++)
		if (!strcmp(argv[1], cases[i].name)) {
			cases[i].fn();
			return 0;
		}
	both(argc == 2 && !strcmp(argv[1], "deleted") ? "gone" : NULL);
	return 0;
}
