/*
 * packet_where.c - see packet_where.h.
 *
 * A ring of frames notes at which it goes on; of one that receives, a bit per frame says which of them have been taken
 * and are being written, which happens on several CPUs at once. A ring of blocks notes which one is the active one, the
 * number that the next to be opened gets, and whether it waits for it. All is checked for what is known of the ring
 * from the socket itself: how many blocks and frames it has.
 */
#include "kernel/packet_where.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/kmem.h"
#include "kernel/packet_ring_parts.h"
#include "util/cleanup.h"
#include "util/vec.h"

static const struct {
	size_t at; /* in struct packet_reader */
	const char *structure, *member;
} rows[] = {
	{offsetof(struct packet_reader, rx), "packet_sock", "rx_ring"},
	{offsetof(struct packet_reader, tx), "packet_sock", "tx_ring"},
	{offsetof(struct packet_reader, head), "packet_ring_buffer", "head"},
	{offsetof(struct packet_reader, blocks), "packet_ring_buffer", "pg_vec_len"},
	{offsetof(struct packet_reader, last), "packet_ring_buffer", "frame_max"},
	{offsetof(struct packet_reader, owners), "packet_ring_buffer", "rx_owner_map"},
	{offsetof(struct packet_reader, queue), "packet_ring_buffer", "prb_bdqc"},
	{offsetof(struct packet_reader, active), "tpacket_kbdq_core", "kactive_blk_num"},
	{offsetof(struct packet_reader, opened), "tpacket_kbdq_core", "knxt_seq_num"},
	{offsetof(struct packet_reader, frozen), "tpacket_kbdq_core", "reset_pending_on_curr_blk"},
	{offsetof(struct packet_reader, queue_blocks), "tpacket_kbdq_core", "knum_blocks"},
};

int packet_reader_init(const struct kmem *k, struct packet_reader *ret)
{
	*ret = (struct packet_reader){.k = NULL};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int off = btf_offset(&k->btf, rows[i].structure, rows[i].member);

		if (off < 0)
			return off;
		memcpy((char *)ret + rows[i].at, &off, sizeof(off));
	}
	ret->k = k;
	return 0;
}

/* Return: the address of struct packet_ring_buffer; 0: it is not that socket */
static uint64_t ring_of(const struct packet_ring *r)
{
	const struct packet_reader *p = r->eye.reader;
	uint64_t sk = kmem_sock(p->k, r->fd, r->eye.ino);

	return sk ? sk + (uint64_t)(r->sends ? p->tx : p->rx) : 0;
}

static int read_frames(const struct packet_ring *r, uint64_t ring, struct packet_where *ret)
{
	const struct packet_reader *p = r->eye.reader;
	uint32_t last = 0;
	int err = kmem_read(p->k, ring + (uint64_t)p->head, &ret->next, sizeof(ret->next));

	if (err == 0)
		err = kmem_read(p->k, ring + (uint64_t)p->last, &last, sizeof(last));
	return err < 0 ? err : last != packet_ring_slots(r) - 1 ? -EAGAIN : 0;
}

static int read_blocks(const struct packet_ring *r, uint64_t ring, struct packet_where *ret)
{
	const struct packet_reader *p = r->eye.reader;
	uint64_t queue = ring + (uint64_t)p->queue;
	uint32_t blocks = 0;
	uint16_t active = 0;
	uint8_t frozen = 0;
	int err = kmem_read(p->k, queue + (uint64_t)p->active, &active, sizeof(active));

	if (err == 0)
		err = kmem_read(
			p->k, queue + (uint64_t)p->opened, &ret->opened, sizeof(ret->opened));
	if (err == 0)
		err = kmem_read(p->k, queue + (uint64_t)p->frozen, &frozen, sizeof(frozen));
	if (err == 0)
		err = kmem_read(p->k, queue + (uint64_t)p->queue_blocks, &blocks, sizeof(blocks));
	ret->next = active;
	ret->frozen = frozen;
	return err < 0 ? err : blocks != r->blocks ? -EAGAIN : 0;
}

int packet_where_read(const struct packet_ring *r, struct packet_where *ret)
{
	const struct packet_reader *p = r->eye.reader;
	struct packet_where w = {0};
	uint64_t ring = ring_of(r);
	uint32_t blocks = 0;
	int err = ring ? kmem_read(p->k, ring + (uint64_t)p->blocks, &blocks, sizeof(blocks))
		       : -EAGAIN;

	if (err == 0)
		err = blocks != r->blocks  ? -EAGAIN
		      : packet_by_block(r) ? read_blocks(r, ring, &w)
					   : read_frames(r, ring, &w);
	if (err < 0 || w.next >= packet_ring_slots(r))
		return err < 0 ? err : -EAGAIN;
	*ret = w;
	return 0;
}

int packet_where_settled(const struct packet_ring *r, uint32_t next)
{
	const struct packet_reader *p = r->eye.reader;
	uint64_t ring = ring_of(r), map = ring ? kmem_word(p->k, ring + (uint64_t)p->owners) : 0;
	size_t n = ((size_t)packet_ring_slots(r) + 63) / 64;
	_cleanup_free_ uint64_t *bits = calloc(n, sizeof(*bits));
	int err = bits ? kmem_read(p->k, map, bits, n * sizeof(*bits)) : -ENOMEM;

	if (err < 0)
		return err;
	bits[next / 64] &= ~(1ULL << next % 64);
	for (size_t i = 0; i < n; i++)
		if (bits[i])
			return -EAGAIN;
	return 0;
}
