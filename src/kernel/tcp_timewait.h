/*
 * tcp_timewait.h - connections in TIME_WAIT: they have ended, but for a minute their port can't be bound by
 * whoever has not said SO_REUSEADDR from the beginning.
 */
#ifndef CKPT_KERNEL_TCP_TIMEWAIT_H
#define CKPT_KERNEL_TCP_TIMEWAIT_H

#include <sys/socket.h>

/**
 * tcp_timewait_end() - end those that are in the way of an address
 * A socket that was bound has no such trouble, so one that is to be bound where it was should not have it.
 * Nothing is done if somebody listens there.
 * @local: of IPv4 or IPv6; an address of zeros is any
 * Return: how many are gone; -EOPNOTSUPP: this kernel ends none; -EPERM: it takes CAP_NET_ADMIN; -errno
 * Source: sock_diag(7) SOCK_DESTROY, Linux >= 4.5 with CONFIG_INET_DIAG_DESTROY; of TIME_WAIT later.
 */
int tcp_timewait_end(const struct sockaddr_storage *local);

#endif
