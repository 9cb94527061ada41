/*
 * packet_ring.h - the rings of packet sockets (PACKET_MMAP): where in them the kernel goes on, and a new ring that
 * goes on there.
 *
 * A ring consists of slots: frames of a fixed size, or, of a ring of version 3 that receives, blocks. A status
 * word in each says whose it is. The kernel goes through them in their order, and so does the program; each keeps
 * to itself at which it is.
 */
#ifndef CKPT_KERNEL_PACKET_RING_H
#define CKPT_KERNEL_PACKET_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/packet_where.h"

struct packet_ring {
	int fd;       /* of the socket, borrowed */
	int version;  /* TPACKET_V1, _V2, _V3 */
	bool sends;   /* it is the ring of PACKET_TX_RING */
	uint8_t *mem; /* its first block, mapped to be read and written */
	uint32_t block_bytes, blocks, frame_bytes;
	uint32_t private_bytes; /* of a block of version 3 */
	struct packet_eye eye;  /* for packet_ring_copy() only */
};

/** packet_ring_known() - whether sizes are such as a ring can have. @r: without fd and mem */
bool packet_ring_known(const struct packet_ring *r);

/** packet_ring_bytes() - of all blocks */
static inline uint64_t packet_ring_bytes(const struct packet_ring *r)
{
	return (uint64_t)r->block_bytes * r->blocks;
}

/** packet_ring_slots() - how many there are */
uint32_t packet_ring_slots(const struct packet_ring *r);

/**
 * packet_ring_copy() - the contents of a ring whose program is stopped, and the slot at which the kernel goes on
 * @copy: of packet_ring_bytes(), all zero. What is still being written is not in it; a block that is being filled is
 * there as if its time had run out
 * @ret_next: of this copy; it is the program's own position in the ring, or ahead of it
 * Without an eye the position is concluded from what is in the ring, which is not always possible.
 * Return: 0; -EBUSY it can't be told where the kernel is; -ENOMEM; -errno.
 */
int packet_ring_copy(const struct packet_ring *r, uint8_t *copy, uint32_t *ret_next);

/**
 * packet_ring_restore() - have a new ring go on at a slot, with contents
 * @r: a ring that has not had a packet; its socket is not bound, and has no filter. Afterwards one that receives
 * has a filter that lets nothing pass, and may be bound to the loopback interface
 * @copy: as of packet_ring_copy(); it is changed
 * Return: 0; -ENETDOWN the loopback interface is down; -ETIMEDOUT no packet came through it; -errno.
 */
int packet_ring_restore(const struct packet_ring *r, uint8_t *copy, uint32_t next);

#endif
