/*
 * fdtable.c - the table of descriptors of a process: which number is which description.
 *
 * A restore puts what the coordinator has opened to the task's numbers; what only a task can open comes
 * late, to numbers that something held for it until then.
 */
#include "res/file/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel/fdinfo.h"
#include "proto/fdtable.pb-c.h"
#include "res/file/seen.h"
#include "res/registry.h"
#include "util/cleanup.h"

static int fdinfo_line(char *key, char *value, void *arg)
{
	return strcmp(key, "lock") == 0 ? lock_line(value, arg) : 0;
}

/*
 * A slave that was opened by TIOCGPTPEER keeps its O_CLOEXEC as a flag of the description, and fdinfo
 * shows it for descriptors that are not close-on-exec. Those who open it so (vte does) make the
 * standard descriptors of a shell from it, which nobody has closed by an exec.
 */
static bool is_stdio(const struct collect_file *f, uint32_t fd)
{
	return f->kept_cloexec && fd <= STDERR_FILENO;
}

/* What a duplicate does not show: close-on-exec, which is the descriptor's own, and locks. */
static int look_at_fdinfo(struct collect *c, Ckpt__Fd *e, bool apart)
{
	const struct collect_file *f = &c->tree->files[e->file - 1];
	struct lock_list locks = {.pid = c->pid, .posix_only = f->of != c};
	struct fdinfo info;
	int r = fdinfo_read(c->proc_fd, (int)e->fd, &info, apart ? NULL : fdinfo_line, &locks);

	if (r == -EOPNOTSUPP)
		r = op_fail(c->op, CKPT_E_REFUSED, 0, NULL, "let the program give the lease back",
			"pid %d (%s): fd %u: a lease that is "
			"being broken can't be saved",
			c->pid, c->tr->comm, e->fd);
	else if (r < 0)
		r = op_fail(c->op, CKPT_E_SYSTEM, -r, "read", NULL, "/proc/%d/fdinfo/%u", c->pid,
			e->fd);
	else
		e->cloexec = info.flags & O_CLOEXEC && !is_stdio(f, e->fd);
	/* of a duplicate: the description has them already */
	if (r == 0 && !apart && f->last_fd == (int)e->fd)
		r = lock_add(c, e->file, &locks);
	lock_list_done(&locks);
	return r;
}

static int collect(struct collect *c, struct tracee *t, const struct answer *a)
{
	_cleanup_free_ int *fds = NULL;
	size_t n = 0;
	Ckpt__FdTable *m;
	int r = fdinfo_list(c->proc_fd, &fds, &n);

	if (r < 0)
		return op_fail(c->op, CKPT_E_TARGET, -r, "readdir", NULL, "/proc/%d/fd", c->pid);
	m = msg_new(Ckpt__FdTable, CKPT__FD_TABLE__INIT);
	if (!m || (n && !(m->fds = calloc(n, sizeof(*m->fds))))) {
		free(m);
		return collect_oom(c);
	}
	for (size_t i = 0; i < n && r == 0; i++) {
		Ckpt__Fd *e = msg_new(Ckpt__Fd, CKPT__FD__INIT);
		bool apart = false;

		if (!e) {
			r = collect_oom(c);
			break;
		}
		m->fds[m->n_fds++] = e;
		e->fd = fds[i];
		r = files_descriptor(c, fds[i], &e->file, &apart);
		if (r == 0)
			r = look_at_fdinfo(c, e, apart);
	}
	if (r < 0) {
		protobuf_c_message_free_unpacked(&m->base, NULL);
		return r;
	}
	return collect_add_take(c, &res_fdtable.type, c->pid, m);
}

/*
 * The coordinator has a description at the task's first number for it, or at a number that is none
 * of the task's. So the order of the dup3 calls does not matter, and everything between the task's
 * numbers can be closed at the end.
 */
static void plan_put(struct plan *p, pid_t pid, const Ckpt__FdTable *m, struct prog *prog)
{
	unsigned next = 0;

	for (size_t i = 0; i < m->n_fds; i++) {
		const Ckpt__Fd *e = m->fds[i];
		const struct plan_override *o = plan_override(p, pid, e);
		int from = o ? o->from : plan_fd(p, e->file);

		if (o && o->how == OVERRIDE_CLOSE)
			continue;
		if (from == (int)e->fd)
			PROG_CALL(prog, "fdtable: keep", SYS_fcntl, IMM(from), IMM(F_SETFD),
				IMM(e->cloexec ? FD_CLOEXEC : 0));
		else
			PROG_CALL(prog, "fdtable: put", SYS_dup3, IMM(from), IMM(e->fd),
				IMM(e->cloexec ? O_CLOEXEC : 0));
		prog_object(prog, "fd %u%s", e->fd,
			!o           ? ""
			: o->outside ? " (outside)"
				     : " (--fd)");
	}
	for (size_t i = 0; i < m->n_fds; i++) {
		const struct plan_override *o = plan_override(p, pid, m->fds[i]);

		if (o && o->how == OVERRIDE_CLOSE)
			continue;
		if (m->fds[i]->fd > next)
			PROG_CALL(prog, "fdtable: close what is not the program's", SYS_close_range,
				IMM(next), IMM(m->fds[i]->fd - 1), IMM(0));
		next = m->fds[i]->fd + 1;
	}
	PROG_CALL(prog, "fdtable: close what is not the program's", SYS_close_range, IMM(next),
		IMM(~0U), IMM(0));
}

const Ckpt__Fd *fdtable_entry(const Ckpt__FdTable *t, uint32_t fd)
{
	for (size_t i = 0; t && i < t->n_fds; i++)
		if (t->fds[i]->fd == fd)
			return t->fds[i];
	return NULL;
}

const Ckpt__Fd *fdtable_entry_of(const Ckpt__FdTable *t, uint32_t file)
{
	for (size_t i = 0; t && i < t->n_fds; i++)
		if (t->fds[i]->file == file)
			return t->fds[i];
	return NULL;
}

/* A description in a table. */
struct held {
	struct plan_file *file;
	const struct res *res;
	struct file_holder h;
};

static struct held *find_held(struct plan *p, pid_t pid, const Ckpt__FdTable *m, size_t *ret_n)
{
	struct held *v = calloc(m->n_fds + 1, sizeof(*v));
	bool *done = calloc(p->n_files + 1, sizeof(*done));
	size_t n = 0;

	for (size_t i = 0; v && done && i < m->n_fds; i++) {
		struct plan_file *pf = plan_file(p, m->fds[i]->file);
		int fd = (int)m->fds[i]->fd;

		if (!pf || done[pf - p->files] || plan_override(p, pid, m->fds[i]))
			continue;
		done[pf - p->files] = true;
		if (!pf->doer)
			pf->doer = pid;
		v[n++] = (struct held){.file = pf,
			.res = registry_find(pf->rec->type),
			.h = {.pid = pid, .table = m, .fd = fd, .first = pf->doer == pid}};
	}
	if (!done) {
		free(v);
		v = NULL;
	}
	free(done);
	*ret_n = n;
	return v;
}

/* Whether any number of a table is of this description, and not of something else by --fd; or -1. */
static int number_of(const struct plan *p, pid_t pid, const Ckpt__FdTable *m, uint64_t id)
{
	for (size_t i = 0; m && i < m->n_fds; i++)
		if (m->fds[i]->file == id && !plan_override(p, pid, m->fds[i]))
			return (int)m->fds[i]->fd;
	return -1;
}

static bool is_handed(const struct plan *p, const struct plan_file *f)
{
	const struct res *res = registry_find(f->rec->type);
	const struct model_rec *rec;
	unsigned tables = 0;
	size_t pos = 0;

	while (res && res->file && res->file->late &&
		(rec = model_next(p->model, &res_fdtable.type, &pos)))
		tables += number_of(p, (pid_t)rec->owner, (const void *)rec->msg, f->id) >= 0;
	return tables > 1;
}

bool files_hand_over(struct plan *p)
{
	bool any = false;

	for (size_t i = 0; i < p->n_files; i++) {
		p->files[i].handed = is_handed(p, &p->files[i]);
		any |= p->files[i].handed;
	}
	return any;
}

size_t files_plan_take(struct plan *p, uint64_t id, struct prog *prog)
{
	pid_t from = plan_file(p, id)->doer;
	const Ckpt__FdTable *m = model_get(p->model, &res_fdtable.type, from);
	size_t pidfd, step;

	pidfd = PROG_CALL(prog, "fdtable: who has opened it", SYS_pidfd_open, IMM(from), IMM(0));
	prog_object(prog, "pid %d", from);
	step = PROG_CALL(prog, "fdtable: take it", SYS_pidfd_getfd, RES(pidfd),
		IMM(number_of(p, from, m, id)), IMM(0));
	PROG_CALL(prog, "fdtable: take it", SYS_close, RES(pidfd));
	return step;
}

/* Of the task that has opened it. Return: the step whose result it is; LATE_NONE: it was not opened late. */
static size_t plan_take(struct plan *p, const struct held *f, struct prog *prog)
{
	return f->file->opened_late ? files_plan_take(p, f->file->id, prog) : LATE_NONE;
}

/* To all numbers of a description, in place of what held them. */
static void plan_late(struct plan *p, const struct held *f, struct prog *prog)
{
	bool take = f->file->handed && !f->h.first;
	size_t step =
		take ? plan_take(p, f, prog) : f->res->file->late(p, f->file->rec, f->h.fd, prog);
	const Ckpt__FdTable *m = f->h.table;

	if (!take)
		f->file->opened_late = step != LATE_NONE;
	if (step == LATE_NONE)
		return;
	for (size_t i = 0; i < m->n_fds; i++) {
		const Ckpt__Fd *e = m->fds[i];

		if (e->file != f->file->id || plan_override(p, f->h.pid, e))
			continue;
		PROG_CALL(prog, "fdtable: put", SYS_dup3, RES(step), IMM(e->fd),
			IMM(e->cloexec ? O_CLOEXEC : 0));
		prog_object(prog, "fd %u", e->fd);
	}
	PROG_CALL(prog, "fdtable: put", SYS_close, RES(step));
}

static void plan_kind(
	struct plan *p, enum plan_phase phase, const struct held *f, struct prog *prog)
{
	const Ckpt__File *file =
		phase == PLAN_LATE ? model_get(p->model, &res_file.type, f->file->id) : NULL;

	if (f->res->file->plan && f->h.first)
		f->res->file->plan(p, phase, f->file->rec, f->h.fd, prog);
	lock_plan(p, phase, f->file->id, &f->h, prog);
	if (file)
		files_plan_owner(file, f->h.fd, prog);
}

/* What a task does with the first descriptor of each description. */
static void plan_kinds(
	struct plan *p, enum plan_phase phase, pid_t pid, const Ckpt__FdTable *m, struct prog *prog)
{
	size_t n = 0;
	struct held *v = find_held(p, pid, m, &n);

	if (!v)
		prog->err = -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (v[i].res->file->late &&
			phase == (v[i].file->handed && v[i].h.first ? PLAN_HANDED : PLAN_LATE))
			plan_late(p, &v[i], prog);
	for (size_t i = 0; i < n; i++)
		plan_kind(p, phase, &v[i], prog);
	for (size_t i = 0; i < n; i++)
		if (v[i].res->file->plan_each)
			v[i].res->file->plan_each(p, phase, v[i].file->rec, &v[i].h, prog);
	free(v);
}

static void plan(
	struct plan *p, enum plan_phase phase, const struct model_rec *rec, struct prog *prog)
{
	const Ckpt__FdTable *m = (const void *)rec->msg;

	if (phase == PLAN_EARLY)
		return;
	if (phase == PLAN_FILES)
		plan_put(p, (pid_t)rec->owner, m, prog);
	plan_kinds(p, phase, (pid_t)rec->owner, m, prog);
}

const struct res res_fdtable = {
	.type = {"fdtable", SCOPE_TASK, &ckpt__fd_table__descriptor, NULL},
	.shared = SHARED_FILES,
	.collect = collect,
	.plan = plan,
};
