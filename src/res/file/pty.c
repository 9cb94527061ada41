/*
 * pty.c - pseudo terminals: masters (/dev/ptmx), and slaves (/dev/pts/N, or /dev/tty).
 *
 * A slave whose master is in the tree too is made again with its number, its settings and all that is
 * under way in it. The master's record has all of that; there is one description of a master, since each
 * open of /dev/ptmx makes a new terminal. Settings and size are the slave's, whichever side is asked
 * (tty_ioctl(2)). A slave whose master is outside becomes the terminal of the restore command, or, where
 * it was the controlling terminal of a session in the tree, one that the command passes on (pty_relay.c).
 *
 * Facts: TIOCGPTPEER (Linux >= 4.13) leads from a master to its slave without a name, and with O_PATH
 * without an open; TIOCGDEV (>= 2.6.37) says which terminal a descriptor of /dev/tty is. A slave whose
 * master was closed is hung up: every ioctl of it is EIO.
 */
#include "res/file/pty.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <asm/termbits.h>

#include "kernel/pidfd.h"
#include "kernel/pty.h"
#include "proto/fdtable.pb-c.h"
#include "proto/pty.pb-c.h"
#include "res/file/seen.h"
#include "util/cleanup.h"
#include "util/fd.h"

#define MAJOR_TTYAUX    5
#define MINOR_TTY       0
#define MINOR_PTMX      2
#define MAJOR_PTS_FIRST 136
#define MAJOR_PTS_LAST  143

static bool is_device(const struct file_look *l, unsigned maj, unsigned min)
{
	return major(l->st.st_rdev) == maj && minor(l->st.st_rdev) == min;
}

static bool is_pts(dev_t rdev)
{
	return major(rdev) >= MAJOR_PTS_FIRST && major(rdev) <= MAJOR_PTS_LAST;
}

static bool match(const struct file_look *l)
{
	if (!S_ISCHR(l->st.st_mode) || l->flags & O_PATH || l->target_fd < 0)
		return false;
	return is_pts(l->st.st_rdev) || is_device(l, MAJOR_TTYAUX, MINOR_TTY) ||
	       is_device(l, MAJOR_TTYAUX, MINOR_PTMX);
}

/* ------------------------------------------------------------------ dump: each description */

static int fail_ioctl(struct collect *c, const struct file_look *l, const char *what)
{
	return op_fail(c->op, CKPT_E_SYSTEM, errno, what, NULL, "pid %d (%s): fd %d (%s)", c->pid,
		c->tr->comm, l->target_fd, l->link);
}

static Ckpt__PtySettings *settings_new(const struct termios2 *t)
{
	Ckpt__PtySettings *m = msg_new(Ckpt__PtySettings, CKPT__PTY_SETTINGS__INIT);

	if (!m)
		return NULL;
	m->iflag = t->c_iflag;
	m->oflag = t->c_oflag;
	m->cflag = t->c_cflag;
	m->lflag = t->c_lflag;
	m->line = t->c_line;
	m->cc = msg_bytes(t->c_cc, sizeof(t->c_cc));
	m->ispeed = t->c_ispeed;
	m->ospeed = t->c_ospeed;
	if (m->cc.data)
		return m;
	free(m);
	return NULL;
}

static int collect_settings(struct collect *c, const struct file_look *l, Ckpt__Pty *m)
{
	static const struct termios2 nothing;
	struct termios2 t, locked = {0};
	int line = N_TTY;

	if (ioctl(l->fd, TCGETS2, &t) < 0 || ioctl(l->fd, TIOCGETD, &line) < 0)
		return fail_ioctl(c, l, "ioctl(TCGETS2)");
	if (t.c_line != N_TTY || line != N_TTY)
		return op_fail(c->op, CKPT_E_REFUSED, 0, NULL, "let the program close it",
			"pid %d (%s): fd %d: /dev/pts/%u has line discipline %d, which can't be "
			"saved",
			c->pid, c->tr->comm, l->target_fd, m->index,
			line == N_TTY ? t.c_line : line);
	m->settings = settings_new(&t);
	if (!m->settings)
		return collect_oom(c);
	if (ioctl(l->fd, TIOCGLCKTRMIOS, &locked) < 0 || !memcmp(&locked, &nothing, sizeof(locked)))
		return 0;
	m->locked_settings = settings_new(&locked);
	return m->locked_settings ? 0 : collect_oom(c);
}

static int collect_size(int fd, Ckpt__Pty *m)
{
	struct winsize size;

	if (ioctl(fd, TIOCGWINSZ, &size) < 0)
		return -errno;
	m->rows = size.ws_row;
	m->cols = size.ws_col;
	m->width_pixels = size.ws_xpixel;
	m->height_pixels = size.ws_ypixel;
	return 0;
}

static void collect_node(const struct stat *st, Ckpt__Pty *m)
{
	m->slave_mode = st->st_mode & 07777;
	m->slave_uid = st->st_uid;
	m->slave_gid = st->st_gid;
}

static int collect_master(struct collect *c, const struct file_look *l, Ckpt__Pty *m)
{
	_cleanup_close_ int peer = ioctl(l->fd, TIOCGPTPEER, O_PATH | O_CLOEXEC);
	int locked, packet;
	struct stat st;

	m->master = true;
	if (ioctl(l->fd, TIOCGPTN, &m->index) < 0)
		return fail_ioctl(c, l, "ioctl(TIOCGPTN)");
	if (peer < 0 || fstat(peer, &st) < 0)
		return fail_ioctl(c, l, "ioctl(TIOCGPTPEER)");
	m->devpts = st.st_dev;
	collect_node(&st, m);
	if (collect_size(l->fd, m) < 0 || ioctl(l->fd, TIOCGPTLCK, &locked) < 0 ||
		ioctl(l->fd, TIOCGPKT, &packet) < 0)
		return fail_ioctl(c, l, "ioctl");
	m->locked = locked;
	m->packet = packet;
	return collect_settings(c, l, m);
}

/* The name of one that is hung up is gone, and its number may be another's by now. */
static int collect_slave(const struct file_look *l, Ckpt__Pty *m)
{
	unsigned dev = 0;

	m->hung_up = ioctl(l->fd, TIOCGDEV, &dev) < 0;
	if (m->hung_up) {
		free(m->path);
		m->path = strdup("");
		return m->path ? 0 : -ENOMEM;
	}
	/* a number without a file system is any of that number; a console has none */
	m->index = is_pts(dev) ? minor(dev) : UINT32_MAX;
	m->devpts = is_pts(l->st.st_rdev) ? l->st.st_dev : 0;
	return 0;
}

static int collect(struct collect *c, uint64_t id, const struct file_look *l)
{
	Ckpt__Pty *m = msg_new(Ckpt__Pty, CKPT__PTY__INIT);
	int exclusive = 0, r = 0;

	if (m)
		m->path = strdup(l->link);
	if (!m || !m->path) {
		free(m);
		return collect_oom(c);
	}
	if (is_device(l, MAJOR_TTYAUX, MINOR_PTMX))
		r = collect_master(c, l, m);
	else if (collect_slave(l, m) < 0)
		r = collect_oom(c);
	m->exclusive = ioctl(l->fd, TIOCGEXCL, &exclusive) == 0 && exclusive;
	if (r == 0)
		return collect_add_take(c, &res_pty.type, id, m);
	protobuf_c_message_free_unpacked(&m->base, NULL);
	return r;
}

/* ------------------------------------------------------------------ dump: all are known */

static uint64_t master_of(const struct model *model, const Ckpt__Pty *slave)
{
	const struct model_rec *rec;
	size_t pos = 0;

	while ((rec = model_next(model, &res_pty.type, &pos))) {
		const Ckpt__Pty *m = (const void *)rec->msg;

		if (m->master && m->index == slave->index &&
			(!slave->devpts || slave->devpts == m->devpts))
			return rec->owner;
	}
	return 0;
}

static int fail_queues(struct collect *c, const Ckpt__Pty *m, int r)
{
	bool lost = r == -EINTR || r == -ENODATA;

	return op_fail(c->op, CKPT_E_SYSTEM, -r, "read", NULL,
		"/dev/pts/%u: what is under way in it%s", m->index,
		lost ? " may be lost: it could not be put back" : "");
}

static int keep_queues(struct collect *c, Ckpt__Pty *m, const struct pty_queues *q)
{
	m->packet_status = q->packet_status;
	m->stopped = q->stopped;
	m->input = msg_bytes(q->input, q->input_len);
	m->output = msg_bytes(q->output, q->output_len);
	return (q->input_len && !m->input.data) || (q->output_len && !m->output.data)
		       ? collect_oom(c)
		       : 0;
}

static int collect_queues(struct collect *c, Ckpt__Pty *m, int master)
{
	struct pty_queues q = {.input_cap = PTY_QUEUE_ROOM, .output_cap = PTY_QUEUE_ROOM};
	_cleanup_free_ uint8_t *room = malloc(2 * PTY_QUEUE_ROOM);
	_cleanup_close_ int slave = -EBADF;
	int r;

	if (!room)
		return collect_oom(c);
	/* an open that fails because of the lock would make I/O errors of whoever has the slave */
	if (!m->locked)
		slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (slave < 0) {
		op_warn(c->op, "/dev/pts/%u: %s: what is under way in it is not saved", m->index,
			m->locked ? "it is locked (TIOCSPTLCK)" : strerror(errno));
		return 0;
	}
	q.input = room;
	q.output = room + PTY_QUEUE_ROOM;
	r = pty_queues_peek(master, slave, &q);
	return r < 0 ? fail_queues(c, m, r) : keep_queues(c, m, &q);
}

/* Its settings and size, should it have to be made anew; none where they can't be told. */
static int finish_outside(struct collect_tree *t, uint64_t id, Ckpt__Pty *m)
{
	const struct collect_file *f = &t->files[id - 1];
	_cleanup_close_ int fd = pidfd_take(f->of->pidfd, f->target_fd);
	struct termios2 settings;
	struct stat st;

	if (fd < 0 || ioctl(fd, TCGETS2, &settings) < 0 || collect_size(fd, m) < 0)
		return 0;
	if (fstat(fd, &st) == 0 && is_pts(st.st_rdev))
		collect_node(&st, m);
	m->settings = settings_new(&settings);
	return m->settings ? 0 : collect_oom(f->of);
}

/*
 * What is under way is only looked for where some slave is or was open: to open the first one would
 * show to the master, which sees that it is closed again.
 */
static int finish_master(struct collect_tree *t, uint64_t id, Ckpt__Pty *m, bool slave_open)
{
	const struct collect_file *f = &t->files[id - 1];
	_cleanup_close_ int fd = pidfd_take(f->of->pidfd, f->target_fd);
	struct pollfd p = {.fd = fd, .events = 0};

	if (fd < 0)
		return op_fail(t->op, CKPT_E_SYSTEM, -fd, "pidfd_getfd", NULL, "pid %d (%s): fd %d",
			f->of->pid, f->of->tr->comm, f->target_fd);
	m->slave_left = poll(&p, 1, 0) > 0 && p.revents & POLLHUP;
	return slave_open || m->slave_left ? collect_queues(f->of, m, fd) : 0;
}

static int finish(struct collect_tree *t)
{
	_cleanup_free_ bool *slave_open = calloc(t->n_files + 1, sizeof(*slave_open));
	const struct model_rec *rec;
	size_t pos = 0;
	int r = 0;

	if (!slave_open)
		return op_fail(t->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "terminals");
	while ((rec = model_next(t->model, &res_pty.type, &pos))) {
		Ckpt__Pty *m = (void *)rec->msg;

		if (m->master || m->hung_up)
			continue;
		m->master_file = master_of(t->model, m);
		slave_open[m->master_file] = true;
		if (!m->master_file)
			r = finish_outside(t, rec->owner, m);
		if (r < 0)
			return r;
	}
	pos = 0;
	while (r == 0 && (rec = model_next(t->model, &res_pty.type, &pos))) {
		Ckpt__Pty *m = (void *)rec->msg;

		if (m->master)
			r = finish_master(t, rec->owner, m, slave_open[rec->owner]);
	}
	return r;
}

static const struct file_ops ops = {.match = match,
	.collect = collect,
	.finish = finish,
	.open = pty_open,
	.opened_all = pty_opened_all};
static const char *const volatile_fields[] = {"devpts", NULL};

const struct res res_pty = {
	.type = {"pty", SCOPE_FILE, &ckpt__pty__descriptor, volatile_fields},
	.file = &ops,
};
