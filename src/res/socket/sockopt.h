/*
 * sockopt.h - the table of socket options: each is read by getsockopt(2) and set by setsockopt(2) with
 * the same bytes, unless its row says otherwise.
 */
#ifndef CKPT_RES_SOCKET_SOCKOPT_H
#define CKPT_RES_SOCKET_SOCKOPT_H

#include <sys/socket.h>

#include "kernel/syscalls.h"
#include "res/socket/socket.h"

/* The longest value of an option in the table. */
#define SOCKOPT_VALUE_MAX 256

struct sockopt {
	int level, name;
	enum sockopt_when when;
	const char *text; /* for messages: "SO_KEEPALIVE" */
	int family, type; /* it exists for these only; 0: any that have the level */
	bool no_stream;   /* SOCK_STREAM can't set it */
	int set_name;     /* setsockopt(2) by another name, such as SO_SNDBUFFORCE; 0: the same */
	bool halved;      /* the kernel doubles what is set */
	/* Of a socket of IP that is connected, or, of TCP, was, it means nothing. */
	bool unconnected;
	int locks;  /* of a size: the bit of SO_BUF_LOCK of who has set it; TCP lets others grow */
	bool again; /* set once more at SOCKOPT_LAST: what came between has changed it */
	bool after_sizes;  /* saved also where it is as usual, if a size was */
	int with;          /* asked only where this option of the same level was saved; 0: always */
	bool soft;         /* a machine may not be able to: its loss is told, no more */
	const char *needs; /* what a restore may lack to set it; NULL: nothing */
	/* Whether an unusual value is the program's own, not one that the kernel keeps up by itself. */
	bool (*own)(int fd, const struct sockopt *row);
};

/* @says: #opt, which only the macro that is written in the table can make of a macro's name */
#define SOCKOPT_ROW(lev, opt, says, time, ...)                                                     \
	{                                                                                          \
		.level = (lev), .name = opt, .text = says, .when = (time), __VA_ARGS__             \
	}

/* The rows of one level, ended by one without a text. */
extern const struct sockopt sockopts_ip[], sockopts_ipv6[], sockopts_tcp[], sockopts_proto[],
	sockopts_socket[];

/** sockopt_at() - the n-th row, in the order in which they are set; NULL: there are no more */
const struct sockopt *sockopt_at(size_t n);

/** sockopt_find() - the row of an option; NULL: none such is known */
const struct sockopt *sockopt_find(int level, int name);

/** sockopt_applies() - whether a socket of that kind may have it */
bool sockopt_applies(const struct sockopt *row, int family, int type);

/**
 * sockopt_set() - give a socket an option, as it was read
 * Return: 0; -errno.
 */
int sockopt_set(int fd, const struct sockopt *row, const void *value, socklen_t len);

/**
 * sockopt_collect() - the options of a socket that a new one of its kind has not
 * @m: family, type and protocol are set; its options are filled
 * New sockets are asked once per kind and dump.
 * Return: 0; -ENOMEM.
 */
int sockopt_collect(struct collect_tree *t, int fd, struct Ckpt__Socket *m);

/** sockopt_done() - free what sockopt_collect() keeps in t */
void sockopt_done(struct collect_tree *t);

#endif
