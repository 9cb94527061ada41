/*
 * fs.c - current directory, root directory, umask.
 *
 * Source: /proc/PID/cwd, /proc/PID/root, Umask in /proc/PID/status (Linux >= 4.7).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/fs.pb-c.h"
#include "res/task/task.h"
#include "util/cleanup.h"
#include "util/vec.h"

/* A directory that was removed keeps its last name, with a mark behind it. */
static void look_deleted(struct collect *c, Ckpt__Fs *m)
{
	static const char mark[] = " (deleted)";
	size_t len = strlen(m->cwd), tail = sizeof(mark) - 1;
	struct stat st;

	if (fstatat(c->proc_fd, "cwd", &st, 0) < 0 || st.st_nlink || len <= tail ||
		strcmp(m->cwd + len - tail, mark) != 0)
		return;
	m->cwd[len - tail] = 0;
	m->cwd_deleted = true;
	m->cwd_mode = st.st_mode & 07777;
	m->cwd_uid = st.st_uid;
	m->cwd_gid = st.st_gid;
}

static int collect(struct collect *c, struct tracee *t, const struct answer *a)
{
	Ckpt__Fs *m = msg_new(Ckpt__Fs, CKPT__FS__INIT);
	int r;

	if (!m)
		return collect_oom(c);
	m->umask = c->status.umask < 0 ? 022 : (uint32_t)c->status.umask;
	r = link_read_at(c->proc_fd, "cwd", &m->cwd);
	if (r == 0)
		r = link_read_at(c->proc_fd, "root", &m->root);
	if (r < 0) {
		protobuf_c_message_free_unpacked(&m->base, NULL);
		return op_fail(c->op, CKPT_E_TARGET, -r, "readlink", NULL, "/proc/%d/cwd", c->pid);
	}
	look_deleted(c, m);
	return collect_add_take(c, &res_fs.type, c->pid, m);
}

/* ---- a directory that was deleted: it is there, under its last name, until all tasks are in it ---- */

static bool made(const struct plan *p, const char *path)
{
	for (size_t i = 0; i < p->n_made_dirs; i++)
		if (strcmp(p->made_dirs[i], path) == 0)
			return true;
	return false;
}

static int make_dir(struct plan *p, const Ckpt__Fs *m)
{
	char *path = strdup(m->cwd);

	if (!path || vec_reserve(&p->made_dirs, &p->cap_made_dirs, p->n_made_dirs + 1,
			     sizeof(*p->made_dirs)) < 0) {
		free(path);
		return op_fail(p->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "a directory");
	}
	if (mkdir(path, 0700) < 0) {
		free(path);
		return op_fail(p->op, errno == EEXIST ? CKPT_E_CONFLICT : CKPT_E_SYSTEM, errno,
			"mkdir",
			errno == EEXIST
				? "give what has its name now another one until it is restored"
				: NULL,
			"the deleted current directory %s", m->cwd);
	}
	p->made_dirs[p->n_made_dirs++] = path;
	return 0;
}

/* Tasks that share it are in one. */
static int make(struct plan *p, const struct model_rec *rec)
{
	const Ckpt__Fs *m = (const void *)rec->msg;
	int r;

	if (!m->cwd_deleted || made(p, m->cwd))
		return 0;
	r = make_dir(p, m);
	if (r < 0)
		return r;
	if (chown(m->cwd, m->cwd_uid, m->cwd_gid) < 0 || chmod(m->cwd, m->cwd_mode & 07777) < 0)
		op_debug(p->op, "owner and mode of %s: %s", m->cwd, strerror(errno));
	return 0;
}

void fs_made_done(struct plan *p)
{
	for (size_t i = p->n_made_dirs; i-- > 0;) {
		if (rmdir(p->made_dirs[i]) < 0 && errno != ENOENT)
			op_warn(p->op,
				"the current directory %s, which was deleted, is there now: %s",
				p->made_dirs[i], strerror(errno));
		free(p->made_dirs[i]);
	}
	free(p->made_dirs);
	p->made_dirs = NULL;
	p->n_made_dirs = p->cap_made_dirs = 0;
}

static int go(struct plan *p)
{
	fs_made_done(p);
	return 0;
}

static void plan(
	struct plan *p, enum plan_phase phase, const struct model_rec *rec, struct prog *prog)
{
	const Ckpt__Fs *m = (const void *)rec->msg;

	uint64_t cwd;

	if (phase != PLAN_FILES)
		return;
	cwd = prog_data(prog, m->cwd, strlen(m->cwd) + 1);
	/* the directory is named from the restorer's root, so it comes before the root */
	PROG_CALL(prog, "fs: current directory", SYS_chdir, DATA(cwd));
	prog_object(prog, "%s", m->cwd);
	if (strcmp(m->root, "/") != 0) {
		PROG_CALL(prog, "fs: root directory", SYS_chroot,
			DATA(prog_data(prog, m->root, strlen(m->root) + 1)));
		prog_object(prog, "%s", m->root);
	}
	PROG_CALL(prog, "fs: umask", SYS_umask, IMM(m->umask));
}

const struct res res_fs = {
	.type = {"fs", SCOPE_TASK, &ckpt__fs__descriptor, NULL},
	.shared = SHARED_FS,
	.collect = collect,
	.plan = plan,
	.make = make,
	.go = go,
};
