/*
 * client.c - see client.h. Messages are lines, one request at a time.
 */
#include "cli/client.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/sock.h"
#include "util/cleanup.h"
#include "util/fd.h"

#define REQUEST_ID 1

static int fail(
	struct ckpt_error *err, const char *path, const char *call, int no, const char *advice)
{
	*err = (struct ckpt_error){.kind = no == EACCES ? CKPT_E_PRIVILEGE : CKPT_E_SYSTEM,
		.err = no,
		.object = strdup(path),
		.call = strdup(call),
		.advice = advice ? strdup(advice) : NULL};
	return -1;
}

static int connect_to(const char *path, struct ckpt_error *err)
{
	int fd = sock_unix_connect(path);

	return fd < 0 ? fail(err, path, "connect", -fd,
				fd == -ENAMETOOLONG ? NULL : "is 'ckpt serve' running there?")
		      : fd;
}

static int send_request(int fd, json_t *request, const int *fds, size_t n_fds)
{
	_cleanup_free_ char *text = json_dumps(request, JSON_COMPACT);
	union {
		char room[CMSG_SPACE(8 * sizeof(int))];
		struct cmsghdr align;
	} control = {};
	struct iovec iov = {text, text ? strlen(text) : 0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c;
	ssize_t n;

	if (!text || n_fds > 8)
		return -ENOMEM;
	if (n_fds) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	n = sendmsg(fd, &msg, MSG_NOSIGNAL);
	if (n < 0)
		return -errno;
	if (write_full(fd, text + n, iov.iov_len - (size_t)n) < 0)
		return -EPIPE;
	return write_full(fd, "\n", 1);
}

int client_call(const char *path, const char *method, json_t *params, const int *fds, size_t n_fds,
	void (*notified)(void *arg, json_t *message), void *arg, json_t **ret,
	struct ckpt_error *err)
{
	json_t *request = json_pack("{s:s, s:i, s:s, s:o*}", "jsonrpc", "2.0", "id", REQUEST_ID,
		"method", method, "params", params);
	_cleanup_close_ int fd = connect_to(path, err);
	_cleanup_fclose_ FILE *in = NULL;
	_cleanup_free_ char *line = NULL;
	size_t cap = 0;
	int r;

	*ret = NULL;
	r = fd < 0 ? fd : send_request(fd, request, fds, n_fds);
	json_decref(request);
	if (fd < 0)
		return -1;
	if (r < 0)
		return fail(err, path, "send", -r, NULL);
	in = fdopen(fd, "r");
	if (!in)
		return fail(err, path, "fdopen", errno, NULL);
	TAKE_FD(fd);
	while (getline(&line, &cap, in) > 0) {
		json_t *m = json_loads(line, 0, NULL);
		json_t *error = json_object_get(m, "error"), *result = json_object_get(m, "result");

		if (error || result)
			*ret = json_incref(error ? error : result);
		else if (notified && m)
			notified(arg, m);
		json_decref(m);
		if (error || result)
			return error ? -1 : 0;
	}
	return fail(err, path, "read", 0, "the server closed the connection");
}

int client_command(struct cli *cli, const char *path, int argc, char **argv)
{
	_cleanup_close_ int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	const int fds[] = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, here};
	json_t *list = json_array(), *ret = NULL;
	struct ckpt_error err = {};
	int status;

	for (int i = 0; i < argc; i++)
		json_array_append_new(list, json_string(argv[i]));
	if (client_call(path, "command", json_pack("{s:o}", "argv", list), fds, here < 0 ? 3 : 4,
		    NULL, NULL, &ret, &err) == 0) {
		status = (int)json_integer_value(json_object_get(ret, "exit_code"));
		json_decref(ret);
		return status;
	}
	if (ret) {
		const char *text = json_string_value(json_object_get(ret, "message"));

		err = (struct ckpt_error){.kind = CKPT_E_SYSTEM,
			.object = strdup(path),
			.call = strdup(text ? text : "?")};
		json_decref(ret);
	}
	return cli_fail(cli, &err);
}
