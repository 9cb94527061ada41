/*
 * fs.c - current directory, root directory, umask.
 *
 * Source: /proc/PID/cwd, /proc/PID/root, Umask in /proc/PID/status (Linux >= 4.7).
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "proto/fs.pb-c.h"
#include "res/task/task.h"
#include "util/cleanup.h"

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

/* For a moment, under its last name. */
static void plan_deleted(const Ckpt__Fs *m, struct prog *prog, uint64_t cwd)
{
	PROG_CALL(prog, "fs: make the deleted current directory", SYS_mkdirat, IMM(AT_FDCWD),
		DATA(cwd), IMM(0700));
	prog_object(prog, "%s", m->cwd);
	PROG_CALL_ANY(prog, "fs: its owner", SYS_fchownat, IMM(AT_FDCWD), DATA(cwd),
		IMM(m->cwd_uid), IMM(m->cwd_gid), IMM(0));
	PROG_CALL_ANY(
		prog, "fs: its mode", SYS_fchmodat, IMM(AT_FDCWD), DATA(cwd), IMM(m->cwd_mode));
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
	if (m->cwd_deleted)
		plan_deleted(m, prog, cwd);
	PROG_CALL(prog, "fs: current directory", SYS_chdir, DATA(cwd));
	prog_object(prog, "%s", m->cwd);
	if (m->cwd_deleted) {
		PROG_CALL(prog, "fs: delete the current directory again", SYS_unlinkat,
			IMM(AT_FDCWD), DATA(cwd), IMM(AT_REMOVEDIR));
		prog_object(prog, "%s", m->cwd);
	}
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
};
