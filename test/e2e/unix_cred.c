/*
 * e2e: args: stream packets dead explicit
 *
 * Holds: messages with the credentials of their senders (SCM_CREDENTIALS): of this process, of a child of
 *        another user, of a child that is dead, as the sender has given them.
 * Shows: Unix sockets: SCM_CREDENTIALS and SO_PASSCRED.
 * e2e: exec: yes
 */
#include "unix.h"

static int p[2];

static void pair(int type)
{
	int one = 1;

	MUST(socketpair(AF_UNIX, type, 0, p));
	MUST(setsockopt(p[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)));
}

static void expect_cred(int seed, ssize_t len, pid_t pid, uid_t uid)
{
	struct unix_got got = unix_recv(p[1], seed, 0, 4000, 0);

	CHECK(got.len == len, "message %d: expected %zd bytes, got %zd", seed, len, got.len);
	CHECK(got.cred.pid == pid && got.cred.uid == uid,
		"message %d: expected pid %d, user %u; got %d, %u", seed, pid, uid, got.cred.pid,
		got.cred.uid);
}

static int waiting(void)
{
	int n;

	MUST(ioctl(p[1], FIONREAD, &n));
	return n;
}

/* A child that has sent something as another user; it ends, or waits. */
static pid_t child(int seed, size_t len, uid_t uid, bool stays)
{
	int before = waiting();
	pid_t pid = MUST(fork());

	if (!pid) {
		MUST(setresuid(uid, uid, uid));
		unix_send(p[0], seed, len, NULL, 0);
		while (stays)
			pause();
		_exit(0);
	}
	while (stays && waiting() < before + (int)len)
		usleep(1000);
	if (!stays)
		MUST(waitpid(pid, NULL, 0));
	return pid;
}

static void cred_of(int type)
{
	pid_t other;

	pair(type);
	unix_send(p[0], 1, 100, NULL, 0);
	other = child(2, 50, 1001, true);
	unix_send(p[0], 3, 30, NULL, 0);
	unix_handshake(p, 2);
	expect_cred(1, 100, getpid(), getuid());
	expect_cred(2, 50, other, 1001);
	expect_cred(3, 30, getpid(), getuid());
	unix_send(p[0], 4, 40, NULL, 0);
	expect_cred(4, 40, getpid(), getuid());
	MUST(kill(other, SIGKILL));
	MUST(waitpid(other, NULL, 0));
}

static void cred_stream(void)
{
	cred_of(SOCK_STREAM);
}

static void cred_packets(void)
{
	cred_of(SOCK_SEQPACKET);
}

static void cred_dead(void)
{
	pid_t dead;

	pair(SOCK_DGRAM);
	dead = child(1, 70, 1002, false);
	unix_handshake(p, 2);
	expect_cred(1, 70, dead, 1002);
}

static void cred_explicit(void)
{
	struct ucred cred = {getpid(), 77, 78};
	char control[CMSG_SPACE(sizeof(cred))] = {0}, c = fds_byte(5, 0);
	struct iovec iov = {&c, 1};
	struct msghdr h = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	struct cmsghdr *m = CMSG_FIRSTHDR(&h);

	pair(SOCK_DGRAM);
	m->cmsg_level = SOL_SOCKET;
	m->cmsg_type = SCM_CREDENTIALS;
	m->cmsg_len = CMSG_LEN(sizeof(cred));
	memcpy(CMSG_DATA(m), &cred, sizeof(cred));
	MUST(sendmsg(p[0], &h, 0));
	unix_handshake(p, 2);
	expect_cred(5, 1, getpid(), 77);
}

int main(int argc, char **argv)
{
	static const struct victim_case cases[] = {{"stream", cred_stream},
		{"packets", cred_packets}, {"dead", cred_dead}, {"explicit", cred_explicit}};

	return victim_cases(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
