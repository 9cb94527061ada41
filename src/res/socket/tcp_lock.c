/*
 * tcp_lock.c - the lock on connections, and what a dump holds of them until the program is dead.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel/apart.h"
#include "kernel/nft.h"
#include "kernel/tcp_inject.h"
#include "kernel/tcp_repair.h"
#include "proto/tcp.pb-c.h"
#include "res/socket/tcp.h"
#include "util/cleanup.h"
#include "util/vec.h"

void tcp_lock_name(uint64_t crid, char *buf, size_t len)
{
	snprintf(buf, len, TCP_LOCK_PREFIX "%llu", (unsigned long long)crid);
}

/* An AF_INET6 socket may speak IPv4. */
static void end_of(struct sockaddr_storage *a, int *family, uint8_t addr[16], uint16_t *port)
{
	const struct sockaddr_in *in = (const void *)a;
	const struct sockaddr_in6 *in6 = (const void *)a;

	tcp_plain_addr(a);
	*family = a->ss_family;
	*port = a->ss_family == AF_INET6 ? in6->sin6_port : in->sin_port;
	memcpy(addr, a->ss_family == AF_INET6 ? (const void *)&in6->sin6_addr : &in->sin_addr,
		a->ss_family == AF_INET6 ? 16 : 4);
}

static int conn_of(int family, const Ckpt__Tcp *m, struct netlock_conn *ret)
{
	struct sockaddr_storage local, peer;
	bool listens = m->kind == CKPT__TCP__KIND__LISTENING;

	memset(ret, 0, sizeof(*ret)); /* it is compared whole */
	if (!m->local || !tcp_end_get(family, m->local, &local) ||
		(!listens && (!m->peer || !tcp_end_get(family, m->peer, &peer))))
		return -EINVAL;
	end_of(&local, &ret->family, ret->local, &ret->local_port);
	if (!listens)
		end_of(&peer, &ret->family, ret->peer, &ret->peer_port);
	return 0;
}

int tcp_lock_add(struct tcp_lock *l, int family, const Ckpt__Tcp *m)
{
	struct netlock_conn c;
	int r = conn_of(family, m, &c);

	if (r == 0)
		r = vec_reserve(&l->v, &l->cap, l->n + 1, sizeof(*l->v));
	if (r == 0) {
		l->listeners += !c.peer_port;
		memcpy(&l->v[l->n++], &c, sizeof(c));
	}
	return r;
}

static int by_bytes(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct netlock_conn));
}

void tcp_lock_sort(struct tcp_lock *l)
{
	if (l->n)
		qsort(l->v, l->n, sizeof(*l->v), by_bytes);
}

bool tcp_inside(const struct tcp_lock *l, int family, const Ckpt__Tcp *m)
{
	struct netlock_conn c, other;

	if (!l->n || conn_of(family, m, &c) < 0)
		return false;
	memset(&other, 0, sizeof(other));
	other.family = c.family;
	memcpy(other.local, c.peer, sizeof(other.local));
	memcpy(other.peer, c.local, sizeof(other.peer));
	other.local_port = c.peer_port;
	other.peer_port = c.local_port;
	return bsearch(&other, l->v, l->n, sizeof(*l->v), by_bytes);
}

int tcp_lock_waiting(struct tcp_lock *l, int family, const Ckpt__Tcp *m)
{
	int r = 0;

	for (size_t i = 0; i < m->n_waiting && r == 0; i++)
		r = tcp_lock_add(l, family, m->waiting[i]);
	return r;
}

int tcp_lock_try(struct tcp_lock *l, const char *suffix)
{
	struct netlock_table t = {.name = l->name, .comment = "of a ckpt that runs", .owned = true};
	int r;

	l->nft = nft_open();
	if (l->nft < 0)
		return l->nft;
	snprintf(l->name, sizeof(l->name), TCP_LOCK_PREFIX "pid-%d%s", getpid(), suffix);
	r = netlock_put(l->nft, &t, l->v, l->n);
	if (r != -EOPNOTSUPP)
		return r;
	t.owned = false;
	return netlock_put(l->nft, &t, l->v, l->n);
}

void tcp_lock_take(struct ckpt_op *op, struct tcp_lock *l)
{
	int r = l->n ? tcp_lock_try(l, "") : 0;

	if (r == 0)
		return;
	l->nft = fd_close(l->nft);
	if (l->n == l->listeners)
		return; /* whoever connects now may be reset, as with a server that has just ended */
	op_warn(op,
		"%zu connections can't be locked by nftables (%s): while their program is gone the "
		"kernel may answer their peers with a reset",
		l->n - l->listeners, strerror(-r));
}

/* Before Linux 5.12 a table stays when its maker is gone. */
void tcp_lock_done(struct tcp_lock *l)
{
	if (l->nft >= 0) {
		netlock_remove(l->nft, l->name);
		l->nft = fd_close(l->nft);
	}
	free(l->v);
	l->v = NULL;
	l->n = l->cap = l->listeners = 0;
}

void tcp_hold_init(struct tcp_hold *h, bool dies, enum ckpt_tcp how)
{
	*h = (struct tcp_hold){
		.dies = dies, .how = how, .lock = {.nft = -EBADF}, .ports = {.nft = -EBADF}};
}

void tcp_hold_done(struct tcp_hold *h)
{
	for (size_t i = 0; i < h->n; i++)
		fd_close(h->v[i].fd);
	free(h->v);
	h->v = NULL;
	h->n = h->cap = 0;
	for (size_t i = 0; i < h->n_listeners; i++)
		fd_close(h->listeners[i].fd); /* before the lock on them goes */
	tcp_lock_done(&h->ports);
	tcp_lock_done(&h->lock);
	sock_diag_done(&h->told);
	free(h->listeners);
	h->listeners = NULL;
	h->n_listeners = h->cap_listeners = h->unaccepted = 0;
}

/* ---- the end of the program ---- */

struct seal {
	const struct tcp_hold *h;
	struct nft_batch *lock; /* NULL: nothing is locked */
	void (*kill_all)(void *arg);
	void *arg;
};

/* Apart: all of it happens, or nobody was killed. Nothing of the program runs once it is killed. */
static int seal(void *arg)
{
	const struct linger at_once = {.l_onoff = 1};
	const struct seal *s = arg;
	int r = s->lock ? nft_send(s->h->lock.nft, s->lock) : 0;

	if (r < 0)
		return r;
	s->kill_all(s->arg);
	for (size_t i = 0; i < s->h->n; i++)
		if (s->h->v[i].reset)
			setsockopt(s->h->v[i].fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		else
			tcp_repair(s->h->v[i].fd, 1);
	return 0;
}

int tcp_hold_seal(struct ckpt_op *op, struct tcp_hold *h, uint64_t crid, const char *dir,
	void (*kill_all)(void *arg), void *arg)
{
	char name[NETLOCK_NAME_LEN], comment[NETLOCK_COMMENT_MAX + 1];
	struct netlock_table t = {.name = name, .comment = comment};
	struct seal s = {.h = h, .kill_all = kill_all, .arg = arg};
	struct nft_batch batch;
	int r;

	if (!h->n && h->lock.n == h->lock.listeners)
		return 0;
	tcp_lock_name(crid, name, sizeof(name));
	tcp_lock_comment(dir, comment);
	if (h->lock.nft >= 0) {
		netlock_build(&batch, &t, h->lock.v, h->lock.n - h->lock.listeners, NULL);
		s.lock = &batch;
	}
	r = apart(seal, &s);
	if (s.lock)
		nft_done(&batch);
	if (r < 0)
		return op_fail(op, CKPT_E_SYSTEM, -r, "nftables", NULL, "locking %zu connections",
			h->lock.n - h->lock.listeners);
	return 0; /* ours stays as well: what listens is there until the program has ended */
}
