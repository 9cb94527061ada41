/*
 * e2e: args: list waiting closed
 * e2e: no kill for waiting: killed between stop and cure, the tool leaves an EINTR
 * e2e: refuse for closed: epoll fd, was fd
 *
 * Holds: an epoll list of pipes, an eventfd and another list: level, edge, one-shot and disabled
 *        members, with data; a thread that waits in one; a member whose number was closed while its
 *        description lives.
 * Shows: event loops come back with what they watch; what can't be saved is refused by name.
 */
#include "fds.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>

#define DATA(n) (0x1122334400000000ULL + (n))

static void add(int ep, int fd, unsigned events, int n)
{
	struct epoll_event ev = {.events = events, .data.u64 = DATA(n)};

	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
}

/* Exactly this event, and no other. */
static void expect(int ep, unsigned events, int n, const char *what)
{
	struct epoll_event ev[8];
	int got = MUST(epoll_wait(ep, ev, 8, 0));

	CHECK(got == 1, "%s: expected one event, got %d", what, got);
	CHECK(ev[0].events == events && ev[0].data.u64 == DATA(n),
		"%s: expected %#x with %d, got %#x with %llx", what, events, n, ev[0].events,
		(long long)ev[0].data.u64);
}

static void expect_none(int ep, const char *what)
{
	struct epoll_event ev[8];
	int got = MUST(epoll_wait(ep, ev, 8, 0));

	CHECK(got == 0, "%s: expected no event, got %d (first %#x, %llx)", what, got,
		got ? ev[0].events : 0, got ? (long long)ev[0].data.u64 : 0);
}

static void list(void)
{
	int ep = MUST(epoll_create1(EPOLL_CLOEXEC)), outer = MUST(epoll_create1(0));
	int level = MUST(eventfd(0, EFD_NONBLOCK)), edge = MUST(eventfd(0, EFD_NONBLOCK));
	int once = MUST(eventfd(0, EFD_NONBLOCK)), off = MUST(eventfd(5, EFD_NONBLOCK));
	uint64_t one = 1;
	struct fds_view was;

	add(ep, level, EPOLLIN, 1);
	add(ep, edge, EPOLLIN | EPOLLET, 2);
	add(ep, once, EPOLLIN | EPOLLONESHOT, 3);
	add(ep, off, EPOLLIN | EPOLLONESHOT, 4);
	expect(ep, EPOLLIN, 4, "the test is broken");
	add(outer, ep, EPOLLIN, 5);
	fds_view(ep, &was);
	victim_ready();
	victim_wait();
	fds_expect(ep, &was, false, "list");
	expect_none(ep, "nothing is ready");
	expect_none(outer, "nothing is ready");
	MUST(write(level, &one, 8));
	expect(ep, EPOLLIN, 1, "level");
	expect(ep, EPOLLIN, 1, "level stays");
	expect(outer, EPOLLIN, 5, "the list in the list");
	MUST(read(level, &one, 8));
	MUST(write(edge, &one, 8));
	expect(ep, EPOLLIN, 2, "edge");
	expect_none(ep, "edge is told once");
	MUST(write(once, &one, 8));
	expect(ep, EPOLLIN, 3, "one shot");
	MUST(write(once, &one, 8));
	expect_none(ep, "one shot is told once");
}

static int waiting_ep;

static void *waiter(void *arg)
{
	struct epoll_event ev;

	(void)arg;
	CHECK(MUST(epoll_wait(waiting_ep, &ev, 1, -1)) == 1, "the waiting thread: no event");
	CHECK(ev.data.u64 == DATA(9), "the waiting thread: another event");
	return NULL;
}

static void waiting(void)
{
	uint64_t one = 1;
	pthread_t t;
	int fd, p[2];

	waiting_ep = MUST(epoll_create1(0));
	fd = MUST(eventfd(0, 0));
	MUST(pipe(p));
	add(waiting_ep, p[0], EPOLLIN, 8);
	add(waiting_ep, fd, EPOLLIN, 9);
	t = victim_thread(waiter, NULL);
	usleep(20000);
	victim_ready();
	victim_wait();
	MUST(write(fd, &one, 8));
	pthread_join(t, NULL);
	MUST(read(fd, &one, 8));
	MUST(write(p[1], "x", 1));
	expect(waiting_ep, EPOLLIN, 8, "the pipe");
}

static void closed(void)
{
	int ep = MUST(epoll_create1(0)), fd = MUST(eventfd(0, 0)), keep = MUST(dup(fd));
	uint64_t one = 1;

	add(ep, fd, EPOLLIN, 6);
	close(fd);
	victim_ready();
	victim_wait();
	MUST(write(keep, &one, 8));
	expect(ep, EPOLLIN, 6, "closed");
}

int main(int argc, char **argv)
{
	victim_init(argc, argv);
	if (argc == 2 && !strcmp(argv[1], "list"))
		list();
	else if (argc == 2 && !strcmp(argv[1], "waiting"))
		waiting();
	else
		closed();
	return 0;
}
