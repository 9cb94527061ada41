/*
 * Rings of packet sockets, as they lie in memory: what is unread and where the kernel goes on is found in them. An
 * eventfd stands for the socket, of which only poll(2) is asked.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <linux/if_packet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kernel/packet_ring.h"

#define BLOCK 4096u
#define FRAME 512u
#define SLOTS 32u /* in four blocks */

static _Alignas(4096) uint8_t mem[4 * BLOCK], copy[4 * BLOCK];

static struct packet_ring ring(int version, bool unread)
{
	memset(mem, 0, sizeof(mem));
	memset(copy, 0, sizeof(copy));
	return (struct packet_ring){.fd = eventfd(unread, EFD_CLOEXEC),
		.version = version,
		.mem = mem,
		.block_bytes = BLOCK,
		.blocks = 4,
		.frame_bytes = FRAME};
}

static struct tpacket2_hdr *frame(uint8_t *m, unsigned i)
{
	return (struct tpacket2_hdr *)(m + (size_t)i * FRAME);
}

static struct tpacket_hdr_v1 *block(uint8_t *m, unsigned i)
{
	return &((struct tpacket_block_desc *)(m + (size_t)i * BLOCK))->hdr.bh1;
}

static struct tpacket3_hdr *packet(uint8_t *m, unsigned i, unsigned at)
{
	return (struct tpacket3_hdr *)(m + (size_t)i * BLOCK + at);
}

Test(packet_ring, sizes)
{
	struct packet_ring r = ring(TPACKET_V2, false);

	cr_assert(packet_ring_known(&r));
	cr_assert_eq(packet_ring_slots(&r), SLOTS);
	cr_assert_eq(packet_ring_bytes(&r), sizeof(mem));
	r.version = TPACKET_V3;
	cr_assert_eq(packet_ring_slots(&r), 4);
	r.sends = true;
	cr_assert_eq(packet_ring_slots(&r), SLOTS);
	r.frame_bytes = BLOCK + 1;
	cr_assert_not(packet_ring_known(&r));
	r.frame_bytes = 8;
	cr_assert_not(packet_ring_known(&r));
	r = ring(TPACKET_V2, false);
	r.block_bytes = 1000;
	cr_assert_not(packet_ring_known(&r));
	r = ring(TPACKET_V3 + 1, false);
	cr_assert_not(packet_ring_known(&r));
	close(r.fd);
}

/* Frames 30, 31, 0 and 1 are unread; what is not unread, and came later, has no time in the copy. */
Test(packet_ring, unread_frames)
{
	struct packet_ring r = ring(TPACKET_V2, true);
	uint32_t next = 99;

	for (unsigned i = 0; i < SLOTS; i++)
		frame(mem, i)->tp_sec = 100 + (i + 30) % SLOTS; /* 2 is the oldest */
	for (unsigned i = 30; i < 34; i++)
		frame(mem, i % SLOTS)->tp_status = TP_STATUS_USER;
	frame(mem, 2)->tp_sec = 1000; /* is being written */
	cr_assert_eq(packet_ring_copy(&r, copy, &next), 0);
	cr_assert_eq(next, 2);
	cr_assert_eq(frame(copy, 2)->tp_sec, 0);
	frame(mem, 2)->tp_sec = 0;
	cr_assert_eq(memcmp(mem, copy, sizeof(mem)), 0);
	close(r.fd);
}

/* Nothing is free: the oldest may be where the times fall, or the clock was set back there. */
Test(packet_ring, full_of_frames)
{
	struct packet_ring r = ring(TPACKET_V2, true);
	uint32_t next = 99;

	for (unsigned i = 0; i < SLOTS; i++) {
		frame(mem, (i + 7) % SLOTS)->tp_sec = 500 + i;
		frame(mem, i)->tp_status = TP_STATUS_USER;
	}
	cr_assert_eq(packet_ring_copy(&r, copy, &next), -EBUSY);
	cr_assert_eq(next, 99);
	close(r.fd);
}

/* The kernel says that the last slot is not the program's: then frames were given back in another order. */
Test(packet_ring, contradiction)
{
	struct packet_ring r = ring(TPACKET_V2, false);
	uint32_t next = 99;

	frame(mem, 3)->tp_status = TP_STATUS_USER;
	cr_assert_eq(packet_ring_copy(&r, copy, &next), -EBUSY);
	cr_assert_eq(next, 99);
	close(r.fd);
}

/* Block 1 is unread, and block 2 is being filled: in the copy its time has run out, and block 3 is the next. */
Test(packet_ring, block_being_filled)
{
	struct packet_ring r = ring(TPACKET_V3, true);
	uint32_t next = 99;

	for (unsigned i = 0; i < 4; i++) {
		block(mem, i)->seq_num = i == 3 ? 4 : 5 + i;
		block(mem, i)->ts_first_pkt.ts_sec = 100 + (uint32_t)block(mem, i)->seq_num;
		block(mem, i)->num_pkts = 2;
		block(mem, i)->offset_to_first_pkt = 48;
		packet(mem, i, 48)->tp_next_offset = 128;
		packet(mem, i, 48)->tp_status = packet(mem, i, 176)->tp_status = TP_STATUS_USER;
		packet(mem, i, 176)->tp_sec = 7;
		packet(mem, i, 176)->tp_nsec = 8;
	}
	block(mem, 1)->block_status = TP_STATUS_USER;
	packet(mem, 2, 176)->tp_next_offset = 96; /* where the next packet would be */
	cr_assert_eq(packet_ring_copy(&r, copy, &next), 0);
	cr_assert_eq(next, 3);
	cr_assert_eq(block(copy, 1)->block_status, TP_STATUS_USER);
	cr_assert_eq(block(copy, 2)->block_status, TP_STATUS_USER | TP_STATUS_BLK_TMO);
	cr_assert_eq(block(copy, 2)->ts_last_pkt.ts_sec, 7);
	cr_assert_eq(block(copy, 2)->ts_last_pkt.ts_nsec, 8);
	cr_assert_eq(packet(copy, 2, 176)->tp_next_offset, 0);
	cr_assert_eq(packet(mem, 2, 176)->tp_next_offset, 96, "the ring itself was changed");
	cr_assert_eq(block(copy, 3)->block_status, TP_STATUS_KERNEL);
	cr_assert_eq(block(copy, 0)->seq_num, 5);
	close(r.fd);
}

/* A packet that is counted, but not written yet, is waited for in vain. */
Test(packet_ring, block_never_complete)
{
	struct packet_ring r = ring(TPACKET_V3, true);
	uint32_t next = 99;

	block(mem, 3)->block_status = TP_STATUS_USER;
	block(mem, 0)->seq_num = 5;
	block(mem, 0)->ts_first_pkt.ts_sec = 100;
	block(mem, 0)->num_pkts = 1;
	block(mem, 0)->offset_to_first_pkt = 48;
	packet(mem, 0, 48)->tp_next_offset = 128;
	cr_assert_eq(packet_ring_copy(&r, copy, &next), -EBUSY);
	/* nor is one that is beyond its block */
	packet(mem, 0, 48)->tp_status = TP_STATUS_USER;
	block(mem, 0)->offset_to_first_pkt = BLOCK;
	cr_assert_eq(packet_ring_copy(&r, copy, &next), -EBUSY);
	block(mem, 0)->offset_to_first_pkt = 48;
	cr_assert_eq(packet_ring_copy(&r, copy, &next), 0);
	cr_assert_eq(next, 1);
	close(r.fd);
}

/* What is asked to be sent is where the kernel goes on; what is under way has been sent. */
Test(packet_ring, asked_to_send)
{
	struct packet_ring r = ring(TPACKET_V2, false);
	uint32_t next = 99;

	r.sends = true;
	cr_assert_eq(packet_ring_copy(&r, copy, &next), 0);
	cr_assert_eq(next, 0, "one that was never used");
	frame(mem, 31)->tp_status = frame(mem, 0)->tp_status = TP_STATUS_SEND_REQUEST;
	frame(mem, 30)->tp_status = TP_STATUS_SENDING;
	cr_assert_eq(packet_ring_copy(&r, copy, &next), 0);
	cr_assert_eq(next, 31);
	cr_assert_eq(frame(copy, 30)->tp_status, TP_STATUS_AVAILABLE);
	cr_assert_eq(frame(copy, 31)->tp_status, TP_STATUS_SEND_REQUEST);
	frame(mem, 5)->tp_status = TP_STATUS_SEND_REQUEST;
	cr_assert_eq(packet_ring_copy(&r, copy, &next), -EBUSY, "two places");
	close(r.fd);
}
