/*
 * packet_ring_restore.c - a new ring that goes on at a slot: see packet_ring.h.
 *
 * The kernel begins at the first slot, and goes on with each packet. So the socket is given packets of our own through
 * the loopback interface, with a type that is for experiments (IEEE 802), and a random number that its filter asks for.
 * They end where they shall: the slot there is said to be the program's, at which the kernel stops (of blocks: "freezes"),
 * and loses what comes. Then the contents are written, and the status of that slot at last.
 *
 * A ring of blocks waits there until it looks again, by a packet or by its timer, and then opens the block if that is
 * the kernel's: it need not be told which of both it was. Only at the first block of all it is already, and that is
 * open.
 *
 * A ring that sends sends small packets to the loopback interface, where nobody waits for them.
 */
#include <endian.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>
#include <net/if.h>

#include "kernel/packet_ring_parts.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/vec.h"

#ifndef PACKET_VNET_HDR_SZ
#define PACKET_VNET_HDR_SZ 24
#endif
#define MTU_USUAL    1500
#define PACKET_MIN   60
#define HEADERS_ROOM 512 /* of a packet in a block, with what is reserved for the program */
#define VNET_HDR     10  /* struct virtio_net_hdr */
#define NO_NEWS_NS   5000000000ULL
#define STRAY_TRIES  50
#define LOST_MAX     1000

struct own_packet {
	struct ethhdr eth;
	uint32_t number; /* in the order of the network */
} __attribute__((packed));

struct feeder {
	const struct packet_ring *r;
	struct own_packet *packet; /* owned */
	size_t len;
	int from; /* a socket that sends, owned */
	uint32_t number;
	uint64_t sent, seen;
};

static int set(int fd, int name, int value)
{
	return setsockopt(fd, SOL_PACKET, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int get(int fd, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_PACKET, name, &value, &len) == 0 ? value : 0;
}

/* Relative to the network header, so that it is the same for a socket that gets no link header. */
static int set_filter(int fd, uint32_t number, uint32_t take)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)SKF_NET_OFF),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, take),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog p = {ARRAY_SIZE(code), code};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof(p)) < 0 ? -errno : 0;
}

/* To the loopback interface; without data: what is in the ring. */
static ssize_t send_lo(int fd, const void *data, size_t len)
{
	struct sockaddr_ll lo = {.sll_family = AF_PACKET,
		.sll_protocol = htobe16(PACKET_OWN_TYPE),
		.sll_ifindex = PACKET_LO_INDEX,
		.sll_halen = ETH_ALEN};

	return sendto(
		fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&lo, sizeof(lo));
}

static int lo_mtu(int fd)
{
	struct ifreq q = {.ifr_name = "lo"};

	return ioctl(fd, SIOCGIFMTU, &q) < 0 ? MTU_USUAL : q.ifr_mtu;
}

/* So large that few of them fill a block, but none needs all of it; of frames, small. */
static size_t packet_size(const struct packet_ring *r, int fd)
{
	int64_t room = (int64_t)r->block_bytes - r->private_bytes - get(r->fd, PACKET_RESERVE) -
		       HEADERS_ROOM;

	if (!packet_by_block(r))
		return PACKET_MIN;
	return MAX(MIN((int64_t)lo_mtu(fd), room), (int64_t)PACKET_MIN);
}

static int feeder_open(struct feeder *f)
{
	f->from = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (f->from < 0)
		return -errno;
	f->len = packet_size(f->r, f->from);
	f->packet = calloc(1, f->len);
	if (!f->packet || getrandom(&f->number, sizeof(f->number), 0) != sizeof(f->number))
		return -ENOMEM;
	f->packet->eth.h_proto = htobe16(PACKET_OWN_TYPE);
	f->packet->number = htobe32(f->number);
	/* who looks at what is sent there does not see it, but who looks at what comes */
	return set(f->from, PACKET_QDISC_BYPASS, 1);
}

static int bind_lo(int fd)
{
	struct sockaddr_ll lo = {.sll_family = AF_PACKET,
		.sll_protocol = htobe16(PACKET_OWN_TYPE),
		.sll_ifindex = PACKET_LO_INDEX};
	int err = 0;
	socklen_t len = sizeof(err);

	if (bind(fd, (struct sockaddr *)&lo, sizeof(lo)) < 0)
		return -errno;
	/* one that is down is no error of bind(2) */
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 ? -errno : -err;
}

/* How many have come by, those that were lost with them; reading it begins anew. */
static void count_seen(struct feeder *f)
{
	struct tpacket_stats_v3 s = {0};
	socklen_t len = sizeof(s);

	if (getsockopt(f->r->fd, SOL_PACKET, PACKET_STATISTICS, &s, &len) == 0)
		f->seen += s.tp_packets;
}

/* More than are ever needed. */
static uint64_t enough(const struct feeder *f)
{
	uint64_t per_slot = packet_by_block(f->r) ? f->r->block_bytes / f->len + 2 : 1;

	return 2 * packet_ring_slots(f->r) * per_slot + LOST_MAX;
}

/* Until all slots to the last have been given to the program: on several CPUs one may be later than the next. */
static int feed(struct feeder *f, uint32_t last)
{
	uint64_t news = now_ns(), seen = 0;
	uint32_t given = 0;

	for (;;) {
		while (given <= last && packet_status_get(f->r, given))
			given++;
		if (given > last)
			break;
		if (f->sent > enough(f))
			return -EIO;
		if (send_lo(f->from, f->packet, f->len) >= 0)
			f->sent++;
		else if (errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM)
			return -errno;
		count_seen(f);
		if (f->seen != seen) {
			seen = f->seen;
			news = now_ns();
			continue;
		}
		if (now_ns() - news > NO_NEWS_NS)
			return -ETIMEDOUT;
		packet_ring_doze();
	}
	/* those that are under way are lost now, and must not come when there is room again */
	for (int i = 0; f->seen < f->sent && i < STRAY_TRIES; i++) {
		packet_ring_doze();
		count_seen(f);
	}
	return 0;
}

/* From the first slot up to @next, or through all of them. */
static int feed_until(const struct packet_ring *r, uint32_t next)
{
	uint32_t last = packet_before(next, packet_ring_slots(r));
	struct feeder f = {.r = r, .from = -EBADF};
	int ret = feeder_open(&f);

	if (ret == 0)
		ret = set_filter(r->fd, f.number, UINT32_MAX);
	if (next) /* the first slot is the program's when all have been gone through */
		packet_status_set(r, next, TP_STATUS_USER);
	if (ret == 0)
		ret = bind_lo(r->fd);
	if (ret == 0)
		ret = feed(&f, last);
	if (ret == 0)
		ret = set_filter(r->fd, f.number, 0);
	count_seen(&f);
	free(f.packet);
	fd_close(f.from);
	return ret;
}

/* ---- rings that send ---- */

/* Where its packet is, for those that are asked (PACKET_TX_HAS_OFF). */
static void place(const struct packet_ring *r, uint8_t *slot, size_t at)
{
	struct tpacket_hdr *v1 = (void *)slot;
	struct tpacket2_hdr *v2 = (void *)slot;
	struct tpacket3_hdr *v3 = (void *)slot;

	if (r->version == TPACKET_V1)
		v1->tp_mac = v1->tp_net = at;
	else if (r->version == TPACKET_V2)
		v2->tp_mac = v2->tp_net = at;
	else
		v3->tp_mac = v3->tp_net = at;
}

/* Small packets, as the program would write them. */
static void ask_small(const struct packet_ring *r, uint32_t n)
{
	int vnet = get(r->fd, PACKET_VNET_HDR_SZ);
	size_t at = TPACKET_ALIGN(r->version == TPACKET_V1   ? sizeof(struct tpacket_hdr)
				  : r->version == TPACKET_V2 ? sizeof(struct tpacket2_hdr)
							     : sizeof(struct tpacket3_hdr));

	if (!vnet && get(r->fd, PACKET_VNET_HDR))
		vnet = VNET_HDR;
	for (uint32_t i = 0; i < n; i++) {
		uint8_t *slot = packet_slot(r, r->mem, i);
		struct ethhdr *e = (void *)(slot + at + vnet);

		place(r, slot, at);
		*packet_len(r, slot) =
			MIN((uint32_t)(PACKET_MIN + vnet), r->frame_bytes - (uint32_t)at);
		e->h_proto = htobe16(PACKET_OWN_TYPE);
		packet_status_set(r, i, TP_STATUS_SEND_REQUEST);
	}
}

static int send_small(const struct packet_ring *r, uint32_t n)
{
	uint64_t end = now_ns() + NO_NEWS_NS;

	ask_small(r, n);
	while (packet_status_get(r, n - 1) == TP_STATUS_SEND_REQUEST) {
		if (send_lo(r->fd, NULL, 0) < 0 && errno != EAGAIN && errno != ENOBUFS)
			return -errno;
		if (now_ns() > end)
			return -ETIMEDOUT;
	}
	for (uint32_t i = 0; i < n;) {
		if (packet_status_get(r, i) & TP_STATUS_SENDING) {
			if (now_ns() > end)
				return -ETIMEDOUT;
			packet_ring_doze();
		} else {
			i++;
		}
	}
	return 0;
}

static int restore_sent(const struct packet_ring *r, uint32_t next)
{
	int bypass = get(r->fd, PACKET_QDISC_BYPASS), ret;

	if (!next)
		return 0;
	set(r->fd, PACKET_QDISC_BYPASS, 1);
	ret = send_small(r, next);
	set(r->fd, PACKET_QDISC_BYPASS, bypass);
	return ret < 0 || packet_status_get(r, next - 1) == TP_STATUS_AVAILABLE ? ret : -EIO;
}

int packet_ring_restore(const struct packet_ring *r, uint8_t *copy, uint32_t next)
{
	uint32_t status;
	int ret = 0;

	if (next >= packet_ring_slots(r))
		return -EINVAL;
	if (r->sends) {
		ret = restore_sent(r, next);
		if (ret == 0)
			memcpy(r->mem, copy, packet_ring_bytes(r));
		return ret;
	}
	status = *packet_status(r, packet_slot(r, copy, next));
	ret = set_filter(r->fd, 0, 0);
	if (ret < 0)
		return ret;
	if (next || (packet_by_block(r) && status & TP_STATUS_USER))
		ret = feed_until(r, next);
	else if (packet_by_block(r))
		memcpy(copy, r->mem, PACKET_HEAD_BYTES);
	if (ret < 0)
		return ret;
	if (next)
		*packet_status(r, packet_slot(r, copy, next)) = TP_STATUS_USER;
	memcpy(r->mem, copy, packet_ring_bytes(r));
	if (next)
		packet_status_set(r, next, status);
	return 0;
}
