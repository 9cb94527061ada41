/*
 * preflight_tcp.c - connections of TCP, as a dump of the same --tcp would find them: those that lead outside are not
 * kept if the user says so; those that are kept must not be of a process outside, too.
 *
 * A connection is inside if the tree has its other end, too: a connection of the same addresses the other
 * way round. Only whoever looks deep is told; the dump itself finds it out when all is stopped.
 */
#include "dump/preflight_look.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel/sock.h"
#include "kernel/sock_users.h"
#include "kernel/tcp_inject.h"
#include "kernel/tcp_numbers.h"
#include "res/file/fdpolicy.h"
#include "util/cleanup.h"
#include "util/vec.h"

static const struct look_kind kind_kept = {"tcp", CKPT_SAVED, NULL, NULL};
static const struct look_kind kind_shared = {"tcp", CKPT_REFUSED,
	"a process outside of the tree has it, too, unless the dump lets the program go on (-R)",
	"dump that process too, let one of the two close it, or say --tcp=close or reset"};
static const struct look_kind kinds_outside[] = {
	[CKPT_TCP_KEEP] = {"tcp", CKPT_SAVED, NULL, NULL},
	[CKPT_TCP_CLOSE] = {"tcp", CKPT_WARNED,
		"its other end is outside: both ends find it closed (--tcp=close)", NULL},
	[CKPT_TCP_RESET] = {"tcp", CKPT_WARNED,
		"its other end is outside: both ends find it reset (--tcp=reset)", NULL},
};

bool look_is_connection(const struct look *l, const struct file_look *f)
{
	return l->report->deep && f->sock && f->sock->type == SOCK_STREAM &&
	       f->sock->protocol == IPPROTO_TCP && f->sock->tcp_state &&
	       f->sock->tcp_state != TCP_IS_CLOSE && f->sock->tcp_state != TCP_IS_LISTEN;
}

static void end_of(const struct sockaddr_storage *from, struct tcp_look_end *ret)
{
	struct sockaddr_storage a = *from;
	const struct sockaddr_in *in = (const void *)&a;
	const struct sockaddr_in6 *in6 = (const void *)&a;

	memset(ret, 0, sizeof(*ret));
	tcp_plain_addr(&a);
	ret->family = a.ss_family;
	ret->port = in->sin_port; /* of either family at the same place */
	if (a.ss_family == AF_INET6)
		memcpy(ret->addr, &in6->sin6_addr, sizeof(in6->sin6_addr));
	else
		memcpy(ret->addr, &in->sin_addr, sizeof(in->sin_addr));
}

int look_connection(struct look *l, const struct file_look *f)
{
	struct look_tree *t = l->tree;
	struct sockaddr_storage local, peer;
	struct tcp_look *k;

	if (!look_sock_ends(l, f->target_fd, &local, &peer))
		return look_found(l, &kind_kept, "fd %d %s", f->target_fd, f->link);
	if (vec_reserve(&t->tcp, &t->cap_tcp, t->n_tcp + 1, sizeof(*t->tcp)) < 0)
		return look_fail(l, ENOMEM, "preflight");
	k = &t->tcp[t->n_tcp++];
	*k = (struct tcp_look){.ino = f->st.st_ino, .pid = l->pid, .fd = f->target_fd};
	end_of(&local, &k->ends.local);
	end_of(&peer, &k->ends.peer);
	return 0;
}

static int by_ends(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct tcp_look_ends));
}

static int by_pid(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return (x > y) - (x < y);
}

/* Who outside has each of them. */
static int find_users(struct look *l, struct sock_user *users)
{
	const struct look_tree *t = l->tree;
	_cleanup_free_ pid_t *pids = calloc(t->n + 1, sizeof(*pids));

	if (!pids)
		return look_fail(l, ENOMEM, "preflight");
	for (size_t i = 0; i < t->n; i++)
		pids[i] = t->v[i].pid;
	pids[t->n] = getpid();
	qsort(pids, t->n + 1, sizeof(*pids), by_pid);
	for (size_t i = 0; i < t->n_tcp; i++)
		users[i].ino = t->tcp[i].ino;
	sock_users_but(users, t->n_tcp, pids, t->n + 1);
	return 0;
}

static int tell(
	struct look *l, const struct tcp_look *k, bool inside, const struct sock_user *other)
{
	struct fdpolicy *policy = l->tree->policy;
	enum ckpt_tcp how = policy ? policy->tcp : CKPT_TCP_KEEP;
	const struct look_kind *kind = inside ? &kind_kept : &kinds_outside[how];
	const struct fdpolicy_entry *wish = NULL;
	struct look_kind wished;
	char text[160] = "";

	l->pid = l->tid = k->pid;
	l->fd = k->fd;
	look_socket(l, k->fd, text, sizeof(text));
	if (how != CKPT_TCP_KEEP || !other->pid)
		return look_found(l, kind, "fd %d socket:[%llu]%s%s%s", k->fd,
			(unsigned long long)k->ino, *text ? " (" : "", text, *text ? ")" : "");
	kind = &kind_shared;
	wish = fdpolicy_of_kind(policy, kind->resource);
	if (wish) {
		wished = (struct look_kind){
			kind->resource, CKPT_WARNED, fdpolicy_becomes(wish), NULL};
		kind = &wished;
	}
	return look_found(l, kind, "fd %d socket:[%llu] (%s%sis fd %d of pid %d, %s)", k->fd,
		(unsigned long long)k->ino, text, *text ? ", " : "", other->fd, other->pid,
		other->comm);
}

int look_connections(struct look *l)
{
	const struct look_tree *t = l->tree;
	_cleanup_free_ struct tcp_look_ends *all = calloc(t->n_tcp + 1, sizeof(*all));
	_cleanup_free_ struct sock_user *users = calloc(t->n_tcp + 1, sizeof(*users));
	int r = 0;

	if (!all || !users)
		return look_fail(l, ENOMEM, "preflight");
	if (!t->n_tcp)
		return 0;
	for (size_t i = 0; i < t->n_tcp; i++)
		all[i] = t->tcp[i].ends;
	qsort(all, t->n_tcp, sizeof(*all), by_ends);
	if (!t->policy || t->policy->tcp == CKPT_TCP_KEEP)
		r = find_users(l, users);
	for (size_t i = 0; r == 0 && i < t->n_tcp; i++) {
		struct tcp_look_ends other = {t->tcp[i].ends.peer, t->tcp[i].ends.local};

		r = tell(l, &t->tcp[i],
			bsearch(&other, all, t->n_tcp, sizeof(other), by_ends) != NULL, &users[i]);
	}
	l->fd = -1;
	return r;
}
