/*
 * inet_groups.c - multicast memberships of sockets.
 *
 * /proc/net/igmp and igmp6 list the groups that the machine is in, by interface, whoever joined them.
 * Whether a socket is a member getsockopt(MCAST_MSFILTER) says, with the sources that it wants or does not
 * want; of others it fails with EADDRNOTAVAIL. So each socket is asked about each of them, mostly
 * one or two by interface.
 */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "res/socket/inet_parts.h"
#include "util/cleanup.h"
#include "util/str.h"
#include "util/vec.h"

/* A source list is bounded by sysctls, which are 10 and 64 unless somebody changed them. */
#define SOURCES_MAX 1024

struct group {
	uint32_t ifindex;
	union inet_addr addr;
};

struct inet_groups {
	struct group *v;
	size_t n, cap;
};

static int add_group(struct inet_groups *g, const struct group *one)
{
	if (vec_reserve(&g->v, &g->cap, g->n + 1, sizeof(*g->v)) < 0)
		return -ENOMEM;
	g->v[g->n++] = *one;
	return 0;
}

/* "4	eth0 : 1 V3", then a line for each group: an address as a number of this machine, in hexadecimal. */
static int read_ipv4(struct inet_groups *g)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/net/igmp", "re");
	char line[256];
	struct group one = {.addr.in.sin_family = AF_INET};
	int r = 0;

	while (r == 0 && f && fgets(line, sizeof(line), f)) {
		char *end;
		unsigned long v;

		if (line[0] != '\t') {
			one.ifindex = strtoul(line, NULL, 10);
			continue;
		}
		v = strtoul(line, &end, 16);
		one.addr.in.sin_addr.s_addr = v;
		if (end != line && one.ifindex)
			r = add_group(g, &one);
	}
	return r;
}

/* "1    lo   ff020000000000000000000000000001     1 0000000C 0" */
static int read_ipv6(struct inet_groups *g)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/net/igmp6", "re");
	char line[256], hex[33];
	struct group one = {.addr.in6.sin6_family = AF_INET6};
	int r = 0;

	while (r == 0 && f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%u %*s %32s", &one.ifindex, hex) != 2 || strlen(hex) != 32)
			continue;
		for (int i = 0; i < 16; i++) {
			char byte[3] = {hex[2 * i], hex[2 * i + 1], 0};

			one.addr.in6.sin6_addr.s6_addr[i] = strtoul(byte, NULL, 16);
		}
		r = add_group(g, &one);
	}
	return r;
}

/* The kernel has the latest first; here it is an order that stays. */
static int by_address(const void *a, const void *b)
{
	const struct group *x = a, *y = b;

	if (x->ifindex != y->ifindex)
		return x->ifindex < y->ifindex ? -1 : 1;
	return memcmp(&x->addr, &y->addr, sizeof(x->addr));
}

static const struct inet_groups *groups_of(struct collect_tree *t)
{
	if (!t->inet_groups) {
		t->inet_groups = calloc(1, sizeof(*t->inet_groups));
		if (t->inet_groups &&
			(read_ipv4(t->inet_groups) < 0 || read_ipv6(t->inet_groups) < 0))
			inet_groups_done(t);
		if (t->inet_groups && t->inet_groups->n)
			qsort(t->inet_groups->v, t->inet_groups->n, sizeof(*t->inet_groups->v),
				by_address);
	}
	return t->inet_groups;
}

void inet_groups_done(struct collect_tree *t)
{
	if (t->inet_groups)
		free(t->inet_groups->v);
	free(t->inet_groups);
	t->inet_groups = NULL;
}

static size_t addr_len(const union inet_addr *a)
{
	return a->sa.sa_family == AF_INET ? sizeof(a->in.sin_addr) : sizeof(a->in6.sin6_addr);
}

static const void *addr_bytes(const union inet_addr *a)
{
	return a->sa.sa_family == AF_INET ? (const void *)&a->in.sin_addr
					  : (const void *)&a->in6.sin6_addr;
}

static int add_member(
	Ckpt__Inet *m, size_t *cap, const struct group *g, const struct group_filter *filter)
{
	Ckpt__InetGroup *e = msg_new(Ckpt__InetGroup, CKPT__INET_GROUP__INIT);
	char name[IF_NAMESIZE] = "";

	if (!e || vec_reserve(&m->groups, cap, m->n_groups + 1, sizeof(*m->groups)) < 0) {
		free(e);
		return -ENOMEM;
	}
	m->groups[m->n_groups++] = e;
	e->interface = strdup(if_indextoname(g->ifindex, name) ? name : "");
	e->group = msg_bytes(addr_bytes(&g->addr), addr_len(&g->addr));
	e->only = filter->gf_fmode == MCAST_INCLUDE;
	e->sources = calloc(filter->gf_numsrc + 1, sizeof(*e->sources));
	if (!e->interface || !e->group.data || !e->sources)
		return -ENOMEM;
	for (; e->n_sources < filter->gf_numsrc; e->n_sources++) {
		const union inet_addr *a = (const void *)&filter->gf_slist[e->n_sources];

		e->sources[e->n_sources] = msg_bytes(addr_bytes(a), addr_len(a));
	}
	return 0;
}

int inet_groups_collect(struct collect_tree *t, int fd, int family, Ckpt__Inet *m)
{
	const struct inet_groups *all = groups_of(t);
	_cleanup_free_ struct group_filter *filter = malloc(GROUP_FILTER_SIZE(SOURCES_MAX));
	size_t cap = 0;
	int r = 0;

	if (!all || !filter)
		return -ENOMEM;
	for (size_t i = 0; i < all->n && r == 0; i++) {
		const struct group *g = &all->v[i];
		socklen_t len = GROUP_FILTER_SIZE(SOURCES_MAX);

		if (g->addr.sa.sa_family == AF_INET6 && family == AF_INET)
			continue;
		memset(filter, 0, GROUP_FILTER_SIZE(0));
		filter->gf_interface = g->ifindex;
		memcpy(&filter->gf_group, &g->addr, sizeof(g->addr));
		filter->gf_numsrc = SOURCES_MAX;
		if (getsockopt(fd, g->addr.sa.sa_family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6,
			    MCAST_MSFILTER, filter, &len) == 0 &&
			filter->gf_numsrc <= SOURCES_MAX)
			r = add_member(m, &cap, g, filter);
	}
	return r;
}

/* ---- restore ---- */

static bool to_storage(const ProtobufCBinaryData *b, struct sockaddr_storage *ret)
{
	union inet_addr a = {0};

	if (b->len == sizeof(a.in.sin_addr)) {
		a.in.sin_family = AF_INET;
		memcpy(&a.in.sin_addr, b->data, b->len);
	} else if (b->len == sizeof(a.in6.sin6_addr)) {
		a.in6.sin6_family = AF_INET6;
		memcpy(&a.in6.sin6_addr, b->data, b->len);
	} else {
		return false;
	}
	memset(ret, 0, sizeof(*ret));
	memcpy(ret, &a, sizeof(a));
	return true;
}

static int bad_group(struct open_ctx *o)
{
	return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
		"a multicast group's address has a wrong length");
}

static int join(struct open_ctx *o, int fd, const Ckpt__InetGroup *g)
{
	struct group_req whole = {.gr_interface = if_nametoindex(g->interface)};
	struct group_source_req one = {.gsr_interface = whole.gr_interface};
	int level = g->group.len == 4 ? IPPROTO_IP : IPPROTO_IPV6;

	if (!to_storage(&g->group, &whole.gr_group))
		return bad_group(o);
	if (!whole.gr_interface)
		return op_fail(o->op, CKPT_E_SYSTEM, ENODEV, "if_nametoindex",
			"the machine needs an interface of that name",
			"a multicast group on the interface %s", g->interface);
	one.gsr_group = whole.gr_group;
	if (!g->only && setsockopt(fd, level, MCAST_JOIN_GROUP, &whole, sizeof(whole)) < 0)
		return op_fail(o->op, CKPT_E_SYSTEM, errno, "setsockopt(MCAST_JOIN_GROUP)", NULL,
			"a multicast group on %s", g->interface);
	for (size_t i = 0; i < g->n_sources; i++) {
		if (!to_storage(&g->sources[i], &one.gsr_source))
			return bad_group(o);
		if (setsockopt(fd, level, g->only ? MCAST_JOIN_SOURCE_GROUP : MCAST_BLOCK_SOURCE,
			    &one, sizeof(one)) < 0)
			return op_fail(o->op, CKPT_E_SYSTEM, errno,
				"setsockopt(MCAST_BLOCK_SOURCE)", NULL,
				"a source of a multicast group on %s", g->interface);
	}
	return 0;
}

int inet_groups_join(struct open_ctx *o, int fd, const Ckpt__Inet *m)
{
	int r = 0;

	for (size_t i = 0; i < m->n_groups && r == 0; i++)
		r = join(o, fd, m->groups[i]);
	return r;
}
