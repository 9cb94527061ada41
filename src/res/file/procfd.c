/*
 * procfd.c - files and directories of /proc that tell of one process or thread: /proc/self/maps.
 *
 * Such a file is of the process that it was opened for, as the program means it. Of a process of the
 * tree it can be opened again only when that is there, so the task whose descriptor it is does it, late,
 * from a descriptor of /proc that holds the number until then: the task may have another root by then. Of
 * any other process it is opened if that still is the same: the same number with the same time of start.
 *
 * How much of it was read is a number of bytes: the kernel makes the text anew and passes over so many.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <linux/magic.h>

#include "kernel/proc_stat.h"
#include "proto/fdtable.pb-c.h"
#include "proto/procfd.pb-c.h"
#include "res/file/covered.h"
#include "res/task/task.h"
#include "util/cleanup.h"
#include "util/str.h"

#define MOUNT "/proc"

#define DEAD_REASON "it tells of a process that has ended"
#define DEAD_ADVICE "let the program close it"

/* "1234/maps" of "/proc/1234/maps"; NULL: it is not such a name. */
static const char *below_proc(const char *link, pid_t *ret_pid)
{
	const char *path = str_startswith(link, MOUNT "/"), *at = path;
	int pid;

	if (!path || *path < '0' || *path > '9' || str_int(&at, &pid) < 0 ||
		(*at && *at != '/' && *at != ' '))
		return NULL;
	*ret_pid = pid;
	return path;
}

static bool match(const struct file_look *l)
{
	pid_t pid;

	return l->target_fd >= 0 && !major(l->st.st_dev) && below_proc(l->link, &pid);
}

/*
 * The name without " (deleted)", which the kernel also shows for a file that another look-up of the same
 * name has replaced in its cache, as every one of /proc/PID/net does. NULL: out of memory.
 */
static char *name_of(const struct file_look *l)
{
	static const char tail[] = " (deleted)";
	size_t len = strlen(l->link), cut = sizeof(tail) - 1;

	return strndup(l->link, len > cut && str_eq(l->link + len - cut, tail) ? len - cut : len);
}

/* The name then leads nowhere, or to a file of another process. */
static bool is_dead(const struct file_look *l)
{
	_cleanup_free_ char *name = name_of(l);

	return l->deleted || !name || covered_name(name, &l->st);
}

static struct file_verdict verdict(int procfd, const struct file_look *l)
{
	(void)procfd;
	if (is_dead(l))
		return (struct file_verdict){CKPT_REFUSED, DEAD_REASON, DEAD_ADVICE};
	return (struct file_verdict){CKPT_SAVED, NULL, NULL};
}

static int collect(struct collect *c, uint64_t id, const struct file_look *l)
{
	Ckpt__ProcFd *m;
	struct proc_stat st;
	pid_t pid;
	_cleanup_free_ char *name = name_of(l);
	const char *path = name ? below_proc(name, &pid) : NULL;

	if (!path)
		return collect_oom(c);
	if (is_dead(l))
		return op_fail(c->op, CKPT_E_REFUSED, 0, NULL, DEAD_ADVICE,
			"pid %d (%s): %s %s: " DEAD_REASON, c->pid, c->tr->comm, l->at, l->link);
	m = msg_new(Ckpt__ProcFd, CKPT__PROC_FD__INIT);
	if (!m)
		return collect_oom(c);
	m->mount = strdup(MOUNT);
	m->path = strdup(path);
	m->pid = pid;
	m->mode = l->st.st_mode;
	if (proc_stat_of(pid, &st) == 0)
		m->start_ticks = st.starttime_ticks;
	return collect_add_take(c, &res_procfd.type, id, m);
}

/* ---- restore ---- */

static int fail_gone(struct open_ctx *o, const Ckpt__ProcFd *m)
{
	return op_fail(o->op, CKPT_E_CONFLICT, 0, NULL,
		"say what the descriptor shall be: --fd N=null or close",
		"%s/%s tells of a process outside of the tree %s", m->mount, m->path,
		o->plan->req->pidns ? "that is not in the pid namespace that --pidns makes"
				    : "that has ended since the dump");
}

static int open_outside(struct open_ctx *o, const Ckpt__ProcFd *m, const Ckpt__File *f, int proc)
{
	int fd = openat(
		proc, m->path, (int)(f ? f->flags & ~(unsigned)O_ASYNC : O_RDONLY) | O_CLOEXEC);
	struct proc_stat st;

	/* asked when it is open: it can't become that of another any more */
	if (o->plan->req->pidns || fd < 0 || proc_stat_of(m->pid, &st) < 0 ||
		st.starttime_ticks != m->start_ticks) {
		fd_close(fd);
		return fail_gone(o, m);
	}
	if (f && f->pos && !(f->flags & O_PATH))
		lseek(fd, (off_t)f->pos, SEEK_SET);
	return fd;
}

static int open_procfd(
	struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record)
{
	const Ckpt__ProcFd *m = (const void *)rec->msg;
	_cleanup_close_ int proc = -EBADF;
	struct statfs fs;

	(void)id;
	if (o->unneeded)
		return OPEN_NOTHING;
	proc = open(m->mount, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0 || fstatfs(proc, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC)
		return op_fail(o->op, CKPT_E_CONFLICT, proc < 0 ? errno : 0, "open",
			"mount procfs there", "%s", m->mount);
	if (task_in_tree(o->model, m->pid))
		return TAKE_FD(proc);
	return open_outside(o, m, file_record, proc);
}

static size_t late(struct plan *p, const struct model_rec *rec, int held, struct prog *prog)
{
	const Ckpt__ProcFd *m = (const void *)rec->msg;
	const Ckpt__File *f = model_get(p->model, &res_file.type, rec->owner);
	uint32_t flags = f ? f->flags & ~(uint32_t)O_ASYNC : O_RDONLY;
	size_t step;

	if (!task_in_tree(p->model, m->pid))
		return LATE_NONE;
	step = PROG_CALL(prog, "procfd: open", SYS_openat, IMM(held),
		DATA(prog_data(prog, m->path, strlen(m->path) + 1)), IMM(flags | O_CLOEXEC),
		IMM(0));
	prog_object(prog, "%s/%s", m->mount, m->path);
	if (f && f->pos && !(flags & O_PATH))
		PROG_CALL_ANY(prog, "procfd: how far it was read", SYS_lseek, RES(step),
			IMM(f->pos), IMM(SEEK_SET));
	/* it is where it is in the text of now; a read elsewhere has the next one look for it again */
	if (f && f->pos && !(flags & O_PATH) && !S_ISDIR(m->mode))
		PROG_CALL_ANY(prog, "procfd: how far it was read", SYS_pread64, RES(step),
			DATA(prog_data(prog, NULL, 1)), IMM(1), IMM(0));
	return step;
}

static const struct file_ops ops = {
	.match = match, .verdict = verdict, .collect = collect, .open = open_procfd, .late = late};
static const char *const volatile_fields[] = {"start_ticks", NULL};

const struct res res_procfd = {
	.type = {"procfd", SCOPE_FILE, &ckpt__proc_fd__descriptor, volatile_fields},
	.file = &ops,
};
