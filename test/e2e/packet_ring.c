/*
 * e2e: no cycle for flow3: its block is closed by the dump, so that a thread that waits for it goes on at once
 * e2e: args: fresh v1 v2 v3 part full1 full2 full3 back1 back2 back3 holes1 holes2 held flow2 flow3 fork fanout tx1 tx2
 * e2e: args: tx3 txloss txcooked txcookedloss txask both
 *
 * Holds: rings of packet sockets that are mapped. fresh: of all versions, never used. v1, v2, v3: gone through more than
 *        once, read up to a point, with packets unread behind it. part: of version 3, with a block that is being
 *        filled. full*: so full that the kernel has stopped. back*: the same, and times fall in the middle, as if the
 *        clock had been set back. holes*: some packets that came later were given back first. held: one was not, and
 *        the kernel has come round to it, and waits. flow*: a thread sends, another reads, all the time.
 *        fork: read in turn by two processes that share the mapping. fanout: two that share what comes. tx*: that
 *        send: gone through more than once; with PACKET_LOSS; without headers; with both; asked to send, but not told
 *        yet. both:
 *        one of each kind in one mapping.
 * Shows: "packet sockets (fanout, rings)"; each packet is read once, in order, and none is torn.
 */
#include "victim.h"
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define BLOCKS  4
#define BLOCK   8192
#define FRAME   1024
#define FRAMES  (BLOCKS * BLOCK / FRAME)
#define LEN     300 /* of a packet: 20 and some are in a block */
#define RETIRE  40  /* ms */
#define WAIT_MS 5000

struct mark {
	struct ethhdr eth;
	uint32_t magic;
	uint32_t number;
	uint8_t fill[LEN];
} __attribute__((packed));

/* Of a ring that receives. */
struct ring {
	int fd, version;
	uint8_t *mem;
	unsigned at;     /* frame, or block */
	unsigned in, of; /* version 3: packets of this block that are read, and that are in it */
	uint8_t *next;   /* the next of them */
};

static uint32_t magic; /* what is not ours does not pass the filter */
static int out;        /* sends */

static struct sockaddr_ll lo(void)
{
	return (struct sockaddr_ll){.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_802_EX1 + 1),
		.sll_ifindex = if_nametoindex("lo"),
		.sll_halen = 6};
}

static void make_mark(struct mark *m, uint32_t number)
{
	memset(m, 0, sizeof(*m));
	m->eth.h_proto = lo().sll_protocol;
	m->magic = htonl(magic);
	m->number = number;
	memset(m->fill, (int)number, sizeof(m->fill));
}

static void init(void)
{
	magic = (uint32_t)getpid() << 8 | (uint32_t)(victim_clock_s(CLOCK_MONOTONIC) * 1000) % 256;
	out = MUST(socket(AF_PACKET, SOCK_RAW, 0));
}

static void send_marks(uint32_t number, unsigned n)
{
	struct sockaddr_ll to = lo();
	struct mark m;

	for (; n; n--, number++) {
		make_mark(&m, number);
		MUST(sendto(out, &m, sizeof(m), 0, (struct sockaddr *)&to, sizeof(to)));
	}
}

static void set(int fd, int name, int value)
{
	MUST(setsockopt(fd, SOL_PACKET, name, &value, sizeof(value)));
}

static void make_ring(int fd, int version, int name, int retire)
{
	struct tpacket_req3 q = {BLOCK, BLOCKS, FRAME, FRAMES, 0, 0, 0};

	if (version == TPACKET_V3 && name == PACKET_RX_RING) {
		q.tp_retire_blk_tov = retire;
		q.tp_sizeof_priv = 16;
	}
	MUST(setsockopt(fd, SOL_PACKET, name, &q,
		version == TPACKET_V3 ? sizeof(q) : sizeof(struct tpacket_req)));
}

static uint8_t *map(int fd, size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	CHECK(p != MAP_FAILED, "mmap: %s", strerror(errno));
	return p;
}

static void listen_to_marks(int fd)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 14),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, magic, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0xffff),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog p = {4, code};
	struct sockaddr_ll a = lo();

	MUST(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof(p)));
	MUST(bind(fd, (struct sockaddr *)&a, sizeof(a)));
}

static struct ring receiver(int version, int retire)
{
	struct ring r = {.fd = MUST(socket(AF_PACKET, SOCK_RAW, 0)), .version = version};

	set(r.fd, PACKET_VERSION, version);
	make_ring(r.fd, version, PACKET_RX_RING, retire);
	r.mem = map(r.fd, BLOCKS * BLOCK);
	listen_to_marks(r.fd);
	return r;
}

/* ---- reading ---- */

static struct tpacket_hdr_v1 *block(const struct ring *r)
{
	return &((struct tpacket_block_desc *)(r->mem + r->at * BLOCK))->hdr.bh1;
}

static volatile uint32_t *status(const struct ring *r)
{
	uint8_t *frame = r->mem + r->at * FRAME;

	return r->version == TPACKET_V3 ? &block(r)->block_status : (uint32_t *)frame;
}

static bool ready(const struct ring *r, int ms)
{
	for (int i = 0; i < ms && !(*status(r) & TP_STATUS_USER); i++) {
		struct pollfd p = {r->fd, POLLIN, 0};

		poll(&p, 1, 1);
	}
	return *status(r) & TP_STATUS_USER;
}

static void give_back(struct ring *r)
{
	__atomic_store_n((uint32_t *)status(r), TP_STATUS_KERNEL, __ATOMIC_RELEASE);
	r->at = (r->at + 1) % (r->version == TPACKET_V3 ? BLOCKS : FRAMES);
}

static struct mark *first_of_block(struct ring *r)
{
	struct tpacket3_hdr *h;

	if (!r->of) {
		r->of = block(r)->num_pkts;
		r->next = (uint8_t *)r->mem + r->at * BLOCK + block(r)->offset_to_first_pkt;
		CHECK(r->of > 0 && r->of < BLOCK / LEN, "block %u: %u packets", r->at, r->of);
	}
	h = (struct tpacket3_hdr *)r->next;
	CHECK(r->next >= r->mem + r->at * BLOCK && r->next < r->mem + (r->at + 1) * BLOCK - LEN,
		"block %u: packet %u is not in it", r->at, r->in);
	r->in++;
	CHECK(!h->tp_next_offset == (r->in == r->of), "block %u: packet %u of %u: next offset %u",
		r->at, r->in, r->of, h->tp_next_offset);
	r->next += h->tp_next_offset;
	CHECK(h->tp_len == sizeof(struct mark) && h->tp_snaplen == sizeof(struct mark),
		"packet of %u, %u bytes", h->tp_len, h->tp_snaplen);
	return (struct mark *)((uint8_t *)h + h->tp_mac);
}

static struct mark *next_mark(struct ring *r)
{
	uint8_t *frame = r->mem + r->at * FRAME;

	switch (r->version) {
	case TPACKET_V1:
		return (struct mark *)(frame + ((struct tpacket_hdr *)frame)->tp_mac);
	case TPACKET_V2:
		return (struct mark *)(frame + ((struct tpacket2_hdr *)frame)->tp_mac);
	default:
		return first_of_block(r);
	}
}

/* The number of the next packet, which is given back; -1: none comes */
static long take_any(struct ring *r, int ms)
{
	struct mark *m, want;
	uint32_t number;

	if (!ready(r, ms))
		return -1;
	m = next_mark(r);
	number = m->number;
	make_mark(&want, number);
	CHECK(!memcmp(m, &want, sizeof(want)), "the packet %u at %u is torn", number, r->at);
	if (r->version != TPACKET_V3 || r->in == r->of) {
		give_back(r);
		r->in = r->of = 0;
	}
	return number;
}

static void take(struct ring *r, uint32_t number, unsigned n)
{
	for (; n; n--, number++) {
		long got = take_any(r, WAIT_MS);

		CHECK(got == (long)number, "at %u: expected packet %u, got %ld", r->at, number,
			got);
	}
}

static void go_through(struct ring *r, uint32_t number, unsigned n)
{
	for (unsigned k; n; n -= k, number += k) {
		k = n < 7 ? n : 7;
		send_marks(number, k);
		take(r, number, k);
	}
}

/* ---- rings that receive ---- */

static void fresh(void)
{
	struct ring r[3];

	for (int i = 0; i < 3; i++)
		r[i] = receiver(TPACKET_V1 + i, RETIRE);
	victim_ready();
	victim_wait();
	send_marks(0, 3);
	for (int i = 0; i < 3; i++)
		take(&r[i], 0, 3);
}

/* Read up to a number that is in no block's or ring's beginning, with some unread. */
static void used(int version)
{
	struct ring r = receiver(version, RETIRE);

	go_through(&r, 0, 2 * FRAMES + 5);
	send_marks(2 * FRAMES + 5, 3);
	ready(&r, WAIT_MS);
	victim_ready();
	victim_wait();
	take(&r, 2 * FRAMES + 5, 3);
	go_through(&r, 2 * FRAMES + 8, 3 * FRAMES);
}

static void v1(void)
{
	used(TPACKET_V1);
}

static void v2(void)
{
	used(TPACKET_V2);
}

static void v3(void)
{
	used(TPACKET_V3);
}

static void part(void)
{
	struct ring r = receiver(TPACKET_V3, 500);

	send_marks(0, 50); /* two blocks and some */
	take(&r, 0, 35);
	victim_ready();
	victim_wait();
	take(&r, 35, 15);
	send_marks(50, 10);
	take(&r, 50, 10);
}

/* Wait until so many packets have come by since it was asked last. Return: how many of them found room */
static unsigned came(const struct ring *r, unsigned n)
{
	unsigned all = 0, room = 0;

	for (int i = 0; i < WAIT_MS && all < n; i++) {
		struct tpacket_stats_v3 s;
		socklen_t len = sizeof(s);

		MUST(getsockopt(r->fd, SOL_PACKET, PACKET_STATISTICS, &s, &len));
		all += s.tp_packets;
		room += s.tp_packets - s.tp_drops;
		usleep(1000);
	}
	CHECK(all == n, "expected %u packets, %u have come", n, all);
	return room;
}

/* As if the clock had been set back by an hour before these came. */
static void set_back(struct ring r, unsigned from, unsigned to)
{
	for (r.at = from; r.at < to; r.at++) {
		uint8_t *frame = r.mem + r.at * FRAME;

		if (r.version == TPACKET_V1)
			((struct tpacket_hdr *)frame)->tp_sec -= 3600;
		else if (r.version == TPACKET_V2)
			((struct tpacket2_hdr *)frame)->tp_sec -= 3600;
		else
			block(&r)->ts_first_pkt.ts_sec -= 3600;
	}
}

static void full(int version, bool back)
{
	struct ring r = receiver(version, RETIRE);
	unsigned n;

	go_through(&r, 0, 9);
	came(&r, 9);
	send_marks(9, 4 * FRAMES);
	n = came(&r, 4 * FRAMES);
	CHECK(n < 4 * FRAMES, "all had room");
	if (back)
		set_back(r, 0, version == TPACKET_V3 ? 1 : 3);
	victim_ready();
	victim_wait();
	send_marks(1000, 3);
	CHECK(came(&r, 3) == 0, "a packet had room");
	take(&r, 9, n);
	CHECK(take_any(&r, 3 * RETIRE) == -1, "more than was there");
	go_through(&r, 2000, 2 * FRAMES);
}

static void full1(void)
{
	full(TPACKET_V1, false);
}

static void full2(void)
{
	full(TPACKET_V2, false);
}

static void full3(void)
{
	full(TPACKET_V3, false);
}

static void back1(void)
{
	full(TPACKET_V1, true);
}

static void back2(void)
{
	full(TPACKET_V2, true);
}

static void back3(void)
{
	full(TPACKET_V3, true);
}

/* Of ten unread ones the second, the fifth and the last are read first. */
static void holes(int version)
{
	static const unsigned early[] = {1, 4, 9};
	struct ring r = receiver(version, 0), in;
	unsigned n = FRAMES + 5;

	go_through(&r, 0, n);
	send_marks(n, 10);
	for (unsigned i = 0; i < 3; i++) {
		in = r;
		in.at = (r.at + early[i]) % FRAMES;
		take(&in, n + early[i], 1);
	}
	victim_ready();
	victim_wait();
	for (unsigned i = 0; i < 10; i++) {
		if (i == early[0] || i == early[1] || i == early[2])
			r.at = (r.at + 1) % FRAMES;
		else
			take(&r, n + i, 1);
	}
	go_through(&r, n + 10, 2 * FRAMES);
}

static void holes1(void)
{
	holes(TPACKET_V1);
}

static void holes2(void)
{
	holes(TPACKET_V2);
}

static void held(void)
{
	struct ring r = receiver(TPACKET_V2, 0), old;

	go_through(&r, 0, 5);
	send_marks(5, 1);
	ready(&r, WAIT_MS);
	old = r;
	r.at++;
	go_through(&r, 6, FRAMES - 4); /* all up to that one, but for the last three */
	send_marks(FRAMES + 2, 3);
	came(&r, FRAMES + 5);
	victim_ready();
	victim_wait();
	send_marks(1000, 2);
	CHECK(came(&r, 2) == 0, "a packet had room");
	take(&old, 5, 1);
	take(&r, FRAMES + 2, 3);
	go_through(&r, 2000, 2 * FRAMES);
}

/* ---- while it is used ---- */

static uint32_t sent, taken; /* numbers */
static bool end;

/* There is always room, even if each packet has a block of its own, as its time runs out before the next one comes. */
static void *sends(void *arg)
{
	uint32_t room = ((struct ring *)arg)->version == TPACKET_V3 ? BLOCKS - 1 : FRAMES / 2;

	while (!__atomic_load_n(&end, __ATOMIC_SEQ_CST)) {
		if (sent - __atomic_load_n(&taken, __ATOMIC_SEQ_CST) < room)
			send_marks(sent++, 1);
		else
			usleep(100);
	}
	return NULL;
}

static void *takes(void *arg)
{
	while (!__atomic_load_n(&end, __ATOMIC_SEQ_CST)) {
		long got = take_any(arg, 100);

		if (got < 0)
			continue;
		CHECK(got == (long)taken, "expected packet %u, got %ld", taken, got);
		__atomic_add_fetch(&taken, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static void flow(int version)
{
	struct ring r = receiver(version, 1);
	pthread_t a = victim_thread(sends, &r), b = victim_thread(takes, &r);
	uint32_t was;

	victim_ready();
	victim_wait();
	was = __atomic_load_n(&taken, __ATOMIC_SEQ_CST);
	for (int i = 0; i < WAIT_MS && __atomic_load_n(&taken, __ATOMIC_SEQ_CST) < was + 3 * FRAMES;
		i++)
		usleep(1000);
	__atomic_store_n(&end, true, __ATOMIC_SEQ_CST);
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	CHECK(taken >= was + 3 * FRAMES, "only %u packets came", taken - was);
	take(&r, taken, sent - taken);
}

static void flow2(void)
{
	flow(TPACKET_V2);
}

static void flow3(void)
{
	flow(TPACKET_V3);
}

/* ---- shared ---- */

static void shared(void)
{
	struct ring *r = victim_shared(sizeof(*r));
	pid_t pid;
	int st;

	*r = receiver(TPACKET_V2, 0);
	go_through(r, 0, FRAMES + 5);
	pid = MUST(fork());
	if (!pid) {
		for (int i = 0; i < WAIT_MS * 10 && !*(volatile bool *)&r->in; i++)
			usleep(1000);
		take(r, FRAMES + 5, 3);
		_exit(0);
	}
	send_marks(FRAMES + 5, 6);
	victim_ready();
	victim_wait();
	*(volatile unsigned *)&r->in = 1;
	MUST(waitpid(pid, &st, 0));
	CHECK(WIFEXITED(st) && WEXITSTATUS(st) == 0, "the child ended with %#x", st);
	take(r, FRAMES + 8, 3);
	go_through(r, FRAMES + 11, FRAMES);
}

static void fanout(void)
{
	int arg = (getpid() & 0xffff) | PACKET_FANOUT_LB << 16;
	struct ring r[2] = {receiver(TPACKET_V2, 0), receiver(TPACKET_V3, RETIRE)};
	uint64_t got = 0;

	for (int i = 0; i < 2; i++)
		set(r[i].fd, PACKET_FANOUT, arg);
	send_marks(0, 20);
	victim_ready();
	victim_wait();
	send_marks(20, 20);
	for (int i = 0; i < 40; i++) {
		long n = take_any(&r[0], 1);

		if (n < 0)
			n = take_any(&r[1], WAIT_MS);
		CHECK(n >= 0 && n < 40 && !(got >> n & 1), "packet %ld: lost, or there twice", n);
		got |= 1ULL << n;
	}
}

/* ---- rings that send ---- */

struct sender {
	int fd, version;
	uint8_t *mem;
	unsigned at;
	bool cooked; /* without a header */
};

static volatile uint32_t *frame_status(const struct sender *s, unsigned i)
{
	uint8_t *frame = s->mem + i * FRAME;

	return s->version == TPACKET_V3 ? &((struct tpacket3_hdr *)frame)->tp_status
					: (uint32_t *)frame;
}

static void ask_frame(struct sender *s, uint32_t number)
{
	uint8_t *frame = s->mem + s->at * FRAME;
	size_t at = s->version == TPACKET_V3 ? 48 : 32, cut = s->cooked ? ETH_HLEN : 0;
	uint32_t len = sizeof(struct mark) - cut;
	struct mark m;

	CHECK(!*frame_status(s, s->at), "frame %u: status %#x", s->at, *frame_status(s, s->at));
	make_mark(&m, number);
	memcpy(frame + at, (char *)&m + cut, len);
	if (s->version == TPACKET_V1)
		((struct tpacket_hdr *)frame)->tp_len = len;
	else if (s->version == TPACKET_V2)
		((struct tpacket2_hdr *)frame)->tp_len = len;
	else
		((struct tpacket3_hdr *)frame)->tp_len = len;
	__atomic_store_n(
		(uint32_t *)frame_status(s, s->at), TP_STATUS_SEND_REQUEST, __ATOMIC_RELEASE);
	s->at = (s->at + 1) % FRAMES;
}

static void tell(struct sender *s)
{
	struct sockaddr_ll to = lo();

	MUST(sendto(s->fd, NULL, 0, 0, (struct sockaddr *)&to, sizeof(to)));
}

static struct sender sender(int version, bool loss, bool cooked)
{
	struct sender s = {.fd = MUST(socket(AF_PACKET, cooked ? SOCK_DGRAM : SOCK_RAW, 0)),
		.version = version,
		.cooked = cooked};

	set(s.fd, PACKET_VERSION, version);
	set(s.fd, PACKET_LOSS, loss);
	make_ring(s.fd, version, PACKET_TX_RING, 0);
	s.mem = map(s.fd, BLOCKS * BLOCK);
	return s;
}

static void ring_sends(struct sender *s, struct ring *r, uint32_t number, unsigned n)
{
	for (; n; n--, number++) {
		ask_frame(s, number);
		tell(s);
		take(r, number, 1);
	}
}

static void sending(int version, bool loss, bool cooked, unsigned asked)
{
	struct sender s = sender(version, loss, cooked);
	struct ring r = receiver(TPACKET_V2, 0);
	unsigned n =
		asked ? 5 : FRAMES + 5; /* the kernel says nothing of where it is in neither case */

	ring_sends(&s, &r, 0, n);
	for (unsigned i = 0; i < asked; i++)
		ask_frame(&s, n + i);
	victim_ready();
	victim_wait();
	CHECK(take_any(&r, 1) == -1, "something was sent");
	if (asked) {
		tell(&s);
		take(&r, n, asked);
	}
	ring_sends(&s, &r, n + asked, 2 * FRAMES);
}

static void tx1(void)
{
	sending(TPACKET_V1, false, false, 0);
}

static void tx2(void)
{
	sending(TPACKET_V2, false, false, 0);
}

static void tx3(void)
{
	sending(TPACKET_V3, false, false, 0);
}

static void txloss(void)
{
	sending(TPACKET_V2, true, false, 0);
}

static void txcooked(void)
{
	sending(TPACKET_V2, false, true, 0);
}

static void txcookedloss(void)
{
	sending(TPACKET_V2, true, true, 0);
}

static void txask(void)
{
	sending(TPACKET_V2, false, false, 4);
}

static void both(void)
{
	struct ring r = {.fd = MUST(socket(AF_PACKET, SOCK_RAW, 0)), .version = TPACKET_V2};
	struct sender s = {.fd = r.fd, .version = r.version};

	set(r.fd, PACKET_VERSION, r.version);
	make_ring(r.fd, r.version, PACKET_RX_RING, 0);
	make_ring(r.fd, r.version, PACKET_TX_RING, 0);
	r.mem = map(r.fd, 2 * BLOCKS * BLOCK);
	s.mem = r.mem + BLOCKS * BLOCK;
	listen_to_marks(r.fd);
	go_through(&r, 0, 10);
	ring_sends(&s, &r, 10, FRAMES + 7);
	send_marks(FRAMES + 17, 2);
	victim_ready();
	victim_wait();
	take(&r, FRAMES + 17, 2);
	ring_sends(&s, &r, FRAMES + 19, 2 * FRAMES);
}

int main(int argc, char **argv)
{
	static const struct victim_case cases[] = {{"fresh", fresh}, {"v1", v1}, {"v2", v2},
		{"v3", v3}, {"part", part}, {"full1", full1}, {"full2", full2}, {"full3", full3},
		{"back1", back1}, {"back2", back2}, {"back3", back3}, {"holes1", holes1},
		{"holes2", holes2}, {"held", held}, {"flow2", flow2}, {"flow3", flow3},
		{"fork", shared}, {"fanout", fanout}, {"tx1", tx1}, {"tx2", tx2}, {"tx3", tx3},
		{"txloss", txloss}, {"txcooked", txcooked}, {"txcookedloss", txcookedloss},
		{"txask", txask}, {"both", both}};

	init();
	return victim_cases(argc, argv, cases, sizeof(cases) / sizeof(*cases));
}
