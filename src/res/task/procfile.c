/*
 * procfile.c - attributes of a process that only have a file in /proc: how soon it is killed when
 * memory runs out, how nice its session's scheduling group is.
 *
 * A new process inherits them from the restorer, so all that differ from its own are set. Without CAP_SYS_RESOURCE an
 * oom_score_adj can't be made lower than it ever was set with it: that is no reason to fail, but
 * check.c warns.
 *
 * Source: proc(5), sched(7) "The autogroup feature".
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "proto/procfile.pb-c.h"
#include "res/task/task.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/str.h"

int oom_score_adj_read(int proc_fd, int *ret)
{
	_cleanup_free_ char *text = NULL;
	const char *at;
	int v, r = file_read_at(proc_fd, "oom_score_adj", &text, NULL);

	at = text;
	if (r == 0)
		r = str_int(&at, &v);
	if (r == 0)
		*ret = v;
	return r;
}

/* "/autogroup-57 nice 5" */
static void read_autogroup(struct collect *c, Ckpt__ProcFile *m)
{
	_cleanup_free_ char *text = NULL;
	const char *at;
	int v;

	if (c->stat.session != c->pid || file_read_at(c->proc_fd, "autogroup", &text, NULL) < 0)
		return;
	at = strstr(text, " nice ");
	if (!at)
		return;
	at += strlen(" nice ");
	if (str_int(&at, &v) == 0)
		m->autogroup_nice = v;
}

static int collect(struct collect *c, struct tracee *t, const struct answer *a)
{
	Ckpt__ProcFile *m = msg_new(Ckpt__ProcFile, CKPT__PROC_FILE__INIT);
	int r;

	if (!m)
		return collect_oom(c);
	r = oom_score_adj_read(c->proc_fd, &m->oom_score_adj);
	if (r < 0) {
		free(m);
		return op_fail(
			c->op, CKPT_E_TARGET, -r, "read", NULL, "/proc/%d/oom_score_adj", c->pid);
	}
	read_autogroup(c, m);
	return collect_add_take(c, &res_procfile.type, c->pid, m);
}

static void plan_write(
	struct prog *prog, enum agent_expect expect, const char *path, const char *text)
{
	size_t fd;

	PROG_CALL(prog, "procfile: open", SYS_openat, IMM(AT_FDCWD),
		DATA(prog_data(prog, path, strlen(path) + 1)), IMM(O_WRONLY | O_CLOEXEC));
	prog_object(prog, "%s", path);
	fd = prog->n - 1;
	prog_add(prog, &(struct prog_step){.op = AGENT_SYSCALL,
			       .expect = expect,
			       .nr = SYS_write,
			       .what = "procfile: write",
			       .args = {RES(fd), DATA(prog_data(prog, text, strlen(text))),
				       IMM(strlen(text))}});
	prog_object(prog, "%s: %s", path, text);
	PROG_CALL(prog, "procfile: close", SYS_close, RES(fd));
}

/* What a task has when it is made: that of a task above which had set its own by then, or ours. */
static bool has_oom(const struct plan *p, int want)
{
	const Ckpt__ProcFile *had =
		p->exe_of ? model_get(p->model, &res_procfile.type, (uint64_t)p->exe_of) : NULL;

	if (p->exe_of)
		return had && had->oom_score_adj == want;
	return p->own_oom_score_adj && *p->own_oom_score_adj == want;
}

static void plan(
	struct plan *p, enum plan_phase phase, const struct model_rec *rec, struct prog *prog)
{
	const Ckpt__ProcFile *m = (const void *)rec->msg;
	char text[16];

	/* before the root directory: /proc is ours */
	if (phase != PLAN_EARLY)
		return;
	snprintf(text, sizeof(text), "%d", m->oom_score_adj);
	if (!has_oom(p, m->oom_score_adj))
		plan_write(prog, AGENT_EXPECT_ANY, "/proc/self/oom_score_adj", text);
	if (m->autogroup_nice) {
		snprintf(text, sizeof(text), "%d", m->autogroup_nice);
		plan_write(prog, AGENT_EXPECT_OK, "/proc/self/autogroup", text);
	}
}

const struct res res_procfile = {
	.type = {"procfile", SCOPE_TASK, &ckpt__proc_file__descriptor, NULL},
	.collect = collect,
	.plan = plan,
};
