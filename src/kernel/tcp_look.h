/*
 * tcp_look.h - one connection of TCP that nobody has a descriptor of, by its addresses.
 */
#ifndef CKPT_KERNEL_TCP_LOOK_H
#define CKPT_KERNEL_TCP_LOOK_H

#include <stdint.h>
#include <sys/socket.h>

struct tcp_seen {
	int state; /* as of struct tcp_info */
	uint32_t
		unread; /* bytes that it has in their order and nobody has read; its FIN counts as one */
};

/**
 * tcp_look() - look at it; async-signal-safe
 * @local, @peer: of one family, that of the packets
 * Return: 0; -ENOENT there is none such; -errno
 * Source: sock_diag(7), Linux >= 3.3.
 */
int tcp_look(const struct sockaddr_storage *local, const struct sockaddr_storage *peer,
	struct tcp_seen *ret);

#endif
