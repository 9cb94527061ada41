/*
 * Saved sockets in words.
 */
#include <criterion/criterion.h>

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "lib/show.h"
#include "proto/inet.pb-c.h"
#include "proto/netlink.pb-c.h"
#include "proto/packet.pb-c.h"
#include "proto/socket.pb-c.h"
#include "res/res.h"

static struct loaded l;
static char *text;
static size_t len;

static void init(void)
{
	memset(&l, 0, sizeof(l));
	model_init(&l.model);
}

static void done(void)
{
	model_done(&l.model);
	free(text);
	text = NULL;
}

TestSuite(show_socket, .init = init, .fini = done);

static Ckpt__Socket *add_socket(int family, int type, int protocol)
{
	Ckpt__Socket *m = msg_new(Ckpt__Socket, CKPT__SOCKET__INIT);

	m->family = family;
	m->type = type;
	m->protocol = protocol;
	cr_assert_eq(model_add_take(&l.model, load_type("socket"), 7, &m->base), 0);
	return m;
}

static bool shown(const char *type, const void *msg)
{
	FILE *out = open_memstream(&text, &len);
	bool r = show_socket(&l, 7, type, msg, out);

	fclose(out);
	return r;
}

Test(show_socket, udp)
{
	struct sockaddr_in6 local = {.sin6_family = AF_INET6, .sin6_port = htons(53)};
	struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(4000)};
	Ckpt__Inet m = CKPT__INET__INIT;

	inet_pton(AF_INET6, "fd00::1", &local.sin6_addr);
	inet_pton(AF_INET, "10.1.2.3", &peer.sin_addr);
	m.local = (ProtobufCBinaryData){sizeof(local), (void *)&local};
	m.peer = (ProtobufCBinaryData){sizeof(peer), (void *)&peer};
	m.n_queue = 2;
	m.n_groups = 1;
	add_socket(AF_INET6, SOCK_DGRAM, IPPROTO_UDP);
	cr_assert(shown("inet", &m));
	cr_expect_str_eq(text, "udp6 [fd00::1]:53 -> 10.1.2.3:4000, 1 multicast group, 2 unread "
			       "datagrams");
}

/* An image may say anything. */
Test(show_socket, damaged)
{
	Ckpt__Inet m = CKPT__INET__INIT;

	m.local = (ProtobufCBinaryData){3, (void *)"abc"};
	add_socket(77, 3, 5);
	cr_assert(shown("inet", &m));
	cr_expect_str_eq(text, "socket");
}

Test(show_socket, netlink)
{
	Ckpt__Netlink m = CKPT__NETLINK__INIT;
	uint32_t groups[] = {1, 32};

	m.portid = 1234;
	m.groups = groups;
	m.n_groups = 2;
	add_socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT);
	cr_assert(shown("netlink", &m));
	cr_expect_str_eq(text, "netlink uevent 1234, groups 1 32");
}

Test(show_socket, packet)
{
	Ckpt__Packet m = CKPT__PACKET__INIT;
	Ckpt__Socket *s = add_socket(AF_PACKET, SOCK_RAW, 0);
	struct sock_filter code = {0};

	s->filter = msg_bytes(&code, sizeof(code));
	m.interface = "lo";
	m.protocol = 0x800;
	m.fanout = 0x10007;
	cr_assert(shown("packet", &m));
	cr_expect_str_eq(text, "packet on lo, protocol 0x800, fanout group 7, with a filter");
}

Test(show_socket, no_socket)
{
	cr_expect(!shown("regfile", NULL));
	cr_expect_eq(len, 0);
}
