/*
 * preflight_tty.c - pseudo terminals: whose other side is in the tree, and who else has them open.
 *
 * They are judged when all processes have been looked at. A slave whose master is outside leads outside,
 * like a pipe. A slave of a terminal of the tree that somebody outside has open as well would lose its
 * other side by the restore, so that is refused. Which terminal it is tells a copy of the descriptor.
 */
#include "dump/preflight_look.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <asm/ioctls.h>

#include "kernel/pidfd.h"
#include "kernel/proc.h"
#include "kernel/proc_stat.h"
#include "kernel/pty_users.h"
#include "util/cleanup.h"
#include "util/vec.h"

#define MAJOR_PTS       136
#define GENERATIONS_MAX 64
#define OTHERS_MS       2000 /* how long another dump is waited for */

static const struct look_kind kind_inside = {"pty", CKPT_SAVED, NULL, NULL};
static const struct look_kind kind_hung_up = {"pty", CKPT_SAVED, "hung up: it will be", NULL};
static const struct look_kind kind_outside = {"terminal", CKPT_WARNED,
	"it leads outside: at restore it is the restore command's own of that number",
	"'ckpt restore --fd N=...' connects it elsewhere"};
static const struct look_kind kind_controlling = {"terminal", CKPT_WARNED,
	"its other side is outside: a restore in the foreground passes its own terminal on",
	"'ckpt restore --fd N=...' connects it elsewhere"};
static const struct look_kind kind_shared = {"pty", CKPT_REFUSED,
	"a terminal of the tree is open outside of it too", "end that program, or let it close it"};

int look_terminal(struct look *l, const struct file_look *f)
{
	struct look_tree *t = l->tree;
	struct terminal_end e = {.pid = l->pid, .fd = f->target_fd, .index = UINT32_MAX};
	_cleanup_close_ int pidfd = l->tid == l->pid ? pidfd_of(l->pid) : pidfd_of_thread(l->tid);
	_cleanup_close_ int fd = pidfd < 0 ? -EBADF : pidfd_take(pidfd, f->target_fd);
	_cleanup_close_ int peer = fd < 0 ? -EBADF : ioctl(fd, TIOCGPTPEER, O_PATH | O_CLOEXEC);
	unsigned dev = 0;
	struct stat st;

	e.master = peer >= 0;
	if (e.master && ioctl(fd, TIOCGSID, &e.session) == 0 && !e.session)
		e.session = -1;
	e.hung_up = fd >= 0 && ioctl(fd, TIOCGDEV, &dev) < 0;
	if (dev && major(dev) == MAJOR_PTS)
		e.index = minor(dev);
	if (e.master && fstat(peer, &st) == 0)
		e.devpts = st.st_dev;
	else if (major(f->st.st_rdev) >= MAJOR_PTS)
		e.devpts = f->st.st_dev;
	e.link = strdup(f->link);
	if (!e.link ||
		vec_reserve(&t->terminals, &t->cap_terminals, t->n_terminals + 1, sizeof(e)) < 0) {
		free(e.link);
		return look_fail(l, ENOMEM, "preflight");
	}
	t->terminals[t->n_terminals++] = e;
	return 0;
}

static bool master_inside(const struct look_tree *t, const struct terminal_end *e)
{
	for (size_t i = 0; i < t->n_terminals; i++) {
		const struct terminal_end *m = &t->terminals[i];

		if (m->master && m->index == e->index && (!e->devpts || m->devpts == e->devpts))
			return true;
	}
	return false;
}

static bool in_tree(const struct look_tree *t, pid_t pid)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i].pid == pid)
			return true;
	return false;
}

/* Whether it is that of a session which the tree has the leader of. */
static bool controls_session(const struct look_tree *t, const struct terminal_end *e)
{
	_cleanup_close_ int procfd = proc_open(e->pid);
	struct proc_stat st;

	return procfd >= 0 && proc_stat_read(procfd, 0, &st) == 0 && in_tree(t, st.session) &&
	       major(st.tty_nr) == MAJOR_PTS && minor(st.tty_nr) == e->index;
}

static const struct look_kind *kind_of(const struct look_tree *t, const struct terminal_end *e)
{
	if (e->hung_up)
		return &kind_hung_up;
	if (e->master || master_inside(t, e))
		return &kind_inside;
	return controls_session(t, e) ? &kind_controlling : &kind_outside;
}

/* ------------------------------------------------------------------ who else */

struct users {
	struct look *l;
	const struct pty_id *ids;
};

/* Of the tree, or of us, or born since the look at its parent. */
static bool descends(pid_t pid, void *arg)
{
	const struct users *u = arg;

	for (int i = 0; i < GENERATIONS_MAX && pid > 1; i++) {
		_cleanup_close_ int procfd = -EBADF;
		struct proc_stat st;

		if (pid == getpid() || in_tree(u->l->tree, pid))
			return true;
		procfd = proc_open(pid);
		if (procfd < 0 || proc_stat_read(procfd, 0, &st) < 0)
			return true; /* it has ended */
		pid = st.ppid;
	}
	return false;
}

/*
 * Another dump looks at it, or what a dump that was killed has left behind puts it back as it was: either will
 * soon have it no more.
 */
static bool was_another_dump(pid_t pid)
{
	_cleanup_close_ int pidfd = pidfd_of(pid);
	struct pollfd end = {.fd = pidfd, .events = POLLIN};
	struct stat own, st;
	char exe[32];

	snprintf(exe, sizeof(exe), "/proc/%d/exe", pid);
	return pidfd >= 0 && stat("/proc/self/exe", &own) == 0 && stat(exe, &st) == 0 &&
	       st.st_dev == own.st_dev && st.st_ino == own.st_ino && poll(&end, 1, OTHERS_MS) > 0;
}

static int found_user(const struct pty_user *user, void *arg)
{
	const struct users *u = arg;
	char how[32] = "as its controlling terminal";

	if (was_another_dump(user->pid))
		return 0;
	if (user->fd >= 0)
		snprintf(how, sizeof(how), "as its fd %d", user->fd);
	return look_found(u->l, &kind_shared, "/dev/pts/%u: pid %d (%s) has it %s",
		u->ids[user->which].index, user->pid, user->comm, how);
}

static int look_users(struct look *l)
{
	const struct look_tree *t = l->tree;
	_cleanup_free_ struct pty_id *ids = calloc(t->n_terminals + 1, sizeof(*ids));
	struct users users = {l, ids};
	struct pty_search s = {.v = ids, .skip = descends, .found = found_user, .arg = &users};

	if (!ids)
		return look_fail(l, ENOMEM, "preflight");
	for (size_t i = 0; i < t->n_terminals; i++)
		if (t->terminals[i].master)
			ids[s.n++] = (struct pty_id){t->terminals[i].devpts, t->terminals[i].index,
				t->terminals[i].session};
	return s.n ? pty_users(&s) : 0;
}

int look_terminals(struct look *l)
{
	const struct look_tree *t = l->tree;

	for (size_t i = 0; i < t->n_terminals; i++) {
		const struct terminal_end *e = &t->terminals[i];

		l->pid = e->pid;
		if (look_found(l, kind_of(t, e), "fd %d %s", e->fd, e->link) < 0)
			return -1;
	}
	l->pid = t->v[0].pid;
	return look_users(l);
}

void look_terminals_done(struct look_tree *t)
{
	for (size_t i = 0; i < t->n_terminals; i++)
		free(t->terminals[i].link);
	free(t->terminals);
}
