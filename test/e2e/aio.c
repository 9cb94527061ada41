/*
 * e2e: args: idle used unread wrapped
 *
 * Holds: contexts of io_setup: idle: two that were never used; used: one that was used for some reads;
 *        unread: one with events that nobody has read; wrapped: the same, around the end of its ring.
 * Shows: "asynchronous I/O contexts (io_setup)": same id, same events, and it works.
 */
#include "mm.h"
#include <linux/aio_abi.h>

#define LEN 8192

static aio_context_t ctx;
static int file;

static aio_context_t setup(unsigned n)
{
	aio_context_t c = 0;

	if (syscall(SYS_io_setup, n, &c) < 0)
		SKIP("no io_setup here: %s", strerror(errno));
	return c;
}

static void submit(aio_context_t c, uint64_t data, void *buf, size_t len)
{
	struct iocb cb = {.aio_data = data,
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_fildes = file,
		.aio_buf = (uintptr_t)buf,
		.aio_nbytes = len};
	struct iocb *list = &cb;

	CHECK(syscall(SYS_io_submit, c, 1, &list) == 1, "io_submit: %s", strerror(errno));
}

static void expect(aio_context_t c, uint64_t data, long res)
{
	struct timespec soon = {.tv_sec = 5};
	struct io_event ev;

	CHECK(syscall(SYS_io_getevents, c, 1, 1, &ev, &soon) == 1, "io_getevents of %ld: %s",
		(long)data, strerror(errno));
	CHECK(ev.data == data && ev.res == res, "expected %ld of %ld, got %ld of %ld", res,
		(long)data, (long)ev.res, (long)ev.data);
}

static void expect_none(aio_context_t c)
{
	struct timespec now = {0};
	struct io_event ev;

	CHECK(syscall(SYS_io_getevents, c, 1, 1, &ev, &now) == 0, "an event too many: %ld",
		(long)ev.data);
}

/* It works, all round its ring. */
static void works(aio_context_t c)
{
	char page[MM_PAGE];

	for (unsigned i = 0; i < 400; i++) {
		memset(page, 0, sizeof(page));
		submit(c, 1000 + i, page, sizeof(page));
		expect(c, 1000 + i, sizeof(page));
		mm_expect(page, sizeof(page), 1, "what was read");
	}
	expect_none(c);
	CHECK(syscall(SYS_io_destroy, c) == 0, "io_destroy: %s", strerror(errno));
}

static void handshake(void)
{
	struct mm_vma was = mm_vma((void *)ctx);

	victim_ready();
	victim_wait();
	mm_expect_same(&was, "ring");
}

int main(int argc, char **argv)
{
	static char room[64];
	aio_context_t other = 0;
	const char *what = argc == 2 ? argv[1] : "";
	unsigned before = !strcmp(what, "idle") ? 0 : !strcmp(what, "wrapped") ? 120 : 37;
	unsigned unread = !strcmp(what, "unread") || !strcmp(what, "wrapped") ? 20 : 0;

	victim_init(argc, argv);
	file = mm_file("file", LEN, 1);
	ctx = setup(20);
	if (!before)
		other = setup(1000);
	for (unsigned i = 0; i < before; i++) {
		submit(ctx, i, room, i % 64);
		expect(ctx, i, i % 64);
	}
	for (unsigned i = 0; i < unread; i++)
		submit(ctx, 500 + i, room, i);
	handshake();
	for (unsigned i = 0; i < unread; i++)
		expect(ctx, 500 + i, i);
	expect_none(ctx);
	works(ctx);
	if (other)
		works(other);
	return 0;
}
