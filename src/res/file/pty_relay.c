/*
 * pty_relay.c - a terminal that was outside becomes a new one, which the restore command passes on.
 *
 * A terminal is the controlling terminal of one session only. The restore command's has that already, so
 * a session leader of the tree, such as a shell in a window, gets a new pseudo terminal: with the settings
 * and size of the old one, so that an editor finds it as it was, and with its number if that is free.
 * Nobody else knows of the old one, which was never ours to keep: any other number will do.
 */
#include "res/file/pty.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <asm/termbits.h>

#include "proto/fdtable.pb-c.h"

#define DEV_PTMX   "/dev/ptmx"
#define SLAVE_MODE 0620

/* A description of it that tells its settings; one of /dev/tty does not tell the owner. */
static const Ckpt__Pty *seen(const struct open_ctx *o, uint32_t index)
{
	const struct model_rec *rec;
	const Ckpt__Pty *best = NULL;
	size_t pos = 0;

	while ((rec = model_next(o->model, &res_pty.type, &pos))) {
		const Ckpt__Pty *m = (const void *)rec->msg;

		if (!m->master && !m->master_file && m->index == index && m->settings &&
			(!best || (m->slave_mode && !best->slave_mode)))
			best = m;
	}
	return best;
}

/* As those of the command's own terminal are now. */
static void own_settings(const struct plan_relay *relay, Ckpt__PtySettings *m, struct termios2 *t)
{
	ioctl(relay->terminal, TCGETS2, t);
	m->iflag = t->c_iflag;
	m->oflag = t->c_oflag;
	m->cflag = t->c_cflag;
	m->lflag = t->c_lflag;
	m->line = t->c_line;
	m->cc = (ProtobufCBinaryData){sizeof(t->c_cc), t->c_cc};
	m->ispeed = t->c_ispeed;
	m->ospeed = t->c_ospeed;
}

int pty_relay_open(struct open_ctx *o)
{
	struct plan_relay *relay = o->plan->relay;
	Ckpt__PtySettings settings = CKPT__PTY_SETTINGS__INIT;
	const Ckpt__Pty *old = seen(o, relay->index);
	Ckpt__Pty m = CKPT__PTY__INIT;
	struct termios2 t = {0};
	int fd;

	if (old)
		m = *old;
	if (!old)
		own_settings(relay, &settings, &t);
	if (!old)
		m.settings = &settings;
	if (!m.slave_mode)
		m.slave_mode = SLAVE_MODE;
	m.master = true;
	m.path = (char *)DEV_PTMX;
	m.index = relay->index == UINT32_MAX ? 0 : relay->index;
	fd = pty_open_master(o, &m, O_RDWR | O_NONBLOCK, true);
	if (fd >= 0)
		fd = o->away(o, fd);
	if (fd < 0)
		return fd;
	relay->master = fd;
	return 0;
}

int pty_relay_slave(
	struct open_ctx *o, uint64_t id, uint32_t index, const char *path, uint32_t flags)
{
	const struct plan_relay *relay = o->plan->relay;
	Ckpt__Pty m = CKPT__PTY__INIT;
	int r;

	if (!relay || relay->index != index)
		return OPEN_NOTHING;
	r = outside_redirected(o, id, path, flags);
	m.path = (char *)path;
	m.index = index;
	return r < 0 ? r : pty_open_slave(o, &m, relay->master, flags);
}
