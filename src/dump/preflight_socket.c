/*
 * preflight_socket.c - what a socket is, in words, asked from a copy of its descriptor.
 */
#include "dump/preflight_look.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "kernel/pidfd.h"
#include "kernel/sock.h"
#include "kernel/sock_name.h"
#include "util/cleanup.h"

#ifndef AF_XDP
#define AF_XDP 44
#endif
#define CLOSE_IT "let the program close it"

/* The families that no resource saves; 0: all others. */
static const struct {
	int family;
	const char *reason;
} refused[] = {
	{AF_ALG, "the kernel does not give back what a cipher or hash has been fed"},
	{AF_XDP, "its rings can't be set to where they were"},
	{AF_KEY, "the kernel does not tell what it was asked for"},
	{AF_BLUETOOTH, "the connection is kept by a device"},
	{0, "sockets of this kind are not saved yet"},
};

struct look_kind look_socket_kind(const struct sock_look *s)
{
	size_t i = 0;

	while (refused[i].family && (!s || refused[i].family != s->family))
		i++;
	return (struct look_kind){"socket", CKPT_REFUSED, refused[i].reason, CLOSE_IT};
}

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

	if (copy < 0 || sock_look_at(copy, ret) < 0)
		return false;
	if (!l->tree->own_netns)
		l->tree->own_netns = sock_own_netns();
	ret->foreign = sock_foreign(ret, l->tree->own_netns);
	return true;
}

bool look_sock_ends(
	struct look *l, int fd, struct sockaddr_storage *local, struct sockaddr_storage *peer)
{
	_cleanup_close_ int copy = copy_of(l, fd);
	socklen_t len = sizeof(*local), peer_len = sizeof(*peer);

	return copy >= 0 && getsockname(copy, (struct sockaddr *)local, &len) == 0 &&
	       getpeername(copy, (struct sockaddr *)peer, &peer_len) == 0;
}

void look_socket(struct look *l, int fd, char *text, size_t len)
{
	_cleanup_close_ int copy = -EBADF;
	struct sock_look sock;
	int n;

	*text = '\0';
	copy = copy_of(l, fd);
	if (copy < 0 || sock_look_at(copy, &sock) < 0)
		return;
	n = snprintf(text, len, "%s", sock_name(sock.family, sock.type, sock.protocol));
	n += address(copy, text + n, len - (size_t)n);
	if (sock.listening && (size_t)n < len)
		snprintf(text + n, len - (size_t)n, ", listening");
}
