/*
 * preflight_unix.c - unix sockets whose other end is in a process outside of the tree.
 *
 * Who has the other end only a look at all processes tells, so that is done once, for all of them. An end
 * that no process has may be in flight, in a queue of the tree: the dump itself finds that out.
 */
#include "dump/preflight_look.h"

#include <errno.h>
#include <linux/unix_diag.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "kernel/sock.h"
#include "kernel/sock_diag.h"
#include "kernel/sock_users.h"
#include "res/file/fdpolicy.h"
#include "res/socket/socket.h"
#include "util/cleanup.h"
#include "util/vec.h"

static const struct look_kind kinds[] = {
	[CKPT_UNIX_REFUSE] = {"unixsock", CKPT_REFUSED,
		"its other end is in a process outside of the tree",
		"dump that program too, or say --unix-outside=close or reconnect"},
	[CKPT_UNIX_CLOSE] = {"unixsock", CKPT_WARNED,
		"its other end is outside: at restore that has closed the connection", NULL},
	[CKPT_UNIX_RECONNECT] = {"unixsock", CKPT_WARNED,
		"its other end is outside: at restore it connects again to that name", NULL},
};
static const struct look_kind kind_inside = {"unixsock", CKPT_SAVED, NULL, NULL};

int look_unix_sock(struct look *l, const struct file_look *f)
{
	struct look_tree *t = l->tree;

	if (vec_reserve(&t->unix_socks, &t->cap_unix, t->n_unix + 1, sizeof(*t->unix_socks)) < 0)
		return look_fail(l, ENOMEM, "preflight");
	t->unix_socks[t->n_unix++] =
		(struct unix_look){f->st.st_ino, l->pid, f->target_fd, f->sock->type};
	return 0;
}

/* Return: 0: it has none, or one that is in no process */
static uint32_t peer_of(const struct sock_diag *d, uint64_t ino)
{
	const struct sock_diag_row *row = sock_diag_find(d, ino);
	const uint32_t *peer = row ? sock_diag_attr(row, UNIX_DIAG_PEER, NULL) : NULL;

	return peer ? *peer : 0;
}

static int by_ino(const void *a, const void *b)
{
	const struct unix_look *x = a, *y = b;

	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	return x->fd - y->fd;
}

static bool in_tree(const struct look_tree *t, uint64_t ino)
{
	size_t lo = 0, hi = t->n_unix;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (t->unix_socks[mid].ino == ino)
			return true;
		if (t->unix_socks[mid].ino < ino)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

static int tell(struct look *l, const struct unix_look *u, const struct sock_user *other)
{
	const struct fdpolicy *policy = l->tree->policy;
	const struct look_kind *kind = &kind_inside;
	const struct fdpolicy_entry *wish = NULL;
	struct look_kind wished;
	char text[160] = "";

	l->pid = u->pid;
	l->tid = u->pid;
	l->fd = u->fd;
	if (other->pid)
		kind = &kinds[policy ? policy->unix_outside : CKPT_UNIX_REFUSE];
	if (kind->verdict == CKPT_REFUSED)
		wish = fdpolicy_of_kind(l->tree->policy, kind->resource);
	if (wish) {
		wished = (struct look_kind){
			kind->resource, CKPT_WARNED, fdpolicy_becomes(wish), NULL};
		kind = &wished;
	}
	look_socket(l, u->fd, text, sizeof(text));
	if (!other->pid)
		return look_found(l, kind, "fd %d socket:[%llu]%s%s%s", u->fd,
			(unsigned long long)u->ino, *text ? " (" : "", text, *text ? ")" : "");
	return look_found(l, kind, "fd %d socket:[%llu] (%s%sto fd %d of pid %d, %s)", u->fd,
		(unsigned long long)u->ino, text, *text ? ", " : "", other->fd, other->pid,
		other->comm);
}

int look_unix_socks(struct look *l)
{
	struct look_tree *t = l->tree;
	_cleanup_free_ struct sock_user *others = calloc(t->n_unix + 1, sizeof(*others));
	struct sock_diag diag = {0};
	size_t n = 0;
	int r = 0;

	if (!others)
		return look_fail(l, ENOMEM, "preflight");
	if (!t->n_unix)
		return 0;
	qsort(t->unix_socks, t->n_unix, sizeof(*t->unix_socks), by_ino);
	if (sock_diag_read(&diag, AF_UNIX, 0) < 0)
		sock_diag_done(&diag); /* the dump will say that */
	for (size_t i = 0; i < t->n_unix; i++) {
		uint32_t peer = peer_of(&diag, t->unix_socks[i].ino);

		if (peer && !in_tree(t, peer))
			others[i].ino = peer;
		n += others[i].ino != 0;
	}
	sock_diag_done(&diag);
	if (n)
		sock_users(others, t->n_unix);
	for (size_t i = 0; r == 0 && i < t->n_unix; i++)
		r = tell(l, &t->unix_socks[i], &others[i]);
	l->fd = -1;
	return r;
}

bool look_unix_outside(const struct collect *c, const struct file_look *f)
{
	const struct fdpolicy *policy = c->tree->policy;
	const struct sock_diag *diag;
	struct sock_user other = {0};

	if (f->sock->family != AF_UNIX || policy->unix_outside != CKPT_UNIX_REFUSE ||
		socket_diag(c->tree, AF_UNIX, 0, &diag) < 0)
		return false;
	other.ino = peer_of(diag, f->st.st_ino);
	for (size_t i = 0; other.ino && i < c->tree->n_tasks; i++)
		if (c->tree->tasks[i].tr && sock_users_of(c->tree->tasks[i].pid, &other, 1))
			return false;
	return other.ino != 0;
}
