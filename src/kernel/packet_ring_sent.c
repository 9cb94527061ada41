/*
 * packet_ring_sent.c - what is in a ring that sends, and at which of its frames the kernel goes on.
 *
 * The kernel sends from there on what is to be sent, and gives each frame back when the device has done with it. Where
 * nothing is to be sent only the kernel knows where that is. It stops at a frame that can't be sent, and marks it
 * (TP_STATUS_WRONG_FORMAT); or, with PACKET_LOSS, gives it back and goes on (tpacket_snd() of net/packet/af_packet.c).
 * So all frames ask for a packet of one byte for a moment, which no device of Ethernet's kind sends: with a header
 * that is too short it is refused before it is anything's. Nothing is sent, and afterwards all is as it was. Where the
 * kernel makes the header (SOCK_DGRAM) none is too short, but a packet can be too long; of that the kernel writes a
 * line into its log for each frame.
 */
#include <errno.h>
#include <linux/if_ether.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/apart.h"
#include "kernel/packet_ring_parts.h"
#include "util/cleanup.h"

#define STATES     (TP_STATUS_SEND_REQUEST | TP_STATUS_SENDING | TP_STATUS_WRONG_FORMAT)
#define SENT_TRIES 20

struct probe {
	const struct packet_ring *r;
	uint32_t n;
	uint32_t *status, *len; /* as they were */
	bool loss;
	int64_t found;
};

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

bool packet_loses(const struct packet_ring *r)
{
	int loss = 0;
	socklen_t len = sizeof(loss);

	return getsockopt(r->fd, SOL_PACKET, PACKET_LOSS, &loss, &len) == 0 && loss;
}

ssize_t packet_send_lo(int fd, const void *data, size_t len)
{
	struct sockaddr_ll lo = {.sll_family = AF_PACKET,
		.sll_protocol = htobe16(PACKET_OWN_TYPE),
		.sll_ifindex = PACKET_LO_INDEX,
		.sll_halen = ETH_ALEN};

	return sendto(
		fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&lo, sizeof(lo));
}

static bool is_raw(const struct packet_ring *r)
{
	int type = 0;
	socklen_t len = sizeof(type);

	return getsockopt(r->fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_RAW;
}

void packet_ask_unsendable(const struct packet_ring *r, uint32_t from, uint32_t to)
{
	uint32_t len = is_raw(r) ? 1 : INT32_MAX;

	for (uint32_t i = from; i < to; i++) {
		*packet_len(r, packet_slot(r, r->mem, i)) = len;
		packet_status_set(r, i, TP_STATUS_SEND_REQUEST);
	}
	packet_send_lo(r->fd, NULL, 0);
}

/* The one at which it has stopped. */
static int64_t find_marked(const struct probe *p)
{
	packet_ask_unsendable(p->r, 0, p->n);
	for (uint32_t i = 0; i < p->n; i++)
		if (state_of(p->r, i) == TP_STATUS_WRONG_FORMAT)
			return i;
	return -EOPNOTSUPP;
}

/* All up to the end are given back, those before stay; then it goes on from the first to where it was. */
static int64_t find_lost(const struct probe *p)
{
	uint32_t at = 1;

	packet_ask_unsendable(p->r, 1, p->n);
	while (at < p->n && state_of(p->r, at) == TP_STATUS_SEND_REQUEST)
		at++;
	if (at == p->n && p->n > 1 && state_of(p->r, p->n - 1) == TP_STATUS_SEND_REQUEST)
		return 0;
	for (uint32_t i = at; i < p->n; i++)
		if (state_of(p->r, i) != TP_STATUS_AVAILABLE)
			return -EOPNOTSUPP;
	packet_ask_unsendable(p->r, 0, at);
	return at % p->n;
}

static int probe(void *arg)
{
	struct probe *p = arg;

	for (uint32_t i = 0; i < p->n; i++) {
		p->status[i] = packet_status_get(p->r, i);
		p->len[i] = *packet_len(p->r, packet_slot(p->r, p->r->mem, i));
	}
	p->found = p->loss ? find_lost(p) : find_marked(p);
	for (uint32_t i = 0; i < p->n; i++) {
		*packet_len(p->r, packet_slot(p->r, p->r->mem, i)) = p->len[i];
		packet_status_set(p->r, i, p->status[i]);
	}
	return 0;
}

static int64_t find_head(const struct packet_ring *r)
{
	uint32_t n = packet_ring_slots(r);
	_cleanup_free_ uint32_t *status = calloc(n, sizeof(*status)),
				*len = calloc(n, sizeof(*len));
	struct probe p = {r, n, status, len, packet_loses(r), -EBUSY};
	int err = status && len ? apart(probe, &p) : -ENOMEM;

	return err < 0 ? err : p.found;
}

/* Whether this kernel does as it is said above: tried with a ring of ours, which is at its first frame. */
static bool can_probe(int type)
{
	struct tpacket_req q = {4096, 1, 1024, 4};
	_cleanup_close_ int fd = socket(AF_PACKET, type | SOCK_CLOEXEC, 0);
	struct packet_ring r = {.fd = fd,
		.version = TPACKET_V1,
		.sends = true,
		.block_bytes = q.tp_block_size,
		.blocks = q.tp_block_nr,
		.frame_bytes = q.tp_frame_size};
	bool can;

	if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_TX_RING, &q, sizeof(q)) < 0)
		return false;
	r.mem = mmap(NULL, q.tp_block_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (r.mem == MAP_FAILED)
		return false;
	can = find_head(&r) == 0 && find_head(&r) == 0;
	munmap(r.mem, q.tp_block_size);
	return can;
}

static bool never_used(const struct packet_ring *r, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (packet_status_get(r, i) || *packet_len(r, packet_slot(r, r->mem, i)))
			return false;
	return true;
}

/* What the device has not done with yet it will. Return: whether it has done with all */
static bool wait_sent(const struct packet_ring *r, uint32_t n)
{
	uint32_t i = 0;

	for (uint32_t tries = 0; i < n && tries < SENT_TRIES;) {
		if (state_of(r, i) != TP_STATUS_SENDING) {
			i++;
			continue;
		}
		packet_ring_doze();
		tries++;
	}
	return i == n;
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

/* @all_sent: no frame is with the device, which would give it back while the kernel is looked for. */
static int64_t find_next(const struct packet_ring *r, uint32_t n, bool all_sent)
{
	int64_t at = row_of(r, n, TP_STATUS_WRONG_FORMAT);

	if (at == -ENOENT)
		at = row_of(r, n, TP_STATUS_SEND_REQUEST);
	if (at != -ENOENT)
		return at;
	if (n == 1 || never_used(r, n))
		return 0;
	if (!all_sent)
		return -EBUSY;
	if (!is_raw(r) && packet_loses(r)) /* as many lines as frames */
		return -EOPNOTSUPP;
	return can_probe(is_raw(r) ? SOCK_RAW : SOCK_DGRAM) ? find_head(r) : -EOPNOTSUPP;
}

int packet_sent_copy(const struct packet_ring *r, uint8_t *copy, uint32_t *ret_next)
{
	uint32_t n = packet_ring_slots(r);
	int64_t next;

	next = find_next(r, n, wait_sent(r, n));
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
