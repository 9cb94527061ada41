/*
 * e2e: args: list waiting closed moved told untold hung-up
 * e2e: no kill for waiting: killed between stop and cure, the tool leaves an EINTR
 *
 * Holds: an epoll list of pipes, an eventfd and another list: level, edge, one-shot and disabled
 *        members, with data; a thread that waits in one; closed: a member whose number was closed while its
 *        description lives; moved: two members with one number, which means a third by now; told:
 *        edge-triggered and one-shot members that are ready, and were told of; untold: one that was not;
 *        hung-up: a one-shot member that was told of a hang-up.
 * Shows: event loops come back with what they watch, and are told of nothing twice.
 * e2e: exec: yes
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

static void moved(void)
{
	int ep = MUST(epoll_create1(0)), fd = MUST(eventfd(0, EFD_NONBLOCK)), first, second, third;
	struct epoll_event ev = {.events = EPOLLIN};
	uint64_t one = 1;

	add(ep, fd, EPOLLIN, 1);
	first = MUST(fcntl(fd, F_DUPFD, 20));
	third = MUST(eventfd(0, EFD_NONBLOCK));
	MUST(dup2(third, fd));
	close(third);
	third = fd;
	add(ep, fd, EPOLLIN, 2);
	second = MUST(fcntl(fd, F_DUPFD_CLOEXEC, 30));
	MUST(dup3(MUST(eventfd(0, EFD_NONBLOCK)), fd, O_CLOEXEC));
	victim_ready();
	victim_wait();
	CHECK(fcntl(third, F_GETFD) == FD_CLOEXEC, "the third has lost its close-on-exec");
	expect_none(ep, "nothing is ready");
	MUST(write(first, &one, 8));
	expect(ep, EPOLLIN, 1, "the first that had the number");
	MUST(read(first, &one, 8));
	MUST(write(second, &one, 8));
	expect(ep, EPOLLIN, 2, "the second that had the number");
	MUST(read(second, &one, 8));
	MUST(write(third, &one, 8));
	expect_none(ep, "the one that has the number, and is no member");
	CHECK(epoll_ctl(ep, EPOLL_CTL_DEL, third, &ev) == -1 && errno == ENOENT, "it is a member");
}

static void told(void)
{
	int ep = MUST(epoll_create1(0)), edge = MUST(eventfd(1, EFD_NONBLOCK));
	int once = MUST(eventfd(1, EFD_NONBLOCK)), p[2];
	uint64_t one = 1;

	MUST(pipe(p));
	MUST(write(p[1], "x", 1));
	add(ep, edge, EPOLLIN | EPOLLET, 1);
	expect(ep, EPOLLIN, 1, "the test is broken");
	add(ep, once, EPOLLIN | EPOLLONESHOT, 2);
	expect(ep, EPOLLIN, 2, "the test is broken");
	add(ep, p[0], EPOLLIN | EPOLLET, 3);
	expect(ep, EPOLLIN, 3, "the test is broken");
	victim_ready();
	victim_wait();
	expect_none(ep, "it was told of before");
	MUST(write(edge, &one, 8));
	expect(ep, EPOLLIN, 1, "edge");
	MUST(write(p[1], "x", 1));
	expect(ep, EPOLLIN, 3, "the pipe");
	MUST(write(once, &one, 8));
	expect_none(ep, "one shot is told once");
}

static void untold(void)
{
	int ep = MUST(epoll_create1(0)), edge = MUST(eventfd(1, EFD_NONBLOCK));

	add(ep, edge, EPOLLIN | EPOLLET, 1);
	victim_ready();
	victim_wait();
	expect(ep, EPOLLIN, 1, "it was never told of");
	expect_none(ep, "edge is told once");
}

static void hung_up(void)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLONESHOT, .data.u64 = DATA(2)};
	int ep = MUST(epoll_create1(0)), p[2];

	MUST(pipe(p));
	add(ep, p[0], EPOLLIN | EPOLLONESHOT, 1);
	close(p[1]);
	expect(ep, EPOLLHUP, 1, "the test is broken");
	victim_ready();
	victim_wait();
	expect_none(ep, "one shot is told once");
	MUST(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &ev));
	expect(ep, EPOLLHUP, 2, "armed again");
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*fn)(void);
	} cases[] = {{"list", list}, {"waiting", waiting}, {"closed", closed}, {"moved", moved},
		{"told", told}, {"untold", untold}, {"hung-up", hung_up}};

	victim_init(argc, argv);
	for (size_t i = 0; argc == 2 && i < sizeof(cases) / sizeof(cases[0]); i++)
		if (!strcmp(argv[1], cases[i].name)) {
			cases[i].fn();
			return 0;
		}
	CHECK(0, "no such case");
	return 1;
}
