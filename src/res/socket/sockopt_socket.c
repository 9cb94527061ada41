/*
 * sockopt_socket.c - the options of SOL_SOCKET.
 *
 * Not here: what can be read but not set (SO_TYPE, SO_ERROR, SO_COOKIE, ...), what can be set but not
 * read (SO_BUSY_POLL_BUDGET, SO_CNX_ADVICE, the programs of a reuseport group), filters, and
 * SO_BINDTOIFINDEX, which is SO_BINDTODEVICE by a number that the next boot gives to another.
 * A 64-bit kernel has SO_RCVTIMEO_NEW as another name of SO_RCVTIMEO.
 *
 * Source: socket(7), asm-generic/socket.h up to Linux 6.18.
 */
#include "res/socket/sockopt.h"

#include <netinet/in.h>
#include <stdbool.h>

/* Newer than the headers that we may be built with; asm-generic numbers, as on all our ISAs. */
#define SO_TIMESTAMP_AS_NEW    63
#define SO_TIMESTAMPNS_AS_NEW  64
#define SO_TIMESTAMPING_AS_NEW 65
#ifndef SO_PREFER_BUSY_POLL
#define SO_PREFER_BUSY_POLL 69
#endif
#ifndef SO_RESERVE_MEM
#define SO_RESERVE_MEM 73
#endif
#ifndef SO_TXREHASH
#define SO_TXREHASH 74
#endif
#ifndef SO_RCVMARK
#define SO_RCVMARK 75
#endif
#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif
#ifndef SO_RCVPRIORITY
#define SO_RCVPRIORITY 82
#endif
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif
#ifndef SO_INQ
#define SO_INQ 84
#endif

/* Before Linux 6.13 it reads like SO_TIMESTAMPING, which the program will have used. */
static bool told_apart(int fd, const struct sockopt *row)
{
	int one = 1, other[2] = {0};
	socklen_t len = sizeof(other);
	bool apart;

	(void)fd;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	apart = setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &one, sizeof(one)) == 0 &&
		getsockopt(fd, SOL_SOCKET, row->name, other, &len) == 0 && !other[0];
	if (fd >= 0)
		close(fd);
	return apart;
}

#define ADMIN "CAP_NET_ADMIN"
#define RAW   "CAP_NET_RAW or CAP_NET_ADMIN"

#define NEW(opt, ...)   SOCKOPT_ROW(SOL_SOCKET, opt, #opt, SOCKOPT_NEW, __VA_ARGS__)
#define BOUND(opt, ...) SOCKOPT_ROW(SOL_SOCKET, opt, #opt, SOCKOPT_BOUND, __VA_ARGS__)
#define LAST(opt, ...)  SOCKOPT_ROW(SOL_SOCKET, opt, #opt, SOCKOPT_LAST, __VA_ARGS__)

const struct sockopt sockopts_socket[] = {
	/* the end of TCP's repair mode takes the one away that was set before */
	NEW(SO_REUSEADDR, .again = true),
	NEW(SO_REUSEPORT, ),
	NEW(SO_SNDBUF, .set_name = SO_SNDBUFFORCE, .halved = true, .locks = SNDBUF_LOCK),
	NEW(SO_RCVBUF, .set_name = SO_RCVBUFFORCE, .halved = true, .locks = RCVBUF_LOCK),
	NEW(SO_BUF_LOCK, .after_sizes = true),
	NEW(SO_BINDTODEVICE, .needs = RAW),
	NEW(SO_MARK, .needs = RAW),
	NEW(SO_BROADCAST, ),
	/* of a connected socket of IP it is the CPU that handled the last packet, and means nothing */
	NEW(SO_INCOMING_CPU, .unconnected = true),
	NEW(SO_NO_CHECK, ),
	/* IP_TOS sets it */
	BOUND(SO_PRIORITY, .needs = RAW),
	BOUND(SO_KEEPALIVE, ),
	BOUND(SO_MAX_PACING_RATE, ),
	BOUND(SO_TXREHASH, ),
	LAST(SO_DEBUG, .needs = ADMIN),
	LAST(SO_DONTROUTE, ),
	LAST(SO_OOBINLINE, ),
	LAST(SO_LINGER, ),
	/* a unix socket that has it is given an address when it connects */
	LAST(SO_PASSCRED, ),
	LAST(SO_PASSSEC, ),
	LAST(SO_PASSPIDFD, ),
	LAST(SO_PASSRIGHTS, ),
	LAST(SO_RCVLOWAT, ),
	LAST(SO_RCVTIMEO, ),
	LAST(SO_SNDTIMEO, ),
	/* one bit says that there are time stamps, one in which unit, one of which layout */
	LAST(SO_TIMESTAMP, ),
	LAST(SO_TIMESTAMPNS, ),
	LAST(SO_TIMESTAMP_AS_NEW, ),
	LAST(SO_TIMESTAMPNS_AS_NEW, ),
	LAST(SO_TIMESTAMPING, ),
	LAST(SO_TIMESTAMPING_AS_NEW, .with = SO_TIMESTAMPING, .own = told_apart),
	LAST(SO_RXQ_OVFL, ),
	LAST(SO_WIFI_STATUS, ),
	LAST(SO_PEEK_OFF, ),
	LAST(SO_NOFCS, ),
	LAST(SO_SELECT_ERR_QUEUE, ),
	LAST(SO_BUSY_POLL, .soft = true, .needs = ADMIN),
	LAST(SO_PREFER_BUSY_POLL, .soft = true, .needs = ADMIN),
	LAST(SO_ZEROCOPY, ),
	LAST(SO_TXTIME, .needs = ADMIN),
	LAST(SO_RCVMARK, .needs = RAW),
	LAST(SO_RCVPRIORITY, ),
	LAST(SO_INQ, ),
	/* of the memory that the cgroup accounts for */
	LAST(SO_RESERVE_MEM, .soft = true),
	/* no filter can be put on after it */
	LAST(SO_LOCK_FILTER, ),
	{0},
};
