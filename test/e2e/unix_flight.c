/*
 * e2e: args: timers epoll member pidfd pidfd-shared pidfd-packets locks kinds sockets owner seal uffd
 * e2e: refuse for uffd: userfaultfd, only in flight
 *
 * Holds: descriptions that are only in flight (SCM_RIGHTS), and for which a task would have something to do if
 *        it had them: timers that run, epoll lists, members of lists, references to processes (also to this
 *        one, open here as well), locks and leases, owners for signals, seals; and kinds with contents of
 *        their own: sockets with what is unread, signalfd, inotify, queues, directories half read.
 * Shows: Unix sockets: SCM_RIGHTS in flight with every kind of descriptor.
 */
#include "inet.h"
#include "pidfd.h"
#include "timerfd.h"
#include "unix.h"
#include <dirent.h>
#include <linux/netlink.h>
#include <linux/userfaultfd.h>
#include <mqueue.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#define DIR_FILES 300

static int p[2], sent, got;

static void begin(int type)
{
	MUST(socketpair(AF_UNIX, type, 0, p));
}

/* One descriptor with one byte. */
static void send_fd(int fd)
{
	unix_send(p[0], sent++, 1, &fd, 1);
}

/* The same, and it is given up here. */
static void give(int fd)
{
	send_fd(fd);
	close(fd);
}

static int take(void)
{
	struct unix_got g = unix_recv(p[1], got++, 0, 1, 0);

	CHECK(g.len == 1 && g.n == 1, "message %d: %zd bytes, %d descriptors", got - 1, g.len, g.n);
	return g.fds[0];
}

/* ---- timers ---- */

static void flight_timers(void)
{
	double now = victim_clock_s(CLOCK_REALTIME), mono = victim_clock_s(CLOCK_MONOTONIC), left,
	       every;
	uint64_t n = 0;
	int fd;

	begin(SOCK_STREAM);
	give(timerfd_make(CLOCK_MONOTONIC, TFD_NONBLOCK, 0, 1000, 0));
	give(timerfd_make(CLOCK_REALTIME, TFD_NONBLOCK, TFD_TIMER_ABSTIME, now + 2000, 0));
	give(timerfd_make(CLOCK_MONOTONIC, TFD_NONBLOCK, 0, 0.01, 300));
	give(MUST(timerfd_create(CLOCK_BOOTTIME, 0)));
	usleep(30000); /* the third has expired once */
	unix_handshake(p, 2);
	left = timerfd_left_s(take(), &every);
	mono = victim_clock_s(CLOCK_MONOTONIC) - mono;
	CHECK(left <= 1000 && left > 999 - mono && !every, "the first: %g s left after %g", left,
		mono);
	left = timerfd_left_s(take(), &every);
	CHECK(left - (now + 2000 - victim_clock_s(CLOCK_REALTIME)) < 0.5, "the second: %g s", left);
	fd = take();
	CHECK(read(fd, &n, sizeof(n)) == sizeof(n) && n == 1, "expirations: %d", (int)n);
	left = timerfd_left_s(fd, &every);
	CHECK(every == 300 && left > 299 - mono && left <= 300, "the third: %g every %g", left,
		every);
	CHECK(timerfd_left_s(take(), &every) == 0, "one that was never armed is");
}

/* ---- epoll ---- */

static void add(int list, int fd, uint64_t data, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.u64 = data};

	MUST(epoll_ctl(list, EPOLL_CTL_ADD, fd, &ev));
}

static void expect_event(int list, uint64_t data, uint32_t events)
{
	struct epoll_event ev[4] = {0};
	int n = MUST(epoll_wait(list, ev, 4, 0));

	CHECK(n == 1 && ev[0].data.u64 == data && ev[0].events == events,
		"%d events, the first %#x of %llu", n, ev[0].events,
		(unsigned long long)ev[0].data.u64);
}

static void flight_epoll(void)
{
	int list = MUST(epoll_create1(0)), other = MUST(epoll_create1(0));
	int here = MUST(eventfd(0, EFD_NONBLOCK)), gone = MUST(eventfd(0, 0));
	uint64_t one = 1;

	add(list, here, 11, EPOLLIN);
	add(list, gone, 12, EPOLLIN | EPOLLONESHOT);
	add(other, MUST(dup2(gone, 40)), 13, EPOLLIN);
	add(other, list, 14, EPOLLIN);
	close(40);
	begin(SOCK_STREAM);
	give(list);
	give(gone);
	give(other);
	unix_handshake(p, 2);
	list = take();
	gone = take();
	other = take();
	CHECK(epoll_wait(list, &(struct epoll_event){0}, 1, 0) == 0, "something is ready");
	MUST(write(here, &one, sizeof(one)));
	expect_event(list, 11, EPOLLIN);
	expect_event(other, 14, EPOLLIN);
	MUST(read(here, &one, sizeof(one)));
	MUST(write(gone, &one, sizeof(one)));
	expect_event(list, 12, EPOLLIN);
	CHECK(epoll_wait(list, &(struct epoll_event){0}, 1, 0) == 0, "told twice");
	expect_event(other, 13, EPOLLIN);
}

/* This process watches what is only in flight. */
static void flight_member(void)
{
	int list = MUST(epoll_create1(0)), fd = MUST(eventfd(0, 0)), stays = MUST(eventfd(0, 0));
	uint64_t one = 1;

	add(list, fd, 21, EPOLLIN);
	add(list, stays, 22, EPOLLIN);
	begin(SOCK_STREAM);
	give(fd);
	unix_handshake(p, 2);
	fd = take();
	CHECK(epoll_wait(list, &(struct epoll_event){0}, 1, 0) == 0, "something is ready");
	MUST(write(fd, &one, sizeof(one)));
	expect_event(list, 21, EPOLLIN);
	MUST(read(fd, &one, sizeof(one)));
	MUST(write(stays, &one, sizeof(one)));
	expect_event(list, 22, EPOLLIN);
}

/* ---- what only a task can open ---- */

static int pidfd(pid_t pid)
{
	return (int)MUST(syscall(SYS_pidfd_open, pid, 0));
}

static void flight_pidfd(void)
{
	int fd = MUST(open("/proc/self/status", O_RDONLY)), list = MUST(epoll_create1(0));
	pid_t child = MUST(fork());
	char text[4096], name[32];
	siginfo_t info;

	if (child == 0)
		_exit(0);
	MUST(waitid(P_PID, child, &info, WEXITED | WNOWAIT));
	begin(SOCK_STREAM);
	give(pidfd(getpid()));
	give(fd);
	give(pidfd(child));
	fd = pidfd(getpid());
	add(list, fd, 31, EPOLLIN);
	give(list);
	give(fd);
	MUST(waitpid(child, NULL, 0));
	unix_send(p[0], sent++, 1, NULL, 0);
	MUST(shutdown(p[0], SHUT_WR));
	unix_handshake(p, 2);
	fd = take();
	CHECK(pid_of(fd) == getpid(), "the first leads to %d", pid_of(fd));
	fd = take();
	text[MUST(read(fd, text, sizeof(text) - 1))] = 0;
	snprintf(name, sizeof(name), "\nPid:\t%d\n", getpid());
	CHECK(strstr(text, name), "/proc/self/status: %s", text);
	CHECK(readable(take()), "the child that has ended lives");
	list = take();
	fd = take();
	CHECK(pid_of(fd) == getpid(), "the last leads to %d", pid_of(fd));
	MUST(epoll_wait(list, &(struct epoll_event){0}, 1, 0));
	unix_expect_packet(p[1], got, 1, "behind them");
	unix_expect_end(p[1], "behind it");
}

static void flight_pidfd_shared(void)
{
	int fd = pidfd(getpid()), q[2], s[4], again;

	begin(SOCK_STREAM);
	send_fd(fd);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, q));
	unix_send(q[0], 5, 10, &p[0], 1);
	s[0] = p[0], s[1] = p[1], s[2] = q[0], s[3] = q[1];
	unix_handshake(s, 4);
	again = take();
	CHECK(fds_same(fd, again), "it is another description");
	CHECK(pid_of(again) == getpid(), "it leads to %d", pid_of(again));
	CHECK(fds_same(unix_recv(q[1], 5, 0, 10, 0).fds[0], p[0]), "the other socket's");
}

static void flight_pidfd_packets(void)
{
	int fd = pidfd(getpid()), to = unix_bound(SOCK_DGRAM, "to.sock"),
	    from = unix_bound(SOCK_DGRAM, "from"), s[4];
	struct unix_got g;

	unix_connect(to, "from");
	unix_connect(from, "to.sock");
	unix_send(from, 1, 10, &fd, 1);
	unix_send(from, 2, 20, NULL, 0);
	begin(SOCK_SEQPACKET);
	unix_send(p[0], 3, 30, NULL, 0);
	unix_send(p[0], 4, 40, &fd, 1);
	close(fd);
	MUST(shutdown(p[1], SHUT_RD));
	s[0] = p[0], s[1] = p[1], s[2] = to, s[3] = from;
	unix_handshake(s, 4);
	g = unix_recv(to, 1, 0, 100, 0);
	CHECK(g.len == 10 && g.n == 1 && pid_of(g.fds[0]) == getpid(), "a datagram of %zd bytes",
		g.len);
	CHECK(g.from_len > 2 && !strcmp(g.from.sun_path, "from"), "it comes from '%s'",
		g.from.sun_path);
	unix_expect_packet(to, 2, 20, "the next");
	unix_expect_packet(p[1], 3, 30, "a packet");
	g = unix_recv(p[1], 4, 0, 100, 0);
	CHECK(g.len == 40 && g.n == 1 && pid_of(g.fds[0]) == getpid(), "a packet of %zd bytes",
		g.len);
	unix_expect_end(p[1], "behind them");
	unix_expect_talk(to, from, "they are still connected");
}

/* ---- locks ---- */

static int locked(const char *name)
{
	return MUST(open(name, O_RDWR | O_CREAT, 0600));
}

static short ofd_lock_at(int fd, off_t at)
{
	struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = 1};

	MUST(fcntl(fd, F_OFD_GETLK, &fl));
	return fl.l_type;
}

static void flight_locks(void)
{
	struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 50};
	int fd = locked("flock"), ofd, lease, other;

	MUST(flock(fd, LOCK_EX));
	ofd = locked("ofd");
	MUST(fcntl(ofd, F_OFD_SETLK, &fl));
	close(locked("lease"));
	lease = MUST(open("lease", O_RDONLY));
	MUST(fcntl(lease, F_SETLEASE, F_RDLCK));
	fl.l_start = 0; /* and one of this process, on a file that is in flight, too */
	other = locked("ofd");
	MUST(fcntl(other, F_SETLK, &fl));
	begin(SOCK_STREAM);
	send_fd(fd);
	give(ofd);
	send_fd(lease);
	/* to close the last one here would give up a lock of the process: only of the lease's file it has none */
	close(fd);
	close(lease);
	fl = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 50};
	MUST(fcntl(other, F_SETLK, &fl)); /* that close of ofd has given it up */
	unix_handshake(p, 2);
	fd = take();
	CHECK(flock(locked("flock"), LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK,
		"flock is not held");
	MUST(flock(fd, LOCK_UN));
	MUST(flock(locked("flock"), LOCK_EX | LOCK_NB));
	ofd = take();
	CHECK(ofd_lock_at(other, 120) == F_WRLCK, "the OFD lock is not held");
	CHECK(ofd_lock_at(other, 99) == F_UNLCK, "it is too long");
	CHECK(ofd_lock_at(ofd, 10) == F_WRLCK, "the process's own is not held");
	lease = take();
	CHECK(fcntl(lease, F_GETLEASE) == F_RDLCK, "the lease: %d", fcntl(lease, F_GETLEASE));
}

/* ---- kinds with contents ---- */

static long dir_entries(int fd)
{
	char buf[8192];
	long n = 0, len;

	while ((len = syscall(SYS_getdents64, fd, buf, sizeof(buf))) > 0)
		for (long at = 0; at < len; n++)
			at += *(unsigned short *)(buf + at + 16);
	return n;
}

static void make_dir(void)
{
	char name[32];

	MUST(mkdir("half", 0700));
	for (int i = 0; i < DIR_FILES; i++) {
		snprintf(name, sizeof(name), "half/%d", i);
		close(MUST(open(name, O_CREAT | O_WRONLY, 0600)));
	}
}

static int half_read_dir(void)
{
	char buf[1024];
	int fd = MUST(open("half", O_RDONLY | O_DIRECTORY));

	MUST(syscall(SYS_getdents64, fd, buf, sizeof(buf)));
	return fd;
}

static void flight_kinds(void)
{
	struct mq_attr attr = {.mq_maxmsg = 4, .mq_msgsize = 16};
	int fd, inotify = MUST(inotify_init1(IN_NONBLOCK));
	char buf[512], name[64];
	long rest, now;
	struct signalfd_siginfo si;
	sigset_t set;

	begin(SOCK_STREAM);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	give(MUST(signalfd(-1, &set, SFD_NONBLOCK)));
	MUST(inotify_add_watch(inotify, ".", IN_CREATE));
	give(inotify);
	MUST(mkfifo("fifo", 0600));
	fd = MUST(open("fifo", O_RDWR));
	MUST(write(fd, "in the fifo", 11));
	give(fd);
	fd = MUST(open(".", O_TMPFILE | O_RDWR, 0600));
	MUST(pwrite(fd, "no name", 7, 100));
	give(fd);
	make_dir();
	fd = half_read_dir();
	rest = dir_entries(fd);
	close(fd);
	give(half_read_dir());
	snprintf(name, sizeof(name), "/ckpt-flight-%d", getpid());
	fd = MUST(mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK, 0600, &attr));
	MUST(mq_unlink(name));
	MUST(mq_send(fd, "queued", 6, 3));
	give(fd);
	give(MUST(open("/dev/zero", O_RDWR)));
	unix_handshake(p, 2);

	fd = take();
	MUST(raise(SIGUSR1));
	CHECK(read(fd, &si, sizeof(si)) == sizeof(si) && si.ssi_signo == SIGUSR1, "signalfd");
	fd = take();
	while (read(fd, buf, sizeof(buf)) > 0) /* what the driver has made here */
		;
	close(MUST(open("new", O_CREAT | O_WRONLY, 0600)));
	CHECK(read(fd, buf, sizeof(buf)) > 0 && ((struct inotify_event *)buf)->mask & IN_CREATE,
		"inotify");
	CHECK(read(take(), buf, sizeof(buf)) == 11 && !memcmp(buf, "in the fifo", 11), "the fifo");
	CHECK(pread(take(), buf, sizeof(buf), 100) == 7 && !memcmp(buf, "no name", 7), "O_TMPFILE");
	fd = take();
	now = dir_entries(fd);
	CHECK(rest > 0 && now == rest, "the rest of the directory: %ld, not %ld", now, rest);
	fd = take();
	CHECK(mq_receive(fd, buf, 16, NULL) == 6 && !memcmp(buf, "queued", 6), "the queue");
	CHECK(read(take(), buf, 8) == 8 && !memcmp(buf, "\0\0\0\0\0\0\0", 8), "/dev/zero");
}

static void flight_sockets(void)
{
	int udp = inet_bound(SOCK_DGRAM, 0, "127.0.0.1", 0),
	    from = inet_bound(SOCK_DGRAM, 0, "127.0.0.1", 0);
	int listener = inet_bound(SOCK_STREAM, 0, "127.0.0.1", 0), client, server;
	int netlink = MUST(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
	struct sockaddr_nl nl = {.nl_family = AF_NETLINK, .nl_groups = 1};
	socklen_t len = sizeof(nl);
	char buf[64];

	inet_connect(from, "127.0.0.1", inet_port(udp));
	MUST(send(from, "datagram", 8, 0));
	MUST(listen(listener, 4));
	client = MUST(socket(AF_INET, SOCK_STREAM, 0));
	inet_connect(client, "127.0.0.1", inet_port(listener));
	server = MUST(accept(listener, NULL, NULL));
	MUST(send(client, "over tcp", 8, 0));
	MUST(bind(netlink, (void *)&nl, sizeof(nl)));
	begin(SOCK_STREAM);
	give(udp);
	give(client);
	give(server);
	give(listener);
	give(netlink);
	unix_handshake(p, 2);
	udp = take();
	client = take();
	server = take();
	listener = take();
	netlink = take();
	CHECK(recv(udp, buf, sizeof(buf), MSG_DONTWAIT) == 8 && !memcmp(buf, "datagram", 8), "udp");
	CHECK(recv(server, buf, sizeof(buf), MSG_DONTWAIT) == 8 && !memcmp(buf, "over tcp", 8),
		"tcp");
	MUST(send(server, "back", 4, 0));
	CHECK(recv(client, buf, sizeof(buf), 0) == 4, "tcp, back");
	client = MUST(socket(AF_INET, SOCK_STREAM, 0));
	inet_connect(client, "127.0.0.1", inet_port(listener));
	MUST(accept(listener, NULL, NULL));
	MUST(getsockname(netlink, (void *)&nl, &len));
	CHECK(nl.nl_groups == 1 && nl.nl_pid, "netlink: groups %u", nl.nl_groups);
}

static void flight_owner(void)
{
	struct f_owner_ex owner = {.type = F_OWNER_PID, .pid = getpid()};
	int q[2];

	MUST(pipe(q));
	MUST(fcntl(q[0], F_SETOWN_EX, &owner));
	MUST(fcntl(q[0], F_SETSIG, SIGUSR2));
	begin(SOCK_STREAM);
	give(q[0]);
	unix_handshake(p, 2);
	q[0] = take();
	owner = (struct f_owner_ex){0};
	MUST(fcntl(q[0], F_GETOWN_EX, &owner));
	CHECK(owner.pid == getpid() && owner.type == F_OWNER_PID, "it is owned by %d", owner.pid);
	CHECK(fcntl(q[0], F_GETSIG) == SIGUSR2, "its signal: %d", fcntl(q[0], F_GETSIG));
}

/* What may not be written any more is mapped to be written, from before. */
static void flight_seal(void)
{
	int fd = MUST(memfd_create("sealed", MFD_ALLOW_SEALING));
	char *at;

	MUST(ftruncate(fd, 4096));
	at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(at != MAP_FAILED, "mmap: %s", strerror(errno));
	MUST(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
	memcpy(at, "before", 6);
	begin(SOCK_STREAM);
	give(fd);
	unix_handshake(p, 2);
	fd = take();
	CHECK(fcntl(fd, F_GET_SEALS) == F_SEAL_FUTURE_WRITE, "seals: %#x", fcntl(fd, F_GET_SEALS));
	memcpy(at, "behind", 6);
	CHECK(pread(fd, (char[8]){0}, 6, 0) == 6, "it can't be read");
	CHECK(write(fd, "x", 1) == -1 && errno == EPERM, "it can be written");
}

static void flight_uffd(void)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);

	if (fd < 0)
		SKIP("userfaultfd: %s", strerror(errno));
	begin(SOCK_STREAM);
	give(fd);
	unix_handshake(p, 2);
}

int main(int argc, char **argv)
{
	static const struct victim_case cases[] = {{"timers", flight_timers},
		{"epoll", flight_epoll}, {"member", flight_member}, {"pidfd", flight_pidfd},
		{"pidfd-shared", flight_pidfd_shared}, {"pidfd-packets", flight_pidfd_packets},
		{"locks", flight_locks}, {"kinds", flight_kinds}, {"sockets", flight_sockets},
		{"owner", flight_owner}, {"seal", flight_seal}, {"uffd", flight_uffd}};

	return victim_cases(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
