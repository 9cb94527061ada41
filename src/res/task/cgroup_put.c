/*
 * cgroup_put.c - tasks are put back into their control groups: see cgroup.c.
 *
 * A task is born in the groups of its maker, the first in those of this command. So most often
 * nothing has to be done; else a process is moved before its memory is filled, so that this is
 * charged to its own group, and a thread that is elsewhere when all threads are there. A move
 * costs a grace period of RCU where none was shortly before (some ms).
 */
#include "res/task/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/cgroup.h"
#include "kernel/proc.h"
#include "util/cleanup.h"
#include "util/str.h"
#include "util/vec.h"

#define IGNORE_IT "with --cgroups=ignore all stay in the groups of this command"

/* A group of the image. */
struct put_group {
	uint64_t id;
	const Ckpt__CgroupDir *dir;
	int fd;    /* opened when first needed */
	bool lost; /* it can't be reached; told already */
	bool made;
};

struct cgroups {
	struct mount_list mounts;
	struct cgroup_list own;
	struct put_group *v; /* ascending by id */
	size_t n, cap;
	bool elsewhere; /* some task has a group that we are not in */
};

static const char *name_of(const Ckpt__CgroupDir *dir)
{
	return *dir->hierarchy ? dir->hierarchy : "version 2";
}

static struct put_group *group(const struct cgroups *c, uint64_t id)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->v[i].id == id)
			return &c->v[i];
	return NULL;
}

/* Whether a thread is in it; else only groups below are meant. */
static bool is_used(const struct model *m, uint64_t id)
{
	const struct model_rec *rec;
	size_t pos = 0;

	while ((rec = model_next(m, &res_cgroup.type, &pos))) {
		const Ckpt__Cgroup *g = (const void *)rec->msg;

		for (size_t i = 0; i < g->n_groups; i++)
			if (g->groups[i] == id)
				return true;
	}
	return false;
}

/* What was asked for can't be had: a warning, or the end. */
static int lost(struct plan *p, struct put_group *g, int err, const char *call)
{
	if (g->lost)
		return 0;
	g->lost = true;
	if (p->req->cgroups == CKPT_CGROUPS_MAKE)
		return op_fail(p->op,
			err == EACCES || err == EPERM ? CKPT_E_PRIVILEGE : CKPT_E_CONFLICT, err,
			call, IGNORE_IT, "cgroup %s (%s)", g->dir->path, name_of(g->dir));
	if (err == ENOENT)
		op_warn(p->op,
			"cgroup %s (%s) is gone: who was in it stays in that of this command, or of its "
			"parent; --cgroups=make makes it anew",
			g->dir->path, name_of(g->dir));
	else
		op_warn(p->op, "cgroup %s (%s): %s: nobody is put back into it", g->dir->path,
			name_of(g->dir), err == ENODEV ? "it is not mounted" : strerror(err));
	return 0;
}

/* ------------------------------------------------------------------ groups that are gone */

/* One line of a value; where its controller is not there yet, the group above is told to give it. */
static int put_line(int parent, int fd, const char *name, const char *line)
{
	int r = cgroup_put(fd, name, line);
	char controller[32];

	if (r != -ENOENT)
		return r;
	snprintf(controller, sizeof(controller), "+%.*s", (int)strcspn(name, "."), name);
	if (cgroup_put(parent, "cgroup.subtree_control", controller) < 0)
		return r;
	return cgroup_put(fd, name, line);
}

/* "cpu memory" is read, "+cpu +memory" is written. */
static char *to_write(const Ckpt__CgroupValue *v)
{
	_cleanup_strbuf_ struct strbuf sb = {};
	_cleanup_free_ char *copy = strdup(v->value);
	char *rest = copy, *word, *text = NULL;

	if (!str_eq(v->name, "cgroup.subtree_control"))
		return TAKE_PTR(copy);
	while ((word = strsep(&rest, " ")))
		strbuf_addf(&sb, "%s+%s", sb.len ? " " : "", word);
	return strbuf_take(&sb, &text) < 0 ? NULL : text;
}

static void put_values(struct plan *p, const Ckpt__CgroupDir *dir, int parent, int fd)
{
	for (size_t i = 0; i < dir->n_values; i++) {
		const Ckpt__CgroupValue *v = dir->values[i];
		_cleanup_free_ char *text = to_write(v);
		char *rest = text, *line;
		int r = text && !strchr(v->name, '/') ? 0 : -EINVAL;

		while (r == 0 && (line = strsep(&rest, "\n")))
			r = put_line(parent, fd, v->name, line);
		if (r < 0)
			op_warn(p->op, "cgroup %s (%s): %s can't be set to %s: %s", dir->path,
				name_of(dir), v->name, v->value, strerror(-r));
	}
}

static int open_parent(const struct cgroups *c, const Ckpt__CgroupDir *dir, const char **ret_name)
{
	const char *slash = strrchr(dir->path, '/');
	_cleanup_free_ char *parent =
		strndup(dir->path, slash == dir->path ? 1 : (size_t)(slash - dir->path));

	*ret_name = slash + 1;
	return parent ? cgroup_open(&c->mounts, dir->hierarchy, parent) : -ENOMEM;
}

static int make_group(struct plan *p, struct put_group *g)
{
	const char *name;
	_cleanup_close_ int parent = open_parent(p->cgroups, g->dir, &name);
	_cleanup_close_ int fd = -EBADF;

	if (parent < 0)
		return lost(p, g, -parent, "open");
	if (mkdirat(parent, name, 0755) < 0)
		return lost(p, g, errno, "mkdir");
	g->made = true;
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return lost(p, g, errno, "open");
	put_values(p, g->dir, parent, fd);
	op_info(p->op, "cgroup %s (%s): made anew", g->dir->path, name_of(g->dir));
	return 0;
}

/* ------------------------------------------------------------------ before there is any task */

static int begin(struct plan *p)
{
	_cleanup_close_ int self = proc_open(0);
	struct cgroups *c = p->cgroups = calloc(1, sizeof(*c));
	int r = c ? self : -ENOMEM;

	if (r >= 0)
		r = mountinfo_read(&c->mounts);
	if (r == 0)
		r = cgroup_read(self, "cgroup", &c->own);
	return r == 0 || r == -ENOENT
		       ? 0
		       : op_fail(p->op, CKPT_E_SYSTEM, -r, "read", NULL, "/proc/self/cgroup");
}

int cgroup_make(struct plan *p, const struct model_rec *rec)
{
	const Ckpt__CgroupDir *dir = (const void *)rec->msg;
	bool makes = p->req->cgroups == CKPT_CGROUPS_MAKE;
	bool used = is_used(p->model, rec->owner);
	struct put_group *g;
	struct cgroups *c;
	const char *own;
	int r;

	/* who is to be an ordinary child of its caller stays where that has put it */
	bool stays = p->req->cgroups == CKPT_CGROUPS_IGNORE || (p->req->exec && !makes);

	if (stays || (!used && !makes))
		return 0;
	if (*dir->path != '/')
		return op_fail(p->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"cgroup '%s': no absolute path", dir->path);
	r = p->cgroups ? 0 : begin(p);
	if (r < 0)
		return r;
	c = p->cgroups;
	if (vec_reserve(&c->v, &c->cap, c->n + 1, sizeof(*c->v)) < 0)
		return op_fail(p->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "cgroup %s", dir->path);
	g = &c->v[c->n++];
	*g = (struct put_group){.id = rec->owner, .dir = dir, .fd = -EBADF};
	own = cgroup_find(&c->own, dir->hierarchy);
	if (own && str_eq(own, dir->path))
		return 0;
	g->fd = cgroup_open(&c->mounts, dir->hierarchy, dir->path);
	if (g->fd == -ENOENT && makes && p->dry)
		g->made = true;
	else if (g->fd == -ENOENT && makes)
		r = make_group(p, g);
	else if (g->fd < 0 && used && dir->path[1])
		r = lost(p, g, -g->fd, "open");
	if (r == 0 && used && g->fd >= 0 && cgroup_is_frozen(g->fd))
		r = op_fail(p->op, CKPT_E_CONFLICT, 0, NULL, "thaw it, or use --cgroups=ignore",
			"cgroup %s (%s) is frozen: nothing that is put into it runs", dir->path,
			name_of(dir));
	c->elsewhere |= used && !g->lost;
	return r;
}

void cgroup_done(struct plan *p, bool failed)
{
	struct cgroups *c = p->cgroups;

	for (size_t i = c ? c->n : 0; i-- > 0;) {
		const char *name;
		int parent;

		fd_close(c->v[i].fd);
		if (!failed || !c->v[i].made || p->dry)
			continue;
		parent = open_parent(c, c->v[i].dir, &name);
		if (parent >= 0)
			unlinkat(parent, name, AT_REMOVEDIR);
		fd_close(parent);
	}
	if (c) {
		mount_list_done(&c->mounts);
		cgroup_list_done(&c->own);
		free(c->v);
	}
	free(c);
	p->cgroups = NULL;
}

/* ------------------------------------------------------------------ when there are tasks */

static int open_group(struct cgroups *c, struct put_group *g)
{
	if (g->fd < 0)
		g->fd = cgroup_open(&c->mounts, g->dir->hierarchy, g->dir->path);
	return g->fd;
}

int cgroup_root(struct plan *p, pid_t alive)
{
	struct cgroups *c = p->cgroups;
	const Ckpt__Cgroup *m = c && c->elsewhere ? cgroup_of(p->model, alive, alive) : NULL;

	for (size_t i = 0; m && i < m->n_groups; i++) {
		struct put_group *g = group(c, m->groups[i]);
		const char *own = g ? cgroup_find(&c->own, g->dir->hierarchy) : NULL;

		if (own && !*g->dir->hierarchy && !g->lost && !str_eq(own, g->dir->path))
			return open_group(c, g);
	}
	return -1;
}

/* @path: of the cgroup file of @id in /proc */
static int place(struct plan *p, const Ckpt__Cgroup *m, const char *path, pid_t id,
	const char *const files[2])
{
	_cleanup_cgroups_ struct cgroup_list now = {0};
	struct cgroups *c = p->cgroups;
	int r = cgroup_read(AT_FDCWD, path, &now);
	char text[16];

	if (r < 0)
		return op_fail(p->op, CKPT_E_SYSTEM, -r, "read", NULL, "%s", path);
	snprintf(text, sizeof(text), "%d", id);
	for (size_t i = 0; i < m->n_groups && r == 0; i++) {
		struct put_group *g = group(c, m->groups[i]);
		const char *at = g ? cgroup_find(&now, g->dir->hierarchy) : NULL;
		const char *file;
		int put;

		if (!g || g->lost || !at || str_eq(at, g->dir->path))
			continue;
		file = files[!*g->dir->hierarchy];
		put = open_group(c, g);
		if (put >= 0)
			put = cgroup_put(g->fd, file, text);
		if (put < 0)
			r = lost(p, g, -put, file);
	}
	return r;
}

int cgroup_place(struct plan *p, pid_t pid, pid_t alive)
{
	static const char *const files[2] = {"cgroup.procs", "cgroup.procs"};
	const Ckpt__Cgroup *m = cgroup_of(p->model, alive, alive);
	char path[48];

	if (!m || !p->cgroups || !p->cgroups->elsewhere)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	return place(p, m, path, pid, files);
}

int cgroup_place_thread(struct plan *p, pid_t pid, pid_t alive, pid_t tid)
{
	static const char *const files[2] = {"tasks", "cgroup.threads"};
	const Ckpt__Cgroup *m = cgroup_of(p->model, tid, alive);
	char path[64];

	if (!m || !p->cgroups || !p->cgroups->elsewhere || m == cgroup_of(p->model, alive, alive))
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/cgroup", pid, tid);
	return place(p, m, path, tid, files);
}

/* ------------------------------------------------------------------ what would be done */

int cgroup_look(struct plan *p)
{
	const struct model_rec *rec;
	size_t pos = 0;
	int r = 0;

	while (r == 0 && (rec = model_next(p->model, &res_cgroupdir.type, &pos)))
		r = cgroup_make(p, rec);
	return r;
}

/* Where somebody is in a hierarchy when nothing is done: in the group of the image, if that is reached. */
static const char *path_in(const struct cgroups *c, const Ckpt__Cgroup *m, const char *hierarchy)
{
	for (size_t i = 0; m && i < m->n_groups; i++) {
		const struct put_group *g = group(c, m->groups[i]);

		if (g && !g->lost && str_eq(g->dir->hierarchy, hierarchy))
			return g->dir->path;
	}
	return cgroup_find(&c->own, hierarchy);
}

size_t cgroup_moves(
	struct plan *p, pid_t tid, pid_t alive, pid_t maker, struct cgroup_move *ret, size_t max)
{
	const struct cgroups *c = p->cgroups;
	const Ckpt__Cgroup *m = cgroup_of(p->model, tid, alive);
	const Ckpt__Cgroup *from = tid != alive ? cgroup_of(p->model, alive, alive)
				   : maker      ? cgroup_of(p->model, maker, maker)
						: NULL;
	size_t n = 0;

	for (size_t i = 0; c && c->elsewhere && m && m != from && i < m->n_groups; i++) {
		const struct put_group *g = group(c, m->groups[i]);
		const char *at = g ? path_in(c, from, g->dir->hierarchy) : NULL;

		if (!at || g->lost || str_eq(at, g->dir->path))
			continue;
		if (n < max)
			ret[n] = (struct cgroup_move){name_of(g->dir), g->dir->path, g->made};
		n++;
	}
	return MIN(n, max);
}
