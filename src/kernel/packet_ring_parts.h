/*
 * packet_ring_parts.h - slots of rings, for the parts of packet_ring.h among themselves.
 *
 * Layouts: linux/if_packet.h. A status word of version 1 is a long, of which only the lower half is used; the ISAs
 * that are supported store that first.
 */
#ifndef CKPT_KERNEL_PACKET_RING_PARTS_H
#define CKPT_KERNEL_PACKET_RING_PARTS_H

#include <linux/if_packet.h>
#include <sys/types.h>

#include "kernel/packet_ring.h"

#define PACKET_OWN_TYPE   0x88b5 /* of packets of ours: IEEE 802, for local experiments */
#define PACKET_LO_INDEX   1      /* the loopback interface, in every network namespace */
#define PACKET_HEAD_BYTES sizeof(struct tpacket_block_desc) /* the longest head of a slot */

/* Whether its slots are blocks. */
static inline bool packet_by_block(const struct packet_ring *r)
{
	return r->version == TPACKET_V3 && !r->sends;
}

/* A slot in the ring, or in a copy of it. */
static inline uint8_t *packet_slot(const struct packet_ring *r, uint8_t *mem, uint32_t i)
{
	uint32_t per_block = packet_by_block(r) ? 1 : r->block_bytes / r->frame_bytes;

	return mem + (uint64_t)(i / per_block) * r->block_bytes +
	       (uint64_t)(i % per_block) * r->frame_bytes;
}

/* The status word of a slot, or of a copy of its head. */
static inline uint32_t *packet_status(const struct packet_ring *r, uint8_t *slot)
{
	size_t at = packet_by_block(r) ? offsetof(struct tpacket_block_desc, hdr.bh1.block_status)
		    : r->version == TPACKET_V3 ? offsetof(struct tpacket3_hdr, tp_status)
					       : 0;

	return (uint32_t *)(slot + at);
}

static inline uint32_t packet_status_get(const struct packet_ring *r, uint32_t i)
{
	return __atomic_load_n(packet_status(r, packet_slot(r, r->mem, i)), __ATOMIC_ACQUIRE);
}

static inline void packet_status_set(const struct packet_ring *r, uint32_t i, uint32_t status)
{
	__atomic_store_n(packet_status(r, packet_slot(r, r->mem, i)), status, __ATOMIC_RELEASE);
}

/* Whether it was @from, and is @to now. */
static inline bool packet_status_swap(
	const struct packet_ring *r, uint32_t i, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(packet_status(r, packet_slot(r, r->mem, i)), &from, to,
		false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static inline uint32_t packet_after(uint32_t i, uint32_t n)
{
	return i + 1 == n ? 0 : i + 1;
}

static inline uint32_t packet_before(uint32_t i, uint32_t n)
{
	return i ? i - 1 : n - 1;
}

/* When a slot was written: of a copy of its head, ns; 0: never. */
uint64_t packet_slot_time(const struct packet_ring *r, const uint8_t *head);

/* All bytes; pages of zeros stay what they are in the copy, so that it needs no memory for them. */
void packet_ring_bytes_copy(const struct packet_ring *r, uint8_t *copy);

/* A thousandth of a second. */
void packet_ring_doze(void);

/* Whether poll(2) says that the last slot that the kernel has given away is the program's still. */
bool packet_pollin(const struct packet_ring *r);

/**
 * packet_find_last() - which slot the kernel has given away last, all being the kernel's again
 * @from: the likeliest; it and those before it are tried, @n in all
 * Return: the slot; -EAGAIN it was changing; -ENOENT none of these; -errno of apart().
 */
int64_t packet_find_last(const struct packet_ring *r, uint32_t from, uint32_t n);

/* The length of the packet of a frame that sends. */
uint32_t *packet_len(const struct packet_ring *r, uint8_t *slot);

/* The three kinds of rings. Return: 0; -EAGAIN it was changing; -errno */
int packet_frames_copy(const struct packet_ring *r, uint8_t *copy, uint32_t *ret_next);
int packet_blocks_copy(const struct packet_ring *r, uint8_t *copy, uint32_t *ret_next);
int packet_sent_copy(const struct packet_ring *r, uint8_t *copy, uint32_t *ret_next);

#endif
