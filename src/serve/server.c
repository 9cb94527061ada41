/*
 * server.c - accepts connections and gives each to a session of its own.
 *
 * Nothing that a caller sends is looked at here. A socket is made, or comes from systemd (sd_listen_fds(3):
 * LISTEN_PID and LISTEN_FDS, the first descriptor is number 3). Anybody may connect: what he may do is
 * decided by who he is.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/sock.h"
#include "serve/rights.h"
#include "serve/serve.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/str.h"

#define LISTEN_FD_FIRST 3

/* A session that runs. */
struct member {
	pid_t pid;
	uid_t uid;
};

struct server {
	struct ckpt_op *op;
	serve_command *command;
	int listener, signals;
	char *path; /* to be removed at the end, or NULL */
	struct member v[SERVE_CONNECTIONS_MAX];
	size_t n;
};

/* ------------------------------------------------------------------ the socket */

/* The socket of a server that is not there any more: nobody answers. */
static bool is_left_over(const char *path)
{
	struct stat st;
	int fd;

	if (lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return false;
	fd = sock_unix_connect(path);
	fd_close(fd);
	return fd == -ECONNREFUSED;
}

static int listen_at(struct server *s, const char *path)
{
	struct sockaddr_un a;
	socklen_t len = 0;
	int r = sock_unix_address(path, &a, &len);
	mode_t mask;

	if (r < 0)
		return op_fail(s->op, CKPT_E_USAGE, -r, "bind", "choose a shorter name",
			"socket %s", path);
	s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->listener < 0)
		return op_fail_errno(s->op, errno, "socket", "socket %s", path);
	if (*path != '@' && is_left_over(path))
		unlink(path);
	mask = umask(geteuid() ? 0177 : 0111); /* a user's own service is that user's */
	r = bind(s->listener, (const void *)&a, len) < 0 ? -errno : 0;
	umask(mask);
	if (r == -EADDRINUSE)
		return op_fail(s->op, CKPT_E_CONFLICT, EADDRINUSE, "bind",
			"stop the server that is there, or choose another name", "socket %s", path);
	if (r < 0)
		return op_fail_errno(s->op, -r, "bind", "socket %s", path);
	s->path = *path == '@' ? NULL : strdup(path);
	if (listen(s->listener, SOMAXCONN) < 0)
		return op_fail_errno(s->op, errno, "listen", "socket %s", path);
	return 0;
}

/* Return: 1: there is one; 0: none */
static int take_activated(struct server *s)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	uint64_t n;

	if (!pid || !fds || str_u64(&pid, 10, &n) < 0 || (pid_t)n != getpid() ||
		str_u64(&fds, 10, &n) < 0 || n < 1)
		return 0;
	s->listener = LISTEN_FD_FIRST;
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return 1;
}

/* ------------------------------------------------------------------ sessions */

static size_t count_of(const struct server *s, uid_t uid)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += s->v[i].uid == uid;
	return n;
}

static void reap(struct server *s)
{
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
		for (size_t i = 0; i < s->n; i++)
			if (s->v[i].pid == pid)
				s->v[i] = s->v[--s->n];
}

static void session_main(struct server *s, int fd, const struct serve_peer *peer)
{
	sigset_t none;

	close(s->listener);
	close(s->signals);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	_exit(session_run(fd, peer, s->command));
}

static void welcome(struct server *s)
{
	_cleanup_close_ int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
	struct serve_peer peer;
	pid_t pid;

	if (fd < 0 || rights_peer(fd, &peer) < 0)
		return;
	/* closed at once: he sees the end of the connection */
	if (s->n >= (peer.uid ? SERVE_USERS_MAX : SERVE_CONNECTIONS_MAX) ||
		(peer.uid && count_of(s, peer.uid) >= SERVE_PER_USER_MAX)) {
		op_warn(s->op, "uid %u, pid %d: too many connections", peer.uid, peer.pid);
		return;
	}
	pid = fork();
	if (pid == 0)
		session_main(s, fd, &peer);
	if (pid < 0) {
		op_warn(s->op, "fork: %m");
		return;
	}
	op_info(s->op, "uid %u, pid %d: session %d", peer.uid, peer.pid, pid);
	s->v[s->n++] = (struct member){pid, peer.uid};
}

static int loop(struct server *s)
{
	for (;;) {
		struct pollfd v[] = {{.fd = s->listener, .events = POLLIN},
			{.fd = s->signals, .events = POLLIN}};
		struct signalfd_siginfo si;

		if (poll(v, 2, -1) < 0 && errno != EINTR)
			return op_fail_errno(s->op, errno, "poll", "the server");
		if (v[1].revents && read(s->signals, &si, sizeof(si)) == sizeof(si)) {
			if (si.ssi_signo != SIGCHLD)
				return 0;
			reap(s);
		}
		if (v[0].revents)
			welcome(s);
	}
}

int serve_run(struct ckpt_op *op, const struct ckpt_serve_req *req, serve_command *command)
{
	struct server s = {.op = op, .command = command, .listener = -EBADF};
	sigset_t set, was;
	int r = take_activated(&s);

	if (r == 0 && !req->socket)
		r = op_fail(op, CKPT_E_USAGE, 0, NULL, "give --socket PATH, or --socket @NAME",
			"serve: no socket, neither by name nor from systemd");
	else if (r == 0)
		r = listen_at(&s, req->socket);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, &was);
	s.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (r >= 0) {
		op_info(op, "serving at %s", req->socket ? req->socket : "the socket of systemd");
		r = loop(&s);
	}
	if (s.path)
		unlink(s.path);
	free(s.path);
	fd_close(s.listener);
	fd_close(s.signals);
	sigprocmask(SIG_SETMASK, &was, NULL);
	return r < 0 ? r : 0;
}

int serve_session(struct ckpt_op *op, int fd, serve_command *command)
{
	struct serve_peer peer;
	int r = rights_peer(fd, &peer);

	if (r < 0)
		return op_fail(op, CKPT_E_USAGE, -r, "getsockopt(SO_PEERCRED)", NULL,
			"descriptor %d is no unix socket", fd);
	setsid();
	return session_run(fd, &peer, command);
}
