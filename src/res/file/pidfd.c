/*
 * pidfd.c - references to processes and threads.
 *
 * fdinfo tells the pid, or -1 of one that has ended and was waited for (Linux >= 5.3; threads since
 * 6.9). One of a task of the tree can be opened again only when that task is there, so the task whose
 * descriptor it is does it, late. One of any other process is opened when it still is that process: the
 * same pid with the same time of start. And for one that has ended any other does that has.
 *
 * Since 6.9 an inode is one process for ever, so that two references to the same can be told by it;
 * those that have ended stay the same among themselves.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/fdinfo.h"
#include "kernel/fork_raw.h"
#include "kernel/pidfd.h"
#include "kernel/proc_stat.h"
#include "proto/fdtable.pb-c.h"
#include "proto/pidfd.pb-c.h"
#include "res/file/files.h"
#include "res/task/task.h"
#include "util/cleanup.h"
#include "util/str.h"

static bool match(const struct file_look *l)
{
	return strcmp(l->link, "anon_inode:[pidfd]") == 0 || str_startswith(l->link, "pidfd:[");
}

static int line(char *key, char *value, void *arg)
{
	Ckpt__Pidfd *m = arg;
	const char *p = value;

	return strcmp(key, "Pid") == 0 ? str_int(&p, &m->pid) : 0;
}

/* Whether one of several may be of another process, although the inode is the same (before 6.9). */
static bool inode_tells(const struct file_look *l)
{
	return (l->st.st_mode & 0777) != 0600;
}

#define FOREIGN_REASON "it leads to a process of another pid namespace, which has no number here"
#define FOREIGN_ADVICE "let the program close it"

static struct file_verdict verdict(int procfd, const struct file_look *l)
{
	Ckpt__Pidfd m = CKPT__PIDFD__INIT;
	struct fdinfo info;

	if (fdinfo_read(procfd, l->target_fd, &info, line, &m) == 0 && m.pid == 0)
		return (struct file_verdict){CKPT_REFUSED, FOREIGN_REASON, FOREIGN_ADVICE};
	return (struct file_verdict){CKPT_SAVED, NULL, NULL};
}

static int collect(struct collect *c, uint64_t id, const struct file_look *l)
{
	Ckpt__Pidfd *m = msg_new(Ckpt__Pidfd, CKPT__PIDFD__INIT);
	struct proc_stat st;
	int r;

	if (!m)
		return collect_oom(c);
	r = files_fdinfo(c, l, line, m);
	if (r < 0) {
		free(m);
		return r;
	}
	if (m->pid == 0) {
		free(m);
		return op_fail(c->op, CKPT_E_REFUSED, 0, NULL, FOREIGN_ADVICE,
			"pid %d (%s): %s: " FOREIGN_REASON, c->pid, c->tr->comm, l->at);
	}
	m->thread = fcntl(l->fd, F_GETFL) & PIDFD_THREAD;
	if (m->pid > 0 && proc_stat_of(m->pid, &st) == 0) {
		m->start_ticks = st.starttime_ticks;
		m->comm = strdup(st.comm);
	}
	if (m->pid < 0 && inode_tells(l))
		m->same_inode_as = l->first_id;
	return collect_add_take(c, &res_pidfd.type, id, m);
}

/* ---- restore ---- */

static unsigned open_flags(const Ckpt__Pidfd *m, const Ckpt__File *f)
{
	return (f ? f->flags & O_NONBLOCK : 0) | (m->thread ? PIDFD_THREAD : 0);
}

/* The other references to a process that has ended, while there is one to refer to. */
static int open_others(struct open_ctx *o, uint64_t first, pid_t pid)
{
	const struct model_rec *rec;
	size_t pos = 0;
	int r = 0;

	while (r == 0 && (rec = model_next(o->model, &res_pidfd.type, &pos))) {
		const Ckpt__Pidfd *m = (const void *)rec->msg;
		int fd;

		if (rec->owner == first || m->same_inode_as != first)
			continue;
		fd = (int)syscall(SYS_pidfd_open, pid,
			open_flags(m, model_get(o->model, &res_file.type, rec->owner)));
		r = fd < 0 ? -errno : o->also(o, rec->owner, fd);
	}
	return r;
}

/* A process that has ended: a child of ours, for the moment. */
static int open_dead(struct open_ctx *o, uint64_t id, const Ckpt__Pidfd *m, const Ckpt__File *f)
{
	pid_t pid = fork_raw(0);
	_cleanup_close_ int fd = -EBADF;
	int r;

	if (pid == 0)
		_exit(0);
	if (pid < 0)
		return op_fail(o->op, CKPT_E_SPACE, errno, "clone", NULL, "a process that ends");
	fd = (int)syscall(SYS_pidfd_open, pid, open_flags(m, f));
	r = fd < 0 ? -errno : open_others(o, id, pid);
	waitpid(pid, NULL, __WALL);
	if (r < 0)
		return op_fail(o->op, CKPT_E_SYSTEM, -r, "pidfd_open", NULL, "a process that ends");
	return TAKE_FD(fd);
}

static int open_outside(struct open_ctx *o, const Ckpt__Pidfd *m, const Ckpt__File *f)
{
	_cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, m->pid, open_flags(m, f));
	struct proc_stat st;

	if (o->plan->req->pidns)
		return op_fail(o->op, CKPT_E_CONFLICT, 0, NULL,
			"say what the descriptor shall be: --fd N=null or close",
			"a pidfd leads to process %d (%s) outside of the tree, which is not in the pid "
			"namespace that --pidns makes",
			m->pid, m->comm);
	/* asked when it is open: it can't become another one any more */
	if (fd < 0 || proc_stat_of(m->pid, &st) < 0 || st.starttime_ticks != m->start_ticks)
		return op_fail(o->op, CKPT_E_CONFLICT, 0, NULL,
			"say what the descriptor shall be: --fd N=null or close",
			"a pidfd leads to process %d (%s) outside of the tree, which has ended since the "
			"dump",
			m->pid, m->comm);
	return TAKE_FD(fd);
}

static int open_pidfd(
	struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record)
{
	const Ckpt__Pidfd *m = (const void *)rec->msg;
	const Ckpt__File *f = file_record;

	if (o->unneeded && m->pid > 0)
		return OPEN_NOTHING;
	if (m->pid <= 0)
		return open_dead(o, id, m, f);
	return task_in_tree(o->model, m->pid) ? files_placeholder(o) : open_outside(o, m, f);
}

static size_t late(struct plan *p, const struct model_rec *rec, int held, struct prog *prog)
{
	const Ckpt__Pidfd *m = (const void *)rec->msg;
	const Ckpt__File *f = model_get(p->model, &res_file.type, rec->owner);
	size_t step;

	(void)held;
	if (m->pid <= 0 || !task_in_tree(p->model, m->pid))
		return LATE_NONE;
	step = PROG_CALL(prog, "pidfd: open", SYS_pidfd_open, IMM(m->pid), IMM(open_flags(m, f)));
	prog_object(prog, "%s %d", m->thread ? "thread" : "process", m->pid);
	return step;
}

static const struct file_ops ops = {
	.match = match, .verdict = verdict, .collect = collect, .open = open_pidfd, .late = late};
static const char *const volatile_fields[] = {"start_ticks", NULL};

const struct res res_pidfd = {
	.type = {"pidfd", SCOPE_FILE, &ckpt__pidfd__descriptor, volatile_fields},
	.file = &ops,
};
