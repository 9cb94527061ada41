/*
 * e2e: args: kinds shared boundaries nested cycle packets closed-ends
 * e2e: devpts: own
 *
 * Holds: descriptors in flight (SCM_RIGHTS): files, pipes, eventfds, memfds, terminals, sockets, open in no
 *        process or in this one as well; between bytes without any; in a socket that is in flight itself;
 *        in their own queue; with packets and datagrams; an end of a pipe or pair that is nowhere else.
 * Shows: Unix sockets: SCM_RIGHTS in flight with every kind of descriptor, nested, and cycles.
 */
#include "unix.h"
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <stdlib.h>

static int p[2];

/* One descriptor with one byte, which is given up here. */
static void give(int fd, int seed)
{
	unix_send(p[0], seed, 1, &fd, 1);
	close(fd);
}

static int take(int from, int seed)
{
	struct unix_got got = unix_recv(from, seed, 0, 1, 0);

	CHECK(got.len == 1 && got.n == 1, "message %d: %zd bytes, %d descriptors", seed, got.len,
		got.n);
	return got.fds[0];
}

static void rights_kinds(void)
{
	int q[2], fd, master, slave;
	uint64_t n = 7;
	char buf[32] = "";

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
	fd = MUST(open("a file", O_RDWR | O_CREAT, 0600));
	MUST(write(fd, "0123456789", 10));
	MUST(lseek(fd, 4, SEEK_SET));
	give(fd, 0);
	fd = MUST(open("deleted", O_RDWR | O_CREAT, 0600));
	MUST(write(fd, "gone", 4));
	MUST(unlink("deleted"));
	give(fd, 1);
	fd = MUST(eventfd(0, EFD_NONBLOCK));
	MUST(write(fd, &n, sizeof(n)));
	give(fd, 2);
	fd = MUST(memfd_create("flight", MFD_ALLOW_SEALING));
	MUST(write(fd, "memory", 6));
	MUST(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
	give(fd, 3);
	MUST(pipe(q));
	MUST(write(q[1], "piped", 5));
	give(q[0], 4);
	give(q[1], 5);
	master = MUST(open("pts/ptmx", O_RDWR | O_NOCTTY));
	MUST(unlockpt(master));
	slave = MUST(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY));
	MUST(write(slave, "line\n", 5));
	give(master, 6);
	give(slave, 7);
	give(MUST(open(".", O_RDONLY | O_DIRECTORY)), 8);
	give(MUST(open("a file", O_PATH)), 9);
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, q));
	unix_send(q[0], 40, 100, NULL, 0);
	give(q[0], 10);
	give(q[1], 11);
	unix_handshake(p, 2);

	fd = take(p[1], 0);
	CHECK(read(fd, buf, 4) == 4 && !memcmp(buf, "4567", 4), "the file's position: '%s'", buf);
	fd = take(p[1], 1);
	CHECK(pread(fd, buf, 8, 0) == 4 && !memcmp(buf, "gone", 4), "the deleted file");
	fd = take(p[1], 2);
	CHECK(read(fd, &n, sizeof(n)) == 8 && n == 7, "the eventfd counts %ld", (long)n);
	fd = take(p[1], 3);
	CHECK(pread(fd, buf, 8, 0) == 6 && !memcmp(buf, "memory", 6), "the memfd");
	CHECK(fcntl(fd, F_GET_SEALS) == F_SEAL_SHRINK, "seals: %#x", fcntl(fd, F_GET_SEALS));
	q[0] = take(p[1], 4);
	q[1] = take(p[1], 5);
	MUST(write(q[1], "!", 1));
	CHECK(read(q[0], buf, 32) == 6 && !memcmp(buf, "piped!", 6), "the pipe");
	master = take(p[1], 6);
	slave = take(p[1], 7);
	CHECK(read(master, buf, 32) == 6 && !memcmp(buf, "line\r\n", 6), "the terminal");
	MUST(write(master, "in\n", 3));
	CHECK(read(slave, buf, 32) == 3, "the terminal's other side");
	CHECK(MUST(fcntl(take(p[1], 8), F_GETFL)) & O_DIRECTORY, "the directory");
	CHECK(MUST(fcntl(take(p[1], 9), F_GETFL)) & O_PATH, "the path");
	q[0] = take(p[1], 10);
	q[1] = take(p[1], 11);
	unix_expect_packet(q[1], 40, 100, "a pair in flight");
	unix_expect_talk(q[0], q[1], "a pair in flight");
	unix_expect_nothing(p[1], "after all");
}

/* The same description here and twice in flight. */
static void rights_shared(void)
{
	int fd = MUST(open("shared", O_RDWR | O_CREAT, 0600)), two[2] = {fd, fd}, other;
	struct unix_got got;

	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, p));
	two[1] = MUST(open("shared", O_RDWR));
	unix_send(p[0], 1, 10, two, 2);
	unix_send(p[1], 2, 20, &fd, 1);
	other = two[1];
	unix_handshake(p, 2);
	got = unix_recv(p[1], 1, 0, 100, 0);
	CHECK(got.len == 10 && got.n == 2, "%zd bytes, %d descriptors", got.len, got.n);
	CHECK(fds_same(got.fds[0], fd), "the first is another description");
	CHECK(fds_same(got.fds[1], other), "the second is another description");
	got = unix_recv(p[0], 2, 0, 100, 0);
	CHECK(got.n == 1 && fds_same(got.fds[0], fd), "the other direction");
}

/* Which byte they come with shows to who reads with a short buffer. */
static void rights_boundaries(void)
{
	static const size_t plain[] = {100, 0, 3000, 1};
	int fd[2] = {MUST(eventfd(1, 0)), MUST(eventfd(2, 0))};
	struct unix_got got;

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
	for (int i = 0; i < 4; i++) {
		if (plain[i])
			unix_send(p[0], 10 + i, plain[i], NULL, 0);
		unix_send(p[0], 20 + i, 50, fd, 1 + i % 2);
	}
	unix_send(p[0], 30, 77, NULL, 0);
	unix_send(p[0], 31, 100, NULL, 0);
	unix_send(p[0], 32, 100, fd, 1);
	unix_handshake(p, 2);
	for (int i = 0; i < 4; i++) {
		if (plain[i]) {
			got = unix_recv(p[1], 10 + i, 0, plain[i], 0);
			CHECK(got.len == (ssize_t)plain[i] && !got.n,
				"plain %d: %zd bytes, %d descriptors", i, got.len, got.n);
		}
		got = unix_recv(p[1], 20 + i, 0, 4000, 0);
		CHECK(got.len == 50 && got.n == 1 + i % 2, "with %d: %zd bytes, %d descriptors", i,
			got.len, got.n);
		CHECK(fds_same(got.fds[0], fd[0]), "another descriptor");
	}
	CHECK(unix_recv(p[1], 30, 0, 77, 0).len == 77, "the rest");
	CHECK(unix_recv(p[1], 31, 0, 100, 0).n == 0, "too early");
	CHECK(unix_recv(p[1], 32, 0, 1, 0).n == 1, "they came with the first byte");
	CHECK(unix_recv(p[1], 32, 1, 4000, 0).len == 99, "the rest of it");
}

/* Three levels: a file in a pair in a pair. */
static void rights_nested(void)
{
	int a[2], b[2], fd = MUST(open("nested", O_RDWR | O_CREAT, 0600));

	MUST(write(fd, "deep", 4));
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, a));
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, b));
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
	unix_send(a[0], 1, 10, &fd, 1);
	unix_send(b[0], 2, 20, a, 2);
	unix_send(p[0], 3, 30, b, 2);
	close(fd);
	for (int i = 0; i < 2; i++) {
		close(a[i]);
		close(b[i]);
	}
	unix_handshake(p, 2);
	struct unix_got got = unix_recv(p[1], 3, 0, 100, 0);
	CHECK(got.len == 30 && got.n == 2, "first level: %zd bytes, %d", got.len, got.n);
	got = unix_recv(got.fds[1], 2, 0, 100, 0);
	CHECK(got.len == 20 && got.n == 2, "second level: %zd bytes, %d", got.len, got.n);
	got = unix_recv(got.fds[1], 1, 0, 100, 0);
	CHECK(got.len == 10 && got.n == 1, "third level: %zd bytes, %d", got.len, got.n);
	CHECK(pread(got.fds[0], (char[4]){0}, 4, 0) == 4, "the file");
}

/* A socket in its own queue, and two in each other's. */
static void rights_cycle(void)
{
	struct unix_got got;
	int q[2];

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
	unix_send(p[0], 1, 10, &p[1], 1);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, q));
	unix_send(q[0], 2, 20, &p[0], 1);
	unix_send(p[1], 3, 30, &q[0], 1);
	close(q[0]);
	unix_handshake(p, 2);
	got = unix_recv(p[1], 1, 0, 100, 0);
	CHECK(got.n == 1 && fds_same(got.fds[0], p[1]), "itself in its own queue");
	got = unix_recv(p[0], 3, 0, 100, 0);
	CHECK(got.n == 1, "one that is in flight alone");
	CHECK(fds_same(unix_recv(q[1], 2, 0, 100, 0).fds[0], p[0]), "the first, by the other");
	unix_expect_talk(got.fds[0], q[1], "through it");
}

static void rights_packets(void)
{
	int fd = MUST(eventfd(1, 0)), to = unix_bound(SOCK_DGRAM, "to.sock"), s[3];
	struct unix_got got;

	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, p));
	s[0] = p[0];
	s[1] = p[1];
	s[2] = to;
	unix_send(p[0], 1, 10, NULL, 0);
	unix_send(p[0], 2, 20, &fd, 1);
	unix_send(p[0], 3, 30, NULL, 0);
	unix_send(unix_client(SOCK_DGRAM, "to.sock"), 4, 40, &fd, 1);
	unix_handshake(s, 3);
	CHECK(unix_recv(p[1], 1, 0, 100, 0).n == 0, "too early");
	got = unix_recv(p[1], 2, 0, 100, 0);
	CHECK(got.n == 1 && fds_same(got.fds[0], fd), "with the second packet");
	CHECK(unix_recv(p[1], 3, 0, 100, 0).n == 0, "too late");
	got = unix_recv(to, 4, 0, 100, 0);
	CHECK(got.n == 1 && fds_same(got.fds[0], fd), "with a datagram");
}

/* The other end is only in flight: this one is not at its end yet. */
static void rights_closed_ends(void)
{
	int q[2], r[2];

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
	MUST(pipe(q));
	give(q[1], 1);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, r));
	give(r[1], 2);
	MUST(fcntl(q[0], F_SETFL, O_NONBLOCK));
	unix_handshake(p, 2);
	CHECK(read(q[0], (char[1]){0}, 1) == -1 && errno == EAGAIN, "the pipe is at its end");
	unix_expect_nothing(r[0], "the pair");
	q[1] = take(p[1], 1);
	r[1] = take(p[1], 2);
	MUST(write(q[1], "x", 1));
	CHECK(read(q[0], (char[1]){0}, 1) == 1, "the pipe");
	unix_expect_talk(r[0], r[1], "the pair");
}

int main(int argc, char **argv)
{
	static const struct victim_case cases[] = {{"kinds", rights_kinds},
		{"shared", rights_shared}, {"boundaries", rights_boundaries},
		{"nested", rights_nested}, {"cycle", rights_cycle}, {"packets", rights_packets},
		{"closed-ends", rights_closed_ends}};

	return victim_cases(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
