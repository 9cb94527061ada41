/*
 * packet_ring_sent.c - what is in a ring that sends, and at which of its frames the kernel goes on.
 *
 * The kernel sends from there on what is to be sent, and gives each frame back when the device has done with it. It
 * stops at a frame that can't be sent, and marks it (TP_STATUS_WRONG_FORMAT); tpacket_snd() of net/packet/af_packet.c.
 * All this is done by the program's own calls, so nothing changes while it is stopped. If it can't be read where the
 * kernel is, and nothing is to be sent, it can't be told.
 */
#include <errno.h>

#include "kernel/packet_ring_parts.h"

#define STATES (TP_STATUS_SEND_REQUEST | TP_STATUS_SENDING | TP_STATUS_WRONG_FORMAT)

static uint32_t state_of(const struct packet_ring *r, uint32_t i)
{
	return packet_status_get(r, i) & STATES;
}

uint32_t *packet_len(const struct packet_ring *r, uint8_t *slot)
{
	switch (r->version) {
	case TPACKET_V1:
		return &((struct tpacket_hdr *)slot)->tp_len;
	case TPACKET_V2:
		return &((struct tpacket2_hdr *)slot)->tp_len;
	default:
		return &((struct tpacket3_hdr *)slot)->tp_len;
	}
}

static bool never_used(const struct packet_ring *r, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (packet_status_get(r, i) || *packet_len(r, packet_slot(r, r->mem, i)))
			return false;
	return true;
}

/* Where a row of frames in this state begins. Return: the first; -ENOENT none; -EBUSY there are several rows */
static int64_t row_of(const struct packet_ring *r, uint32_t n, uint32_t state)
{
	int64_t first = -ENOENT;
	uint32_t all = 0;

	for (uint32_t i = 0; i < n; i++) {
		bool is = state_of(r, i) == state;

		all += is;
		if (!is || state_of(r, packet_before(i, n)) == state)
			continue;
		if (first >= 0)
			return -EBUSY;
		first = i;
	}
	return first < 0 && all ? n == 1 ? 0 : -EBUSY : first;
}

static int64_t guess(const struct packet_ring *r, uint32_t n)
{
	int64_t at = row_of(r, n, TP_STATUS_WRONG_FORMAT);

	if (at == -ENOENT)
		at = row_of(r, n, TP_STATUS_SEND_REQUEST);
	return at == -ENOENT && (n == 1 || never_used(r, n)) ? 0 : at;
}

static int64_t know(const struct packet_ring *r)
{
	struct packet_where w;
	int err = packet_where_read(r, &w);

	return err < 0 ? err : (int64_t)w.next;
}

/* What the device has not done with yet it will. */
int packet_sent_copy(const struct packet_ring *r, uint8_t *copy, uint32_t *ret_next)
{
	uint32_t n = packet_ring_slots(r);
	int64_t next = r->eye.reader ? know(r) : guess(r, n);

	if (next < 0)
		return (int)next;
	packet_ring_bytes_copy(r, copy);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t *status = packet_status(r, packet_slot(r, copy, i));

		if (*status & TP_STATUS_SENDING)
			*status = TP_STATUS_AVAILABLE;
	}
	*ret_next = (uint32_t)next;
	return 0;
}
