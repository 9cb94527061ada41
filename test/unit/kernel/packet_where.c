/*
 * packet_where.c - where the kernel is in rings of ours, as it notes it and as it is concluded from what is in them.
 *
 * In a network namespace of its own, where nothing comes but what is sent here. What is expected is counted here.
 * Without the eye it may be that it can't be told, but never that something else is said.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/kmem.h"
#include "kernel/packet_ring.h"

#define BLOCK  4096u
#define BLOCKS 4u
#define FRAME  512u
#define SLOTS  32u
#define BYTES  (BLOCK * BLOCKS)
#define TYPE   (ETH_P_802_EX1 + 2)

struct packet {
	struct ethhdr eth;
	uint32_t number;
	uint8_t fill[150];
} __attribute__((packed));

static struct kmem kmem;
static struct packet_reader reader;
static uint8_t copy[BYTES];
static int out;

static void setup(void)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int r;

	if (unshare(CLONE_NEWNET) < 0)
		cr_skip_test("no network namespace of its own");
	out = socket(AF_PACKET, SOCK_RAW, 0);
	cr_assert_eq(ioctl(out, SIOCSIFFLAGS, &lo), 0);
	r = kmem_open(&kmem);
	if (r == -ENOENT || r == -EPERM || r == -EINVAL || r == -ENOSYS)
		cr_skip_test("the memory of the kernel can't be read here");
	cr_assert_eq(r, 0, "%s", strerror(-r));
	cr_assert_eq(packet_reader_init(&kmem, &reader), 0);
}

static void teardown(void)
{
	kmem_close(&kmem);
	close(out);
}

TestSuite(packet_where, .init = setup, .fini = teardown);

static struct sockaddr_ll lo(void)
{
	return (struct sockaddr_ll){.sll_family = AF_PACKET,
		.sll_protocol = htons(TYPE),
		.sll_ifindex = 1,
		.sll_halen = ETH_ALEN};
}

static struct packet_ring make(int version, bool sends, int type, int loss)
{
	struct tpacket_req3 q = {BLOCK, BLOCKS, FRAME, SLOTS, 0, 0, 0};
	struct packet_ring r = {.fd = socket(AF_PACKET, type, 0),
		.version = version,
		.sends = sends,
		.block_bytes = BLOCK,
		.blocks = BLOCKS,
		.frame_bytes = FRAME};
	struct sockaddr_ll a = lo();
	struct stat st;

	if (version == TPACKET_V3 && !sends)
		q.tp_retire_blk_tov = 60000; /* ms: blocks are closed when they are full only */
	setsockopt(r.fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version));
	setsockopt(r.fd, SOL_PACKET, PACKET_LOSS, &loss, sizeof(loss));
	cr_assert_eq(setsockopt(r.fd, SOL_PACKET, sends ? PACKET_TX_RING : PACKET_RX_RING, &q,
			     version == TPACKET_V3 ? sizeof(q) : sizeof(struct tpacket_req)),
		0);
	r.mem = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, r.fd, 0);
	cr_assert_neq(r.mem, MAP_FAILED);
	if (!sends)
		cr_assert_eq(bind(r.fd, (void *)&a, sizeof(a)), 0);
	fstat(r.fd, &st);
	r.eye = (struct packet_eye){&reader, st.st_ino};
	return r;
}

static void done(struct packet_ring *r)
{
	munmap(r->mem, BYTES);
	close(r->fd);
}

static void send_one(uint32_t number)
{
	struct packet p = {.eth.h_proto = htons(TYPE), .number = number};
	struct sockaddr_ll a = lo();

	cr_assert_eq(sendto(out, &p, sizeof(p), 0, (void *)&a, sizeof(a)), sizeof(p));
}

static volatile uint32_t *status(const struct packet_ring *r, unsigned i)
{
	if (r->version == TPACKET_V3)
		return r->sends ? &((struct tpacket3_hdr *)(r->mem + i * FRAME))->tp_status
				: &((struct tpacket_block_desc *)(r->mem + i * BLOCK))
					   ->hdr.bh1.block_status;
	return (uint32_t *)(r->mem + i * FRAME);
}

/* Until so many packets have come by. Return: how many of them had no room */
static unsigned came(const struct packet_ring *r, unsigned n)
{
	unsigned all = 0, lost = 0;

	for (int i = 0; all < n && i < 5000; i++) {
		struct tpacket_stats_v3 s;
		socklen_t len = sizeof(s);

		getsockopt(r->fd, SOL_PACKET, PACKET_STATISTICS, &s, &len);
		all += s.tp_packets;
		lost += s.tp_drops;
		if (all < n)
			usleep(1000);
	}
	cr_assert_eq(all, n);
	return lost;
}

static void receive(const struct packet_ring *r, unsigned i, uint32_t number)
{
	send_one(number);
	for (int t = 0; t < 5000 && !*status(r, i); t++)
		usleep(1000);
	cr_assert(*status(r, i) & TP_STATUS_USER, "frame %u: no packet", i);
}

static void see(const struct packet_ring *r, uint32_t want)
{
	uint32_t next = 99;

	memset(copy, 0, sizeof(copy));
	cr_assert_eq(packet_ring_copy(r, copy, &next), 0);
	cr_assert_eq(next, want, "it is at %u, not at %u", want, next);
}

/* @told: it can be told. */
static void conclude(const struct packet_ring *r, uint32_t want, bool told)
{
	struct packet_ring blind = *r;
	uint32_t next = 99;
	int ret;

	blind.eye.reader = NULL;
	memset(copy, 0, sizeof(copy));
	ret = packet_ring_copy(&blind, copy, &next);
	cr_assert_eq(ret, told ? 0 : -EBUSY, "%d", ret);
	if (told)
		cr_assert_eq(next, want, "it is at %u, not at %u", want, next);
}

static void both(const struct packet_ring *r, uint32_t want)
{
	see(r, want);
	conclude(r, want, true);
}

static void age(struct packet_ring *r, unsigned i, uint32_t s)
{
	struct tpacket_block_desc *b = (void *)(r->mem + i * BLOCK);

	if (r->version == TPACKET_V1)
		((struct tpacket_hdr *)(r->mem + i * FRAME))->tp_sec -= s;
	else if (r->version == TPACKET_V2)
		((struct tpacket2_hdr *)(r->mem + i * FRAME))->tp_sec -= s;
	else
		b->hdr.bh1.ts_first_pkt.ts_sec -= s;
}

static void frames(int version)
{
	struct packet_ring r = make(version, false, SOCK_RAW, 0);
	unsigned n;

	both(&r, 0);
	for (n = 0; n < 2 * SLOTS + 3; n++) {
		receive(&r, n % SLOTS, n);
		both(&r, (n + 1) % SLOTS);
		cr_assert_eq(memcmp(copy, r.mem, BYTES), 0, "the copy is another");
		*status(&r, n % SLOTS) = 0;
		both(&r, (n + 1) % SLOTS);
	}
	/* with a time that is later than all that come */
	age(&r, 0, -3600u);
	both(&r, n % SLOTS);
	for (unsigned i = 0; i < 4; i++, n++)
		receive(&r, n % SLOTS, n);
	both(&r, n % SLOTS);
	*status(&r, (n - 3) % SLOTS) = 0; /* given back out of order */
	see(&r, n % SLOTS);
	cr_assert_eq(memcmp(copy, r.mem, BYTES), 0, "the copy is another");
	conclude(&r, 0, false);
	/* the first of them is held, and the kernel comes round to it, with two unread before it */
	*status(&r, (n - 2) % SLOTS) = *status(&r, (n - 1) % SLOTS) = 0;
	for (unsigned i = 0; i < SLOTS - 4; i++, n++) {
		receive(&r, n % SLOTS, n);
		if (i < SLOTS - 6)
			*status(&r, n % SLOTS) = 0;
	}
	see(&r, n % SLOTS);
	conclude(&r, 0, false);
	done(&r);
}

Test(packet_where, frames_v1)
{
	frames(TPACKET_V1);
}

Test(packet_where, frames_v2)
{
	frames(TPACKET_V2);
}

/* At each of its frames. */
static void full(int version)
{
	for (unsigned at = 0; at < SLOTS; at += 5) {
		struct packet_ring r = make(version, false, SOCK_RAW, 0);

		for (unsigned n = 0; n < at; n++) {
			receive(&r, n, n);
			*status(&r, n) = 0;
		}
		came(&r, at);
		for (unsigned n = 0; n < SLOTS + 3; n++)
			send_one(at + n);
		cr_assert_eq(came(&r, SLOTS + 3), 3);
		see(&r, at);
		cr_assert_eq(memcmp(copy, r.mem, BYTES), 0, "the copy is another");
		conclude(&r, at, false);
		age(&r, (at + 10) % SLOTS, 3600);
		see(&r, at);
		done(&r);
	}
}

Test(packet_where, full_v1)
{
	full(TPACKET_V1);
}

Test(packet_where, full_v2)
{
	full(TPACKET_V2);
}

static unsigned closed(const struct packet_ring *r)
{
	unsigned n = 0;

	for (unsigned i = 0; i < BLOCKS; i++)
		n += *status(r, i) & TP_STATUS_USER;
	return n;
}

/* The block that is being filled is closed in the copy. */
static void check_filled(unsigned i)
{
	struct tpacket_block_desc *b = (void *)(copy + i * BLOCK);

	cr_assert_eq(b->hdr.bh1.block_status, TP_STATUS_USER | TP_STATUS_BLK_TMO);
}

Test(packet_where, blocks)
{
	struct packet_ring r = make(TPACKET_V3, false, SOCK_RAW, 0);
	unsigned given = 0, n = 0; /* blocks that were closed and given back; packets */

	both(&r, 0);
	for (; given < 2 * BLOCKS + 1; n++) {
		send_one(n);
		came(&r, 1);
		if (closed(&r)) {
			both(&r, (given + 2) % BLOCKS);
			check_filled((given + 1) % BLOCKS);
			*status(&r, given++ % BLOCKS) = 0;
		}
		both(&r, (given + 1) % BLOCKS);
		check_filled(given % BLOCKS);
	}
	age(&r, (given + 2) % BLOCKS, -3600u);
	see(&r, (given + 1) % BLOCKS);
	age(&r, (given + 2) % BLOCKS, 3600);
	do {
		send_one(n++);
	} while (!came(&r, 1));
	cr_assert_eq(closed(&r), BLOCKS);
	both(&r, given % BLOCKS);
	/* as if the clock had been set back before the last two were opened */
	age(&r, (given + 2) % BLOCKS, 3600);
	age(&r, (given + 3) % BLOCKS, 3600);
	see(&r, given % BLOCKS);
	conclude(&r, 0, false);
	*status(&r, given % BLOCKS) = 0; /* it is opened with the next packet */
	see(&r, given % BLOCKS);
	send_one(n);
	came(&r, 1);
	see(&r, (given + 1) % BLOCKS);
	done(&r);
}

/* ---- rings that send ---- */

static void ask(const struct packet_ring *r, unsigned i)
{
	uint8_t *frame = r->mem + i * FRAME;
	uint32_t len = sizeof(struct packet);

	if (r->version == TPACKET_V1)
		((struct tpacket_hdr *)frame)->tp_len = len;
	else if (r->version == TPACKET_V2)
		((struct tpacket2_hdr *)frame)->tp_len = len;
	else
		((struct tpacket3_hdr *)frame)->tp_len = len;
	*status(r, i) = TP_STATUS_SEND_REQUEST;
}

static void sending(int version, int type, int loss)
{
	struct packet_ring r = make(version, true, type, loss);
	struct sockaddr_ll a = lo();

	both(&r, 0);
	for (unsigned n = 0; n < SLOTS + 3; n++) {
		unsigned i = n % SLOTS;

		ask(&r, i);
		both(&r, i);
		sendto(r.fd, NULL, 0, 0, (void *)&a, sizeof(a));
		for (int t = 0; t < 5000 && *status(&r, i); t++)
			usleep(1000);
		cr_assert_eq(*status(&r, i), TP_STATUS_AVAILABLE);
		see(&r, (i + 1) % SLOTS);
	}
	conclude(&r, 0, false);
	done(&r);
}

Test(packet_where, sending)
{
	for (int version = TPACKET_V1; version <= TPACKET_V3; version++)
		sending(version, SOCK_RAW, 0);
	sending(TPACKET_V2, SOCK_RAW, 1);
	sending(TPACKET_V2, SOCK_DGRAM, 0);
	sending(TPACKET_V2, SOCK_DGRAM, 1);
}

/* ---- others ---- */

/* The inode says which socket it is. */
Test(packet_where, another_socket)
{
	struct packet_ring r = make(TPACKET_V2, false, SOCK_RAW, 0);
	struct packet_where w = {.next = 99};

	r.eye.ino++;
	cr_assert_eq(packet_where_read(&r, &w), -EAGAIN);
	r.eye.ino--;
	r.blocks++;
	cr_assert_eq(packet_where_read(&r, &w), -EAGAIN, "a ring of another size");
	cr_assert_eq(w.next, 99);
	r.blocks--;
	cr_assert_eq(packet_where_read(&r, &w), 0);
	cr_assert_eq(w.next, 0);
	done(&r);
}

static bool end;

static void *flow(void *arg)
{
	for (uint32_t n = 1; !__atomic_load_n(&end, __ATOMIC_SEQ_CST); n++)
		send_one(n);
	return arg;
}

/* While packets come all the time, and nothing is given back: position and contents are those of one moment. */
Test(packet_where, while_it_is_filled)
{
	struct packet_ring r = make(TPACKET_V2, false, SOCK_RAW, 0);
	uint32_t at = 0, last = 0, next;
	unsigned seen = 0;
	pthread_t t;

	cr_assert_eq(pthread_create(&t, NULL, flow, NULL), 0);
	for (int round = 0; seen < 50 * SLOTS; round++) {
		memset(copy, 0, sizeof(copy));
		cr_assert_eq(packet_ring_copy(&r, copy, &next), 0);
		for (unsigned k = 0; k < SLOTS; k++) {
			unsigned i = (at + k) % SLOTS;
			struct tpacket2_hdr *h = (void *)(copy + i * FRAME);
			bool is_full = next == at &&
				       ((struct tpacket2_hdr *)(copy + at * FRAME))->tp_status;
			bool unread = is_full || k < (next + SLOTS - at) % SLOTS;
			uint32_t number = ((struct packet *)((uint8_t *)h + h->tp_mac))->number;

			cr_assert_eq(h->tp_status & TP_STATUS_USER, unread,
				"round %d: at %u, next %u: frame %u: %#x", round, at, next, i,
				h->tp_status);
			cr_assert(!unread || number > last, "packet %u behind %u", number, last);
			last = unread ? number : last;
			seen += unread;
		}
		for (; *status(&r, at); at = (at + 1) % SLOTS) {
			struct tpacket2_hdr *h = (void *)(r.mem + at * FRAME);

			last = ((struct packet *)((uint8_t *)h + h->tp_mac))->number;
			*status(&r, at) = 0;
		}
	}
	__atomic_store_n(&end, true, __ATOMIC_SEQ_CST);
	pthread_join(t, NULL);
	done(&r);
}
