/*
 * packet_parts.h - between packet sockets and their rings.
 */
#ifndef CKPT_RES_SOCKET_PACKET_PARTS_H
#define CKPT_RES_SOCKET_PACKET_PARTS_H

#include "kernel/sock_diag.h"
#include "proto/packet.pb-c.h"
#include "res/socket/socket.h"

/**
 * packet_rings_read() - the sizes of a socket's rings
 * Return: 0; -ENOMEM.
 */
int packet_rings_read(const struct sock_diag_row *row, Ckpt__Packet *m);

/** packet_rings_finish() - file_ops.finish: who has mapped them, what is in them. 0 or after op_fail() */
int packet_rings_finish(struct collect_tree *t);

/**
 * packet_rings_open() - make them, with their contents
 * @fd: of the socket, which has no filter yet, and is not bound; after this it may be, to what it is not to get
 * Return: 0; negative after op_fail().
 */
int packet_rings_open(struct open_ctx *o, uint64_t id, int fd, const Ckpt__Packet *m);

#endif
