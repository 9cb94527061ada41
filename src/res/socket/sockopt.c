/*
 * sockopt.c - finding a row in the table of socket options, and setting what it stands for.
 *
 * The order is that of setting: first what IP keeps, as IP_TOS sets SO_PRIORITY and IP_UNICAST_IF is
 * refused to who is bound to another device; SOL_SOCKET last.
 */
#include "res/socket/sockopt.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <string.h>

#include "util/vec.h"

static const struct sockopt *const levels[] = {
	sockopts_ip, sockopts_ipv6, sockopts_tcp, sockopts_proto, sockopts_socket};

const struct sockopt *sockopt_at(size_t n)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
		for (const struct sockopt *row = levels[i]; row->text; row++)
			if (!n--)
				return row;
	return NULL;
}

const struct sockopt *sockopt_find(int level, int name)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
		for (const struct sockopt *row = levels[i]; row->text; row++)
			if (row->level == level && row->name == name)
				return row;
	return NULL;
}

/* A socket of IPv6 has the options of IPv4 too. */
static bool has_level(int level, int family, int type)
{
	bool inet = family == AF_INET || family == AF_INET6;

	switch (level) {
	case IPPROTO_IP:
		return inet;
	case IPPROTO_IPV6:
		return family == AF_INET6;
	case IPPROTO_TCP:
		return inet && type == SOCK_STREAM;
	case IPPROTO_UDP:
		return inet && type == SOCK_DGRAM;
	case SOL_RAW:
	case IPPROTO_ICMPV6:
		return inet && type == SOCK_RAW;
	case SOL_PACKET:
		return family == AF_PACKET;
	case SOL_NETLINK:
		return family == AF_NETLINK;
	case AF_VSOCK:
		return family == AF_VSOCK;
	}
	return true;
}

bool sockopt_applies(const struct sockopt *row, int family, int type)
{
	return has_level(row->level, family, type) && (!row->family || row->family == family) &&
	       (!row->type || row->type == type) && !(row->no_stream && type == SOCK_STREAM);
}

int sockopt_set(int fd, const struct sockopt *row, const void *value, socklen_t len)
{
	int n;

	if (row->halved && len == sizeof(n)) {
		memcpy(&n, value, sizeof(n));
		n /= 2;
		value = &n;
	}
	if (row->set_name && setsockopt(fd, row->level, row->set_name, value, len) == 0)
		return 0;
	return setsockopt(fd, row->level, row->name, value, len) < 0 ? -errno : 0;
}
