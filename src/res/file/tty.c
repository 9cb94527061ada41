/*
 * tty.c - terminals that are devices: /dev/console, /dev/tty1, /dev/ttyS0. Pseudo terminals: pty.c.
 *
 * The other side of a terminal (an emulator, sshd, a person) is never in the image, so at a restore
 * a terminal is the one that the restore command was started with, or that it passes on (pty_relay.c).
 * Its settings are left alone: they are that terminal's own.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "proto/fdtable.pb-c.h"
#include "proto/tty.pb-c.h"
#include "res/file/files.h"

#define MAJOR_TTY     4
#define MAJOR_TTYAUX  5
#define MINOR_CONSOLE 1

static bool match(const struct file_look *l)
{
	unsigned maj = major(l->st.st_rdev), min = minor(l->st.st_rdev);

	if (!S_ISCHR(l->st.st_mode) || l->flags & O_PATH || l->target_fd < 0)
		return false;
	return maj == MAJOR_TTY || (maj == MAJOR_TTYAUX && min == MINOR_CONSOLE);
}

static int collect(struct collect *c, uint64_t id, const struct file_look *l)
{
	Ckpt__Tty *m = msg_new(Ckpt__Tty, CKPT__TTY__INIT);

	if (m)
		m->path = strdup(l->link);
	if (!m || !m->path) {
		free(m);
		return collect_oom(c);
	}
	m->rdev = l->st.st_rdev;
	return collect_add_take(c, &res_tty.type, id, m);
}

static int open_tty(
	struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record)
{
	const Ckpt__Tty *m = (const void *)rec->msg;
	const Ckpt__File *f = file_record;

	uint32_t flags = f ? f->flags : O_RDWR;
	int fd = o->unneeded ? OPEN_NOTHING : pty_relay_slave(o, id, UINT32_MAX, m->path, flags);

	return fd != OPEN_NOTHING ? fd : outside_connect(o, id, m->path, flags, true);
}

static const struct file_ops ops = {.match = match, .collect = collect, .open = open_tty};

const struct res res_tty = {
	.type = {"tty", SCOPE_FILE, &ckpt__tty__descriptor, NULL},
	.file = &ops,
};
