/*
 * packet_ring_frames.c - what is in a ring that receives into frames (TPACKET_V1, TPACKET_V2).
 *
 * The kernel goes on writing while the ring is copied. It writes a frame, then its status word; so a frame is complete
 * if its status was seen before it was copied. What the program has not read is a row of frames, behind which the
 * kernel goes on. Where there is none, the last frame that was written is among those with the latest time stamps.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/packet_ring_parts.h"
#include "util/cleanup.h"

/* Tried first: packets that come on several CPUs may stand in another order than their times. */
#define NEWEST 8

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
 * One whose frames were given back in another order has gaps.
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
				return packet_pollin(r) ? 0 : -EAGAIN;
		}
		before = now;
	}
	return -EAGAIN;
}

/* Nothing is written any more: the oldest is behind the newest, where the times fall most, and nowhere else as much. */
static int find_oldest(const struct packet_ring *r, uint32_t slots, struct row *ret)
{
	uint64_t most = 0, second = 0;

	*ret = (struct row){0, slots};
	for (uint32_t i = 0; i < slots; i++) {
		uint32_t next = packet_after(i, slots);
		uint64_t now = time_of(r, i), then = time_of(r, next);
		uint64_t fall = now > then ? now - then : 0;

		if (fall <= most) {
			second = fall > second ? fall : second;
			continue;
		}
		second = most;
		most = fall;
		ret->first = next;
	}
	return slots == 1 || most / 2 > second ? 0 : -EBUSY;
}

/* All slots, the newest first, some of them twice. Return: how many entries */
static size_t order(const struct packet_ring *r, uint32_t slots, uint32_t *v)
{
	size_t n = 0;

	for (; n < NEWEST; n++) {
		uint64_t latest = 0;

		for (uint32_t i = 0; i < slots; i++) {
			uint64_t at = time_of(r, i);
			bool had = false;

			if (at <= latest)
				continue;
			for (size_t k = 0; k < n; k++)
				had |= v[k] == i;
			if (had)
				continue;
			latest = at;
			v[n] = i;
		}
		if (!latest)
			break;
	}
	/* a ring that was never used begins at its first frame */
	for (uint32_t i = slots; i; i--)
		v[n++] = i - 1;
	return n;
}

static int find_end(const struct packet_ring *r, uint32_t slots, struct row *ret)
{
	_cleanup_free_ uint32_t *v = calloc((size_t)slots + NEWEST, sizeof(*v));
	int64_t last;

	if (!v)
		return -ENOMEM;
	last = packet_find_last(r, v, order(r, slots, v));
	if (last < 0)
		return (int)last;
	*ret = (struct row){packet_after((uint32_t)last, slots), 0};
	return 0;
}

/* What has come since is not there: such a frame is empty, and has no time that would be the latest. */
static void forget_rest(
	const struct packet_ring *r, uint8_t *copy, uint32_t slots, const struct row *row)
{
	uint32_t next = (row->first + row->n) % slots;
	uint64_t latest = packet_slot_time(r, packet_slot(r, copy, packet_before(next, slots)));

	for (uint32_t i = next, n = row->n; n < slots; n++, i = packet_after(i, slots)) {
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

int packet_frames_copy(const struct packet_ring *r, uint8_t *copy, uint32_t *ret_next)
{
	uint32_t slots = packet_ring_slots(r), users = 0;
	struct row row = {0};
	int ret;

	for (uint32_t i = 0; i < slots; i++)
		users += is_users(r, i);
	ret = !users           ? find_end(r, slots, &row)
	      : users == slots ? find_oldest(r, slots, &row)
			       : find_row(r, users, slots, &row);
	if (ret < 0)
		return ret;
	packet_ring_bytes_copy(r, copy);
	forget_rest(r, copy, slots, &row);
	*ret_next = (row.first + row.n) % slots;
	return 0;
}
