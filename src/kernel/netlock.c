/*
 * netlock.c - see netlock.h.
 *
 * The table, as nft(8) would show it:
 *
 *	table inet NAME {
 *		set v4 { type ipv4_addr . inet_service . ipv4_addr . inet_service; elements = ... }
 *		set v6 { ... }
 *		chain in  { type filter hook input  priority -300; policy accept;
 *			meta mark 0x636b7074 accept
 *			meta nfproto ipv4 meta l4proto tcp ip daddr . tcp dport . ip saddr . tcp sport @v4 drop
 *			... }
 *		chain out { type filter hook output priority -300; policy accept;
 *			meta mark 0x636b7074 accept
 *			meta nfproto ipv4 meta l4proto tcp ip saddr . tcp sport . ip daddr . tcp dport @v4 drop
 *			... }
 *	}
 *
 * and in chain in a rule for each socket that listens:
 *
 *			meta nfproto ipv4 meta l4proto tcp ip daddr A tcp dport P tcp flags & (syn | ack) == syn drop
 *
 * or, if the whole of it is locked, that without the flags, and in chain out the same for the other direction.
 *
 * A connection stands in a set as the side that is locked sees it: its own address first.
 */
#include "kernel/netlock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <string.h>

#include "kernel/nft.h"
#include "util/vec.h"

#ifndef NFT_TABLE_F_OWNER
#define NFT_TABLE_F_OWNER 0x2
#endif

#define MSG_ROOM      4096
#define ELEMENTS_ROOM 60000 /* an attribute is shorter than 64 KiB */
#define ELEMENT_MAX   64    /* one, with its headers */
#define PRIORITY      (-300)
#define TCP_FLAGS     13 /* where they are in the header */
/* nft(8) keeps comments in user data: a type, a length, a text with its NUL */
#define COMMENT_TYPE 0
/* nft(8)'s numbers of types, for whoever looks with it */
#define TYPE_IPV4_ADDR    7
#define TYPE_IPV6_ADDR    8
#define TYPE_INET_SERVICE 13
#define TYPE_BITS         6

static const struct family {
	int family, nfproto;
	const char *set;
	uint32_t addr_len, saddr, daddr; /* where they are in the network header */
	uint32_t type;
} families[] = {
	{AF_INET, NFPROTO_IPV4, "v4", 4, 12, 16, TYPE_IPV4_ADDR},
	{AF_INET6, NFPROTO_IPV6, "v6", 16, 8, 24, TYPE_IPV6_ADDR},
};

static uint32_t key_len(const struct family *f)
{
	return 2 * (f->addr_len + 4); /* a port has a register of its own */
}

static void put_u32(struct nl_msg *m, int type, uint32_t v)
{
	nla_put_u32(m, type, htonl(v));
}

/* ---- table, sets, chains ---- */

static void table(struct nft_batch *b, const struct netlock_table *t)
{
	struct nl_msg *m =
		nft_msg(b, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL, NFPROTO_INET, MSG_ROOM);
	uint8_t data[2 + NETLOCK_COMMENT_MAX + 1];
	size_t len;

	if (!m)
		return;
	nla_put_string(m, NFTA_TABLE_NAME, t->name);
	put_u32(m, NFTA_TABLE_FLAGS, t->owned ? NFT_TABLE_F_OWNER : 0);
	len = t->comment ? strlen(t->comment) : 0;
	if (!len || len > NETLOCK_COMMENT_MAX)
		return;
	data[0] = COMMENT_TYPE;
	data[1] = (uint8_t)(len + 1);
	memcpy(data + 2, t->comment, len + 1);
	nla_put(m, NFTA_TABLE_USERDATA, (int)len + 3, data);
}

static void set(
	struct nft_batch *b, const char *name, const struct family *f, uint32_t id, size_t size)
{
	struct nl_msg *m =
		nft_msg(b, NFT_MSG_NEWSET, NLM_F_CREATE | NLM_F_EXCL, NFPROTO_INET, MSG_ROOM);
	uint32_t half = f->type << TYPE_BITS | TYPE_INET_SERVICE;
	struct nlattr *desc;

	if (!m)
		return;
	nla_put_string(m, NFTA_SET_TABLE, name);
	nla_put_string(m, NFTA_SET_NAME, f->set);
	put_u32(m, NFTA_SET_FLAGS, 0);
	put_u32(m, NFTA_SET_KEY_TYPE, half << 2 * TYPE_BITS | half);
	put_u32(m, NFTA_SET_KEY_LEN, key_len(f));
	put_u32(m, NFTA_SET_ID, id);
	desc = nla_nest_start(m, NFTA_SET_DESC);
	put_u32(m, NFTA_SET_DESC_SIZE, (uint32_t)(size ? size : 1));
	nla_nest_end(m, desc);
}

static void chain(struct nft_batch *b, const char *name, const char *chain_name, uint32_t hook)
{
	struct nl_msg *m =
		nft_msg(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL, NFPROTO_INET, MSG_ROOM);
	struct nlattr *nest;

	if (!m)
		return;
	nla_put_string(m, NFTA_CHAIN_TABLE, name);
	nla_put_string(m, NFTA_CHAIN_NAME, chain_name);
	nla_put_string(m, NFTA_CHAIN_TYPE, "filter");
	nest = nla_nest_start(m, NFTA_CHAIN_HOOK);
	put_u32(m, NFTA_HOOK_HOOKNUM, hook);
	put_u32(m, NFTA_HOOK_PRIORITY, (uint32_t)PRIORITY);
	nla_nest_end(m, nest);
	put_u32(m, NFTA_CHAIN_POLICY, NF_ACCEPT);
}

/* ---- rules ---- */

struct expr {
	struct nlattr *elem, *data;
};

static struct expr expr_begin(struct nl_msg *m, const char *name)
{
	struct expr e = {.elem = nla_nest_start(m, NFTA_LIST_ELEM)};

	nla_put_string(m, NFTA_EXPR_NAME, name);
	e.data = nla_nest_start(m, NFTA_EXPR_DATA);
	return e;
}

static void expr_end(struct nl_msg *m, const struct expr *e)
{
	nla_nest_end(m, e->data);
	nla_nest_end(m, e->elem);
}

static void is(struct nl_msg *m, const void *value, uint32_t len)
{
	struct expr e = expr_begin(m, "cmp");
	struct nlattr *nest;

	put_u32(m, NFTA_CMP_SREG, NFT_REG32_00);
	put_u32(m, NFTA_CMP_OP, NFT_CMP_EQ);
	nest = nla_nest_start(m, NFTA_CMP_DATA);
	nla_put(m, NFTA_DATA_VALUE, (int)len, value);
	nla_nest_end(m, nest);
	expr_end(m, &e);
}

static void meta_is(struct nl_msg *m, uint32_t key, uint8_t value)
{
	struct expr e = expr_begin(m, "meta");

	put_u32(m, NFTA_META_DREG, NFT_REG32_00);
	put_u32(m, NFTA_META_KEY, key);
	expr_end(m, &e);
	is(m, &value, sizeof(value));
}

static void payload(struct nl_msg *m, uint32_t *reg, uint32_t base, uint32_t offset, uint32_t len)
{
	struct expr e = expr_begin(m, "payload");

	put_u32(m, NFTA_PAYLOAD_DREG, *reg);
	put_u32(m, NFTA_PAYLOAD_BASE, base);
	put_u32(m, NFTA_PAYLOAD_OFFSET, offset);
	put_u32(m, NFTA_PAYLOAD_LEN, len);
	expr_end(m, &e);
	*reg += (len + 3) / 4;
}

/* The register keeps of its first byte the bits of a mask. */
static void masked(struct nl_msg *m, uint8_t mask)
{
	static const uint8_t none;
	const struct {
		int type;
		const uint8_t *value;
	} v[] = {{NFTA_BITWISE_MASK, &mask}, {NFTA_BITWISE_XOR, &none}};
	struct expr e = expr_begin(m, "bitwise");

	put_u32(m, NFTA_BITWISE_SREG, NFT_REG32_00);
	put_u32(m, NFTA_BITWISE_DREG, NFT_REG32_00);
	put_u32(m, NFTA_BITWISE_LEN, 1);
	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		struct nlattr *nest = nla_nest_start(m, v[i].type);

		nla_put(m, NFTA_DATA_VALUE, 1, v[i].value);
		nla_nest_end(m, nest);
	}
	expr_end(m, &e);
}

static void in_set(struct nl_msg *m, const struct family *f, uint32_t id)
{
	struct expr e = expr_begin(m, "lookup");

	nla_put_string(m, NFTA_LOOKUP_SET, f->set);
	put_u32(m, NFTA_LOOKUP_SREG, NFT_REG32_00);
	put_u32(m, NFTA_LOOKUP_SET_ID, id);
	expr_end(m, &e);
}

static void verdict(struct nl_msg *m, uint32_t code)
{
	struct expr e = expr_begin(m, "immediate");
	struct nlattr *data, *nest;

	put_u32(m, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	data = nla_nest_start(m, NFTA_IMMEDIATE_DATA);
	nest = nla_nest_start(m, NFTA_DATA_VERDICT);
	put_u32(m, NFTA_VERDICT_CODE, code);
	nla_nest_end(m, nest);
	nla_nest_end(m, data);
	expr_end(m, &e);
}

/* Ours go past the other rules of a chain. */
static void pass_ours(struct nft_batch *b, const char *name, const char *chain_name)
{
	static const uint32_t ours =
		NETLOCK_PASS_MARK; /* of this machine's byte order, as the kernel's */
	struct nl_msg *m =
		nft_msg(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, NFPROTO_INET, MSG_ROOM);
	struct nlattr *list;
	struct expr e;

	if (!m)
		return;
	nla_put_string(m, NFTA_RULE_TABLE, name);
	nla_put_string(m, NFTA_RULE_CHAIN, chain_name);
	list = nla_nest_start(m, NFTA_RULE_EXPRESSIONS);
	e = expr_begin(m, "meta");
	put_u32(m, NFTA_META_DREG, NFT_REG32_00);
	put_u32(m, NFTA_META_KEY, NFT_META_MARK);
	expr_end(m, &e);
	is(m, &ours, sizeof(ours));
	verdict(m, NF_ACCEPT);
	nla_nest_end(m, list);
}

/* @out: of packets that go out, whose source is ours */
static void rule(
	struct nft_batch *b, const char *name, const struct family *f, uint32_t id, bool out)
{
	struct nl_msg *m =
		nft_msg(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, NFPROTO_INET, MSG_ROOM);
	uint32_t reg = NFT_REG32_00;
	struct nlattr *list;

	if (!m)
		return;
	nla_put_string(m, NFTA_RULE_TABLE, name);
	nla_put_string(m, NFTA_RULE_CHAIN, out ? "out" : "in");
	list = nla_nest_start(m, NFTA_RULE_EXPRESSIONS);
	meta_is(m, NFT_META_NFPROTO, (uint8_t)f->nfproto);
	meta_is(m, NFT_META_L4PROTO, IPPROTO_TCP);
	payload(m, &reg, NFT_PAYLOAD_NETWORK_HEADER, out ? f->saddr : f->daddr, f->addr_len);
	payload(m, &reg, NFT_PAYLOAD_TRANSPORT_HEADER, out ? 0 : 2, 2);
	payload(m, &reg, NFT_PAYLOAD_NETWORK_HEADER, out ? f->daddr : f->saddr, f->addr_len);
	payload(m, &reg, NFT_PAYLOAD_TRANSPORT_HEADER, out ? 2 : 0, 2);
	in_set(m, f, id);
	verdict(m, NF_DROP);
	nla_nest_end(m, list);
}

static void first_in(struct nl_msg *m, uint32_t base, uint32_t offset, uint32_t len)
{
	uint32_t reg = NFT_REG32_00;

	payload(m, &reg, base, offset, len);
}

static void begins(struct nl_msg *m)
{
	static const uint8_t syn = TH_SYN;

	first_in(m, NFT_PAYLOAD_TRANSPORT_HEADER, TCP_FLAGS, 1);
	masked(m, TH_SYN | TH_ACK);
	is(m, &syn, sizeof(syn));
}

static void listener(struct nft_batch *b, const char *name, const struct netlock_conn *c, bool out)
{
	static const uint8_t any[16];
	const struct family *f = &families[c->family == AF_INET6];
	struct nl_msg *m =
		nft_msg(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, NFPROTO_INET, MSG_ROOM);
	struct nlattr *list;

	if (!m)
		return;
	nla_put_string(m, NFTA_RULE_TABLE, name);
	nla_put_string(m, NFTA_RULE_CHAIN, out ? "out" : "in");
	list = nla_nest_start(m, NFTA_RULE_EXPRESSIONS);
	if (memcmp(c->local, any, f->addr_len) != 0) {
		meta_is(m, NFT_META_NFPROTO, (uint8_t)f->nfproto);
		first_in(m, NFT_PAYLOAD_NETWORK_HEADER, out ? f->saddr : f->daddr, f->addr_len);
		is(m, c->local, f->addr_len);
	}
	meta_is(m, NFT_META_L4PROTO, IPPROTO_TCP);
	first_in(m, NFT_PAYLOAD_TRANSPORT_HEADER, out ? 0 : 2, 2);
	is(m, &c->local_port, sizeof(c->local_port));
	if (!c->whole)
		begins(m);
	verdict(m, NF_DROP);
	nla_nest_end(m, list);
}

/* ---- connections ---- */

static void put_element(struct nl_msg *m, const struct family *f, const struct netlock_conn *c)
{
	struct nlattr *elem = nla_nest_start(m, NFTA_LIST_ELEM), *key;
	uint8_t data[2 * (16 + 4)] = {0}, *p = data;

	memcpy(p, c->local, f->addr_len);
	memcpy(p + f->addr_len, &c->local_port, sizeof(c->local_port));
	p += f->addr_len + 4;
	memcpy(p, c->peer, f->addr_len);
	memcpy(p + f->addr_len, &c->peer_port, sizeof(c->peer_port));
	key = nla_nest_start(m, NFTA_SET_ELEM_KEY);
	nla_put(m, NFTA_DATA_VALUE, (int)key_len(f), data);
	nla_nest_end(m, key);
	nla_nest_end(m, elem);
}

/* The same connection twice, as two descriptions can't have it, is no error: without NLM_F_EXCL. */
static void elements(struct nft_batch *b, const char *name, const struct family *f, uint32_t id,
	const struct netlock_conn *v, size_t n)
{
	for (size_t i = 0; i < n;) {
		struct nl_msg *m = nft_msg(b, NFT_MSG_NEWSETELEM, NLM_F_CREATE, NFPROTO_INET,
			ELEMENTS_ROOM + MSG_ROOM);
		struct nlattr *list;

		if (!m)
			return;
		nla_put_string(m, NFTA_SET_ELEM_LIST_TABLE, name);
		nla_put_string(m, NFTA_SET_ELEM_LIST_SET, f->set);
		put_u32(m, NFTA_SET_ELEM_LIST_SET_ID, id);
		list = nla_nest_start(m, NFTA_SET_ELEM_LIST_ELEMENTS);
		for (size_t room = ELEMENTS_ROOM; i < n && room >= ELEMENT_MAX; i++) {
			if (v[i].family != f->family || !v[i].peer_port)
				continue;
			put_element(m, f, &v[i]);
			room -= ELEMENT_MAX;
		}
		nla_nest_end(m, list);
	}
}

static size_t count(const struct family *f, const struct netlock_conn *v, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += v[i].family == f->family && v[i].peer_port;
	return count;
}

static void delete_table(struct nft_batch *b, const char *name)
{
	struct nl_msg *m = nft_msg(b, NFT_MSG_DELTABLE, 0, NFPROTO_INET, MSG_ROOM);

	if (m)
		nla_put_string(m, NFTA_TABLE_NAME, name);
}

void netlock_build(struct nft_batch *b, const struct netlock_table *t, const struct netlock_conn *v,
	size_t n, const char *instead)
{
	nft_begin(b);
	if (instead)
		delete_table(b, instead);
	table(b, t);
	chain(b, t->name, "in", NF_INET_LOCAL_IN);
	chain(b, t->name, "out", NF_INET_LOCAL_OUT);
	pass_ours(b, t->name, "in");
	pass_ours(b, t->name, "out");
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		const struct family *f = &families[i];
		uint32_t id = (uint32_t)i + 1;
		size_t some = count(f, v, n);

		if (!some)
			continue;
		set(b, t->name, f, id, some);
		elements(b, t->name, f, id, v, n);
		rule(b, t->name, f, id, false);
		rule(b, t->name, f, id, true);
	}
	for (size_t i = 0; i < n; i++)
		if (!v[i].peer_port) {
			listener(b, t->name, &v[i], false);
			if (v[i].whole)
				listener(b, t->name, &v[i], true);
		}
	nft_end(b);
}

int netlock_put(int fd, const struct netlock_table *t, const struct netlock_conn *v, size_t n)
{
	struct nft_batch b;
	int r;

	netlock_build(&b, t, v, n, NULL);
	r = nft_send(fd, &b);
	nft_done(&b);
	return r == -EINVAL && t->owned ? -EOPNOTSUPP : r;
}

void netlock_build_removal(struct nft_batch *b, const char *name)
{
	nft_begin(b);
	delete_table(b, name);
	nft_end(b);
}

int netlock_remove(int fd, const char *name)
{
	struct nft_batch b;
	int r;

	netlock_build_removal(&b, name);
	r = nft_send(fd, &b);
	nft_done(&b);
	return r;
}

/* ---- looking ---- */

struct listing {
	const char *prefix;
	void (*fn)(const char *name, bool owned, const char *comment, void *arg);
	void *arg;
};

static void one(const char *name, uint32_t flags, const void *data, size_t len, void *arg)
{
	const struct listing *l = arg;
	const uint8_t *d = data;
	const char *comment = NULL;

	if (strncmp(name, l->prefix, strlen(l->prefix)) != 0)
		return;
	if (len > 2 && d[0] == COMMENT_TYPE && d[1] && (size_t)d[1] + 2 <= len &&
		!d[(size_t)d[1] + 1])
		comment = (const char *)d + 2;
	l->fn(name, flags & NFT_TABLE_F_OWNER, comment, l->arg);
}

int netlock_list(int fd, const char *prefix,
	void (*fn)(const char *name, bool owned, const char *comment, void *arg), void *arg)
{
	struct listing l = {prefix, fn, arg};

	return nft_list_tables(fd, NFPROTO_INET, one, &l);
}
