/*
 * sock.h - sockets as they describe themselves, through any descriptor of them.
 */
#ifndef CKPT_KERNEL_SOCK_H
#define CKPT_KERNEL_SOCK_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

/* What a socket is. */
struct sock_look {
	int family;   /* AF_* */
	int type;     /* SOCK_*, without flags */
	int protocol; /* as socket(2) was or could have been called with */
	bool listening;
	uint64_t netns;   /* cookie of its network namespace; 0: not known */
	bool foreign;     /* that is another than ours; set by who knows ours */
	int n_filter;     /* instructions of its classic filter; 0: it has none */
	bool ebpf;        /* its filter is an eBPF program */
	uint32_t program; /* that, by its id; 0: it can't be told */
	int tcp_state;    /* of TCP: TCP_IS_ESTABLISHED and the like; 0: not known */
	bool connected;   /* of vsock */
	char ulp[16];     /* of TCP: what works on top of it in the kernel, as "tls"; "": nothing */
	uint32_t
		option_bytes; /* of TCP: see sock_option_bytes(); 0 where its connection has ended */
	bool tcp_ao;          /* of TCP: it has keys of TCP-AO */
};

/**
 * sock_look_at() - ask a socket what it is
 * @fd: any descriptor of it, not O_PATH
 * Return: 0; -ENOTSOCK; -errno.
 * Source: socket(7); SO_NETNS_COOKIE since Linux 5.14; before it the namespace's inode number stands for
 * it (SIOCGSKNS, which takes CAP_NET_ADMIN).
 */
int sock_look_at(int fd, struct sock_look *ret);

/**
 * sock_filter_get() - the classic filter of a socket
 * @ret: room for sock_look.n_filter instructions
 * Return: how many there are; -EACCES it is an eBPF program; -errno.
 * Source: SO_GET_FILTER, Linux >= 3.8; its length is counted in instructions.
 */
int sock_filter_get(int fd, struct sock_filter *ret, size_t n);

/**
 * sock_option_bytes() - what a socket's keys, filters and the like take of memory (net.core.optmem_max)
 * Return: 0: it has none of them; or this kernel does not tell
 * Source: SO_MEMINFO, Linux >= 4.12.
 */
uint32_t sock_option_bytes(int fd);

/** sock_has_ended() - whether a socket of TCP in the state CLOSE was connected */
bool sock_has_ended(int fd);

/** sock_own_netns() - the cookie of our own network namespace; 0: not known (before Linux 5.14) */
uint64_t sock_own_netns(void);

/** sock_foreign() - whether a socket is known to be of another network namespace. @own: sock_own_netns() */
static inline bool sock_foreign(const struct sock_look *s, uint64_t own)
{
	return s->netns && own && s->netns != own;
}

/**
 * sock_unix_address() - the address of a unix socket as users name it
 * @name: a path, or '@' and an abstract name
 * Return: 0; -ENAMETOOLONG.
 * Source: unix(7); an abstract name is as long as the address says, and has no NUL at its end.
 */
int sock_unix_address(const char *name, struct sockaddr_un *ret, socklen_t *ret_len);

/** sock_unix_connect() - a stream socket connected there. Return: owned by the caller; -ENAMETOOLONG; -errno */
int sock_unix_connect(const char *name);

#endif
