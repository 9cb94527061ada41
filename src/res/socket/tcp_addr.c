/*
 * tcp_addr.c - addresses in records of TCP, and in packets.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "proto/tcp.pb-c.h"
#include "res/socket/tcp.h"

int tcp_end_set(const struct sockaddr_storage *a, Ckpt__TcpEnd **ret)
{
	const struct sockaddr_in *in = (const void *)a;
	const struct sockaddr_in6 *in6 = (const void *)a;
	bool six = a->ss_family == AF_INET6;
	char text[INET6_ADDRSTRLEN] = "";
	Ckpt__TcpEnd *m = msg_new(Ckpt__TcpEnd, CKPT__TCP_END__INIT);

	if (!m)
		return -ENOMEM;
	inet_ntop(a->ss_family, six ? (const void *)&in6->sin6_addr : &in->sin_addr, text,
		sizeof(text));
	m->port = ntohs(six ? in6->sin6_port : in->sin_port);
	m->scope = six ? in6->sin6_scope_id : 0;
	m->flow = six ? in6->sin6_flowinfo : 0;
	m->ip = strdup(text);
	*ret = m;
	return m->ip ? 0 : -ENOMEM;
}

socklen_t tcp_end_get(int family, const Ckpt__TcpEnd *m, struct sockaddr_storage *ret)
{
	struct sockaddr_in *in = (void *)ret;
	struct sockaddr_in6 *in6 = (void *)ret;
	bool six = family == AF_INET6;

	memset(ret, 0, sizeof(*ret));
	ret->ss_family = (sa_family_t)family;
	if (!m)
		return six ? sizeof(*in6) : sizeof(*in);
	if (m->port > UINT16_MAX ||
		inet_pton(family, m->ip, six ? (void *)&in6->sin6_addr : &in->sin_addr) != 1)
		return 0;
	if (!six) {
		in->sin_port = htons((uint16_t)m->port);
		return sizeof(*in);
	}
	in6->sin6_port = htons((uint16_t)m->port);
	in6->sin6_scope_id = m->scope;
	in6->sin6_flowinfo = m->flow;
	return sizeof(*in6);
}
