/*
 * e2e: args: idle used unread two unmapped eventfd eventfds provided busy thread
 * e2e: refuse for eventfds: io_uring, eventfd
 * e2e: refuse for provided: io_uring, provided
 * e2e: refuse for busy: io_uring, under way
 * e2e: refuse for thread: io_uring, SQPOLL
 *
 * Holds: rings: idle: never used; used: after some thousand requests, with files and buffers registered,
 *        one place empty; unread: with completions that nobody has read, and a request that is not yet
 *        submitted; two: two of different sizes; unmapped: only a descriptor; eventfd: with an
 *        eventfd that is told of completions; eventfds: the same, in a process that has two; provided: with
 *        a ring of provided buffers; busy: with a read of an
 *        empty pipe; thread: with a thread of the kernel.
 * Shows: "io_uring: idle rings with registered files and buffers come back; in-flight requests are
 *        refused by name".
 */
#include "fds.h"
#include "mm.h"
#include <linux/io_uring.h>
#include <sys/eventfd.h>
#include <sys/uio.h>

struct ring {
	int fd;
	struct io_uring_params p;
	char *rings, *sqes;
	unsigned *sq_head, *sq_tail, *cq_head, *cq_tail, *array;
	struct io_uring_cqe *cqes;
};

static struct fds_table table;

static void ring_init(struct ring *r, unsigned entries, unsigned flags)
{
	size_t len;

	memset(r, 0, sizeof(*r));
	r->p.flags = flags;
	r->fd = (int)syscall(SYS_io_uring_setup, entries, &r->p);
	if (r->fd < 0)
		SKIP("no io_uring here: %s", strerror(errno));
	len = r->p.sq_off.array + r->p.sq_entries * 4;
	r->rings = (char *)MUST(mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0));
	r->sqes = (char *)MUST(mmap(NULL, r->p.sq_entries * 64, PROT_READ | PROT_WRITE, MAP_SHARED,
		r->fd, IORING_OFF_SQES));
	r->sq_head = (unsigned *)(r->rings + r->p.sq_off.head);
	r->sq_tail = (unsigned *)(r->rings + r->p.sq_off.tail);
	r->cq_head = (unsigned *)(r->rings + r->p.cq_off.head);
	r->cq_tail = (unsigned *)(r->rings + r->p.cq_off.tail);
	r->array = (unsigned *)(r->rings + r->p.sq_off.array);
	r->cqes = (struct io_uring_cqe *)(r->rings + r->p.cq_off.cqes);
}

/* The next request, filled in; it counts with ring_push(). */
static struct io_uring_sqe *ring_sqe(struct ring *r, int op, uint64_t data)
{
	unsigned at = *r->sq_tail & (r->p.sq_entries - 1);
	struct io_uring_sqe *s = (struct io_uring_sqe *)(r->sqes + 64 * at);

	memset(s, 0, sizeof(*s));
	s->opcode = op;
	s->user_data = data;
	r->array[at] = at;
	__atomic_store_n(r->sq_tail, *r->sq_tail + 1, __ATOMIC_RELEASE);
	return s;
}

static void ring_submit(struct ring *r, unsigned n, unsigned wait)
{
	long got = syscall(
		SYS_io_uring_enter, r->fd, n, wait, wait ? IORING_ENTER_GETEVENTS : 0, NULL, 0);

	CHECK(got == n, "io_uring_enter: %ld (%s)", got, strerror(errno));
}

static void ring_expect(struct ring *r, uint64_t data, int res)
{
	struct io_uring_cqe *c = &r->cqes[*r->cq_head & (r->p.cq_entries - 1)];

	CHECK(*r->cq_head != *r->cq_tail, "no completion of %ld", (long)data);
	CHECK(c->user_data == data && c->res == res, "expected %d of %ld, got %d of %ld", res,
		(long)data, c->res, (long)c->user_data);
	__atomic_store_n(r->cq_head, *r->cq_head + 1, __ATOMIC_RELEASE);
}

/* Requests all round the ring. */
static void ring_works(struct ring *r, unsigned rounds)
{
	for (unsigned i = 0; i < rounds; i++) {
		ring_sqe(r, IORING_OP_NOP, 7000 + i);
		ring_submit(r, 1, 1);
		ring_expect(r, 7000 + i, 0);
	}
	CHECK(*r->cq_head == *r->cq_tail, "a completion too many");
}

static void handshake(struct ring *r)
{
	struct fds_view was;

	fds_table(&table);
	fds_view(r->fd, &was);
	victim_ready();
	victim_wait();
	fds_expect(r->fd, &was, false, "ring");
	fds_expect_table(&table);
}

static bool ring_tells(const struct ring *r, const char *what)
{
	char path[64], text[8192];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", r->fd);
	fd = MUST(open(path, O_RDONLY | O_CLOEXEC));
	n = MUST(read(fd, text, sizeof(text) - 1));
	close(fd);
	text[n] = '\0';
	return strstr(text, what);
}

static void used(void)
{
	static char buf[2 * MM_PAGE] __attribute__((aligned(4096)));
	int fifo, file = mm_file("file", 4 * MM_PAGE, 1), reg[3];
	struct iovec iov[2] = {{buf, sizeof(buf)}, {buf + 100, 50}};
	struct io_uring_sqe *s;
	struct ring r;

	ring_init(&r, 8, 0);
	MUST(mkfifo("fifo", 0600));
	fifo = MUST(open("fifo", O_RDWR));
	reg[0] = fifo;
	reg[1] = -1;
	reg[2] = file;
	MUST(syscall(SYS_io_uring_register, r.fd, IORING_REGISTER_FILES, reg, 3));
	if (!ring_tells(&r, "/fifo"))
		SKIP("this kernel tells a registered file without its directory");
	MUST(syscall(SYS_io_uring_register, r.fd, IORING_REGISTER_BUFFERS, iov, 2));
	ring_works(&r, 5003);
	handshake(&r);
	ring_works(&r, 20);
	s = ring_sqe(&r, IORING_OP_READ_FIXED, 1);
	s->fd = 2;
	s->flags = IOSQE_FIXED_FILE;
	s->addr = (uintptr_t)buf;
	s->len = MM_PAGE;
	ring_submit(&r, 1, 1);
	ring_expect(&r, 1, MM_PAGE);
	mm_expect(buf, MM_PAGE, 1, "what was read into a registered buffer");
	MUST(write(fifo, "abc", 3));
	s = ring_sqe(&r, IORING_OP_READ, 2);
	s->fd = 0;
	s->flags = IOSQE_FIXED_FILE;
	s->addr = (uintptr_t)buf;
	s->len = 10;
	ring_submit(&r, 1, 1);
	ring_expect(&r, 2, 3);
	s = ring_sqe(&r, IORING_OP_READ, 3);
	s->fd = 1;
	s->flags = IOSQE_FIXED_FILE;
	ring_submit(&r, 1, 1);
	ring_expect(&r, 3, -EBADF);
}

static void unread(void)
{
	struct ring r;

	ring_init(&r, 4, 0);
	ring_works(&r, 6);
	for (int i = 0; i < 5; i++) {
		ring_sqe(&r, IORING_OP_NOP, 50 + i);
		ring_submit(&r, 1, 0);
	}
	ring_sqe(&r, IORING_OP_NOP, 99);
	handshake(&r);
	for (int i = 0; i < 5; i++)
		ring_expect(&r, 50 + i, 0);
	CHECK(*r.cq_head == *r.cq_tail, "a completion too many");
	ring_submit(&r, 1, 1);
	ring_expect(&r, 99, 0);
	ring_works(&r, 20);
}

static void two(void)
{
	struct ring a, b;

	ring_init(&a, 8, 0);
	ring_init(&b, 64, 0);
	ring_works(&b, 100);
	handshake(&a);
	ring_works(&a, 20);
	ring_works(&b, 200);
}

static void eventfds(int n)
{
	struct ring r;
	uint64_t count;
	int fd;

	ring_init(&r, 8, 0);
	fd = MUST(eventfd(0, EFD_NONBLOCK));
	if (n > 1)
		MUST(eventfd(0, 0));
	MUST(syscall(SYS_io_uring_register, r.fd, IORING_REGISTER_EVENTFD, &fd, 1));
	ring_works(&r, 3);
	CHECK(read(fd, &count, 8) == 8 && count == 3, "the test is broken");
	handshake(&r);
	CHECK(read(fd, &count, 8) == -1 && errno == EAGAIN, "it was told of nothing");
	ring_works(&r, 5);
	CHECK(read(fd, &count, 8) == 8 && count == 5, "it was not told of 5 completions");
}

static void provided(void)
{
	struct io_uring_buf_reg reg = {.ring_entries = 8, .bgid = 7};
	struct ring r;

	ring_init(&r, 8, 0);
	reg.ring_addr = (uintptr_t)mm_island(MM_PAGE, PROT_READ | PROT_WRITE);
	if (syscall(SYS_io_uring_register, r.fd, IORING_REGISTER_PBUF_RING, &reg, 1) < 0)
		SKIP("no rings of provided buffers here: %s", strerror(errno));
	handshake(&r);
	CHECK(syscall(SYS_io_uring_register, r.fd, IORING_REGISTER_PBUF_RING, &reg, 1) < 0 &&
			errno == EEXIST,
		"the buffers are gone");
}

/* Before Linux 6.5 a ring can't be made in memory that is there. */
static void need_no_mmap(void)
{
	struct io_uring_params p = {.flags = 1U << 14};
	int fd = (int)syscall(SYS_io_uring_setup, 1, &p);

	if (fd < 0 && errno == EINVAL) /* with the flag known, the address is what is wrong */
		SKIP("no rings in given memory here");
	close(fd);
}

int main(int argc, char **argv)
{
	const char *what = argc == 2 ? argv[1] : "";
	struct io_uring_sqe *s;
	struct ring r;
	int p[2];
	char c;

	victim_init(argc, argv);
	if (strcmp(what, "busy") && strcmp(what, "thread"))
		need_no_mmap();
	if (!strcmp(what, "used")) {
		used();
	} else if (!strcmp(what, "unread")) {
		unread();
	} else if (!strcmp(what, "two")) {
		two();
	} else if (!strncmp(what, "eventfd", 7)) {
		eventfds(what[7] ? 2 : 1);
	} else if (!strcmp(what, "provided")) {
		provided();
	} else if (!strcmp(what, "idle")) {
		ring_init(&r, 32, 0);
		handshake(&r);
		ring_works(&r, 100);
	} else if (!strcmp(what, "unmapped")) {
		memset(&r.p, 0, sizeof(r.p));
		r.fd = (int)syscall(SYS_io_uring_setup, 4, &r.p);
		if (r.fd < 0)
			SKIP("no io_uring here: %s", strerror(errno));
		handshake(&r);
		MUST(mmap(NULL, 4096, PROT_READ, MAP_SHARED, r.fd, 0));
	} else if (!strcmp(what, "busy")) {
		ring_init(&r, 8, 0);
		MUST(pipe(p));
		s = ring_sqe(&r, IORING_OP_READ, 1);
		s->fd = p[0];
		s->addr = (uintptr_t)&c;
		s->len = 1;
		ring_submit(&r, 1, 0);
		victim_ready();
		victim_wait();
	} else {
		ring_init(&r, 8, IORING_SETUP_SQPOLL);
		victim_ready();
		victim_wait();
	}
	return 0;
}
