/*
 * sock_queue.c - see sock_queue.h.
 *
 * What is unread of UDP lies in two queues: one that its readers have taken over at once, which is the older, and one
 * that is filled. All is checked for what can be: the inode of the socket, lengths, that a buffer's headers lie
 * in it. A queue only grows while nobody reads: its first buffer has to be the same before and after.
 */
#include "kernel/sock_queue.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/kmem_skb.h"
#include "util/vec.h"

#define ATTEMPTS    3
#define PACKETS_MAX 100000
#define PACKET_MAX  (65536U + 256) /* of data, however many were joined */
#define HEADERS_MAX 1024           /* of IP and what follows it, before the data */

/* Where members are. */
struct offsets {
	int error;
	int errors, n_errors, older, n_older, unread, n_unread; /* from the socket */
	int network, transport, cb, segment;
	int ee; /* within cb */
};

struct sock_queue_reader {
	struct kmem *k; /* borrowed */
	struct kmem_skb_offsets s;
	struct offsets o;
};

#define ROW(field, ...)                                                                            \
	{                                                                                          \
		offsetof(struct offsets, field), false,                                            \
		{                                                                                  \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}

static const struct kmem_row rows[] = {
	ROW(error, {"sock", "sk_err"}),
	ROW(errors, {"sock", "sk_error_queue"}, {"sk_buff_head", "next"}),
	ROW(n_errors, {"sock", "sk_error_queue"}, {"sk_buff_head", "qlen"}),
	ROW(older, {"udp_sock", "reader_queue"}, {"sk_buff_head", "next"}),
	ROW(n_older, {"udp_sock", "reader_queue"}, {"sk_buff_head", "qlen"}),
	ROW(unread, {"sock", "sk_receive_queue"}, {"sk_buff_head", "next"}),
	ROW(n_unread, {"sock", "sk_receive_queue"}, {"sk_buff_head", "qlen"}),
	ROW(network, {"sk_buff", "network_header"}),
	ROW(transport, {"sk_buff", "transport_header"}),
	ROW(cb, {"sk_buff", "cb"}),
	ROW(segment, {"skb_shared_info", "gso_size"}),
	ROW(ee, {"sock_exterr_skb", "ee"}),
};

int sock_queue_open(struct kmem *k, struct sock_queue_reader **ret)
{
	struct sock_queue_reader *h = calloc(1, sizeof(*h));
	int r = h ? kmem_skb_open(&k->btf, &h->s) : -ENOMEM;
	bool lacks;

	if (r == 0)
		r = kmem_rows_find(&k->btf, rows, ARRAY_SIZE(rows), &h->o, &lacks);
	if (r < 0) {
		sock_queue_close(h);
		return r;
	}
	h->k = k;
	*ret = h;
	return 0;
}

void sock_queue_close(struct sock_queue_reader *h)
{
	free(h);
}

void sock_queue_done(struct sock_queue *q)
{
	for (size_t i = 0; i < q->n; i++)
		free(q->packets[i].data);
	free(q->packets);
	*q = (struct sock_queue){.packets = NULL};
}

/* What comes before the data, from the header of IP on, and the data. */
static int read_bytes(
	struct sock_queue_reader *h, const struct kmem_skb *b, bool error, struct sock_packet *ret)
{
	uint16_t network = 0, transport = 0;
	const struct kmem_want w[] = {{h->o.network, &network, sizeof(network)},
		{h->o.transport, &transport, sizeof(transport)}};
	const struct kmem_want of_shared[] = {{h->o.segment, &ret->segment, sizeof(ret->segment)}};
	uint64_t start;
	int r = kmem_get(h->k, b->addr, w, ARRAY_SIZE(w));

	if (r == 0)
		r = kmem_get(h->k, b->head + b->end, of_shared, 1);
	if (r < 0)
		return r;
	start = b->head + network;
	if (network >= b->end || b->data < start || b->data - start > HEADERS_MAX ||
		b->data - b->head > b->end)
		return -EAGAIN;
	ret->payload = b->data - start;
	ret->transport = (size_t)transport - network;
	if (!error && (transport < network || ret->transport > ret->payload))
		return -EAGAIN;
	ret->len = ret->payload + b->len;
	ret->data = malloc(ret->len + 1);
	if (!ret->data)
		return -ENOMEM;
	r = ret->payload ? kmem_read(h->k, start, ret->data, ret->payload) : 0;
	return r < 0 ? r : kmem_skb_read(h->k, &h->s, b, ret->data + ret->payload);
}

static int read_packet(
	struct sock_queue_reader *h, const struct kmem_skb *b, bool error, struct sock_packet *ret)
{
	const struct kmem_want w[] = {{h->o.cb + h->o.ee, &ret->ee, sizeof(ret->ee)}};
	int r = error ? kmem_get(h->k, b->addr, w, 1) : 0;

	if (r < 0 || (error && ret->ee.ee_origin != SO_EE_ORIGIN_ICMP &&
			     ret->ee.ee_origin != SO_EE_ORIGIN_ICMP6))
		return r;
	return read_bytes(h, b, error, ret);
}

/* @first, @count: where the queue is in the socket */
static int read_list(struct sock_queue_reader *h, uint64_t sk, int first, int count, bool error,
	struct sock_queue *ret)
{
	uint64_t head = sk + (uint64_t)first, oldest = kmem_word(h->k, head), at = oldest;
	uint32_t n = 0;
	int r = kmem_read(h->k, sk + (uint64_t)count, &n, sizeof(n));
	struct sock_packet *more;

	if (r < 0 || !n)
		return r;
	if (n > PACKETS_MAX)
		return -EAGAIN;
	more = reallocarray(ret->packets, ret->n + n, sizeof(*more));
	if (!more)
		return -ENOMEM;
	ret->packets = more;
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		struct sock_packet *p = &ret->packets[ret->n++];
		struct kmem_skb b = {.next = 0};

		*p = (struct sock_packet){.data = NULL};
		r = at == head ? -EAGAIN : kmem_skb_get(h->k, &h->s, at, PACKET_MAX, &b);
		if (r == 0)
			r = read_packet(h, &b, error, p);
		at = b.next;
	}
	return r == 0 && kmem_word(h->k, head) != oldest ? -EAGAIN : r;
}

static int read_once(struct sock_queue_reader *h, int fd, ino_t ino, enum sock_queue_which which,
	struct sock_queue *ret)
{
	uint64_t sk = kmem_sock(h->k, fd, ino);
	const struct kmem_want w[] = {{h->o.error, &ret->error, sizeof(ret->error)}};
	int r = kmem_get(h->k, sk, w, 1), later = 0;

	if (r == 0 && which == SOCK_QUEUE_ERRORS)
		r = read_list(h, sk, h->o.errors, h->o.n_errors, true, ret);
	if (r == 0 && which == SOCK_QUEUE_UNREAD)
		r = read_list(h, sk, h->o.older, h->o.n_older, false, ret);
	if (r == 0 && which == SOCK_QUEUE_UNREAD)
		r = read_list(h, sk, h->o.unread, h->o.n_unread, false, ret);
	if (r == 0)
		r = kmem_read(h->k, sk + (uint64_t)h->o.error, &later, sizeof(later));
	return r == 0 && later != ret->error ? -EAGAIN : r;
}

int sock_queue_read(struct sock_queue_reader *h, int fd, ino_t ino, enum sock_queue_which which,
	struct sock_queue *ret)
{
	struct sock_queue found = {.packets = NULL};
	int r = -EAGAIN;

	for (int i = 0; (r == -EAGAIN || r == -EFAULT) && i < ATTEMPTS; i++) {
		sock_queue_done(&found);
		r = read_once(h, fd, ino, which, &found);
	}
	if (r < 0)
		sock_queue_done(&found);
	else
		*ret = found;
	return r;
}
