/*
 * preflight_socket.c - what a socket is, in words, asked from a copy of its descriptor.
 */
#include "dump/preflight_look.h"

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "kernel/pidfd.h"
#include "kernel/sock.h"
#include "util/cleanup.h"
#include "util/vec.h"

static const struct {
	int domain, type; /* type 0: any */
	const char *name;
} names[] = {
	{AF_UNIX, SOCK_STREAM, "unix stream"},
	{AF_UNIX, SOCK_DGRAM, "unix datagram"},
	{AF_UNIX, SOCK_SEQPACKET, "unix seqpacket"},
	{AF_INET, SOCK_STREAM, "tcp"},
	{AF_INET, SOCK_DGRAM, "udp"},
	{AF_INET, SOCK_RAW, "raw IP"},
	{AF_INET6, SOCK_STREAM, "tcp6"},
	{AF_INET6, SOCK_DGRAM, "udp6"},
	{AF_INET6, SOCK_RAW, "raw IPv6"},
	{AF_NETLINK, 0, "netlink"},
	{AF_PACKET, 0, "packet"},
	{AF_VSOCK, 0, "vsock"},
	{AF_ALG, 0, "kernel crypto"},
};

static int address(int fd, char *text, size_t len)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
		struct sockaddr_storage room;
	} a = {};
	socklen_t alen = sizeof(a);
	char ip[INET6_ADDRSTRLEN] = "?";
	size_t path_len;

	if (getsockname(fd, &a.sa, &alen) < 0)
		return 0;
	switch (a.sa.sa_family) {
	case AF_INET:
		inet_ntop(AF_INET, &a.in.sin_addr, ip, sizeof(ip));
		return snprintf(text, len, " %s:%u", ip, ntohs(a.in.sin_port));
	case AF_INET6:
		inet_ntop(AF_INET6, &a.in6.sin6_addr, ip, sizeof(ip));
		return snprintf(text, len, " [%s]:%u", ip, ntohs(a.in6.sin6_port));
	case AF_UNIX:
		path_len = alen > offsetof(struct sockaddr_un, sun_path)
				   ? alen - offsetof(struct sockaddr_un, sun_path)
				   : 0;
		if (!path_len)
			return 0;
		if (!a.un.sun_path[0])
			return snprintf(text, len, " @%.*s", (int)path_len - 1, a.un.sun_path + 1);
		return snprintf(text, len, " %.*s", (int)path_len, a.un.sun_path);
	}
	return 0;
}

/* A copy of the descriptor, which the target can't see; negative: it can't be had. */
static int copy_of(struct look *l, int fd)
{
	_cleanup_close_ int pidfd = l->tid == l->pid ? pidfd_of(l->pid) : pidfd_of_thread(l->tid);

	return pidfd < 0 ? pidfd : pidfd_take(pidfd, fd);
}

bool look_sock(struct look *l, int fd, struct sock_look *ret)
{
	_cleanup_close_ int copy = copy_of(l, fd);

	return copy >= 0 && sock_look_at(copy, ret) == 0;
}

void look_socket(struct look *l, int fd, char *text, size_t len)
{
	_cleanup_close_ int copy = -EBADF;
	struct sock_look sock;
	const char *name = "socket";
	int n;

	*text = '\0';
	if (!l->report->deep)
		return;
	copy = copy_of(l, fd);
	if (copy < 0 || sock_look_at(copy, &sock) < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].domain == sock.family &&
			(!names[i].type || names[i].type == sock.type))
			name = names[i].name;
	n = snprintf(text, len, "%s", name);
	n += address(copy, text + n, len - (size_t)n);
	if (sock.listening && (size_t)n < len)
		snprintf(text + n, len - (size_t)n, ", listening");
}
