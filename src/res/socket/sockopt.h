/*
 * sockopt.h - the table of socket options.
 */
#ifndef CKPT_RES_SOCKET_SOCKOPT_H
#define CKPT_RES_SOCKET_SOCKOPT_H

#include "res/socket/socket.h"

struct sockopt {
	int level, name;
	enum sockopt_when when;
	const char *text; /* for messages: "SO_KEEPALIVE" */
	int family, type; /* it exists for these only; 0: any */
	int set_name;     /* setsockopt(2) by another name, such as SO_SNDBUFFORCE; 0: the same */
	bool halved;      /* the kernel doubles what is set */
};

/** sockopts() - the table. @ret_n: rows */
const struct sockopt *sockopts(size_t *ret_n);

/** sockopt_find() - the row of an option; NULL: none such is known */
const struct sockopt *sockopt_find(int level, int name);

/** sockopt_applies() - whether a socket of that kind has it */
bool sockopt_applies(const struct sockopt *row, int family, int type);

#endif
