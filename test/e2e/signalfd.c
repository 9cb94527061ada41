/*
 * Holds: a signalfd with a mask that has a real-time signal in it; one with a pending signal.
 * Shows: the masks come back, and what is pending is read through them.
 */
#include "fds.h"
#include <sys/signalfd.h>

static int make(int a, int b, int flags)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, a);
	sigaddset(&set, b);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL));
	return MUST(signalfd(-1, &set, flags));
}

static void expect(int fd, int sig, int value)
{
	struct signalfd_siginfo si;

	CHECK(read(fd, &si, sizeof(si)) == sizeof(si), "read: %s", strerror(errno));
	CHECK((int)si.ssi_signo == sig && si.ssi_int == value,
		"expected signal %d with %d, got %u with %d", sig, value, si.ssi_signo, si.ssi_int);
}

int main(int argc, char **argv)
{
	struct signalfd_siginfo si;
	struct fds_view was[2];
	int one, two;

	victim_init(argc, argv);
	one = make(SIGUSR1, SIGRTMIN + 7, SFD_NONBLOCK);
	two = make(SIGUSR2, SIGRTMIN + 8, SFD_CLOEXEC);
	MUST(sigqueue(getpid(), SIGRTMIN + 8, (union sigval){.sival_int = 4711}));
	fds_view(one, &was[0]);
	fds_view(two, &was[1]);
	victim_ready();
	victim_wait();
	fds_expect(one, &was[0], false, "one");
	fds_expect(two, &was[1], false, "two");
	CHECK(read(one, &si, sizeof(si)) == -1 && errno == EAGAIN, "something was pending");
	expect(two, SIGRTMIN + 8, 4711);
	MUST(sigqueue(getpid(), SIGRTMIN + 7, (union sigval){.sival_int = 1}));
	expect(one, SIGRTMIN + 7, 1);
	MUST(sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 2}));
	expect(one, SIGUSR1, 2);
	MUST(sigqueue(getpid(), SIGUSR2, (union sigval){.sival_int = 3}));
	CHECK(read(one, &si, sizeof(si)) == -1 && errno == EAGAIN, "one reads what is two's");
	expect(two, SIGUSR2, 3);
	return 0;
}
