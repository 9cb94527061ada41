/*
 * e2e: args: abstract path seqpacket bound-client closed-listener client-gone server-gone pending
 * e2e: args: pending-none many children relisten
 *
 * Holds: connections that were accepted, of a name that is abstract or a path, by a listening socket that
 *        is there or closed since; clients that are bound; one end closed; clients that have not been
 *        accepted yet; many clients of one server; server and clients in several processes of several
 *        users; a listening socket whose backlog was changed by another process.
 * Shows: Unix sockets: listening, connected inside the tree, SO_PEERCRED as it was.
 */
#include "unix.h"
#include <grp.h>

/* Listening socket, client, server. */
static int fd[3];

static void connection(int type, const char *name)
{
	fd[0] = unix_listening(type, name, 7);
	fd[1] = unix_client(type, name);
	fd[2] = MUST(accept(fd[0], NULL, NULL));
}

/* Another one can connect as before. */
static void expect_service(int type, const char *name)
{
	int c = unix_client(type, name), s = MUST(accept(fd[0], NULL, NULL));

	unix_expect_talk(c, s, "a new connection");
	close(c);
	close(s);
}

static void conn_of(int type, const char *name)
{
	connection(type, name);
	unix_send(fd[1], 1, 100, NULL, 0);
	unix_send(fd[1], 1, 200, NULL, 0);
	unix_send(fd[2], 2, 300, NULL, 0);
	unix_handshake(fd, 3);
	unix_expect_packet(fd[1], 2, 300, "to the client");
	if (type == SOCK_SEQPACKET) {
		unix_expect_packet(fd[2], 1, 100, "to the server");
		unix_expect_packet(fd[2], 1, 200, "to the server");
	} else {
		CHECK(unix_recv(fd[2], 1, 0, 100, 0).len == 100, "to the server");
		unix_expect_packet(fd[2], 1, 200, "to the server");
	}
	unix_expect_talk(fd[1], fd[2], "afterwards");
	expect_service(type, name);
}

static void conn_abstract(void)
{
	conn_of(SOCK_STREAM, unix_own_name("@conn"));
}

static void conn_path(void)
{
	conn_of(SOCK_STREAM, "conn.sock");
}

static void conn_seqpacket(void)
{
	conn_of(SOCK_SEQPACKET, "conn.sock");
}

static void conn_bound_client(void)
{
	connection(SOCK_STREAM, "server.sock");
	close(fd[1]);
	close(fd[2]);
	fd[1] = unix_bound(SOCK_STREAM, "client.sock");
	unix_connect(fd[1], "server.sock");
	fd[2] = MUST(accept(fd[0], NULL, NULL));
	unix_handshake(fd, 3);
	unix_expect_talk(fd[1], fd[2], "afterwards");
	expect_service(SOCK_STREAM, "server.sock");
}

/* Of an abstract name, which is free then, and of a path, whose file has stayed. */
static void conn_closed_listener(void)
{
	const char *name = unix_own_name("@closed");
	int all[6], other;

	connection(SOCK_STREAM, name);
	memcpy(all, fd, sizeof(fd));
	connection(SOCK_STREAM, "closed.sock");
	memcpy(all + 3, fd, sizeof(fd));
	close(all[0]);
	close(all[3]);
	all[0] = all[4];
	all[3] = all[5];
	unix_handshake(all, 4);
	unix_expect_talk(all[1], all[2], "abstract");
	unix_expect_talk(all[0], all[3], "path");
	other = unix_listening(SOCK_STREAM, name, 1);
	close(unix_client(SOCK_STREAM, name));
	close(other);
}

static void conn_client_gone(void)
{
	const char *names[2] = {unix_own_name("@gone"), "gone.sock"};
	int all[4];

	for (int i = 0; i < 2; i++) {
		fd[0] = unix_listening(SOCK_STREAM, names[i], 7);
		fd[1] = unix_bound(SOCK_STREAM, i ? "was.sock" : unix_own_name("@was"));
		unix_connect(fd[1], names[i]);
		fd[2] = MUST(accept(fd[0], NULL, NULL));
		unix_send(fd[1], 3, 1000, NULL, 0);
		close(fd[1]);
		all[2 * i] = fd[0];
		all[2 * i + 1] = fd[2];
	}
	unix_handshake(all, 4);
	for (int i = 0; i < 2; i++) {
		unix_expect_packet(all[2 * i + 1], 3, 1000, "what came before");
		unix_expect_end(all[2 * i + 1], "the client is gone");
		fd[0] = all[2 * i];
		expect_service(SOCK_STREAM, names[i]);
	}
}

static void conn_server_gone(void)
{
	connection(SOCK_STREAM, "gone.sock");
	unix_send(fd[2], 4, 1000, NULL, 0);
	unix_send(fd[1], 5, 10, NULL, 0);
	close(fd[2]);
	close(fd[0]);
	unix_handshake(fd + 1, 1);
	unix_expect_packet(fd[1], 4, 1000, "what came before");
	CHECK(unix_recv(fd[1], 0, 0, 1, 0).len == -ECONNRESET, "it was reset");
	unix_expect_end(fd[1], "the server is gone");
}

/* Two that have sent something, one of them has shut its side down, and one that has not. */
static void pending(size_t first_len)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	int all[5], s;

	all[0] = unix_listening(SOCK_STREAM, "pending.sock", 7);
	MUST(setsockopt(
		all[0], SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){5, 0}, sizeof(struct timeval)));
	for (int i = 1; i < 4; i++)
		all[i] = unix_client(SOCK_STREAM, "pending.sock");
	if (first_len) {
		unix_send(all[1], 6, first_len, NULL, 0);
		unix_send(all[3], 7, 20, NULL, 0);
	}
	MUST(shutdown(all[3], SHUT_WR));
	unix_handshake(all, 4);
	for (int i = 1; i < 4; i++) {
		s = MUST(accept(all[0], NULL, NULL));
		MUST(getsockopt(s, SOL_SOCKET, SO_PEERCRED, &cred, &len));
		CHECK(cred.pid == getpid() && cred.uid == getuid(),
			"pid %d, user %u have connected", cred.pid, cred.uid);
		if (first_len && i == 1)
			unix_expect_packet(s, 6, first_len, "the first has sent");
		if (first_len && i == 3)
			unix_expect_packet(s, 7, 20, "the third has sent");
		if (i == 3)
			unix_expect_end(s, "the third");
		else
			unix_expect_talk(all[i], s, "accepted");
	}
	fd[0] = all[0];
	expect_service(SOCK_STREAM, "pending.sock");
}

static void conn_pending(void)
{
	pending(3000);
}

static void conn_pending_none(void)
{
	pending(0);
}

static void conn_many(void)
{
	static int c[200], s[200];
	const char *name = unix_own_name("@many");

	fd[0] = unix_listening(SOCK_STREAM, name, 64);
	for (int i = 0; i < 200; i++) {
		c[i] = unix_client(SOCK_STREAM, name);
		s[i] = MUST(accept(fd[0], NULL, NULL));
		unix_send(i % 2 ? c[i] : s[i], i, 50 + i, NULL, 0);
	}
	unix_handshake(fd, 1);
	for (int i = 0; i < 200; i++) {
		unix_expect_packet(i % 2 ? s[i] : c[i], i, 50 + i, "many");
		unix_expect_talk(c[i], s[i], "many");
	}
	expect_service(SOCK_STREAM, name);
}

/* Who has the other end, by number. */
static void child(int number, int to_parent, const char *name, uid_t uid)
{
	struct unix_view was;
	gid_t groups[2] = {100 + number, 200 + number};
	char c;
	int s;

	MUST(setgroups(2, groups));
	MUST(setresgid(uid, uid, uid));
	MUST(setresuid(uid, uid, uid));
	s = unix_client(SOCK_STREAM, name);
	unix_send(s, number, 100, NULL, 0);
	unix_view(s, &was);
	MUST(write(to_parent, "r", 1));
	/* the parent's go reaches it through the connection */
	CHECK(read(s, &c, 1) == 1, "child %d: %s", number, strerror(errno));
	unix_expect(s, &was, "of a child");
	unix_send(s, number + 50, 200, NULL, 0);
	pause();
}

static void conn_children(void)
{
	static const char name[] = "children.sock";
	int all[4], up[2];
	pid_t pid[3];
	char c;

	all[0] = unix_listening(SOCK_STREAM, name, 7);
	MUST(chmod(name, 0777));
	MUST(pipe(up));
	for (int i = 0; i < 3; i++) {
		pid[i] = MUST(fork());
		if (!pid[i])
			child(i, up[1], name, i ? 1000 + i : 0);
		all[i + 1] = MUST(accept(all[0], NULL, NULL));
		CHECK(read(up[0], &c, 1) == 1, "a child is not ready");
	}
	unix_handshake(all, 4);
	for (int i = 0; i < 3; i++) {
		struct ucred cred;
		socklen_t len = sizeof(cred);

		MUST(getsockopt(all[i + 1], SOL_SOCKET, SO_PEERCRED, &cred, &len));
		CHECK(cred.pid == pid[i] && cred.uid == (i ? 1000U + i : 0),
			"SO_PEERCRED of child %d: pid %d, user %u", i, cred.pid, cred.uid);
		unix_expect_packet(all[i + 1], i, 100, "from a child");
		MUST(write(all[i + 1], "g", 1));
		while (!(unix_poll(all[i + 1]) & POLLIN))
			usleep(1000);
		unix_expect_packet(all[i + 1], i + 50, 200, "from a child, afterwards");
		MUST(kill(pid[i], SIGKILL));
		MUST(waitpid(pid[i], NULL, 0));
	}
}

/* A child has called listen again, and is gone: those who connect later are told of it. */
static void conn_relisten(void)
{
	const char *name = unix_own_name("@relisten");
	int all[5];
	pid_t pid;

	connection(SOCK_STREAM, name);
	memcpy(all, fd, sizeof(fd));
	pid = MUST(fork());
	if (!pid) {
		MUST(listen(fd[0], 3));
		_exit(0);
	}
	MUST(waitpid(pid, NULL, 0));
	all[3] = unix_client(SOCK_STREAM, name);
	all[4] = MUST(accept(all[0], NULL, NULL));
	unix_handshake(all, 5);
	unix_expect_talk(all[1], all[2], "before");
	unix_expect_talk(all[3], all[4], "after");
	/* the backlog is 3: four can wait */
	for (int i = 0; i < 4; i++)
		unix_client(SOCK_STREAM | SOCK_NONBLOCK, name);
	struct sockaddr_un a;
	socklen_t len = unix_addr(&a, name);
	int s = MUST(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
	CHECK(connect(s, (void *)&a, len) == -1 && errno == EAGAIN, "another backlog: %s",
		strerror(errno));
}

int main(int argc, char **argv)
{
	static const struct victim_case cases[] = {{"abstract", conn_abstract}, {"path", conn_path},
		{"seqpacket", conn_seqpacket}, {"bound-client", conn_bound_client},
		{"closed-listener", conn_closed_listener}, {"client-gone", conn_client_gone},
		{"server-gone", conn_server_gone}, {"pending", conn_pending},
		{"pending-none", conn_pending_none}, {"many", conn_many},
		{"children", conn_children}, {"relisten", conn_relisten}};

	return victim_cases(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
