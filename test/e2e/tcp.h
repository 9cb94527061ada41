/*
 * tcp.h - for victims that hold connections of TCP in a state of their own.
 */
#ifndef CKPT_TEST_E2E_TCP_H
#define CKPT_TEST_E2E_TCP_H

#include "victim.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

static inline int tcp_state(int fd)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	MUST(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len));
	return info.tcpi_state;
}

/* Of the data in a segment that is sent, in bytes. */
static inline unsigned tcp_mss(int fd)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	MUST(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len));
	return info.tcpi_snd_mss;
}

/*
 * It depends on windows as well, but is not that of a peer of which nothing is known; nor is it larger, as what does
 * not fit into the peer's window is not sent for a while. It may have followed from the window in the peer's SYN: the
 * next one that the peer tells is rounded up to its scale, and half of it is allowed.
 */
static inline void tcp_mss_as_large(int fd, unsigned was)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);
	unsigned is, more;

	MUST(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len));
	is = info.tcpi_snd_mss;
	more = (1U << info.tcpi_snd_wscale) / 2;
	CHECK(is >= was / 4 && is <= was + more, "segments of %u bytes, it was %u (and %u)", is,
		was, more);
}

static inline void tcp_in_state(int fd, int want)
{
	for (int i = 0; i < 5000 && tcp_state(fd) != want; i++)
		usleep(1000);
	CHECK(tcp_state(fd) == want, "expected state %d, got %d", want, tcp_state(fd));
}

static inline void pause_here(void)
{
	victim_ready();
	victim_wait();
}

#endif
