/*
 * sockopt_tcp.c - the options of IPPROTO_TCP.
 *
 * Not here: what is done rather than set (TCP_QUICKACK, TCP_REPAIR and its like, TCP_ZEROCOPY_RECEIVE),
 * keys (TCP_MD5SIG is in tcp_keys.c, TCP_AO_* is refused, TCP_FASTOPEN_KEY is the machine's), TCP_ULP, which is
 * refused, and TCP_MAXSEG, which of a connection is what was agreed on.
 *
 * Source: tcp(7), linux/tcp.h up to Linux 6.18.
 */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdbool.h>

#include "kernel/tcp_numbers.h"
#include "res/socket/sockopt.h"

#ifndef TCP_TX_DELAY
#define TCP_TX_DELAY 37
#endif
#ifndef TCP_RTO_MAX_MS
#define TCP_RTO_MAX_MS 44
#endif
#ifndef TCP_RTO_MIN_US
#define TCP_RTO_MIN_US 45
#endif
#ifndef TCP_DELACK_MAX_US
#define TCP_DELACK_MAX_US 46
#endif

#define NEW(opt, ...)   SOCKOPT_ROW(IPPROTO_TCP, opt, #opt, SOCKOPT_NEW, __VA_ARGS__)
#define BOUND(opt, ...) SOCKOPT_ROW(IPPROTO_TCP, opt, #opt, SOCKOPT_BOUND, __VA_ARGS__)

/* Extension headers change it to what no program could set. A connection's is what was agreed on. */
static bool mss_is_own(int fd, const struct sockopt *row)
{
	int mss = 0;
	socklen_t len = sizeof(mss);

	return getsockopt(fd, row->level, row->name, &mss, &len) == 0 && mss >= TCP_MSS_SMALLEST &&
	       mss <= TCP_MSS_LARGEST;
}

const struct sockopt sockopts_tcp[] = {
	/* what a listener hands down, or what is asked for by a SYN */
	NEW(TCP_MAXSEG, .unconnected = true, .own = mss_is_own),
	NEW(TCP_SAVE_SYN, ),
	NEW(TCP_SYNCNT, ),
	NEW(TCP_FASTOPEN_CONNECT, .unconnected = true),
	NEW(TCP_FASTOPEN_NO_COOKIE, ),
	NEW(TCP_WINDOW_CLAMP, .unconnected = true),
	NEW(TCP_CONGESTION, .soft = true, .needs = "CAP_NET_ADMIN, or the administrator's leave"),
	NEW(TCP_DEFER_ACCEPT, .unconnected = true),
	NEW(TCP_KEEPIDLE, ),
	NEW(TCP_KEEPINTVL, ),
	NEW(TCP_KEEPCNT, ),
	NEW(TCP_LINGER2, ),
	NEW(TCP_USER_TIMEOUT, ),
	NEW(TCP_THIN_LINEAR_TIMEOUTS, ),
	NEW(TCP_NOTSENT_LOWAT, ),
	NEW(TCP_TX_DELAY, ),
	NEW(TCP_RTO_MAX_MS, .soft = true),
	NEW(TCP_RTO_MIN_US, .soft = true),
	NEW(TCP_DELACK_MAX_US, .soft = true),
	NEW(TCP_INQ, ),
	BOUND(TCP_FASTOPEN, .unconnected = true),
	BOUND(TCP_NODELAY, ),
	/* what was held back is held back again */
	BOUND(TCP_CORK, ),
	{0},
};
