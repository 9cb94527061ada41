/*
 * e2e: args: idle missing blocked protected several
 *
 * Holds: userfaultfds: idle: new; missing: of memory some of whose pages are missing, one is there with
 *        contents and one with zeros; blocked: the same, with a thread that waits for its fault to be
 *        handled; protected: of memory that may not be written, one page may; several: three, of
 *        two neighbouring mappings and of nothing.
 * Shows: what is missing is asked for, and nothing else; what is protected stays so.
 * e2e: exec: yes
 */
#include "fds.h"
#include "mm.h"
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/ioctl.h>

#define PAGES 8
#define LEN   (PAGES * MM_PAGE)

static int uffd;
static char *mem;
static volatile unsigned asked[PAGES];
static volatile int go = 1;

static void make(uint64_t features)
{
	struct uffdio_api api = {.api = UFFD_API, .features = features};

	uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) < 0)
		SKIP("no such userfaultfd here: %s", strerror(errno));
	mem = mm_island(LEN, PROT_READ | PROT_WRITE);
}

static void enlist(uint64_t mode)
{
	struct uffdio_register reg = {.range = {(uintptr_t)mem, LEN}, .mode = mode};

	MUST(ioctl(uffd, UFFDIO_REGISTER, &reg));
}

static void fill(int page, uint64_t seed)
{
	static char from[MM_PAGE] __attribute__((aligned(4096)));
	struct uffdio_copy copy = {
		.dst = (uintptr_t)mem + page * MM_PAGE, .src = (uintptr_t)from, .len = MM_PAGE};

	mm_fill(from, MM_PAGE, seed);
	MUST(ioctl(uffd, UFFDIO_COPY, &copy));
}

static void zero(int page)
{
	struct uffdio_zeropage z = {.range = {(uintptr_t)mem + page * MM_PAGE, MM_PAGE}};

	MUST(ioctl(uffd, UFFDIO_ZEROPAGE, &z));
}

static void *handler(void *arg)
{
	struct uffd_msg msg;

	(void)arg;
	for (;;) {
		struct pollfd p = {.fd = uffd, .events = POLLIN};
		int page;

		if (!go || poll(&p, 1, 100) != 1 || !go ||
			read(uffd, &msg, sizeof(msg)) != sizeof(msg)) {
			usleep(1000);
			continue;
		}
		CHECK(msg.event == UFFD_EVENT_PAGEFAULT, "event %#x", msg.event);
		page = (int)((msg.arg.pagefault.address - (uintptr_t)mem) / MM_PAGE);
		asked[page]++;
		if (msg.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP) {
			struct uffdio_writeprotect wp = {
				.range = {(uintptr_t)mem + page * MM_PAGE, MM_PAGE}};

			MUST(ioctl(uffd, UFFDIO_WRITEPROTECT, &wp));
		} else {
			fill(page, 100 + page);
		}
	}
	return NULL;
}

static void expect_asked(int page, unsigned times)
{
	CHECK(asked[page] == times, "page %d: expected %u questions, got %u", page, times,
		asked[page]);
}

static void missing(void)
{
	make(0);
	enlist(UFFDIO_REGISTER_MODE_MISSING);
	fill(0, 1);
	zero(1);
	victim_thread(handler, NULL);
	CHECK(mem[2 * MM_PAGE] == (char)mm_word(102, 0), "the test is broken");
	victim_ready();
	victim_wait();
	mm_expect(mem, MM_PAGE, 1, "page with contents");
	mm_expect_zero(mem + MM_PAGE, MM_PAGE, "page of zeros");
	mm_expect(mem + 2 * MM_PAGE, MM_PAGE, 102, "page that was asked for");
	expect_asked(0, 0);
	expect_asked(1, 0);
	expect_asked(2, 1);
	for (int i = 3; i < PAGES; i++) {
		mm_expect(mem + i * MM_PAGE, MM_PAGE, 100 + i, "missing page");
		expect_asked(i, 1);
	}
}

static void *toucher(void *arg)
{
	(void)arg;
	mm_expect(mem + 5 * MM_PAGE, MM_PAGE, 105, "the page that it waits for");
	return NULL;
}

static void blocked(void)
{
	pthread_t t;

	make(0);
	enlist(UFFDIO_REGISTER_MODE_MISSING);
	go = 0;
	victim_thread(handler, NULL);
	t = victim_thread(toucher, NULL);
	usleep(30000);
	victim_ready();
	victim_wait();
	go = 1;
	pthread_join(t, NULL);
	expect_asked(5, 1);
}

/* The thread's fault in @at is told of by fd and no other, which fills the page. */
static void faults(char *at, int fd, int other)
{
	struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = other, .events = POLLIN}};
	struct uffd_msg msg;
	pthread_t t;

	mem = at;
	t = victim_thread(toucher, NULL);
	CHECK(poll(p, 2, 5000) == 1 && p[0].revents == POLLIN, "which of two is told: %#x %#x",
		p[0].revents, p[1].revents);
	MUST(read(fd, &msg, sizeof(msg)));
	CHECK((char *)(uintptr_t)msg.arg.pagefault.address == at + 5 * MM_PAGE, "the address");
	uffd = fd;
	fill(5, 105);
	pthread_join(t, NULL);
}

static void several(void)
{
	int fd[2];
	char *both;

	make(0);
	make(0);
	fd[0] = uffd;
	make(0);
	fd[1] = uffd;
	both = mm_island(2 * LEN, PROT_READ | PROT_WRITE);
	for (int i = 0; i < 2; i++) {
		uffd = fd[i];
		mem = both + i * LEN;
		enlist(UFFDIO_REGISTER_MODE_MISSING);
		fill(i, 1 + i);
	}
	victim_ready();
	victim_wait();
	mm_expect(both, MM_PAGE, 1, "page with contents");
	mm_expect(both + LEN + MM_PAGE, MM_PAGE, 2, "page with contents");
	faults(both + LEN, fd[1], fd[0]);
	faults(both, fd[0], fd[1]);
}

static void protected(void)
{
	struct uffdio_writeprotect wp = {.mode = UFFDIO_WRITEPROTECT_MODE_WP};

	make(UFFD_FEATURE_PAGEFAULT_FLAG_WP);
	mm_fill(mem, LEN, 3);
	enlist(UFFDIO_REGISTER_MODE_WP);
	wp.range = (struct uffdio_range){(uintptr_t)mem + MM_PAGE, LEN - MM_PAGE};
	MUST(ioctl(uffd, UFFDIO_WRITEPROTECT, &wp));
	victim_thread(handler, NULL);
	mem[3 * MM_PAGE] = 1;
	expect_asked(3, 1);
	mem[3 * MM_PAGE] = (char)mm_word(3, 3 * MM_PAGE / 8);
	victim_ready();
	victim_wait();
	mm_expect(mem, LEN, 3, "contents");
	for (int i = 0; i < PAGES; i++)
		mem[i * MM_PAGE] = (char)i;
	for (int i = 0; i < PAGES; i++)
		expect_asked(i, i == 0 ? 0 : 1);
}

int main(int argc, char **argv)
{
	const char *what = argc == 2 ? argv[1] : "";
	struct fds_view was;

	victim_init(argc, argv);
	if (!strcmp(what, "missing")) {
		missing();
	} else if (!strcmp(what, "blocked")) {
		blocked();
	} else if (!strcmp(what, "several")) {
		several();
	} else if (!strcmp(what, "protected")) {
		protected();
	} else {
		make(0);
		fds_view(uffd, &was);
		victim_ready();
		victim_wait();
		fds_expect(uffd, &was, false, "idle");
		enlist(UFFDIO_REGISTER_MODE_MISSING);
		fill(3, 4);
		mm_expect(mem + 3 * MM_PAGE, MM_PAGE, 4, "a page that was filled");
	}
	return 0;
}
