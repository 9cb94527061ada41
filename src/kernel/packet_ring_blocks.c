/*
 * packet_ring_blocks.c - what is in a ring that receives into blocks (TPACKET_V3).
 *
 * The kernel fills one block, gives it to the program when it is full or its time has run out, and opens the next one:
 * it writes its head anew, with the time. If that is the program's still, it waits ("freezes") until it is its own
 * again.
 *
 * If it can't be read which one is the active one: the block that was opened last is the newest, and the kernel is at
 * it, or, if it has been closed, behind it. A block is closed if it is the program's; if that has given it back, its
 * last packet has no next one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/packet_ring_parts.h"
#include "util/cleanup.h"

#define HEADS_TRIES 100

typedef struct tpacket_block_desc block_head;

struct blocks {
	const struct packet_ring *r;
	block_head *heads; /* of all, as they were at one time */
	uint32_t n;
};

static struct tpacket_hdr_v1 *head_of(const struct blocks *b, uint32_t i)
{
	return &b->heads[i].hdr.bh1;
}

static uint64_t time_of(const struct blocks *b, uint32_t i)
{
	return packet_slot_time(b->r, (const uint8_t *)&b->heads[i]);
}

static bool is_users(const struct blocks *b, uint32_t i)
{
	return head_of(b, i)->block_status & TP_STATUS_USER;
}

/* Read while the kernel goes on: until no block was opened or closed meanwhile. */
static bool unchanged(const struct blocks *b)
{
	for (uint32_t i = 0; i < b->n; i++) {
		const volatile block_head *now = (void *)packet_slot(b->r, b->r->mem, i);

		if (packet_status_get(b->r, i) != head_of(b, i)->block_status ||
			now->hdr.bh1.seq_num != head_of(b, i)->seq_num)
			return false;
	}
	return true;
}

static int read_heads(struct blocks *b)
{
	for (int tries = 0; tries < HEADS_TRIES; tries++) {
		for (uint32_t i = 0; i < b->n; i++)
			memcpy(&b->heads[i], packet_slot(b->r, b->r->mem, i), sizeof(block_head));
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (unchanged(b))
			return 0;
	}
	return -EAGAIN;
}

/* ---- packets of a block ---- */

/* A packet in the ring, or in a copy of it; NULL: it is not in the block */
static struct tpacket3_hdr *packet_at(const struct blocks *b, uint8_t *block, uint64_t at)
{
	return at >= sizeof(block_head) && at % 8 == 0 &&
			       at + sizeof(struct tpacket3_hdr) <= b->r->block_bytes
		       ? (struct tpacket3_hdr *)(block + at)
		       : NULL;
}

/* @ret_complete: whether all are there: the kernel counts a packet, copies it, and writes its status then. */
static struct tpacket3_hdr *last_packet(
	const struct blocks *b, uint32_t i, uint8_t *block, bool *ret_complete)
{
	uint64_t at = head_of(b, i)->offset_to_first_pkt;
	struct tpacket3_hdr *p = packet_at(b, block, at);

	*ret_complete = true;
	for (uint32_t left = head_of(b, i)->num_pkts; p && left; left--) {
		*ret_complete &=
			(__atomic_load_n(&p->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER) != 0;
		if (left == 1)
			break;
		at += p->tp_next_offset;
		p = p->tp_next_offset ? packet_at(b, block, at) : NULL;
	}
	return p;
}

static bool is_closed(const struct blocks *b, uint32_t i, const struct tpacket3_hdr *last)
{
	const struct tpacket_hdr_v1 *h = head_of(b, i);

	if (is_users(b, i))
		return true;
	if (h->num_pkts)
		return last && !last->tp_next_offset;
	/* one that was closed without a packet, as the next one needed all of a block */
	return h->ts_last_pkt.ts_sec > h->ts_first_pkt.ts_sec ||
	       (h->ts_last_pkt.ts_sec == h->ts_first_pkt.ts_sec &&
		       h->ts_last_pkt.ts_nsec >= h->ts_first_pkt.ts_nsec);
}

/* ---- where the kernel is, of what is in the ring ---- */

static uint32_t newest(const struct blocks *b)
{
	uint32_t best = 0;

	for (uint32_t i = 1; i < b->n; i++)
		if (time_of(b, i) > time_of(b, best))
			best = i;
	return best;
}

/* Whether each was opened after the one before it, but for one that follows the newest. */
static bool in_order(const struct blocks *b)
{
	uint32_t falls = 0;

	for (uint32_t i = 0; i < b->n; i++)
		falls += time_of(b, packet_after(i, b->n)) < time_of(b, i);
	return falls <= 1;
}

/* @next: where the kernel seems to be. Return: 0: it is; -EAGAIN; -ENOENT; -errno */
static int confirm(const struct blocks *b, uint32_t next)
{
	uint32_t before = packet_before(next, b->n);
	int64_t last;

	if (b->n == 1)
		return 0;
	if (head_of(b, before)->block_status != TP_STATUS_KERNEL)
		return !packet_pollin(b->r) ? -EAGAIN : in_order(b) ? 0 : -ENOENT;
	last = packet_find_last(b->r, before, 1);
	if (last < 0)
		return (int)last;
	return unchanged(b) ? 0 : -EAGAIN;
}

/* A block and whether it is closed, which says where the kernel would be if it was the newest. */
struct newest {
	uint32_t block;
	bool closed;
};

static struct newest look(const struct blocks *b, uint32_t i)
{
	bool complete;

	return (struct newest){
		i, is_closed(b, i, last_packet(b, i, packet_slot(b->r, b->r->mem, i), &complete))};
}

static uint32_t next_of(const struct blocks *b, struct newest n)
{
	return n.closed ? packet_after(n.block, b->n) : n.block;
}

/* The clock may have been set back since: then the one behind it has the next number, but for one that was restored. */
static int guess(struct blocks *b, struct newest *ret)
{
	uint32_t i;
	int r = read_heads(b);

	if (r < 0)
		return r;
	i = newest(b);
	if (head_of(b, packet_after(i, b->n))->seq_num == head_of(b, i)->seq_num + 1)
		return -EBUSY;
	*ret = look(b, i);
	return confirm(b, next_of(b, *ret));
}

/* ---- where it is, of what it notes itself ---- */

static bool same(const struct packet_where *a, const struct packet_where *b)
{
	return a->next == b->next && a->opened == b->opened && a->frozen == b->frozen;
}

/* One that waits has closed the block before; else it fills the active one, unless it is just going on to another. */
static int know(struct blocks *b, struct newest *ret)
{
	struct packet_where w, then;
	int r = packet_where_read(b->r, &w);

	if (r == 0)
		r = read_heads(b);
	if (r == 0)
		r = packet_where_read(b->r, &then);
	if (r < 0)
		return r;
	if (!same(&w, &then) ||
		(!w.frozen && (is_users(b, w.next) || head_of(b, w.next)->seq_num + 1 != w.opened)))
		return -EAGAIN;
	*ret = (struct newest){w.frozen ? packet_before(w.next, b->n) : w.next, w.frozen};
	return 0;
}

/* ---- the copy ---- */

/* As the kernel does when the time of a block has run out. */
static int close_block(const struct blocks *b, uint32_t i, uint8_t *copy)
{
	bool complete;
	struct tpacket3_hdr *last = last_packet(b, i, packet_slot(b->r, copy, i), &complete);
	struct tpacket_hdr_v1 *h = head_of(b, i);

	if (!last || !complete)
		return -EAGAIN;
	last->tp_next_offset = 0;
	h->ts_last_pkt.ts_sec = last->tp_sec;
	h->ts_last_pkt.ts_nsec = last->tp_nsec;
	h->block_status = TP_STATUS_USER | TP_STATUS_BLK_TMO;
	return 0;
}

/* The packets of the block that is being filled were all written before it is copied. */
static int copy_all(const struct blocks *b, struct newest n, uint8_t *copy, uint32_t *ret_next)
{
	bool fill = !n.closed && head_of(b, n.block)->num_pkts, complete;
	int r = 0;

	if (fill && (!last_packet(b, n.block, packet_slot(b->r, b->r->mem, n.block), &complete) ||
			    !complete))
		return -EAGAIN;
	packet_ring_bytes_copy(b->r, copy);
	if (fill)
		r = close_block(b, n.block, copy);
	n.closed |= fill;
	*ret_next = next_of(b, n);
	/* it is written anew when the kernel opens it */
	if (!is_users(b, *ret_next))
		memset(&b->heads[*ret_next], 0, sizeof(block_head));
	for (uint32_t i = 0; r == 0 && i < b->n; i++)
		memcpy(packet_slot(b->r, copy, i), &b->heads[i], sizeof(block_head));
	return r;
}

int packet_blocks_copy(const struct packet_ring *r, uint8_t *copy, uint32_t *ret_next)
{
	_cleanup_free_ block_head *heads = calloc(r->blocks, sizeof(*heads));
	struct blocks b = {.r = r, .heads = heads, .n = r->blocks};
	struct newest n;
	int ret;

	if (!heads)
		return -ENOMEM;
	ret = r->eye.reader ? know(&b, &n) : guess(&b, &n);
	return ret < 0 ? ret : copy_all(&b, n, copy, ret_next);
}
