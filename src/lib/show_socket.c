/*
 * show_socket.c - a saved socket in words: "udp 127.0.0.1:53 -> 127.0.0.1:4000, 2 unread".
 */
#include "lib/show.h"

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/sock_name.h"
#include "proto/inet.pb-c.h"
#include "proto/netlink.pb-c.h"
#include "proto/packet.pb-c.h"
#include "proto/socket.pb-c.h"
#include "proto/tcp.pb-c.h"
#include "util/str.h"
#include "util/vec.h"

/* An address as the kernel has it, from an image: its length is checked. */
static void put_address(const ProtobufCBinaryData *b, const char *before, FILE *out)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} a = {};
	char ip[INET6_ADDRSTRLEN] = "?";

	if (b->len < sizeof(a.in) || b->len > sizeof(a))
		return;
	memcpy(&a, b->data, b->len);
	if (a.sa.sa_family == AF_INET6)
		fprintf(out, "%s[%s]:%u", before,
			inet_ntop(AF_INET6, &a.in6.sin6_addr, ip, sizeof(ip)),
			ntohs(a.in6.sin6_port));
	else
		fprintf(out, "%s%s:%u", before, inet_ntop(AF_INET, &a.in.sin_addr, ip, sizeof(ip)),
			ntohs(a.in.sin_port));
}

static void put_count(size_t n, const char *what, FILE *out)
{
	if (n)
		fprintf(out, ", %zu %s%s", n, what, n > 1 ? "s" : "");
}

static void put_inet(const void *msg, FILE *out)
{
	const Ckpt__Inet *m = msg;

	put_address(&m->local, " ", out);
	put_address(&m->peer, " -> ", out);
	put_count(m->n_groups, "multicast group", out);
	put_count(m->n_queue, "unread datagram", out);
	if (m->shut)
		fputs(", shut", out);
}

static void put_netlink(const void *msg, FILE *out)
{
	const Ckpt__Netlink *m = msg;

	if (m->portid)
		fprintf(out, " %u", m->portid);
	for (size_t i = 0; i < m->n_groups; i++)
		fprintf(out, "%s%u", i ? " " : ", groups ", m->groups[i]);
	if (m->lost)
		fputs(", unread events are lost", out);
}

static void put_packet(const void *msg, FILE *out)
{
	const Ckpt__Packet *m = msg;

	fputs(*m->interface ? " on " : " on any interface", out);
	str_put(out, m->interface);
	if (m->protocol)
		fprintf(out, ", protocol %#x", m->protocol);
	if (m->fanout)
		fprintf(out, ", fanout group %u", m->fanout & 0xffff);
	if (m->rx || m->tx)
		fputs(", with a ring", out);
}

static void put_end(const Ckpt__TcpEnd *e, const char *before, FILE *out)
{
	if (!e)
		return;
	fputs(before, out);
	if (strchr(e->ip, ':'))
		fputc('[', out);
	str_put(out, e->ip);
	fprintf(out, "%s:%u", strchr(e->ip, ':') ? "]" : "", e->port);
}

/* What is not what one expects of a socket with two addresses, or with none. */
static const char *tcp_kind(const Ckpt__Tcp *m)
{
	const Ckpt__TcpState *s = m->state;

	switch (m->kind) {
	case CKPT__TCP__KIND__LISTENING:
		return ", listening";
	case CKPT__TCP__KIND__CONNECTING:
		return ", connecting";
	case CKPT__TCP__KIND__ENDED:
		return m->error ? ", broken" : ", ended";
	default:
		break;
	}
	if (s && s->fin_sent && s->fin_received)
		return ", closing";
	return s && s->fin_sent       ? ", half closed by us"
	       : s && s->fin_received ? ", half closed by the peer"
				      : "";
}

static void put_tcp(const void *msg, FILE *out)
{
	const Ckpt__Tcp *m = msg;

	put_end(m->local, " ", out);
	put_end(m->peer, " -> ", out);
	fputs(tcp_kind(m), out);
	put_count(m->n_keys, "key", out);
	if (m->n_waiting)
		fprintf(out, ", %zu not accepted yet", m->n_waiting);
	if (m->state)
		fprintf(out, ", %zu bytes unread, %zu to send", m->state->received.len,
			m->state->to_send.len);
}

static const struct {
	const char *type;
	void (*put)(const void *msg, FILE *out);
} kinds[] = {
	{"inet", put_inet},
	{"netlink", put_netlink},
	{"packet", put_packet},
	{"tcp", put_tcp},
	{"unixsock", show_unix},
};

bool show_socket(const struct loaded *l, uint32_t id, const char *type, const void *msg, FILE *out)
{
	const Ckpt__Socket *s = model_get(&l->model, load_type("socket"), id);

	for (size_t i = 0; s && i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(kinds[i].type, type) != 0)
			continue;
		fputs(sock_name(s->family, s->type, s->protocol), out);
		kinds[i].put(msg, out);
		if (s->filter.len)
			fputs(", with a filter", out);
		return true;
	}
	return false;
}
