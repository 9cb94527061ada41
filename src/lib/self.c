/*
 * self.c - ckpt_checkpoint(): a program checkpoints itself.
 *
 * Nobody can save himself while he runs, so a process outside does it, at our request over a connection: a
 * service, or a session of our own, started for this call. Its end of the connection leads outside of what is
 * saved. The dump is told to make it /dev/null at a restore: so whoever reads there the end of the file instead
 * of an answer, and finds that it is no socket any more, has been restored.
 *
 * The session must be nobody's descendant here, or it would be saved, too; and the program's handler of
 * SIGCHLD and its waits for any child shall see nothing of it. So it is the child of a child that has no
 * exit signal, and that ends at once without an execve(2), which would give it one.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ckpt.h"
#include "image/image.h"
#include "kernel/proc_children.h"
#include "kernel/sock.h"
#include "lib/callbacks.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/str.h"
#include "util/vec.h"

#define SPAWN_STACK  65536
#define SESSION_FD   3
#define LINE_MAX_LEN (1U << 20)

/* ------------------------------------------------------------------ the connection */

struct spawn {
	const char *command;
	char *stack; /* of two of SPAWN_STACK */
	int fd;
	int err; /* errno of the execve, set in this memory: 0 where there is a session */
	sigset_t mask;
};

static int session_exec(void *arg)
{
	struct spawn *s = arg;
	char fd_text[16];
	char *argv[] = {"ckpt", "serve", "--session", fd_text, NULL};

	snprintf(fd_text, sizeof(fd_text), "%d", SESSION_FD);
	if (s->fd == SESSION_FD)
		fcntl(s->fd, F_SETFD, 0);
	else
		dup2(s->fd, SESSION_FD);
	sigprocmask(SIG_SETMASK, &s->mask, NULL);
	execvp(s->command, argv);
	s->err = errno;
	_exit(127);
}

/* Goes on when the other has left this memory: by the execve, or because that failed. */
static int session_orphan(void *arg)
{
	struct spawn *s = arg;

	if (clone(session_exec, s->stack + (size_t)2 * SPAWN_STACK,
		    CLONE_VM | CLONE_VFORK | SIGCHLD, s) < 0)
		s->err = errno;
	_exit(0);
}

/* A session of our own. Return: our end of the connection; -errno */
static int session_start(const char *command)
{
	struct spawn s = {.command = command};
	int ends[2], r;
	sigset_t all;
	pid_t pid;

	s.stack = mmap(NULL, (size_t)2 * SPAWN_STACK, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (s.stack == MAP_FAILED)
		return -errno;
	r = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0 ? -errno : 0;
	if (r == 0) {
		s.fd = ends[1];
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &s.mask);
		pid = clone(session_orphan, s.stack + SPAWN_STACK, CLONE_VM | CLONE_VFORK, &s);
		r = pid < 0 ? -errno : 0;
		if (r == 0 && waitpid(pid, NULL, __WCLONE) < 0)
			r = -errno;
		pthread_sigmask(SIG_SETMASK, &s.mask, NULL);
		close(ends[1]);
		r = r == 0 ? -s.err : r;
		if (r < 0)
			close(ends[0]);
	}
	munmap(s.stack, (size_t)2 * SPAWN_STACK);
	return r < 0 ? r : ends[0];
}

/* ------------------------------------------------------------------ the request, and the answer */

static int ask(int fd, const struct ckpt_self *o, uint64_t crid)
{
	_cleanup_free_ char *text = NULL, *dir = NULL;
	json_t *params, *request;
	char wish[48], number[24];
	int r;

	/* the session is where it was started, a service is elsewhere */
	if (o->dir && *o->dir != '/') {
		_cleanup_free_ char *here = getcwd(NULL, 0);

		if (!here || asprintf(&dir, "%s/%s", here, o->dir) < 0)
			return -ENOMEM;
	}
	snprintf(wish, sizeof(wish), "%d:%d=null", getpid(), fd);
	snprintf(number, sizeof(number), "%llu", (unsigned long long)crid);
	params = json_pack("{s:i, s:b, s:b, s:s, s:[s], s:s*}", "pid", 0, "leave_running", 1,
		"force", (int)o->force, "crid", number, "fd", wish, "dir", dir ? dir : o->dir);
	request = json_pack("{s:s, s:i, s:s, s:o*}", "jsonrpc", "2.0", "id", 1, "method", "dump",
		"params", params);
	text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	json_decref(request);
	if (!text)
		return -ENOMEM;
	r = write_full(fd, text, strlen(text));
	return r < 0 ? r : write_full(fd, "\n", 1);
}

/* We have been restored: what was a socket is /dev/null. */
static bool is_restored(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode);
}

static int error_of(json_t *error)
{
	json_t *data = json_object_get(error, "data");
	int err = (int)json_integer_value(json_object_get(data, "errno"));
	const char *kind = json_string_value(json_object_get(data, "kind"));

	if (err > 0)
		return -err;
	return kind && str_eq(kind, ckpt_kind_name(CKPT_E_REFUSED)) ? -EOPNOTSUPP : -EIO;
}

/* Return: 1 the checkpoint is taken; 0 restored; -errno */
static int answer(int fd, char **ret_text)
{
	_cleanup_strbuf_ struct strbuf in = {};
	char c;

	for (;;) {
		ssize_t n = read(fd, &c, 1);
		json_t *m, *error;
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return is_restored(fd) ? 0 : n < 0 ? -errno : -EPIPE;
		if (c != '\n') {
			if (in.len >= LINE_MAX_LEN || strbuf_addc(&in, c) < 0)
				return -EMSGSIZE;
			continue;
		}
		m = json_loads(in.s ? in.s : "", 0, NULL);
		error = json_object_get(m, "error");
		r = error ? error_of(error) : json_object_get(m, "result") ? 1 : 0;
		if (error && ret_text && json_string_value(json_object_get(error, "message")))
			*ret_text = strdup(json_string_value(json_object_get(error, "message")));
		json_decref(m);
		if (r)
			return r;
		in.len = 0;
	}
}

/* ------------------------------------------------------------------ the call */

/* Return: the crid; 0 restored; -errno */
static int64_t take(const struct ckpt_self *o, uint64_t crid, const struct place *then)
{
	const char *path = o->socket ? o->socket : secure_getenv("CKPT_SOCKET");
	const char *command = o->command ? o->command : "ckpt";
	_cleanup_close_ int fd = path ? sock_unix_connect(path) : session_start(command);
	int r;

	if (fd < 0)
		return fd;
	/* Where only a parent may trace (Yama), everybody of the same user may for this moment. */
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	r = ask(fd, o, crid);
	if (r == 0)
		r = answer(fd, o->ret_error);
	prctl(PR_SET_PTRACER, 0, 0, 0, 0);
	if (r == 0)
		callbacks_restarted(then, crid);
	return r == 1 ? (int64_t)crid : r;
}

static int64_t take_entered(const struct ckpt_self *o)
{
	uint64_t crid = image_crid_new();
	struct place now;
	int64_t result;

	place_read(&now);
	listen_self(crid);
	result = take(o, crid, &now);
	listen_self(0);
	if (result)
		callbacks_after(result);
	return result;
}

int64_t ckpt_checkpoint(const struct ckpt_self *opts)
{
	static const struct ckpt_self none;
	const struct ckpt_self *o = opts ? opts : &none;
	int64_t result;

	if (!o->tree && proc_children_any())
		return -ECHILD;
	result = callbacks_enter(o->wait_ms);
	if (result < 0)
		return result;
	result = callbacks_before();
	if (result == 0)
		result = take_entered(o);
	callbacks_leave();
	return result;
}
