/*
 * tun_parts.h - the parts of tun.c among themselves.
 */
#ifndef CKPT_RES_SOCKET_TUN_PARTS_H
#define CKPT_RES_SOCKET_TUN_PARTS_H

#include "proto/tun.pb-c.h"
#include "res/file/files.h"

/**
 * tun_device_read() - what an interface of this network namespace is like
 * @fd: of /dev/net/tun, attached to it
 * @ret: owned by the caller
 * Return: 0; -errno.
 */
int tun_device_read(int fd, const char *name, Ckpt__TunDevice **ret);

/**
 * tun_device_put() - make a new interface like that
 * @fd: by which it was made
 * What of its routes can't come back is told, and no failure.
 * Return: 0; negative after op_fail().
 */
int tun_device_put(struct open_ctx *o, int fd, const char *name, const Ckpt__TunDevice *m);

#endif
