/*
 * e2e: args: empty partial full packets resized writer-gone reader-gone both blocked
 *
 * Holds: a pipe inside the process: empty; with short writes in it, partly read; full; with packets
 *        (O_DIRECT); of another size; with one end closed; with an end that reads and writes; with a
 *        thread blocked in a read of an empty and one in a write to a full pipe.
 * Shows: Files: "pipes inside the process with their contents".
 */
#include "fds.h"
#include <sys/ioctl.h>

static int p[2];

static int pipe_waiting(int fd)
{
	int n;

	MUST(ioctl(fd, FIONREAD, &n));
	return n;
}

/* The two ends as they are now, the handshake, and the same afterwards. */
static void pipe_handshake(int ends)
{
	struct fds_view was[2];
	int size[2] = {0}, waiting[2] = {0};

	for (int i = 0; i < 2; i++)
		if (ends & 1 << i) {
			fds_view(p[i], &was[i]);
			size[i] = MUST(fcntl(p[i], F_GETPIPE_SZ));
			waiting[i] = pipe_waiting(p[i]);
		}
	victim_ready();
	victim_wait();
	for (int i = 0; i < 2; i++)
		if (ends & 1 << i) {
			const char *what = i ? "write end" : "read end";

			fds_expect(p[i], &was[i], false, what);
			CHECK(fcntl(p[i], F_GETPIPE_SZ) == size[i], "%s: size: expected %d, got %d",
				what, size[i], fcntl(p[i], F_GETPIPE_SZ));
			CHECK(pipe_waiting(p[i]) == waiting[i],
				"%s: expected %d bytes in it, got %d", what, waiting[i],
				pipe_waiting(p[i]));
		}
}

static void pipe_expect_empty(void)
{
	char c;

	MUST(fcntl(p[0], F_SETFL, O_NONBLOCK));
	CHECK(read(p[0], &c, 1) == -1 && errno == EAGAIN, "there is more in the pipe, or its end");
}

static void pipe_empty(void)
{
	MUST(pipe2(p, O_CLOEXEC));
	MUST(fcntl(p[1], F_SETFL, O_NONBLOCK));
	pipe_handshake(3);
	pipe_expect_empty();
	fds_put(p[1], 1, 0, 100);
	fds_expect_read(p[0], 1, 0, 100, "through the pipe");
}

static void pipe_partial(void)
{
	MUST(pipe(p));
	for (int i = 0; i < 10; i++)
		fds_put(p[1], 2, i * 3001, 3001);
	fds_expect_read(p[0], 2, 0, 5000, "the test is broken");
	pipe_handshake(3);
	fds_expect_read(p[0], 2, 5000, 30010 - 5000, "contents");
	pipe_expect_empty();
	fds_put(p[1], 3, 0, 50000);
	fds_expect_read(p[0], 3, 0, 50000, "written afterwards");
}

static void pipe_full(void)
{
	MUST(pipe2(p, O_NONBLOCK));
	fds_put(p[1], 4, 0, 65536);
	CHECK(write(p[1], "x", 1) == -1 && errno == EAGAIN, "the test is broken");
	pipe_handshake(3);
	CHECK(write(p[1], "x", 1) == -1 && errno == EAGAIN, "it is not full any more");
	fds_expect_read(p[0], 4, 0, 4096, "contents");
	fds_put(p[1], 4, 65536, 4096);
	fds_expect_read(p[0], 4, 4096, 65536, "contents");
	pipe_expect_empty();
}

static void pipe_packets(void)
{
	static const int len[] = {5, 100, 4096, 1, 77, 4096, 4095};
	char buf[8192];

	MUST(pipe2(p, O_DIRECT));
	for (int i = 0; i < 7; i++)
		fds_put(p[1], 5 + i, 0, len[i]);
	pipe_handshake(3);
	for (int i = 0; i < 7; i++) {
		ssize_t got = read(p[0], buf, sizeof(buf));

		CHECK(got == len[i], "packet %d: expected %d bytes, got %zd", i, len[i], got);
		for (int k = 0; k < len[i]; k++)
			CHECK(buf[k] == fds_byte(5 + i, k), "packet %d: byte %d is wrong", i, k);
	}
	pipe_expect_empty();
	fds_put(p[1], 1, 0, 3);
	fds_put(p[1], 1, 0, 4);
	CHECK(read(p[0], buf, sizeof(buf)) == 3, "it has no packets any more");
}

static void pipe_resized(void)
{
	MUST(pipe(p));
	MUST(fcntl(p[0], F_SETPIPE_SZ, 1 << 20));
	fds_put(p[1], 6, 0, 900000);
	pipe_handshake(3);
	fds_expect_read(p[0], 6, 0, 900000, "contents");
	pipe_expect_empty();
}

static void pipe_writer_gone(void)
{
	char c;

	MUST(pipe(p));
	fds_put(p[1], 7, 0, 5000);
	close(p[1]);
	pipe_handshake(1);
	fds_expect_read(p[0], 7, 0, 5000, "contents");
	CHECK(read(p[0], &c, 1) == 0, "no end of file after the contents");
}

static void pipe_reader_gone(void)
{
	signal(SIGPIPE, SIG_IGN);
	MUST(pipe(p));
	close(p[0]);
	pipe_handshake(2);
	CHECK(write(p[1], "x", 1) == -1 && errno == EPIPE, "a write without a reader: %s",
		strerror(errno));
}

static void pipe_both(void)
{
	char path[64];
	int rw, rd2;

	MUST(pipe(p));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", p[0]);
	rw = MUST(open(path, O_RDWR));
	rd2 = MUST(open(path, O_RDONLY | O_NONBLOCK));
	fds_put(rw, 8, 0, 3000);
	close(p[1]);
	p[1] = rw;
	pipe_handshake(3);
	fds_put(rw, 8, 3000, 1000);
	fds_expect_read(rw, 8, 0, 1000, "the end for both");
	fds_expect_read(rd2, 8, 1000, 1000, "the second reader");
	fds_expect_read(p[0], 8, 2000, 2000, "the first reader");
	CHECK(!fds_same(p[0], rd2) && !fds_same(p[0], rw), "several opens have become one");
	CHECK(!(fcntl(p[0], F_GETFL) & O_NONBLOCK), "O_NONBLOCK has spread");
}

static int q[2];

static void *pipe_read_blocked(void *arg)
{
	(void)arg;
	fds_expect_read(p[0], 9, 0, 1000, "the blocked reader");
	return NULL;
}

static void *pipe_write_blocked(void *arg)
{
	(void)arg;
	fds_put(q[1], 10, 65536, 4096);
	return NULL;
}

static void pipe_blocked(void)
{
	pthread_t r, w;

	MUST(pipe(p));
	MUST(pipe(q));
	fds_put(q[1], 10, 0, 65536);
	r = victim_thread(pipe_read_blocked, NULL);
	w = victim_thread(pipe_write_blocked, NULL);
	usleep(50000);
	pipe_handshake(3);
	fds_put(p[1], 9, 0, 1000);
	fds_expect_read(q[0], 10, 0, 65536 + 4096, "what the blocked writer had before it");
	pthread_join(r, NULL);
	pthread_join(w, NULL);
}

int main(int argc, char **argv)
{
	static const struct victim_case cases[] = {{"empty", pipe_empty}, {"partial", pipe_partial},
		{"full", pipe_full}, {"packets", pipe_packets}, {"resized", pipe_resized},
		{"writer-gone", pipe_writer_gone}, {"reader-gone", pipe_reader_gone},
		{"both", pipe_both}, {"blocked", pipe_blocked}};

	return victim_cases(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
