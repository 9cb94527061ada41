/*
 * outside.c - descriptors whose other side is not of the tree, and descriptors that the user says
 * something of (--fd, --resource), at the restore or at the dump already.
 *
 * A pipe to a shell, a terminal: what was at the other side belongs to somebody else, and need not
 * be there any more. Standard input, output and error become those of the restore command, as they
 * would for any program that is started there; for other numbers the user has to say what they
 * shall be, because a guess could write into a file that is none of the program's.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/fdtable.pb-c.h"
#include "proto/outside.pb-c.h"
#include "proto/task.pb-c.h"
#include "res/file/files.h"
#include "res/file/fdpolicy.h"
#include "res/task/task.h"
#include "util/cleanup.h"
#include "util/str.h"
#include "util/vec.h"

/* What the user can do about descriptor @n. */
struct say_where {
	char s[96];
};

static struct say_where say_where(int n)
{
	struct say_where w;

	snprintf(w.s, sizeof(w.s),
		"say what it shall be: --fd %d=null (or close, path:FILE, inherit:M)", n);
	return w;
}

static bool direction_fits(int have, uint32_t want)
{
	return (have & O_ACCMODE) == O_RDWR || (have & O_ACCMODE) == (int)(want & O_ACCMODE);
}

static const char *direction_text(uint32_t flags)
{
	switch (flags & O_ACCMODE) {
	case O_RDONLY:
		return "reading";
	case O_WRONLY:
		return "writing";
	default:
		return "reading and writing";
	}
}

/* What we keep for ourselves is close-on-exec, so it can't be what we were started with. */
static bool inherited(int fd)
{
	int flags = fcntl(fd, F_GETFD);

	return flags >= 0 && !(flags & FD_CLOEXEC);
}

static int fail_closed(struct open_ctx *o, int n, const char *what)
{
	return op_fail(o->op, CKPT_E_REFUSED, 0, NULL, say_where(n).s,
		"fd %d (%s) led outside, and fd %d of this command is closed", n, what, n);
}

static int dup_own(struct open_ctx *o, int n)
{
	int fd = fcntl(n, F_DUPFD_CLOEXEC, 3);

	return fd < 0 ? op_fail(o->op, CKPT_E_SPACE, errno, "fcntl(F_DUPFD)", NULL, "fd %d", n)
		      : fd;
}

/* For one more override. */
static int room(struct plan *p)
{
	if (vec_reserve(&p->overrides, &p->cap_overrides, p->n_overrides + 1,
		    sizeof(*p->overrides)) < 0)
		return op_fail(p->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "--fd");
	return 0;
}

/* One of the first three numbers, as if --fd had said inherit. */
static int connect_number(struct open_ctx *o, uint32_t id, int n, const char *what, uint32_t flags)
{
	int fd, have = inherited(n) ? fcntl(n, F_GETFL) : -1;
	struct plan *p = o->plan;

	if (have < 0)
		return fail_closed(o, n, what);
	/* a terminal that was open for both is as often used in one direction only: 0 is read */
	if (!direction_fits(have, flags) &&
		!((flags & O_ACCMODE) == O_RDWR && direction_fits(have, n ? O_WRONLY : O_RDONLY)))
		return op_fail(o->op, CKPT_E_REFUSED, 0, NULL, say_where(n).s,
			"fd %d (%s) was open for %s, fd %d of this command is not", n, what,
			direction_text(flags), n);
	if (room(p) < 0)
		return -ENOMEM;
	fd = dup_own(o, n);
	if (fd >= 0)
		fd = o->away(o, fd);
	if (fd < 0)
		return fd;
	p->overrides[p->n_overrides++] = (struct plan_override){.fd = n,
		.file = id,
		.how = OVERRIDE_INHERIT,
		.mine = n,
		.from = fd,
		.outside = true};
	op_info(o->op, "fd %d (%s) led outside: it is now fd %d of this command", n, what, n);
	return 0;
}

/* For a number above 2: what a lower number of the same description is, or some terminal. */
static int connect_other(
	struct open_ctx *o, int n, int lower, const char *what, uint32_t flags, bool terminal)
{
	for (int own = 0; own <= 2 && terminal && lower < 0; own++)
		if (inherited(own) && isatty(own) && direction_fits(fcntl(own, F_GETFL), flags))
			lower = own;
	if (lower < 0)
		return op_fail(o->op, CKPT_E_REFUSED, 0, NULL, say_where(n).s,
			"fd %d (%s) led outside of what was dumped", n, what);
	op_info(o->op, "fd %d (%s) led outside: it is now fd %d of this command", n, what, lower);
	return dup_own(o, lower);
}

/* @lower: what a number of it became; -1: no task has any number of it */
static int connect_in_flight(struct open_ctx *o, int lower, const char *what)
{
	int fd;

	if (lower >= 0)
		return dup_own(o, lower);
	op_warn(o->op,
		"a descriptor in flight (%s) led outside of what was dumped, and no process has it: it is "
		"/dev/null now",
		what);
	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	return fd < 0 ? op_fail(o->op, CKPT_E_SYSTEM, errno, "open", NULL, "/dev/null") : fd;
}

int outside_connect(
	struct open_ctx *o, uint64_t id, const char *what, uint32_t flags, bool terminal)
{
	const struct model_rec *rec;
	int lower = -1, other = -1, r = 0;
	size_t pos = 0;

	if (o->unneeded)
		return OPEN_NOTHING;
	while ((rec = model_next(o->model, &res_fdtable.type, &pos))) {
		const Ckpt__FdTable *t = (const void *)rec->msg;

		for (size_t i = 0; r >= 0 && i < t->n_fds; i++) {
			int n = (int)t->fds[i]->fd;

			if (t->fds[i]->file != id ||
				plan_override(o->plan, (pid_t)rec->owner, t->fds[i]))
				continue;
			if (n <= STDERR_FILENO)
				r = connect_number(o, (uint32_t)id, n, what, flags);
			if (n <= STDERR_FILENO && lower < 0)
				lower = n;
			else if (n > STDERR_FILENO && other < 0)
				other = n;
		}
	}
	if (r < 0)
		return r;
	if (other >= 0)
		return connect_other(o, other, lower, what, flags, terminal);
	return plan_file(o->plan, id)->in_flight ? connect_in_flight(o, lower, what) : OPEN_NOTHING;
}

int outside_redirected(struct open_ctx *o, uint64_t id, const char *what, uint32_t flags)
{
	const struct model_rec *rec;
	size_t pos = 0;
	int r = 0;

	while ((rec = model_next(o->model, &res_fdtable.type, &pos))) {
		const Ckpt__FdTable *t = (const void *)rec->msg;

		for (size_t i = 0; r >= 0 && i < t->n_fds && t->fds[i]->fd <= STDERR_FILENO; i++) {
			int n = (int)t->fds[i]->fd;

			if (t->fds[i]->file == id && inherited(n) && !isatty(n) &&
				!plan_override(o->plan, (pid_t)rec->owner, t->fds[i]))
				r = connect_number(o, (uint32_t)id, n, what, flags);
		}
	}
	return r < 0 ? r : 0;
}

/* ---- what was not saved, as the user wished at the dump ---- */

static const struct {
	Ckpt__Outside__How how;
	int override;
} hows[] = {
	{CKPT__OUTSIDE__HOW__IGNORE, OVERRIDE_IGNORE},
	{CKPT__OUTSIDE__HOW__CLOSE, OVERRIDE_CLOSE},
	{CKPT__OUTSIDE__HOW__NULL_DEVICE, OVERRIDE_NULL},
	{CKPT__OUTSIDE__HOW__INHERIT, OVERRIDE_INHERIT},
	{CKPT__OUTSIDE__HOW__PATH, OVERRIDE_PATH},
};

int outside_collect(struct collect *c, uint64_t id, const struct file_look *l,
	const struct fdpolicy_entry *wish)
{
	Ckpt__Outside *m = msg_new(Ckpt__Outside, CKPT__OUTSIDE__INIT);
	const char *kind = c->tree->refused(c, l);

	if (!m)
		return collect_oom(c);
	for (size_t i = 0; i < ARRAY_SIZE(hows); i++)
		if (hows[i].override == (int)wish->is.how)
			m->how = hows[i].how;
	m->number = (uint32_t)wish->is.mine;
	m->was = strdup(l->link);
	m->kind = strdup(kind ? kind : "file");
	m->path = strdup(wish->is.path ? wish->is.path : "");
	if (m->was && m->kind && m->path)
		return collect_add_take(c, &res_outside.type, id, m);
	protobuf_c_message_free_unpacked(&m->base, NULL);
	return collect_oom(c);
}

static bool match(const struct file_look *l)
{
	(void)l;
	return false;
}

static int open_ignored(
	struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record)
{
	const Ckpt__Outside *m = (const void *)rec->msg;
	const Ckpt__File *f = file_record;

	return outside_connect(o, id, m->was, f ? f->flags : O_RDWR, false);
}

static const struct file_ops outside_ops = {.match = match, .open = open_ignored};

const struct res res_outside = {
	.type = {"outside", SCOPE_FILE, &ckpt__outside__descriptor, NULL},
	.file = &outside_ops,
};

/* ---- what the user says ---- */

static int add_override(struct plan *p, const struct plan_override *o)
{
	int r = room(p);

	if (r == 0)
		p->overrides[p->n_overrides++] = *o;
	return r;
}

/* That of the dump; of a restore's wish for the kind, that. */
static int add_recorded(struct plan *p, pid_t pid, const Ckpt__Fd *e, const Ckpt__Outside *m)
{
	const struct fdpolicy_entry *wish = fdpolicy_of_kind(p->policy, m->kind);
	struct plan_override o = {.how = OVERRIDE_IGNORE, .mine = (int)m->number, .path = m->path};

	for (size_t i = 0; i < ARRAY_SIZE(hows); i++)
		if (hows[i].how == m->how)
			o.how = hows[i].override;
	if (wish)
		o = wish->is;
	o.text = wish ? wish->text : NULL;
	o.pid = pid;
	o.fd = (int)e->fd;
	o.from = -1;
	return o.how == OVERRIDE_IGNORE ? 0 : add_override(p, &o);
}

static const Ckpt__Fd *entry(const struct model *m, pid_t pid, int fd)
{
	const struct model_rec *rec;
	size_t pos = 0;

	while ((rec = model_next(m, &res_fdtable.type, &pos))) {
		const Ckpt__FdTable *t = (const void *)rec->msg;

		for (size_t i = 0; (!pid || (pid_t)rec->owner == pid) && i < t->n_fds; i++)
			if ((int)t->fds[i]->fd == fd)
				return t->fds[i];
	}
	return NULL;
}

/* Whose table a task of the image has. */
static pid_t table_of(const struct model *m, pid_t pid)
{
	const Ckpt__Task *t = pid ? model_get(m, &res_task.type, (uint64_t)pid) : NULL;

	return t && t->files_of ? t->files_of : pid;
}

static int add_wish(struct plan *p, const struct fdpolicy_entry *e)
{
	struct plan_override o = e->is;

	o.text = e->text;
	o.pid = table_of(p->model, o.pid);
	if (!entry(p->model, o.pid, o.fd))
		return op_fail(p->op, CKPT_E_USAGE, 0, NULL, "ckpt show lists what is open",
			"--fd %s: the image has no descriptor %d%s", e->text, o.fd,
			o.pid ? " of that process" : "");
	return add_override(p, &o);
}

int outside_overrides(struct plan *p)
{
	const struct model_rec *rec;
	size_t pos = 0;
	int r = 0;

	while ((rec = model_next(p->model, &res_fdtable.type, &pos))) {
		const Ckpt__FdTable *t = (const void *)rec->msg;

		for (size_t i = 0; r == 0 && i < t->n_fds; i++) {
			const Ckpt__Outside *m =
				model_get(p->model, &res_outside.type, t->fds[i]->file);

			if (m)
				r = add_recorded(p, (pid_t)rec->owner, t->fds[i], m);
		}
	}
	for (size_t i = 0; p->policy && i < p->policy->n && r == 0; i++)
		if (!p->policy->v[i].kind_len)
			r = add_wish(p, &p->policy->v[i]);
	return r;
}

static int open_path(struct plan *p, const char *path, uint32_t flags)
{
	int how = (int)flags & (O_ACCMODE | O_APPEND | O_NONBLOCK);
	int fd;

	if ((flags & O_ACCMODE) != O_RDONLY)
		how |= O_CREAT;
	fd = open(path, how | O_CLOEXEC | O_NOCTTY, 0666);
	if (fd < 0)
		return op_fail(p->op, CKPT_E_CONFLICT, errno, "open", NULL, "--fd: %s", path);
	return fd;
}

static int inherit(struct plan *p, const struct plan_override *o, uint32_t flags)
{
	int fd, have = inherited(o->mine) ? fcntl(o->mine, F_GETFL) : -1;

	if (have < 0)
		return op_fail(p->op, CKPT_E_USAGE, 0, NULL, NULL,
			"--fd %d=inherit: fd %d of this command is not open", o->fd, o->mine);
	if (!direction_fits(have, flags))
		return op_fail(p->op, CKPT_E_USAGE, 0, NULL, NULL,
			"--fd %d=inherit: fd %d of this command is not open for %s", o->fd, o->mine,
			direction_text(flags));
	fd = fcntl(o->mine, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return op_fail(
			p->op, CKPT_E_SPACE, errno, "fcntl(F_DUPFD)", NULL, "fd %d", o->mine);
	return fd;
}

/* The same file of several is opened once. */
static int open_once(struct plan *p, size_t at, uint32_t flags)
{
	const struct plan_override *o = &p->overrides[at];

	for (size_t i = 0; i < at; i++) {
		const struct plan_override *e = &p->overrides[i];

		if (e->how != OVERRIDE_PATH || e->from < 0 || strcmp(e->path, o->path) != 0 ||
			fcntl(e->from, F_GETFL) < 0 ||
			!direction_fits(fcntl(e->from, F_GETFL), flags))
			continue;
		return fcntl(e->from, F_DUPFD_CLOEXEC, 3);
	}
	return open_path(p, o->path, flags);
}

static int open_override(struct plan *p, size_t at, uint32_t flags)
{
	const struct plan_override *o = &p->overrides[at];

	switch (o->how) {
	case OVERRIDE_INHERIT:
		return inherit(p, o, flags);
	case OVERRIDE_PATH:
		return open_once(p, at, flags);
	default:
		return open_path(p, "/dev/null", flags);
	}
}

/* Whether a description that was not saved has one of the first three numbers, which are ours then. */
static bool has_standard(const struct plan *p, uint32_t file)
{
	const struct model_rec *rec;
	size_t pos = 0;

	while ((rec = model_next(p->model, &res_fdtable.type, &pos))) {
		const Ckpt__FdTable *t = (const void *)rec->msg;

		for (size_t i = 0; i < t->n_fds && t->fds[i]->fd <= STDERR_FILENO; i++)
			if (t->fds[i]->file == file &&
				!plan_override(p, (pid_t)rec->owner, t->fds[i]))
				return true;
	}
	return false;
}

/* Those that the dump was told to ignore, and of which nothing is said now. Return: how many are named */
static unsigned list_untold(const struct plan *p, struct strbuf *sb, int *ret_first)
{
	const struct model_rec *rec;
	unsigned n = 0;
	size_t pos = 0;

	while ((rec = model_next(p->model, &res_fdtable.type, &pos))) {
		const Ckpt__FdTable *t = (const void *)rec->msg;

		for (size_t i = 0; i < t->n_fds; i++) {
			const Ckpt__Fd *e = t->fds[i];
			const Ckpt__Outside *m = model_get(p->model, &res_outside.type, e->file);

			if (!m || e->fd <= STDERR_FILENO ||
				plan_override(p, (pid_t)rec->owner, e) || has_standard(p, e->file))
				continue;
			if (!n)
				*ret_first = (int)e->fd;
			strbuf_addf(sb, "%spid %d: fd %u (%s)", n++ ? ", " : "", (int)rec->owner,
				e->fd, m->was);
		}
	}
	return n;
}

/* All of them at once. */
static int check_untold(struct plan *p)
{
	struct strbuf sb = {};
	int first = 0, r = 0;

	if (list_untold(p, &sb, &first))
		r = op_fail(p->op, CKPT_E_REFUSED, 0, NULL, say_where(first).s,
			"what led outside of what was dumped, and was ignored there: %s",
			sb.s ? sb.s : "");
	free(sb.s);
	return r;
}

int outside_open(struct plan *p)
{
	int r = check_untold(p);

	if (r < 0)
		return r;
	for (size_t i = 0; i < p->n_overrides; i++) {
		struct plan_override *o = &p->overrides[i];
		const Ckpt__Fd *e = entry(p->model, o->pid, o->fd);
		const Ckpt__File *f = e ? model_get(p->model, &res_file.type, e->file) : NULL;

		if (o->how == OVERRIDE_CLOSE || plan_override(p, o->pid, e) != o)
			continue;
		o->from = open_override(p, i, f ? f->flags : O_RDWR);
		if (o->from < 0)
			return o->from;
		if (o->text)
			op_info(p->op, "fd %d: as --%s %s says", o->fd,
				*o->text >= '0' && *o->text <= '9' ? "fd" : "resource", o->text);
		else
			op_info(p->op, "fd %d: as was said at the dump", o->fd);
	}
	return 0;
}
