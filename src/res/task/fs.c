/*
 * fs.c - current directory, root directory, umask.
 *
 * Source: /proc/PID/cwd, /proc/PID/root, Umask in /proc/PID/status (Linux >= 4.7).
 */
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "proto/fs.pb-c.h"
#include "res/task/task.h"
#include "util/cleanup.h"

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
	return collect_add_take(c, &res_fs.type, c->pid, m);
}

static void plan(
	struct plan *p, enum plan_phase phase, const struct model_rec *rec, struct prog *prog)
{
	const Ckpt__Fs *m = (const void *)rec->msg;

	if (phase != PLAN_EARLY)
		return;
	/* the directory is named from the restorer's root, so it comes before the root */
	PROG_CALL(prog, "fs: current directory", SYS_chdir,
		DATA(prog_data(prog, m->cwd, strlen(m->cwd) + 1)));
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
	.collect = collect,
	.plan = plan,
};
