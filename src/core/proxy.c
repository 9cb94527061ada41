/*
 * proxy.c - see proxy.h.
 */
#include "core/proxy.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/trace.h"
#include "kernel/pidfd.h"
#include "util/fd.h"
#include "util/vec.h"

#define CANCEL_MS 50 /* how often the caller is asked */

int proxy_new(struct proxy *ret, struct ckpt_op *op)
{
	void *shared = mmap(NULL, sizeof(*ret->cancelled), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	*ret = (struct proxy){.op = op, .wire = {-EBADF, -EBADF}, .child_fd = -EBADF};
	if (shared == MAP_FAILED)
		return -errno;
	ret->cancelled = shared;
	return wire_pair(ret->wire);
}

int proxy_started(struct proxy *p, pid_t child)
{
	p->wire[1] = fd_close(p->wire[1]);
	p->child = child;
	p->child_fd = pidfd_of(child);
	return p->child_fd < 0 ? p->child_fd : 0;
}

/* ------------------------------------------------------------------ in the child */

static void send_log(void *arg, enum ckpt_log_level level, const char *line)
{
	struct proxy *p = arg;
	struct wire_msg m = {.head = {.kind = WIRE_LOG, .n = (int32_t)level}, .fd = -EBADF};

	wire_send(p->wire[1], &m, line, strlen(line));
}

static void send_progress(void *arg, const char *stage, uint64_t done_bytes, uint64_t total_bytes)
{
	struct proxy *p = arg;
	struct wire_msg m = {.head = {WIRE_PROGRESS, 0, done_bytes, total_bytes}, .fd = -EBADF};

	wire_send(p->wire[1], &m, stage, strlen(stage));
}

static bool is_cancelled(void *arg)
{
	struct proxy *p = arg;

	return __atomic_load_n(p->cancelled, __ATOMIC_RELAXED);
}

void proxy_inside(struct proxy *p)
{
	struct ckpt_common *c = &p->op->common;

	p->wire[0] = fd_close(p->wire[0]);
	c->log_arg = c->progress_arg = c->cancelled_arg = p;
	c->log = c->log ? send_log : NULL;
	c->progress = c->progress ? send_progress : NULL;
	c->cancelled = c->cancelled ? is_cancelled : NULL;
}

void proxy_end(struct proxy *p, const void *result, size_t len, const char *const *strings)
{
	struct wire_msg m = {.head = {.kind = WIRE_DONE}, .fd = -EBADF};
	struct ckpt_error err = {0};

	op_done(p->op, &err);
	if (p->op->failed)
		wire_send_error(p->wire[1], &err);
	else
		wire_send_record(p->wire[1], &m, result, len, strings);
	_exit(0);
}

/* ------------------------------------------------------------------ in the parent */

int proxy_fail(struct proxy *p, const char *who, int err)
{
	return op_fail(p->op, CKPT_E_SYSTEM, err, "sendmsg", NULL, "in the pid namespace: %s", who);
}

static int fail_ended(struct proxy *p)
{
	siginfo_t si = {0};

	if (waitid(P_PID, (id_t)p->child, &si, WEXITED | WNOWAIT) == 0 && si.si_code != CLD_EXITED)
		return op_fail(p->op, CKPT_E_SYSTEM, 0, NULL, NULL,
			"our process in the pid namespace was killed by signal %d", si.si_status);
	return op_fail(p->op, CKPT_E_SYSTEM, 0, NULL, NULL,
		"our process in the pid namespace ended without a word");
}

/* Return: 1 that was the last; 0 there will be more; negative after op_fail() */
static int take_one(struct proxy *p, int (*take)(void *arg, const struct wire_msg *m), void *arg)
{
	struct wire_msg m;
	int r;

	if (wire_recv(p->wire[0], &m) <= 0)
		return fail_ended(p);
	switch (m.head.kind) {
	case WIRE_LOG:
		op_log(p->op, (enum ckpt_log_level)m.head.n, "%s", m.text);
		return 0;
	case WIRE_PROGRESS:
		op_progress(p->op, m.text, m.head.a, m.head.b);
		return 0;
	case WIRE_FAIL:
		return wire_fail(p->op, &m);
	default:
		r = take(arg, &m);
		return r == 0 && m.head.kind == WIRE_DONE ? 1 : r;
	}
}

int proxy_hear(struct proxy *p, int (*take)(void *arg, const struct wire_msg *m), void *arg)
{
	struct ckpt_common *c = &p->op->common;
	int r = 0;

	/* the child goes on with the copy that it has, and writes it */
	trace_free(p->op->trace);
	p->op->trace = NULL;
	while (r == 0) {
		struct pollfd f[] = {{p->wire[0], POLLIN, 0}, {p->child_fd, POLLIN, 0}};

		poll(f, ARRAY_SIZE(f), c->cancelled ? CANCEL_MS : -1);
		if (c->cancelled && c->cancelled(c->cancelled_arg))
			__atomic_store_n(p->cancelled, 1, __ATOMIC_RELAXED);
		if (f[0].revents & POLLIN)
			r = take_one(p, take, arg);
		else if (f[0].revents || f[1].revents)
			r = fail_ended(p);
	}
	return r < 0 ? r : 0;
}

void proxy_done(struct proxy *p)
{
	fd_close(p->wire[0]);
	fd_close(p->wire[1]);
	while (p->child > 0 && waitpid(p->child, NULL, __WALL) < 0 && errno == EINTR)
		;
	fd_close(p->child_fd);
	if (p->cancelled)
		munmap(p->cancelled, sizeof(*p->cancelled));
	*p = (struct proxy){.wire = {-EBADF, -EBADF}, .child_fd = -EBADF};
}
