/*
 * pty_open.c - pseudo terminals at a restore.
 *
 * Opening /dev/ptmx gives the lowest number that is free, so others are held until the wanted one
 * comes. Programs know their terminal by its number (its name is in utmp, in $SSH_TTY, in the memory
 * of tmux), so that a number that is taken is a refusal, unless the user says that any will do.
 *
 * A slave is opened by its master, without a name. Only a description of /dev/tty can't be: it is
 * opened by a process that has the terminal as its controlling terminal, which nobody has yet.
 */
#include "res/file/pty.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <asm/termbits.h>

#include "kernel/pty.h"
#include "kernel/pty_users.h"
#include "proto/fdtable.pb-c.h"
#include "proto/pty.pb-c.h"
#include "util/cleanup.h"
#include "util/vec.h"

#define SETTABLE (O_APPEND | O_NONBLOCK)
#define DEV_TTY  "/dev/tty"
#define DEV_PTMX "/dev/ptmx"

/* ------------------------------------------------------------------ what a master's record says */

static struct termios2 settings_of(const Ckpt__PtySettings *m)
{
	struct termios2 t = {0};

	if (!m)
		return t;
	t.c_iflag = m->iflag;
	t.c_oflag = m->oflag;
	t.c_cflag = m->cflag;
	t.c_lflag = m->lflag;
	t.c_line = m->line;
	memcpy(t.c_cc, m->cc.data, MIN(m->cc.len, sizeof(t.c_cc)));
	t.c_ispeed = m->ispeed;
	t.c_ospeed = m->ospeed;
	return t;
}

static int fail(struct open_ctx *o, const Ckpt__Pty *m, int err, const char *what)
{
	return op_fail(o->op, CKPT_E_SYSTEM, err, what, NULL, "/dev/pts/%u", m->index);
}

/* The name of the slave gets its owner back; without the right to, it stays ours. */
static void set_node(struct open_ctx *o, const Ckpt__Pty *m, int master)
{
	_cleanup_close_ int peer = ioctl(master, TIOCGPTPEER, O_PATH | O_CLOEXEC);
	char path[48];
	struct stat st;

	if (peer < 0 || fstat(peer, &st) < 0)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", peer);
	if ((st.st_uid != m->slave_uid || st.st_gid != m->slave_gid) &&
		chown(path, m->slave_uid, m->slave_gid) < 0)
		op_warn(o->op, "/dev/pts/%u: its owner: %m", m->index);
	if ((st.st_mode & 07777) != m->slave_mode && chmod(path, m->slave_mode & 07777) < 0)
		op_warn(o->op, "/dev/pts/%u: its mode: %m", m->index);
}

static int set_size(int master, const Ckpt__Pty *m)
{
	struct winsize size = {.ws_row = m->rows,
		.ws_col = m->cols,
		.ws_xpixel = m->width_pixels,
		.ws_ypixel = m->height_pixels};

	return ioctl(master, TIOCSWINSZ, &size) < 0 ? -errno : 0;
}

/* With a slave of our own, the last close of which is seen by the master: so only where there was one. */
static int put_queues(const Ckpt__Pty *m, int master, const struct termios2 *settings)
{
	struct pty_queues q = {.input = m->input.data,
		.output = m->output.data,
		.input_len = m->input.len,
		.output_len = m->output.len,
		.packet_status = m->packet_status,
		.stopped = m->stopped};
	_cleanup_close_ int slave =
		ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	int on = 1, r;

	if (slave < 0)
		return -errno;
	r = pty_queues_put(master, slave, settings, &q);
	if (r == 0 && m->packet && ioctl(master, TIOCPKT, &on) < 0)
		r = -errno;
	return r == 0 && m->packet && m->packet_status ? pty_status_put(master, slave, settings, &q)
						       : r;
}

static int set_master(struct open_ctx *o, const Ckpt__Pty *m, int master)
{
	struct termios2 t = settings_of(m->settings), locked = settings_of(m->locked_settings);
	bool under_way = m->input.len || m->output.len || m->stopped || m->packet_status;
	int off = 0, on = 1, r = 0;

	if (!m->settings || m->stopped > PTY_STOPPED_CALL)
		return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"/dev/pts/%u: it has no settings", m->index);
	set_node(o, m, master);
	if (ioctl(master, TIOCSPTLCK, &off) < 0)
		return fail(o, m, errno, "ioctl(TIOCSPTLCK)");
	r = set_size(master, m);
	if (r < 0)
		return fail(o, m, -r, "ioctl(TIOCSWINSZ)");
	if (under_way || m->slave_left)
		r = put_queues(m, master, &t);
	else if (ioctl(master, TCSETS2, &t) < 0 || (m->packet && ioctl(master, TIOCPKT, &on) < 0))
		r = -errno;
	if (r < 0)
		return fail(o, m, -r, under_way ? "write" : "ioctl(TCSETS2)");
	if (m->locked_settings && ioctl(master, TIOCSLCKTRMIOS, &locked) < 0)
		op_warn(o->op, "/dev/pts/%u: its locked settings: %m", m->index);
	return 0;
}

/* ------------------------------------------------------------------ a master of the right number */

/* The description of a terminal of that number that is still to be opened. */
static const struct model_rec *wanted(struct open_ctx *o, uint32_t index)
{
	const struct model_rec *rec;
	size_t pos = 0;

	while ((rec = model_next(o->model, &res_pty.type, &pos))) {
		const Ckpt__Pty *m = (const void *)rec->msg;

		if (m->master && m->index == index && plan_fd(o->plan, rec->owner) < 0)
			return rec;
	}
	return NULL;
}

static int first_user(const struct pty_user *user, void *arg)
{
	*(struct pty_user *)arg = *user;
	return 1;
}

/* Anybody who has it, at best one that uses it. */
static int fail_taken(struct open_ctx *o, const Ckpt__Pty *m, int master)
{
	_cleanup_close_ int peer = ioctl(master, TIOCGPTPEER, O_PATH | O_CLOEXEC);
	struct pty_user user = {0};
	struct pty_id id = {.index = m->index, .session = -1};
	struct pty_search s = {.v = &id, .n = 1, .found = first_user, .arg = &user};
	char who[96] = "somebody";
	struct stat st;

	if (peer >= 0 && fstat(peer, &st) == 0) {
		id.devpts = st.st_dev;
		if (pty_users(&s) > 0)
			snprintf(who, sizeof(who), "pid %d (%s)", user.pid, user.comm);
	}
	return op_fail(o->op, CKPT_E_CONFLICT, 0, NULL,
		"close that terminal, or let this one get another number: --new-ptys",
		"terminal /dev/pts/%u is in use by %s", m->index, who);
}

static int finish_master(struct open_ctx *o, const Ckpt__Pty *m, int fd, uint32_t flags)
{
	int r = set_master(o, m, fd);

	if (r == 0 && fcntl(fd, F_SETFL, (int)flags & SETTABLE) < 0)
		r = fail(o, m, errno, "fcntl(F_SETFL)");
	return r;
}

static int finish_master_of(struct open_ctx *o, uint64_t id, const Ckpt__Pty *m, int fd)
{
	const Ckpt__File *f = model_get(o->model, &res_file.type, id);

	return finish_master(o, m, fd, f ? f->flags : 0);
}

/* One of another number: for another description, or to be held until the right one comes. */
static int put_by(struct open_ctx *o, uint32_t index, int *fd, int *held, size_t *n_held)
{
	const struct model_rec *rec = wanted(o, index);
	int r;

	if (!rec) {
		held[(*n_held)++] = TAKE_FD(*fd);
		return 0;
	}
	r = finish_master_of(o, rec->owner, (const void *)rec->msg, *fd);
	return r < 0 ? r : o->also(o, rec->owner, TAKE_FD(*fd));
}

static int find_number(
	struct open_ctx *o, const Ckpt__Pty *m, int flags, bool any, int *held, size_t *n_held)
{
	for (;;) {
		_cleanup_close_ int fd = open(m->path, flags);
		uint32_t index;
		int r;

		if (fd < 0)
			return op_fail(o->op, CKPT_E_SPACE, errno, "open",
				"raise kernel.pty.max, or the limit of open files",
				"%s for /dev/pts/%u", m->path, m->index);
		if (ioctl(fd, TIOCGPTN, &index) < 0)
			return op_fail(o->op, CKPT_E_CONFLICT, errno, "ioctl(TIOCGPTN)", NULL,
				"%s is no master of pseudo terminals", m->path);
		if (index > m->index && any && !wanted(o, index))
			return TAKE_FD(fd);
		if (index > m->index && !any)
			return fail_taken(o, m, fd);
		if (index != m->index) {
			r = put_by(o, index, &fd, held, n_held);
			if (r < 0)
				return r;
			continue;
		}
		return TAKE_FD(fd);
	}
}

int pty_open_master(struct open_ctx *o, const Ckpt__Pty *m, uint32_t flags, bool any)
{
	_cleanup_free_ int *held = NULL;
	_cleanup_close_ int fd = -EBADF;
	size_t n_held = 0;
	int r;

	if (m->index > PTY_INDEX_MAX)
		return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"a terminal of number %u", m->index);
	held = calloc(m->index + 1, sizeof(*held));
	if (!held)
		return op_fail(o->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "/dev/pts/%u", m->index);
	fd = find_number(o, m, (int)(flags & O_ACCMODE) | O_NOCTTY | O_NONBLOCK | O_CLOEXEC, any,
		held, &n_held);
	for (size_t i = 0; i < n_held; i++)
		close(held[i]);
	if (fd < 0)
		return fd;
	r = finish_master(o, m, fd, flags);
	return r < 0 ? r : TAKE_FD(fd);
}

static int open_master(struct open_ctx *o, const Ckpt__Pty *m, uint32_t flags)
{
	int fd = pty_open_master(o, m, flags, o->req->new_ptys);
	uint32_t index;

	if (fd >= 0 && ioctl(fd, TIOCGPTN, &index) == 0 && index != m->index)
		op_warn(o->op, "/dev/pts/%u is taken: it is now /dev/pts/%u", m->index, index);
	return fd;
}

/* ------------------------------------------------------------------ a slave */

/* Its master is opened here when it comes later in the image. Return: its descriptor, borrowed. */
static int master_fd(struct open_ctx *o, uint64_t id)
{
	const Ckpt__Pty *m = model_get(o->model, &res_pty.type, id);
	const Ckpt__File *f = model_get(o->model, &res_file.type, id);
	int fd = plan_fd(o->plan, id), r;

	if (!m || !m->master)
		return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"file %llu is no master of a terminal", (unsigned long long)id);
	if (fd >= 0)
		return fd;
	fd = open_master(o, m, f ? f->flags : O_RDWR);
	r = fd < 0 ? fd : o->also(o, id, fd);
	return r < 0 ? r : plan_fd(o->plan, id);
}

int pty_open_slave(struct open_ctx *o, const Ckpt__Pty *m, int master, uint32_t flags)
{
	/* without O_CLOEXEC, which the description would keep, and /proc/PID/fdinfo would show for ever */
	int how = (int)(flags & ~SETTABLE) | O_NONBLOCK | O_NOCTTY;
	bool by_name = strcmp(m->path, DEV_TTY) == 0;
	int fd = by_name ? pty_open_controlling(master, m->path, how)
			 : ioctl(master, TIOCGPTPEER, how);

	if (fd < 0)
		return op_fail(o->op, CKPT_E_SYSTEM, by_name ? -fd : errno, "open", NULL,
			"%s of terminal %u", m->path, m->index);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, (int)(flags & SETTABLE));
	return fd;
}

/* Hung up by the end of its master, as it was. */
static int open_hung_up(struct open_ctx *o, const Ckpt__Pty *m, uint32_t flags)
{
	_cleanup_close_ int master = open(DEV_PTMX, O_RDWR | O_NOCTTY | O_CLOEXEC);
	int off = 0;

	if (master < 0 || ioctl(master, TIOCSPTLCK, &off) < 0)
		return op_fail(o->op, CKPT_E_SYSTEM, errno, "open", NULL,
			DEV_PTMX ", for a terminal that was hung up");
	return pty_open_slave(o, m, master, flags);
}

int pty_open(struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record)
{
	const Ckpt__Pty *m = (const void *)rec->msg;
	const Ckpt__File *f = file_record;
	uint32_t flags = f ? f->flags : O_RDWR;
	int master, fd;

	if (o->unneeded && !m->master)
		return OPEN_NOTHING;
	if (m->master)
		return open_master(o, m, flags);
	if (m->hung_up)
		return open_hung_up(o, m, flags);
	if (!m->master_file) {
		fd = pty_relay_slave(o, id, m->index, m->path, flags);
		return fd != OPEN_NOTHING ? fd : outside_connect(o, id, m->path, flags, true);
	}
	master = master_fd(o, m->master_file);
	return master < 0 ? master : pty_open_slave(o, m, master, flags);
}

int pty_opened_all(struct open_ctx *o, const struct model_rec *rec, int fd)
{
	const Ckpt__Pty *m = (const void *)rec->msg;
	int on = 1;

	if (!m->master && !m->master_file)
		return 0;
	if (m->exclusive && ioctl(fd, TIOCEXCL) < 0)
		return fail(o, m, errno, "ioctl(TIOCEXCL)");
	if (m->master && m->locked && ioctl(fd, TIOCSPTLCK, &on) < 0)
		return fail(o, m, errno, "ioctl(TIOCSPTLCK)");
	return 0;
}
