/*
 * tun_device.c - the network interface that a descriptor of /dev/net/tun has made.
 *
 * It goes when the program dies, and with it its addresses and routes. They come back by the words in which
 * rtnetlink(7) told them, under the same number where it is free. What the kernel makes by itself when an
 * address is there (the route to its network) is left to it. Addresses of IPv6 are not checked for duplicates
 * again, so that sockets can be bound to them at once.
 */
#include <errno.h>
#include <linux/if_addr.h>
#include <net/if_arp.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "kernel/rtnl.h"
#include "res/socket/tun_parts.h"
#include "util/cleanup.h"
#include "util/vec.h"

/* Of the flags of an interface, those that somebody has set. */
#define FLAGS_SET (IFF_UP | IFF_NOARP | IFF_PROMISC | IFF_ALLMULTI | IFF_MULTICAST | IFF_DYNAMIC)
/* Likewise of an address; but for IFA_F_NODAD, which a restore sets. */
#define ADDR_FLAGS_SET                                                                             \
	(IFA_F_HOMEADDRESS | IFA_F_MANAGETEMPADDR | IFA_F_NOPREFIXROUTE | IFA_F_MCAUTOJOIN)
#define BODY_MAX 4096

/* ---- what every interface has ---- */

static int ask(int request, const char *name, struct ifreq *r)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(r->ifr_name, sizeof(r->ifr_name), "%s", name);
	return fd < 0 || ioctl(fd, request, r) < 0 ? -errno : 0;
}

/* A number of sysfs; -1 where there is none. */
static long long sys_number(const char *name, const char *what)
{
	char path[128];
	_cleanup_fclose_ FILE *f = NULL;
	long long n;

	snprintf(path, sizeof(path), "/sys/class/net/%s/%s", name, what);
	f = fopen(path, "re");
	return f && fscanf(f, "%lld", &n) == 1 ? n : -1;
}

static int read_link(const char *name, Ckpt__TunDevice *m)
{
	struct ifreq r = {0};
	int err = ask(SIOCGIFFLAGS, name, &r);

	m->index = if_nametoindex(name);
	m->flags = (uint16_t)r.ifr_flags & FLAGS_SET;
	if (err == 0)
		err = ask(SIOCGIFMTU, name, &r);
	m->mtu = r.ifr_mtu;
	if (err == 0)
		err = ask(SIOCGIFTXQLEN, name, &r);
	m->queue_len = r.ifr_qlen;
	if (err == 0)
		err = ask(SIOCGIFHWADDR, name, &r);
	m->link_kind = r.ifr_hwaddr.sa_family;
	if (err == 0 && m->link_kind == ARPHRD_ETHER)
		m->address = msg_bytes(r.ifr_hwaddr.sa_data, 6);
	m->owner = sys_number(name, "owner");
	m->group = sys_number(name, "group");
	m->no_carrier = m->flags & IFF_UP && sys_number(name, "carrier") == 0;
	return err;
}

/* ---- addresses and routes, as rtnetlink tells them ---- */

struct reading {
	uint32_t index;
	ProtobufCBinaryData **v;
	size_t *n, cap;
	bool routes;
};

/* The body of a message less what the kernel keeps up by itself. */
static size_t copy_body(const struct nlmsghdr *h, bool route, uint8_t *out)
{
	size_t head = route ? sizeof(struct rtmsg) : sizeof(struct ifaddrmsg),
	       at = NLMSG_ALIGN(head);
	size_t len = h->nlmsg_len - NLMSG_LENGTH(head);
	const struct rtattr *a = (const void *)((const char *)NLMSG_DATA(h) + at);

	memcpy(out, NLMSG_DATA(h), head);
	for (; RTA_OK(a, len); a = RTA_NEXT(a, len)) {
		if (a->rta_type == (route ? RTA_CACHEINFO : IFA_CACHEINFO) ||
			at + RTA_SPACE(RTA_PAYLOAD(a)) > BODY_MAX)
			continue;
		memcpy(out + at, a, a->rta_len);
		if (!route && a->rta_type == IFA_FLAGS)
			*(uint32_t *)RTA_DATA((struct rtattr *)(out + at)) &= ADDR_FLAGS_SET;
		at += RTA_ALIGN(a->rta_len);
	}
	if (!route)
		((struct ifaddrmsg *)out)->ifa_flags &= (uint8_t)ADDR_FLAGS_SET;
	else
		((struct rtmsg *)out)->rtm_flags = 0; /* RTNH_F_LINKDOWN and the like */
	return at;
}

static bool route_is_ours(const struct nlmsghdr *h, uint32_t index)
{
	const struct rtmsg *r = NLMSG_DATA(h);
	const struct rtattr *oif = rtnl_attr(RTM_RTA(r), RTM_PAYLOAD(h), RTA_OIF);

	return oif && *(const uint32_t *)RTA_DATA(oif) == index &&
	       r->rtm_protocol != RTPROT_KERNEL && r->rtm_type == RTN_UNICAST &&
	       !(r->rtm_flags & RTM_F_CLONED);
}

static int take(const struct nlmsghdr *h, void *arg)
{
	struct reading *d = arg;
	uint8_t body[BODY_MAX] __attribute__((aligned(8))) = {0};
	size_t len;

	if (d->routes ? h->nlmsg_type != RTM_NEWROUTE || !route_is_ours(h, d->index)
		      : h->nlmsg_type != RTM_NEWADDR ||
				((const struct ifaddrmsg *)NLMSG_DATA(h))->ifa_index != d->index)
		return 0;
	if (vec_reserve(d->v, &d->cap, *d->n + 1, sizeof(**d->v)) < 0)
		return -ENOMEM;
	len = copy_body(h, d->routes, body);
	(*d->v)[*d->n] = msg_bytes(body, len);
	return (*d->v)[(*d->n)++].data ? 0 : -ENOMEM;
}

int tun_device_read(int fd, const char *name, Ckpt__TunDevice **ret)
{
	Ckpt__TunDevice *m = msg_new(Ckpt__TunDevice, CKPT__TUN_DEVICE__INIT);
	struct reading addresses, routes;
	int r = m ? 0 : -ENOMEM;

	(void)fd;
	if (r < 0)
		return r;
	*ret = m;
	r = read_link(name, m);
	addresses = (struct reading){m->index, &m->addresses, &m->n_addresses, 0, false};
	routes = (struct reading){m->index, &m->routes, &m->n_routes, 0, true};
	if (r == 0)
		r = rtnl_dump(RTM_GETADDR, take, &addresses);
	return r == 0 ? rtnl_dump(RTM_GETROUTE, take, &routes) : r;
}

/* ---- restore ---- */

static int failed(struct open_ctx *o, int err, const char *call, const char *name)
{
	return op_fail(o->op, err == EPERM ? CKPT_E_PRIVILEGE : CKPT_E_SYSTEM, err, call, NULL,
		"the network interface %s", name);
}

static int put_link(struct open_ctx *o, int fd, const char *name, const Ckpt__TunDevice *m)
{
	struct ifreq r = {0};
	int err = 0;

	if (m->owner >= 0 && ioctl(fd, TUNSETOWNER, (unsigned long)m->owner) < 0)
		return failed(o, errno, "ioctl(TUNSETOWNER)", name);
	if (m->group >= 0 && ioctl(fd, TUNSETGROUP, (unsigned long)m->group) < 0)
		return failed(o, errno, "ioctl(TUNSETGROUP)", name);
	if (ask(SIOCGIFHWADDR, name, &r) == 0 && r.ifr_hwaddr.sa_family != m->link_kind &&
		ioctl(fd, TUNSETLINK, (unsigned long)m->link_kind) < 0)
		return failed(o, errno, "ioctl(TUNSETLINK)", name);
	if (m->address.len == 6) {
		r.ifr_hwaddr.sa_family = ARPHRD_ETHER;
		memcpy(r.ifr_hwaddr.sa_data, m->address.data, 6);
		err = ask(SIOCSIFHWADDR, name, &r);
	}
	r.ifr_mtu = (int)m->mtu;
	if (err == 0)
		err = ask(SIOCSIFMTU, name, &r);
	r.ifr_qlen = (int)m->queue_len;
	if (err == 0)
		err = ask(SIOCSIFTXQLEN, name, &r);
	r.ifr_flags = (short)(m->flags & FLAGS_SET);
	if (err == 0)
		err = ask(SIOCSIFFLAGS, name, &r);
	return err < 0 ? failed(o, -err, "ioctl(SIOCSIFFLAGS)", name) : 0;
}

/* One that the kernel has given to the interface by itself: not among the image's. */
struct others {
	const Ckpt__TunDevice *m;
	uint32_t index;
};

static const struct rtattr *address_of(const void *body, size_t len)
{
	size_t head = NLMSG_ALIGN(sizeof(struct ifaddrmsg));

	return len > head ? rtnl_attr((const char *)body + head, len - head, IFA_ADDRESS) : NULL;
}

static int remove_other(const struct nlmsghdr *h, void *arg)
{
	const struct others *o = arg;
	size_t len = NLMSG_PAYLOAD(h, 0);
	const struct rtattr *a = address_of(NLMSG_DATA(h), len);

	if (h->nlmsg_type != RTM_NEWADDR || !a ||
		((const struct ifaddrmsg *)NLMSG_DATA(h))->ifa_index != o->index)
		return 0;
	for (size_t i = 0; i < o->m->n_addresses; i++) {
		const struct rtattr *b =
			address_of(o->m->addresses[i].data, o->m->addresses[i].len);

		if (b && b->rta_len == a->rta_len &&
			!memcmp(RTA_DATA(a), RTA_DATA(b), RTA_PAYLOAD(a)))
			return 0;
	}
	rtnl_send(RTM_DELADDR, 0, NLMSG_DATA(h), len);
	return 0;
}

static int put_address(
	struct open_ctx *o, const char *name, uint32_t index, const ProtobufCBinaryData *b)
{
	uint8_t body[BODY_MAX] __attribute__((aligned(8)));
	struct ifaddrmsg *m = (void *)body;
	struct rtattr *flags;
	int r;

	if (b->len < NLMSG_ALIGN(sizeof(*m)) || b->len > sizeof(body))
		return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"an address of the interface %s has a wrong length", name);
	memcpy(body, b->data, b->len);
	m->ifa_index = index;
	flags = (void *)(uintptr_t)rtnl_attr(
		IFA_RTA(m), b->len - NLMSG_ALIGN(sizeof(*m)), IFA_FLAGS);
	if (m->ifa_family == AF_INET6) {
		m->ifa_flags |= IFA_F_NODAD;
		if (flags && RTA_PAYLOAD(flags) == sizeof(uint32_t))
			*(uint32_t *)RTA_DATA(flags) |= IFA_F_NODAD;
	}
	r = rtnl_send(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, body, b->len);
	return r < 0 ? failed(o, -r, "rtnetlink(RTM_NEWADDR)", name) : 0;
}

static bool put_route(uint32_t index, const ProtobufCBinaryData *b)
{
	uint8_t body[BODY_MAX] __attribute__((aligned(8)));
	struct rtmsg *m = (void *)body;
	struct rtattr *oif;

	if (b->len < NLMSG_ALIGN(sizeof(*m)) || b->len > sizeof(body))
		return false;
	memcpy(body, b->data, b->len);
	oif = (void *)(uintptr_t)rtnl_attr(RTM_RTA(m), b->len - NLMSG_ALIGN(sizeof(*m)), RTA_OIF);
	if (!oif || RTA_PAYLOAD(oif) != sizeof(index))
		return false;
	memcpy(RTA_DATA(oif), &index, sizeof(index));
	return rtnl_send(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, body, b->len) == 0;
}

int tun_device_put(struct open_ctx *o, int fd, const char *name, const Ckpt__TunDevice *m)
{
	struct others others = {m, if_nametoindex(name)};
	unsigned lost = 0;
	int r = put_link(o, fd, name, m);

	if (r == 0 && m->n_addresses)
		rtnl_dump(RTM_GETADDR, remove_other, &others);
	for (size_t i = 0; r == 0 && i < m->n_addresses; i++)
		r = put_address(o, name, others.index, &m->addresses[i]);
	if (r == 0 && m->no_carrier) {
		int off = 0;

		ioctl(fd, TUNSETCARRIER, &off);
	}
	for (size_t i = 0; r == 0 && i < m->n_routes; i++)
		lost += !put_route(others.index, &m->routes[i]);
	if (lost)
		op_warn(o->op, "%u of %zu routes through %s did not come back", lost, m->n_routes,
			name);
	return r;
}
