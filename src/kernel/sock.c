/*
 * sock.c - see sock.h.
 */
#include "kernel/sock.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "kernel/bpf_program.h"
#include "kernel/tcp_key.h"
#include "util/cleanup.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

static int ask(int fd, int name, int *ret)
{
	socklen_t len = sizeof(*ret);

	return getsockopt(fd, SOL_SOCKET, name, ret, &len) < 0 ? -errno : 0;
}

static uint64_t netns_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);
	_cleanup_close_ int ns = -EBADF;
	struct stat st;

	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len) == 0)
		return cookie;
	ns = ioctl(fd, SIOCGSKNS);
	return ns >= 0 && fstat(ns, &st) == 0 ? st.st_ino : 0;
}

int sock_filter_get(int fd, struct sock_filter *ret, size_t n)
{
	socklen_t len = n;

	return getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, ret, &len) < 0 ? -errno : (int)len;
}

uint32_t sock_option_bytes(int fd)
{
	uint32_t v[SK_MEMINFO_VARS] = {0};
	socklen_t len = sizeof(v);

	return getsockopt(fd, SOL_SOCKET, SO_MEMINFO, v, &len) < 0 ? 0 : v[SK_MEMINFO_OPTMEM];
}

/* Its end can be read. A try would do as well, but for an error that waits to be told: that is gone once it is read. */
bool sock_has_ended(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLRDHUP};

	return poll(&p, 1, 0) > 0 && p.revents & (POLLERR | POLLRDHUP);
}

static void look_at_tcp(int fd, struct sock_look *ret)
{
	struct tcp_info info = {0};
	socklen_t len = offsetof(struct tcp_info, tcpi_ca_state);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0)
		ret->tcp_state = info.tcpi_state;
	/* MPTCP itself is one, for the connections that it consists of */
	if (ret->protocol != IPPROTO_TCP)
		return;
	len = sizeof(ret->ulp) - 1;
	if (getsockopt(fd, IPPROTO_TCP, TCP_ULP, ret->ulp, &len) < 0)
		ret->ulp[0] = 0;
	ret->option_bytes = sock_option_bytes(fd);
	if (ret->option_bytes && ret->tcp_state == TCP_CLOSE && sock_has_ended(fd))
		ret->option_bytes = 0;
	ret->tcp_ao = tcp_ao_has(tcp_ao_ask(fd));
}

static bool has_peer(int fd)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);

	return getpeername(fd, (struct sockaddr *)&a, &len) == 0;
}

int sock_look_at(int fd, struct sock_look *ret)
{
	int listening = 0;
	int r;

	memset(ret, 0, sizeof(*ret));
	r = ask(fd, SO_DOMAIN, &ret->family);
	if (r == 0)
		r = ask(fd, SO_TYPE, &ret->type);
	if (r == 0)
		r = ask(fd, SO_PROTOCOL, &ret->protocol);
	if (r == 0 && ask(fd, SO_ACCEPTCONN, &listening) < 0)
		listening = 0;
	ret->listening = listening;
	ret->foreign = false;
	ret->netns = r == 0 ? netns_of(fd) : 0;
	ret->n_filter = r == 0 ? sock_filter_get(fd, NULL, 0) : 0;
	ret->ebpf = ret->n_filter == -EACCES;
	ret->program = ret->ebpf ? bpf_program_of_socket(fd) : 0;
	ret->n_filter = ret->n_filter < 0 ? 0 : ret->n_filter;
	if (r == 0 && ret->type == SOCK_STREAM &&
		(ret->protocol == IPPROTO_TCP || ret->protocol == IPPROTO_MPTCP))
		look_at_tcp(fd, ret);
	if (r == 0 && ret->family == AF_VSOCK)
		ret->connected = has_peer(fd);
	return r;
}

uint64_t sock_own_netns(void)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? 0 : netns_of(fd);
}

int sock_unix_address(const char *name, struct sockaddr_un *ret, socklen_t *ret_len)
{
	size_t len = strlen(name);

	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (len >= sizeof(ret->sun_path))
		return -ENAMETOOLONG;
	memcpy(ret->sun_path, name, len);
	if (*name == '@')
		ret->sun_path[0] = '\0';
	*ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (*name != '@'));
	return 0;
}

int sock_unix_connect(const char *name)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un a;
	socklen_t len = 0;
	int r = fd < 0 ? -errno : sock_unix_address(name, &a, &len);

	if (r == 0 && connect(fd, (const void *)&a, len) < 0)
		r = -errno;
	return r < 0 ? r : TAKE_FD(fd);
}
