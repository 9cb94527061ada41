/*
 * packet_ring.c - see packet_ring.h; which slot was the last, and what goes for all kinds of rings.
 *
 * Where the kernel is, is read from its own notes (packet_where.h). Where these can't be read, it tells it by poll(2)
 * only: POLLIN says that the slot behind that one, the last that was given away, does not belong to the kernel
 * (packet_poll(), packet_previous_rx_frame() of net/packet/af_packet.c). So a slot that is thought to be it is marked
 * for a moment. The mark is no status that a program waits for; should it be on the wrong slot, the kernel could miss a
 * packet only if it came to that very slot in this moment.
 */
#include "kernel/packet_ring.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "kernel/apart.h"
#include "kernel/packet_ring_parts.h"

/* Of no meaning by itself; neither the kernel's (0) nor the program's (1). */
#define MARK TP_STATUS_LOSING

#define TRIES      100
#define SEES_TRIES 3
#define PAGE       4096
#define DOZE_NS    1000000L
#define BYTES_MAX  (1ULL << 40)

bool packet_ring_known(const struct packet_ring *r)
{
	if (r->version < TPACKET_V1 || r->version > TPACKET_V3 || !r->blocks || !r->block_bytes ||
		r->block_bytes % PAGE || packet_ring_bytes(r) > BYTES_MAX)
		return false;
	return r->frame_bytes >= PACKET_HEAD_BYTES && r->frame_bytes <= r->block_bytes &&
	       r->private_bytes < r->block_bytes &&
	       (uint64_t)r->blocks * (r->block_bytes / r->frame_bytes) <= INT32_MAX;
}

uint32_t packet_ring_slots(const struct packet_ring *r)
{
	return packet_by_block(r) ? r->blocks : r->blocks * (r->block_bytes / r->frame_bytes);
}

uint64_t packet_slot_time(const struct packet_ring *r, const uint8_t *head)
{
	const struct tpacket_block_desc *block = (const void *)head;
	const struct tpacket_hdr *v1 = (const void *)head;
	const struct tpacket2_hdr *v2 = (const void *)head;

	switch (r->version) {
	case TPACKET_V1:
		return v1->tp_sec * 1000000000ULL + v1->tp_usec * 1000ULL;
	case TPACKET_V2:
		return v2->tp_sec * 1000000000ULL + v2->tp_nsec;
	default:
		return block->hdr.bh1.ts_first_pkt.ts_sec * 1000000000ULL +
		       block->hdr.bh1.ts_first_pkt.ts_nsec;
	}
}

void packet_ring_bytes_copy(const struct packet_ring *r, uint8_t *copy)
{
	for (uint64_t at = 0; at < packet_ring_bytes(r); at += PAGE) {
		const uint8_t *page = r->mem + at;

		if (*page || memcmp(page, page + 1, PAGE - 1) != 0)
			memcpy(copy + at, page, PAGE);
	}
}

void packet_ring_doze(void)
{
	struct timespec doze = {.tv_nsec = DOZE_NS};

	nanosleep(&doze, NULL);
}

bool packet_pollin(const struct packet_ring *r)
{
	struct pollfd p = {.fd = r->fd, .events = POLLIN};

	return poll(&p, 1, 0) > 0 && p.revents & POLLIN;
}

struct find {
	const struct packet_ring *r;
	uint32_t from, n;
	int64_t found;
};

/*
 * A frame that is just being written is the kernel's still, but was given away: what is the last slot must stay as it
 * is for a while.
 */
static int64_t settled(const struct packet_ring *r, uint32_t i)
{
	packet_ring_doze();
	return packet_status_get(r, i) == TP_STATUS_KERNEL && !packet_pollin(r) ? (int64_t)i
										: -EAGAIN;
}

static int find_last(void *arg)
{
	struct find *f = arg;
	uint32_t slots = packet_ring_slots(f->r);

	for (uint32_t i = f->from; f->n; f->n--, i = packet_before(i, slots)) {
		bool is_last;

		if (packet_pollin(f->r) || !packet_status_swap(f->r, i, TP_STATUS_KERNEL, MARK))
			return -EAGAIN;
		is_last = packet_pollin(f->r);
		if (!packet_status_swap(f->r, i, MARK, TP_STATUS_KERNEL))
			return -EAGAIN;
		if (is_last) {
			f->found = settled(f->r, i);
			return 0;
		}
	}
	return 0;
}

int64_t packet_find_last(const struct packet_ring *r, uint32_t from, uint32_t n)
{
	struct find f = {.r = r, .from = from, .n = n, .found = -ENOENT};
	int err = apart(find_last, &f); /* a mark that stays would be the end of the ring */

	return err < 0 ? err : f.found;
}

/* Not if this kernel's structures are other than they should be. */
static bool sees(const struct packet_ring *r)
{
	struct packet_where w;
	int ret = r->eye.reader ? -EAGAIN : -ENOENT;

	for (int i = 0; ret == -EAGAIN && i < SEES_TRIES; i++)
		ret = packet_where_read(r, &w);
	return ret == 0;
}

static int copy_once(const struct packet_ring *r, uint8_t *copy, uint32_t *ret_next)
{
	return r->sends             ? packet_sent_copy(r, copy, ret_next)
	       : packet_by_block(r) ? packet_blocks_copy(r, copy, ret_next)
				    : packet_frames_copy(r, copy, ret_next);
}

int packet_ring_copy(const struct packet_ring *r, uint8_t *copy, uint32_t *ret_next)
{
	struct packet_ring ring = *r;
	int ret = -EAGAIN;

	if (!sees(&ring))
		ring.eye.reader = NULL;
	for (int i = 0; ret == -EAGAIN && i < TRIES; i++) {
		if (i)
			packet_ring_doze();
		ret = copy_once(&ring, copy, ret_next);
	}
	return ret == -EAGAIN || ret == -ENOENT ? -EBUSY : ret;
}
