/*
 * tcp_key.h - keys by which segments of TCP are signed (RFC 2385, TCP_MD5SIG).
 *
 * getsockopt(2) tells none of them. INET_DIAG_MD5SIG does (kernel/sock_diag.h), to whoever has CAP_NET_ADMIN in the
 * user namespace of the network's: of a socket that listens or is connected since Linux 4.14. To others, and before
 * 4.14, it says nothing. Of a socket that is only bound Linux >= 6.8 tells that it is there, no more; of one that is
 * not even bound nothing. For which VRF a key is (TCP_MD5SIG_FLAG_IFINDEX, Linux >= 5.3) it does not say. What a
 * socket's keys, filters and the like take of memory SO_MEMINFO tells everybody: where that is nothing there are none.
 *
 * A key is set by anybody, before the connection is made: Linux 4.18 to 5.7 take none later. One that is accepted
 * has a copy of that key of the listener which is for its peer: of the longest prefix.
 *
 * Source: net/ipv4/tcp_diag.c tcp_diag_get_aux(), net/ipv4/tcp_ipv4.c tcp_v4_parse_md5_keys(), tcp(7), RFC 2385.
 */
#ifndef CKPT_KERNEL_TCP_KEY_H
#define CKPT_KERNEL_TCP_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define TCP_KEY_MAX 80 /* TCP_MD5SIG_MAXKEYLEN */

/* What the option takes in a segment, with what fills it up: NOP, NOP, kind, length, digest. */
#define TCP_KEY_OPTION 20

struct tcp_key {
	int family; /* of the peers that it is for: AF_INET, of an AF_INET6 socket too, or AF_INET6 */
	uint8_t addr[16]; /* of them; IPv4: the first four bytes */
	uint8_t prefix;   /* bits of it that count */
	uint8_t len;      /* of secret */
	uint8_t secret[TCP_KEY_MAX];
};

/**
 * tcp_key_of_diag() - a key out of INET_DIAG_MD5SIG
 * @attr, @len: of sock_diag_attr()
 * Return: 1; 0: there are not so many; -EBADMSG: no key is like that
 */
int tcp_key_of_diag(const void *attr, size_t len, size_t i, struct tcp_key *ret);

/**
 * tcp_key_set() - give a socket a key
 * @family: of the socket
 * Return: 0; -ENOPROTOOPT, -ENOMEM (net.core.optmem_max); -errno
 */
int tcp_key_set(int fd, int family, const struct tcp_key *key);

/** tcp_key_is_for() - whether it is for a peer. @peer: as of a socket. Async-signal-safe */
bool tcp_key_is_for(const struct tcp_key *key, const struct sockaddr_storage *peer);

/**
 * tcp_keys_find() - that one of a socket's keys which the kernel takes for a peer: of the longest prefix
 * Async-signal-safe. Return: NULL: there is none
 */
const struct tcp_key *tcp_keys_find(
	const struct tcp_key *v, size_t n, const struct sockaddr_storage *peer);

/** tcp_key_whole() - the prefix that is all of an address */
unsigned int tcp_key_whole(int family);

/**
 * tcp_keys_likely() - whether nothing but keys may be what takes memory of a socket
 * @option_bytes: of struct sock_look
 */
bool tcp_keys_likely(uint32_t option_bytes);

/* A segment, for its signature. */
struct tcp_signed {
	const struct sockaddr_storage *from, *to; /* as in packets */
	const void *header; /* 20 bytes, without options; its check sum does not count */
	size_t segment_len; /* with header and all options */
	const void *data;
	size_t len;
};

/** tcp_key_sign() - the option of a signed segment. Async-signal-safe. Source: RFC 2385 2.0 */
void tcp_key_sign(
	const struct tcp_key *key, const struct tcp_signed *s, uint8_t ret[TCP_KEY_OPTION]);

/**
 * tcp_ao_ask() - whether a socket has keys of TCP-AO (RFC 5925)
 * Return: 0: it has, or had; -ENOENT: none; -ENOPROTOOPT: this kernel has no such thing; -errno
 * Source: getsockopt(TCP_AO_INFO), Linux >= 6.7 with CONFIG_TCP_AO; of every state of a socket.
 */
int tcp_ao_ask(int fd);

/** tcp_ao_has() - what that says. @r: of tcp_ao_ask(). What is no clear answer is none that lets keys be lost. */
bool tcp_ao_has(int r);

#endif
