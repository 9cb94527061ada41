/*
 * e2e: args: stream seqpacket dgram
 * e2e: no faults: some forty dumps of a tenth of a second each, and unix_rights has each of them
 * e2e: no kill,loop for seqpacket,dgram: long, and as with stream
 *
 * Holds: two processes whose threads send each other numbered messages without end, most of them with a
 *        descriptor that nobody else has: a counter, memory, a pipe, a timer, a reference to the sender, a socket
 *        with something in it. So a dump finds queues as they are in the middle of work.
 * Shows: Unix sockets: no message is lost, doubled, cut or out of order, and each comes with its descriptor.
 */
#include "unix.h"
#include "pidfd.h"
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#define PAIRS  4
#define BURST  5
#define SNDBUF 16384

enum kind { NOTHING, COUNTER, MEMORY, PIPE, TIMER, PIDFD, SOCKET, KINDS };

struct head {
	uint32_t number, kind, len, end;
};

static struct {
	int stop;
} * shared;
static int pairs[PAIRS][2], type;
static struct way {
	int fd;
	pid_t peer;
} ways[PAIRS];

/* ---- descriptors that tell a number ---- */

static int make(enum kind kind, uint32_t n)
{
	struct itimerspec it = {.it_value.tv_sec = 100000 + n};
	uint64_t count = n + 1;
	int fd = -1, p[2];

	switch (kind) {
	case COUNTER:
		fd = MUST(eventfd(0, 0));
		MUST(write(fd, &count, sizeof(count)));
		break;
	case MEMORY:
		fd = MUST(memfd_create("storm", 0));
		MUST(write(fd, &n, sizeof(n)));
		break;
	case PIPE:
		MUST(pipe(p));
		MUST(write(p[1], &n, sizeof(n)));
		close(p[1]);
		fd = p[0];
		break;
	case TIMER:
		fd = MUST(timerfd_create(CLOCK_MONOTONIC, 0));
		MUST(timerfd_settime(fd, 0, &it, NULL));
		break;
	case PIDFD:
		fd = (int)MUST(syscall(SYS_pidfd_open, getpid(), 0));
		break;
	case SOCKET:
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
		MUST(write(p[1], &n, sizeof(n)));
		close(p[1]);
		fd = p[0];
		break;
	default:
		break;
	}
	return fd;
}

static void check(int fd, enum kind kind, uint32_t n, pid_t peer)
{
	struct itimerspec it;
	uint64_t count = 0;
	uint32_t got = 0;

	switch (kind) {
	case COUNTER:
		MUST(read(fd, &count, sizeof(count)));
		CHECK(count == n + 1, "message %u: a counter of %u", n, (unsigned)count);
		break;
	case MEMORY:
		CHECK(pread(fd, &got, sizeof(got), 0) == sizeof(got) && got == n,
			"message %u: memory of %u", n, got);
		break;
	case PIPE:
	case SOCKET:
		CHECK(read(fd, &got, sizeof(got)) == sizeof(got) && got == n,
			"message %u: what is in it is of %u", n, got);
		CHECK(read(fd, &got, sizeof(got)) == 0, "message %u: it is not at its end", n);
		break;
	case TIMER:
		MUST(timerfd_gettime(fd, &it));
		CHECK(it.it_value.tv_sec <= 100000 + n && it.it_value.tv_sec > 99900 + n,
			"message %u: a timer of %ld s", n, (long)it.it_value.tv_sec);
		break;
	case PIDFD:
		CHECK(pid_of(fd) == peer, "message %u: a pidfd of %d, not %d", n, pid_of(fd), peer);
		break;
	default:
		break;
	}
	close(fd);
}

/* ---- messages ---- */

static void send_one(int s, const struct head *h)
{
	char buf[4096 + sizeof(*h)], control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {buf, sizeof(*h) + h->len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	int fd = make(h->kind, h->number);
	struct cmsghdr *c;
	ssize_t n;

	memcpy(buf, h, sizeof(*h));
	for (uint32_t i = 0; i < h->len; i++)
		buf[sizeof(*h) + i] = fds_byte((int)h->number, i);
	if (fd >= 0) {
		m.msg_control = control;
		m.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	do {
		n = sendmsg(s, &m, 0);
		CHECK(n > 0, "sendmsg: %s", strerror(errno));
		iov.iov_base = (char *)iov.iov_base + n;
		iov.iov_len -= (size_t)n;
		m.msg_control = NULL;
		m.msg_controllen = 0;
	} while (iov.iov_len);
	if (fd >= 0)
		close(fd);
}

static void *sender(void *arg)
{
	const struct way *w = arg;

	for (uint32_t n = 0;; n++) {
		struct head h = {.number = n, .kind = n % KINDS, .len = 1 + n * 37 % 900};

		h.end = __atomic_load_n(&shared->stop, __ATOMIC_SEQ_CST);
		send_one(w->fd, &h);
		if (h.end)
			return NULL;
		if (n % BURST == 0)
			usleep(500);
	}
}

/* As much as wanted; of a packet all of it. Descriptors that come are put into *ret_fd. */
static void take(int s, void *to, size_t len, int *ret_fd)
{
	char control[CMSG_SPACE(4 * sizeof(int))];

	for (size_t at = 0; at < len;) {
		struct iovec iov = {(char *)to + at, len - at};
		struct msghdr m = {.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(s, &m, 0);
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);

		CHECK(n > 0, "recvmsg: %zd (%s)", n, strerror(errno));
		at += (size_t)n;
		if (c) {
			CHECK(*ret_fd < 0 && c->cmsg_len == CMSG_LEN(sizeof(int)),
				"more than one descriptor");
			memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
		}
		if (type != SOCK_STREAM)
			return;
	}
}

static void *receiver(void *arg)
{
	const struct way *w = arg;
	char buf[4096 + sizeof(struct head)];
	struct head h;

	for (uint32_t n = 0;; n++) {
		int fd = -1;

		if (type == SOCK_STREAM) {
			take(w->fd, buf, sizeof(h), &fd);
			memcpy(&h, buf, sizeof(h));
			CHECK(h.number == n && h.len < 4096, "message %u after %u", h.number, n);
			take(w->fd, buf + sizeof(h), h.len, &fd);
		} else {
			take(w->fd, buf, sizeof(buf), &fd);
			memcpy(&h, buf, sizeof(h));
		}
		CHECK(h.number == n && h.kind == n % KINDS && h.len == 1 + n * 37 % 900,
			"message %u came as %u, kind %u, of %u bytes", n, h.number, h.kind, h.len);
		for (uint32_t i = 0; i < h.len; i++)
			CHECK(buf[sizeof(h) + i] == fds_byte((int)n, i), "message %u: byte %u", n,
				i);
		CHECK((fd >= 0) == (h.kind != NOTHING), "message %u: descriptor %d", n, fd);
		check(fd, h.kind, n, w->peer);
		if (h.end)
			return NULL;
		if (n % 3 == 0)
			usleep(300);
	}
}

/* @side: 0: the parent, which sends by the even pairs */
static void run(int side, pid_t peer, pthread_t *ret)
{
	for (int i = 0; i < PAIRS; i++) {
		close(pairs[i][!side]);
		ways[i] = (struct way){pairs[i][side], peer};
		ret[i] = victim_thread((i + side) % 2 ? receiver : sender, &ways[i]);
	}
}

static void storm(void)
{
	pthread_t threads[PAIRS];
	int size = SNDBUF, status;
	pid_t parent = getpid(), child;

	shared = victim_shared(4096);
	for (int i = 0; i < PAIRS; i++) {
		MUST(socketpair(AF_UNIX, type, 0, pairs[i]));
		for (int k = 0; k < 2; k++)
			MUST(setsockopt(pairs[i][k], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)));
	}
	child = MUST(fork());
	run(child == 0, child ? child : parent, threads);
	if (child) {
		victim_ready();
		victim_wait();
		__atomic_store_n(&shared->stop, 1, __ATOMIC_SEQ_CST);
	}
	for (int i = 0; i < PAIRS; i++)
		pthread_join(threads[i], NULL);
	if (!child)
		_exit(0);
	MUST(waitpid(child, &status, 0));
	CHECK(status == 0, "the child: wait status %#x", status);
}

static void stream(void)
{
	type = SOCK_STREAM;
	storm();
}

static void seqpacket(void)
{
	type = SOCK_SEQPACKET;
	storm();
}

static void dgram(void)
{
	type = SOCK_DGRAM;
	storm();
}

int main(int argc, char **argv)
{
	static const struct victim_case cases[] = {
		{"stream", stream}, {"seqpacket", seqpacket}, {"dgram", dgram}};

	return victim_cases(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
