/*
 * sockopt.c - the table of socket options: each is read by getsockopt(2) and set by setsockopt(2) with
 * the same bytes, unless its row says otherwise.
 *
 * Source: socket(7), ip(7), ipv6(7).
 */
#include "res/socket/sockopt.h"

#include <sys/socket.h>

#include "util/vec.h"

#define SOL(opt, ...)                                                                              \
	{                                                                                          \
		SOL_SOCKET, opt, .text = #opt, __VA_ARGS__                                         \
	}

static const struct sockopt table[] = {
	SOL(SO_REUSEADDR, .when = SOCKOPT_NEW),
	SOL(SO_SNDBUF, .when = SOCKOPT_NEW, .set_name = SO_SNDBUFFORCE, .halved = true),
	SOL(SO_RCVBUF, .when = SOCKOPT_NEW, .set_name = SO_RCVBUFFORCE, .halved = true),
	SOL(SO_KEEPALIVE, .when = SOCKOPT_BOUND),
	SOL(SO_LINGER, .when = SOCKOPT_LAST),
	SOL(SO_PASSCRED, .when = SOCKOPT_LAST),
	SOL(SO_RCVTIMEO, .when = SOCKOPT_LAST),
	SOL(SO_SNDTIMEO, .when = SOCKOPT_LAST),
};

const struct sockopt *sockopts(size_t *ret_n)
{
	*ret_n = ARRAY_SIZE(table);
	return table;
}

const struct sockopt *sockopt_find(int level, int name)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (table[i].level == level && table[i].name == name)
			return &table[i];
	return NULL;
}

bool sockopt_applies(const struct sockopt *row, int family, int type)
{
	return (!row->family || row->family == family) && (!row->type || row->type == type);
}
