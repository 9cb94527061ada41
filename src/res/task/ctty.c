/*
 * ctty.c - the controlling terminal of a session, and which process group is in its foreground.
 *
 * A session leader takes it before it makes children, which inherit it: that is the only way in which
 * others get it. A terminal that is outside has a session, that of the shell which the restore command
 * was started by, and no other can have it: the leader gets a new one, which the command passes on to
 * its own (restore/relay.c), or none.
 *
 * Facts: /proc/PID/stat has tty_nr and tpgid. TIOCSCTTY and TIOCSPGRP work by the master as well as by a
 * slave (tty_jobctrl.c), TIOCNOTTY by a slave only. The foreground group has to have a member in the
 * session; who is not in it itself may change it with SIGTTOU blocked, as it is while agents run.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "proto/ctty.pb-c.h"
#include "proto/fdtable.pb-c.h"
#include "proto/pty.pb-c.h"
#include "proto/task.pb-c.h"
#include "res/file/files.h"
#include "res/task/task.h"

#define MAJOR_PTS_FIRST 136
#define MAJOR_PTS_LAST  143

static bool is_root(const struct collect *c)
{
	size_t pos = 0;
	const struct model_rec *rec = model_next(c->model, &res_task.type, &pos);

	return rec && rec->owner == (uint64_t)c->pid;
}

/* Whether the leader of a process group is of the tree. */
static bool leader_inside(const struct collect *c, pid_t group)
{
	for (size_t i = 0; i < c->tree->n_tasks; i++)
		if (c->tree->tasks[i].pid == group)
			return true;
	return false;
}

static int collect(struct collect *c, struct tracee *t, const struct answer *a)
{
	const struct proc_stat *s = &c->stat;
	bool leads = s->session == c->pid, has = s->tty_nr != 0;
	bool given_up = !has && !leads && model_get(c->model, &res_ctty.type, s->session);
	Ckpt__Ctty *m;

	if (!given_up && !(has && (leads || is_root(c))))
		return 0;
	m = msg_new(Ckpt__Ctty, CKPT__CTTY__INIT);
	if (!m)
		return collect_oom(c);
	m->given_up = given_up;
	m->foreground = has && (leads || leader_inside(c, s->tpgid)) ? s->tpgid : 0;
	m->index = has && major(s->tty_nr) >= MAJOR_PTS_FIRST && major(s->tty_nr) <= MAJOR_PTS_LAST
			   ? minor(s->tty_nr)
			   : UINT32_MAX;
	return collect_add_take(c, &res_ctty.type, c->pid, m);
}

/* The master of a terminal of the tree; 0: it is outside. */
static uint64_t master_of(const struct model *model, uint32_t index)
{
	const struct model_rec *rec;
	size_t pos = 0;

	while ((rec = model_next(model, &res_pty.type, &pos))) {
		const Ckpt__Pty *m = (const void *)rec->msg;

		if (m->master && m->index == index)
			return rec->owner;
	}
	return 0;
}

static bool leads(const struct model *m, uint64_t pid)
{
	const Ckpt__Task *t = model_get(m, &res_task.type, pid);

	return t && t->sid == t->pid;
}

bool ctty_inside(const struct model *m, pid_t pid)
{
	const Ckpt__Ctty *c = model_get(m, &res_ctty.type, (uint64_t)pid);

	return c && !c->given_up && master_of(m, c->index);
}

pid_t ctty_outside(const struct model *m, uint32_t *ret_index)
{
	const struct model_rec *rec;
	size_t pos = 0;

	while ((rec = model_next(m, &res_ctty.type, &pos))) {
		const Ckpt__Ctty *c = (const void *)rec->msg;

		if (c->given_up || master_of(m, c->index))
			continue;
		if (!leads(m, rec->owner))
			break; /* only the root has a record without leading */
		*ret_index = c->index;
		return (pid_t)rec->owner;
	}
	return 0;
}

static bool relayed(const struct plan *p, const Ckpt__Ctty *m)
{
	return p->relay && p->relay->index == m->index && !master_of(p->model, m->index);
}

void ctty_plan_lead(struct plan *p, pid_t pid, struct prog *prog)
{
	const Ckpt__Ctty *m = model_get(p->model, &res_ctty.type, pid);
	uint64_t master = m && !m->given_up ? master_of(p->model, m->index) : 0;

	if (!m || m->given_up || (!master && !relayed(p, m)))
		return;
	PROG_CALL(prog, "ctty: take the controlling terminal", SYS_ioctl,
		IMM(master ? plan_fd(p, master) : p->relay->master), IMM(TIOCSCTTY), IMM(0));
	if (master)
		prog_object(prog, "/dev/pts/%u", m->index);
	else
		prog_object(prog, "of this command's making");
}

pid_t ctty_foreground(const struct model *m, pid_t root)
{
	const Ckpt__Ctty *c = model_get(m, &res_ctty.type, root);
	const Ckpt__Task *t = model_get(m, &res_task.type, root);

	return c && t && t->sid != t->pid ? c->foreground : 0;
}

/* By a name, since a task need not have its terminal open. Return: the step whose result it is. */
static size_t plan_open(struct prog *prog)
{
	static const char name[] = "/dev/tty";

	return PROG_CALL_ANY(prog, "ctty: open", SYS_openat, IMM(AT_FDCWD),
		DATA(prog_data(prog, name, sizeof(name))), IMM(O_RDWR | O_NOCTTY | O_CLOEXEC),
		IMM(0));
}

/* A descriptor of the task's own that is the terminal, or -1. */
static int own_fd(const struct plan *p, uint64_t pid, uint64_t master)
{
	const Ckpt__FdTable *t = model_get(p->model, &res_fdtable.type, pid);

	for (size_t i = 0; t && i < t->n_fds; i++) {
		const Ckpt__Pty *m = model_get(p->model, &res_pty.type, t->fds[i]->file);

		if (m && !plan_override(p, (pid_t)pid, t->fds[i]) &&
			(t->fds[i]->file == master || m->master_file == master))
			return (int)t->fds[i]->fd;
	}
	return -1;
}

static void plan_foreground(struct plan *p, uint64_t pid, const Ckpt__Ctty *m, struct prog *prog)
{
	const Ckpt__Task *task = model_get(p->model, &res_task.type, pid);
	uint64_t master = master_of(p->model, m->index), group;
	int fd = master ? own_fd(p, pid, master) : -1;
	size_t opened = 0;

	if ((!master && !relayed(p, m)) || !task || task->sid != task->pid ||
		m->foreground == task->pgid)
		return;
	if (fd < 0)
		opened = plan_open(prog);
	group = prog_data(prog, &m->foreground, sizeof(m->foreground));
	/* a group of which nobody is left can't be; then it stays that of the leader */
	PROG_CALL_ANY(prog, "ctty: foreground process group", SYS_ioctl,
		fd < 0 ? RES(opened) : IMM(fd), IMM(TIOCSPGRP), DATA(group));
	prog_object(prog, "%d", m->foreground);
	if (fd < 0)
		PROG_CALL_ANY(prog, "ctty: close", SYS_close, RES(opened));
}

static void plan(
	struct plan *p, enum plan_phase phase, const struct model_rec *rec, struct prog *prog)
{
	const Ckpt__Ctty *m = (const void *)rec->msg;
	size_t opened;

	if (phase == PLAN_LATE && !m->given_up)
		plan_foreground(p, rec->owner, m, prog);
	if (phase != PLAN_EARLY || !m->given_up)
		return;
	opened = plan_open(prog);
	PROG_CALL_ANY(prog, "ctty: give it up", SYS_ioctl, RES(opened), IMM(TIOCNOTTY), IMM(0));
	PROG_CALL_ANY(prog, "ctty: close", SYS_close, RES(opened));
}

const struct res res_ctty = {
	.type = {"ctty", SCOPE_TASK, &ckpt__ctty__descriptor, NULL},
	.collect = collect,
	.plan = plan,
};
