/*
 * tcp_keys.c - keys of TCP_MD5SIG in records, and what is refused because of keys: see kernel/tcp_key.h.
 *
 * A connection that has ended has no use for its keys, and none is saved. One that nobody has accepted gets that
 * of the socket which listens when it is put into it again, also if that had another when it was made. For which VRF a key is the kernel does not tell.
 */
#include "kernel/tcp_key.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/probe.h"
#include "kernel/rtnl.h"
#include "kernel/sock_diag.h"
#include "proto/socket.pb-c.h"
#include "proto/tcp.pb-c.h"
#include "res/socket/tcp.h"
#include "util/vec.h"

/* ---- what can't be saved ---- */

struct file_verdict tcp_keys_verdict(const struct file_look *l)
{
	if (l->sock->tcp_ao)
		return (struct file_verdict){CKPT_REFUSED,
			"it has keys of TCP-AO (getsockopt(TCP_AO_INFO)), which are not saved yet",
			"let the program close it, or sign by TCP_MD5SIG"};
	if (!l->sock->option_bytes || !tcp_keys_likely(l->sock->option_bytes))
		return (struct file_verdict){CKPT_SAVED, NULL, NULL};
	if (!kernel_has(FEATURE_TCP_REPAIR)) /* it takes the same right */
		return (struct file_verdict){CKPT_REFUSED,
			"it has keys (TCP_MD5SIG), which the kernel tells to CAP_NET_ADMIN only",
			"run as root"};
	if (l->sock->tcp_state == TCP_IS_CLOSE)
		return (struct file_verdict){CKPT_REFUSED,
			"it has keys (TCP_MD5SIG), which the kernel does not tell of a socket that "
			"neither listens nor is connected",
			"dump it later, when it does"};
	return (struct file_verdict){CKPT_SAVED, NULL, NULL};
}

/* ---- collecting ---- */

static Ckpt__TcpKey *record_of(const struct tcp_key *k)
{
	Ckpt__TcpKey *m = msg_new(Ckpt__TcpKey, CKPT__TCP_KEY__INIT);
	char text[INET6_ADDRSTRLEN] = "";

	if (!m)
		return NULL;
	inet_ntop(k->family, k->addr, text, sizeof(text));
	m->ip = strdup(text);
	m->prefix = k->prefix;
	m->secret = msg_bytes(k->secret, k->len);
	if (m->ip && m->secret.data)
		return m;
	protobuf_c_message_free_unpacked(&m->base, NULL);
	return NULL;
}

static bool same_peers(const Ckpt__TcpKey *a, const Ckpt__TcpKey *b)
{
	return a->prefix == b->prefix && !strcmp(a->ip, b->ip);
}

/* Return: 0; -ENOMEM; -EEXIST: there are two for the same peers; -EBADMSG */
static int add_all(Ckpt__Tcp *m, const void *attr, size_t len)
{
	size_t cap = m->n_keys;
	struct tcp_key k;
	int r;

	for (size_t i = 0; (r = tcp_key_of_diag(attr, len, i, &k)) > 0; i++) {
		if (vec_reserve(&m->keys, &cap, i + 1, sizeof(Ckpt__TcpKey *)) < 0)
			return -ENOMEM;
		m->keys[i] = record_of(&k);
		if (!m->keys[i])
			return -ENOMEM;
		m->n_keys++;
		for (size_t j = 0; j < i; j++)
			if (same_peers(m->keys[j], m->keys[i]))
				return -EEXIST;
	}
	return r;
}

static int is_vrf(const struct nlmsghdr *h, void *arg)
{
	const struct ifinfomsg *m = NLMSG_DATA(h);
	size_t head = NLMSG_LENGTH(sizeof(*m));
	const struct rtattr *info, *kind = NULL;

	if (h->nlmsg_len < head)
		return 0;
	info = rtnl_attr(IFLA_RTA(m), h->nlmsg_len - head, IFLA_LINKINFO);
	if (info)
		kind = rtnl_attr(RTA_DATA(info), RTA_PAYLOAD(info), IFLA_INFO_KIND);
	*(bool *)arg |= kind && RTA_PAYLOAD(kind) >= 3 && !memcmp(RTA_DATA(kind), "vrf", 3);
	return 0;
}

/* Said once. */
static void warn_of_vrf(struct collect *c)
{
	struct tcp_hold *h = c->tree->tcp;
	bool any = false;

	if (!h->vrf_asked && rtnl_dump(RTM_GETLINK, is_vrf, &any) == 0 && any)
		op_warn(c->op,
			"keys of TCP_MD5SIG that are for one VRF alone come back as keys for all "
			"devices: the kernel does not tell which");
	h->vrf_asked = true;
}

static int fail(struct collect *c, const struct file_look *l, int err)
{
	switch (err) {
	case ENOMEM:
		return collect_oom(c);
	case EEXIST:
		return op_fail(c->op, CKPT_E_REFUSED, 0, NULL,
			"use one key for these peers, whatever device they are behind",
			"pid %d (%s): %s: it has keys (TCP_MD5SIG) for the same peers that are of "
			"several VRFs: the kernel does not tell which is whose",
			c->pid, c->tr->comm, l->at);
	default:
		return op_fail(c->op, CKPT_E_SYSTEM, err, "sock_diag", NULL,
			"pid %d (%s): %s: its keys (TCP_MD5SIG)", c->pid, c->tr->comm, l->at);
	}
}

/* Nothing is told: nothing at all, or not of this one. */
static int untold(struct collect *c, const struct file_look *l, int r)
{
	if (tcp_keys_likely(l->sock->option_bytes))
		return op_fail(c->op, CKPT_E_REFUSED, r < 0 ? -r : 0, r < 0 ? "sock_diag" : NULL,
			r == -EOPNOTSUPP ? "load the module tcp_diag" : "dump it later",
			"pid %d (%s): %s: it has keys (TCP_MD5SIG), which the kernel does not tell",
			c->pid, c->tr->comm, l->at);
	op_warn(c->op,
		"pid %d (%s): %s: keys (TCP_MD5SIG) are lost if it has any: the kernel does not tell",
		c->pid, c->tr->comm, l->at);
	return 0;
}

/* Between two looks at it: tcp_finish() finds that out. */
static bool just_ended(const struct file_look *l, const Ckpt__Tcp *m)
{
	struct sock_look now;

	return (m->kind == CKPT__TCP__KIND__CONNECTED || m->kind == CKPT__TCP__KIND__CONNECTING) &&
	       (sock_look_at(l->fd, &now) < 0 || now.tcp_state == TCP_IS_CLOSE);
}

int tcp_keys_collect(struct collect *c, const struct file_look *l, Ckpt__Tcp *m)
{
	struct sock_diag *told = &c->tree->tcp->told;
	const struct sock_diag_row *row;
	const void *attr;
	size_t len = 0;
	int r;

	if (!l->sock->option_bytes || m->kind == CKPT__TCP__KIND__ENDED)
		return 0;
	r = sock_diag_read(told, l->sock->family, IPPROTO_TCP);
	row = r == 0 ? sock_diag_find(told, l->st.st_ino) : NULL;
	/* what it tells least of all it tells of those that are only bound */
	if (!row || !sock_diag_attr(row, INET_DIAG_INFO, NULL))
		return just_ended(l, m) ? 0 : untold(c, l, r);
	attr = sock_diag_attr(row, INET_DIAG_MD5SIG, &len);
	r = add_all(m, attr, len);
	if (r < 0)
		return fail(c, l, -r);
	if (m->n_keys)
		warn_of_vrf(c);
	return 0;
}

void tcp_keys_forget(Ckpt__Tcp *m)
{
	for (size_t i = 0; i < m->n_keys; i++)
		protobuf_c_message_free_unpacked(&m->keys[i]->base, NULL);
	m->n_keys = 0;
}

/* ---- having ---- */

int tcp_key_get(const Ckpt__TcpKey *m, struct tcp_key *ret)
{
	*ret = (struct tcp_key){.family = strchr(m->ip, ':') ? AF_INET6 : AF_INET};
	if (inet_pton(ret->family, m->ip, ret->addr) != 1 ||
		m->prefix > tcp_key_whole(ret->family) || !m->secret.len ||
		m->secret.len > TCP_KEY_MAX)
		return -EBADMSG;
	ret->prefix = (uint8_t)m->prefix;
	ret->len = (uint8_t)m->secret.len;
	memcpy(ret->secret, m->secret.data, ret->len);
	return 0;
}

const struct tcp_key *tcp_key_for(
	const Ckpt__Tcp *m, const struct sockaddr_storage *peer, struct tcp_key *ret)
{
	struct tcp_key k;
	bool any = false;

	for (size_t i = 0; i < m->n_keys; i++) {
		if (tcp_key_get(m->keys[i], &k) < 0 || !tcp_key_is_for(&k, peer) ||
			(any && k.prefix <= ret->prefix))
			continue;
		*ret = k;
		any = true;
	}
	return any ? ret : NULL;
}

int tcp_keys_get(const Ckpt__Tcp *m, struct tcp_key **ret)
{
	struct tcp_key *v = calloc(m->n_keys + 1, sizeof(*v));
	int r = v ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < m->n_keys; i++)
		r = tcp_key_get(m->keys[i], &v[i]);
	if (r < 0)
		free(v);
	else
		*ret = v;
	return r;
}

/* ---- setting ---- */

int tcp_keys_set(struct open_ctx *o, const Ckpt__Tcp *m, int family, int fd)
{
	char text[TCP_TEXT_MAX];

	for (size_t i = m->n_keys; i-- > 0;) {
		const Ckpt__TcpKey *key = m->keys[i];
		struct tcp_key k;
		int r = tcp_key_get(key, &k);

		if (r < 0)
			return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
				"%s: a key that is none", tcp_text(m, text));
		r = tcp_key_set(fd, family, &k);
		if (r < 0)
			return op_fail(o->op, r == -EPERM ? CKPT_E_PRIVILEGE : CKPT_E_SYSTEM, -r,
				"setsockopt(TCP_MD5SIG)",
				r == -ENOPROTOOPT ? "it takes a kernel with CONFIG_TCP_MD5SIG"
				: r == -ENOMEM
					? "raise net.core.optmem_max; MD5 is not there in FIPS mode"
					: NULL,
				"%s: its key for %s/%u", tcp_text(m, text), key->ip, key->prefix);
	}
	return 0;
}
