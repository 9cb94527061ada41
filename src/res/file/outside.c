/*
 * outside.c - descriptors whose other side is not of the tree, and descriptors that the user says
 * something of (--fd N=...).
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
#include "res/file/files.h"
#include "util/cleanup.h"

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

/* One of the first three numbers, as if --fd had said inherit. */
static int connect_number(struct open_ctx *o, int n, const char *what, uint32_t flags)
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
	fd = dup_own(o, n);
	if (fd >= 0)
		fd = o->away(o, fd);
	if (fd < 0)
		return fd;
	p->overrides[p->n_overrides++] = (struct plan_override){
		.fd = n, .how = OVERRIDE_INHERIT, .mine = n, .from = fd, .outside = true};
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

			if (t->fds[i]->file != id || plan_override(o->plan, n))
				continue;
			if (n <= STDERR_FILENO)
				r = connect_number(o, n, what, flags);
			if (n <= STDERR_FILENO && lower < 0)
				lower = n;
			else if (n > STDERR_FILENO && other < 0)
				other = n;
		}
	}
	if (r < 0)
		return r;
	return other < 0 ? OPEN_NOTHING : connect_other(o, other, lower, what, flags, terminal);
}

/* ---- --fd ---- */

static bool number(const char *s, int *ret, const char **ret_end)
{
	char *end;
	unsigned long v = *s >= '0' && *s <= '9' ? strtoul(s, &end, 10) : ULONG_MAX;

	if (v > INT32_MAX)
		return false;
	*ret = (int)v;
	*ret_end = end;
	return true;
}

static bool parse(const char *s, struct plan_override *ret)
{
	struct plan_override v = {.from = -1};

	if (!number(s, &v.fd, &s) || *s++ != '=')
		return false;
	v.mine = v.fd;
	if (strncmp(s, "path:", 5) == 0 && s[5]) {
		v.how = OVERRIDE_PATH;
		v.path = s + 5;
	} else if (strcmp(s, "null") == 0) {
		v.how = OVERRIDE_NULL;
	} else if (strcmp(s, "close") == 0) {
		v.how = OVERRIDE_CLOSE;
	} else if (strncmp(s, "inherit:", 8) == 0) {
		v.how = OVERRIDE_INHERIT;
		if (!number(s + 8, &v.mine, &s) || *s)
			return false;
	} else if (strcmp(s, "inherit") == 0) {
		v.how = OVERRIDE_INHERIT;
	} else {
		return false;
	}
	*ret = v;
	return true;
}

static const Ckpt__Fd *entry(const struct model *m, int fd)
{
	const struct model_rec *rec;
	size_t pos = 0;

	while ((rec = model_next(m, &res_fdtable.type, &pos))) {
		const Ckpt__FdTable *t = (const void *)rec->msg;

		for (size_t i = 0; i < t->n_fds; i++)
			if ((int)t->fds[i]->fd == fd)
				return t->fds[i];
	}
	return NULL;
}

int outside_overrides(struct plan *p)
{
	size_t n = 0;

	while (p->req->fds && p->req->fds[n])
		n++;
	/* and room for the first three numbers, which outside_connect() adds */
	p->overrides = calloc(n + STDERR_FILENO + 1, sizeof(*p->overrides));
	if (!p->overrides)
		return op_fail(p->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "--fd");
	for (; p->n_overrides < n; p->n_overrides++) {
		const char *text = p->req->fds[p->n_overrides];
		struct plan_override *o = &p->overrides[p->n_overrides];

		if (!parse(text, o))
			return op_fail(p->op, CKPT_E_USAGE, 0, NULL,
				"N=inherit[:M], N=path:FILE, N=null or N=close", "--fd %s", text);
		if (!entry(p->model, o->fd))
			return op_fail(p->op, CKPT_E_USAGE, 0, NULL, "ckpt show lists what is open",
				"--fd %s: the image has no descriptor %d", text, o->fd);
	}
	return 0;
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

int outside_open(struct plan *p)
{
	for (size_t i = 0; i < p->n_overrides; i++) {
		struct plan_override *o = &p->overrides[i];
		const Ckpt__Fd *e = entry(p->model, o->fd);
		const Ckpt__File *f = e ? model_get(p->model, &res_file.type, e->file) : NULL;
		uint32_t flags = f ? f->flags : O_RDWR;

		if (o->how == OVERRIDE_CLOSE || plan_override(p, o->fd) != o)
			continue;
		if (o->how == OVERRIDE_INHERIT)
			o->from = inherit(p, o, flags);
		else
			o->from = open_path(
				p, o->how == OVERRIDE_PATH ? o->path : "/dev/null", flags);
		if (o->from < 0)
			return o->from;
		op_info(p->op, "fd %d: as --fd %s says", o->fd, p->req->fds[i]);
	}
	return 0;
}
