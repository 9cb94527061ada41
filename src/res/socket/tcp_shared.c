/*
 * tcp_shared.c - connections that a process outside of the tree has as well.
 *
 * Who is outside only a look at all processes tells. A dump after which the program goes on has a connection in
 * repair mode for a moment; one that ends the program leaves it so, and closes it: another process that has it
 * would have a connection that is silent for ever.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/sock_users.h"
#include "proto/tcp.pb-c.h"
#include "res/file/seen.h"
#include "res/socket/tcp.h"
#include "util/cleanup.h"

static int ascending(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return (x > y) - (x < y);
}

int tcp_users_outside(const struct collect_tree *t, struct sock_user *v, size_t n)
{
	_cleanup_free_ pid_t *pids = calloc(t->n_tasks + 1, sizeof(*pids));

	if (!pids)
		return -ENOMEM;
	for (size_t i = 0; i < t->n_tasks; i++)
		pids[i] = t->tasks[i].pid;
	pids[t->n_tasks] = getpid(); /* our duplicates */
	qsort(pids, t->n_tasks + 1, sizeof(*pids), ascending);
	return sock_users_but(v, n, pids, t->n_tasks + 1);
}

static int refuse(struct collect_tree *t, const struct tcp_held *h, const struct sock_user *user)
{
	const struct collect_file *f = &t->files[h->id - 1];
	char text[TCP_TEXT_MAX];

	return op_fail(t->op, CKPT_E_REFUSED, 0, NULL,
		"dump that process too, or let one of the two close it",
		"pid %d (%s): fd %d, %s, is fd %d of pid %d (%s) as well, outside of the tree",
		f->of->pid, f->of->tr->comm, f->target_fd,
		tcp_text(model_get(t->model, &res_tcp.type, h->id), text), user->fd, user->pid,
		user->comm);
}

int tcp_check_shared(struct collect_tree *t)
{
	const struct tcp_hold *h = t->tcp;
	_cleanup_free_ struct sock_user *v = calloc(h->n + 1, sizeof(*v));
	struct stat st;
	int r = 0;

	if (!v)
		return op_fail(t->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "connections");
	if (!h->n || h->how != CKPT_TCP_KEEP)
		return 0;
	for (size_t i = 0; i < h->n; i++)
		v[i].ino = fstat(h->v[i].fd, &st) == 0 ? st.st_ino : 0;
	if (tcp_users_outside(t, v, h->n) < 0)
		return 0; /* it can't be known */
	for (size_t i = 0; i < h->n && r == 0; i++)
		if (v[i].pid)
			r = refuse(t, &h->v[i], &v[i]);
	return r;
}
