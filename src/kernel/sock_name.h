/*
 * sock_name.h - sockets in words.
 */
#ifndef CKPT_KERNEL_SOCK_NAME_H
#define CKPT_KERNEL_SOCK_NAME_H

#include <stddef.h>

/** sock_name() - what people call such a socket: "udp", "raw IP", "netlink route". Return: static */
const char *sock_name(int family, int type, int protocol);

#endif
