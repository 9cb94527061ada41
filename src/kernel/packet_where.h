/*
 * packet_where.h - where the kernel is in the rings of a packet socket, as it notes that itself.
 *
 * No call tells it. It is read where it lies (kernel/kmem.h): exact, and the socket notices nothing.
 */
#ifndef CKPT_KERNEL_PACKET_WHERE_H
#define CKPT_KERNEL_PACKET_WHERE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct kmem;
struct packet_ring;

/* For many sockets. */
struct packet_reader {
	const struct kmem *k; /* borrowed; NULL: not ready */
	int rx, tx;           /* from here on of the members of struct packet_sock */
	int head, blocks, last, owners, queue;
	int active, opened, frozen, queue_blocks; /* of version 3 that receives */
};

/* Which socket, and by what it is read. */
struct packet_eye {
	const struct packet_reader *reader; /* borrowed; NULL: it can't be read */
	ino_t ino;                          /* of the socket */
};

struct packet_where {
	uint32_t
		next; /* the slot at which it goes on; of blocks: the one that is open, or to be opened next */
	/* of blocks: */
	uint64_t opened; /* sequence number of the block to be opened next */
	bool frozen;     /* it waits for the program to give that block back */
};

/**
 * packet_reader_init() - find what is needed
 * @k: borrowed as long as @ret is used
 * Return: 0; -ENOENT this kernel has other structures.
 * Source: struct packet_sock of net/packet/internal.h, Linux >= 5.6.
 */
int packet_reader_init(const struct kmem *k, struct packet_reader *ret);

/**
 * packet_where_read() - where the kernel is at this moment
 * @r: with an eye
 * Return: 0; -EAGAIN what was found makes no sense; -errno of kmem_read().
 */
int packet_where_read(const struct packet_ring *r, struct packet_where *ret);

/**
 * packet_where_settled() - whether all frames before this one, that the kernel has taken to be written, are
 * @r: that receives into frames
 * @next: the kernel was there; that frame may be being written
 * Return: 0; -EAGAIN some are being written; -ENOMEM; -errno of kmem_read().
 */
int packet_where_settled(const struct packet_ring *r, uint32_t next);

#endif
