/*
 * tcp_numbers.h - numbers of TCP that no header has which goes together with linux/tcp.h.
 */
#ifndef CKPT_KERNEL_TCP_NUMBERS_H
#define CKPT_KERNEL_TCP_NUMBERS_H

/* States, as the kernel has them (net/tcp_states.h). */
enum {
	TCP_IS_ESTABLISHED = 1,
	TCP_IS_SYN_SENT,
	TCP_IS_SYN_RECV,
	TCP_IS_FIN_WAIT1,
	TCP_IS_FIN_WAIT2,
	TCP_IS_TIME_WAIT,
	TCP_IS_CLOSE,
	TCP_IS_CLOSE_WAIT,
	TCP_IS_LAST_ACK,
	TCP_IS_LISTEN, /* of unix sockets, too */
	TCP_IS_CLOSING
};

/* Options, as packets have them. */
enum {
	TCP_HAS_END,
	TCP_HAS_NOP,
	TCP_HAS_MSS,
	TCP_HAS_WINDOW,
	TCP_HAS_SACK,
	TCP_HAS_TIMESTAMP = 8,
	TCP_HAS_MD5 = 19
};

#define TCP_SCALE_MAX 14 /* of windows: RFC 7323 2.3 */

/* What TCP_MAXSEG takes: TCP_MIN_MSS and MAX_TCP_WINDOW of the kernel. */
#define TCP_MSS_SMALLEST 88
#define TCP_MSS_LARGEST  32767
/* Of who names none in its SYN. */
#define TCP_MSS_UNKNOWN 536

#endif
