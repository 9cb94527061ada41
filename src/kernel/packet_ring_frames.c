/*
 * packet_ring_frames.c - what is in a ring that receives into frames (TPACKET_V1, TPACKET_V2).
 *
 * The kernel goes on writing while the ring is copied, until it comes to a frame that the program has not given back:
 * that is stopped, and gives nothing back. It takes a frame and goes on to the next, and writes that and then its
 * status word later, on several CPUs at once.
 *
 * If it can't be read where the kernel is, what the program has not read should be a row of frames, behind which the
 * kernel goes on. Where there is none, the last frame that was written is likely the one with the latest time stamp.
 */
#include <errno.h>

#include "kernel/packet_ring_parts.h"

#define STARTS_MAX 16 /* where a row of frames may begin */

/* What is unread: @n frames from @first on. */
struct row {
	uint32_t first, n;
};

static bool is_users(const struct packet_ring *r, uint32_t i)
{
	return packet_status_get(r, i) != TP_STATUS_KERNEL;
}

static uint64_t time_of(const struct packet_ring *r, uint32_t i)
{
	return packet_slot_time(r, packet_slot(r, r->mem, i));
}

/* What has come since is not there: such a frame is empty, and has no time that would be the latest. */
static void forget(const struct packet_ring *r, uint8_t *copy, uint32_t next, uint32_t n)
{
	uint32_t slots = packet_ring_slots(r);
	uint64_t latest = packet_slot_time(r, packet_slot(r, copy, packet_before(next, slots)));

	for (uint32_t i = next; n; n--, i = packet_after(i, slots)) {
		uint8_t *head = packet_slot(r, copy, i);

		*packet_status(r, head) = TP_STATUS_KERNEL;
		if (packet_slot_time(r, head) <= latest)
			continue;
		if (r->version == TPACKET_V1)
			((struct tpacket_hdr *)head)->tp_sec =
				((struct tpacket_hdr *)head)->tp_usec = 0;
		else
			((struct tpacket2_hdr *)head)->tp_sec =
				((struct tpacket2_hdr *)head)->tp_nsec = 0;
	}
}

/* ---- of what is in the ring ---- */

/* How many from there on are the program's. */
static uint32_t row_length(const struct packet_ring *r, uint32_t first, uint32_t slots)
{
	uint32_t n = 0;

	for (uint32_t i = first; n < slots && is_users(r, i); i = packet_after(i, slots))
		n++;
	return n;
}

/*
 * While they are counted more come, so that there may seem to be gaps; a row that is looked at later has all of them.
 * One whose frames were given back in another order has gaps, or ends with one that is older.
 */
static int find_row(const struct packet_ring *r, uint32_t users, uint32_t slots, struct row *ret)
{
	bool before = is_users(r, slots - 1);
	uint32_t starts = 0;

	for (uint32_t i = 0; i < slots && starts < STARTS_MAX; i++) {
		bool now = is_users(r, i);

		if (now && !before) {
			*ret = (struct row){i, row_length(r, i, slots)};
			starts++;
			if (ret->n >= users && ret->n < slots)
				return packet_pollin(r) && time_of(r, (i + ret->n - 1) % slots) >=
								   time_of(r, i)
					       ? 0
					       : -EAGAIN;
		}
		before = now;
	}
	return -EAGAIN;
}

/* Backwards from the one that was written last; a ring that was never used begins at its first frame. */
static int find_end(const struct packet_ring *r, uint32_t slots, struct row *ret)
{
	uint32_t newest = slots - 1;
	int64_t last;

	for (uint32_t i = 0; i < slots; i++)
		if (time_of(r, i) > time_of(r, newest))
			newest = i;
	last = packet_find_last(r, newest, slots);
	if (last < 0)
		return (int)last;
	*ret = (struct row){packet_after((uint32_t)last, slots), 0};
	return 0;
}

/* Where all frames are the program's, nothing tells which is the oldest. */
static int guess(const struct packet_ring *r, uint32_t slots, struct row *ret)
{
	uint32_t users = 0;

	for (uint32_t i = 0; i < slots; i++)
		users += is_users(r, i);
	if (!users)
		return find_end(r, slots, ret);
	if (users < slots)
		return find_row(r, users, slots, ret);
	*ret = (struct row){0, slots};
	return slots == 1 ? 0 : -EBUSY;
}

static int guess_copy(const struct packet_ring *r, uint8_t *copy, uint32_t *ret_next)
{
	uint32_t slots = packet_ring_slots(r);
	struct row row = {0};
	int ret = guess(r, slots, &row);

	if (ret < 0)
		return ret;
	packet_ring_bytes_copy(r, copy);
	*ret_next = (row.first + row.n) % slots;
	forget(r, copy, *ret_next, slots - row.n);
	return 0;
}

/* ---- of what the kernel notes itself ---- */

/*
 *  1. the kernel is at a frame;
 *  2. which is the program's while it stays there: so it has come round to it and waits, and nothing comes any more; or
 *     it is not: so more may come from there on;
 *  3. what had been taken before is written, and copied;
 *  4. the kernel has gone on: what it went through has come since. If it is at the same frame and that has become the
 *     program's, it went through all.
 */
static int know_copy(const struct packet_ring *r, uint8_t *copy, uint32_t *ret_next)
{
	uint32_t slots = packet_ring_slots(r), came;
	struct packet_where w, then;
	bool full;
	int ret = packet_where_read(r, &w);

	if (ret < 0)
		return ret;
	full = is_users(r, w.next);
	ret = packet_where_read(r, &then);
	if (ret == 0)
		ret = then.next == w.next ? packet_where_settled(r, w.next) : -EAGAIN;
	if (ret < 0)
		return ret;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	packet_ring_bytes_copy(r, copy);
	ret = packet_where_read(r, &then);
	if (ret < 0)
		return ret;
	came = (then.next + slots - w.next) % slots;
	if (!full && !came && is_users(r, w.next))
		came = slots;
	forget(r, copy, w.next, came);
	*ret_next = w.next;
	return 0;
}

int packet_frames_copy(const struct packet_ring *r, uint8_t *copy, uint32_t *ret_next)
{
	return r->eye.reader ? know_copy(r, copy, ret_next) : guess_copy(r, copy, ret_next);
}
