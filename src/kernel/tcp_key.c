/*
 * tcp_key.c - see tcp_key.h.
 */
#include "kernel/tcp_key.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <md5.h>
#include <netinet/in.h>
#include <string.h>

#include "kernel/sock.h"
#include "kernel/tcp_inject.h"
#include "kernel/tcp_numbers.h"
#include "util/cleanup.h"

#ifndef TCP_AO_INFO
#define TCP_AO_INFO 40
#endif

#define HEADER          20
#define HEADER_CHECKSUM 16 /* where it is */

static size_t bytes_of(int family)
{
	return family == AF_INET6 ? 16 : 4;
}

unsigned int tcp_key_whole(int family)
{
	return (unsigned int)(8 * bytes_of(family));
}

int tcp_key_of_diag(const void *attr, size_t len, size_t i, struct tcp_key *ret)
{
	struct tcp_diag_md5sig k;

	if (!attr || (i + 1) * sizeof(k) > len)
		return 0;
	memcpy(&k, (const char *)attr + i * sizeof(k), sizeof(k));
	if ((k.tcpm_family != AF_INET && k.tcpm_family != AF_INET6) || !k.tcpm_keylen ||
		k.tcpm_keylen > TCP_KEY_MAX || k.tcpm_prefixlen > tcp_key_whole(k.tcpm_family))
		return -EBADMSG;
	*ret = (struct tcp_key){
		.family = k.tcpm_family, .prefix = k.tcpm_prefixlen, .len = (uint8_t)k.tcpm_keylen};
	memcpy(ret->addr, k.tcpm_addr, bytes_of(ret->family));
	memcpy(ret->secret, k.tcpm_key, ret->len);
	return 1;
}

/* Of an AF_INET6 socket a key for IPv4 is one for a mapped address, with the prefix of IPv4. */
int tcp_key_set(int fd, int family, const struct tcp_key *key)
{
	struct tcp_md5sig k = {.tcpm_keylen = key->len};
	struct sockaddr_in *in = (void *)&k.tcpm_addr;
	struct sockaddr_in6 *in6 = (void *)&k.tcpm_addr;
	bool whole = key->prefix == tcp_key_whole(key->family);

	if (key->len > TCP_KEY_MAX || (family == AF_INET && key->family != AF_INET))
		return -EINVAL;
	memcpy(k.tcpm_key, key->secret, key->len);
	if (family == AF_INET) {
		in->sin_family = AF_INET;
		memcpy(&in->sin_addr, key->addr, sizeof(in->sin_addr));
	} else {
		in6->sin6_family = AF_INET6;
		if (key->family == AF_INET)
			in6->sin6_addr.s6_addr[10] = in6->sin6_addr.s6_addr[11] = 0xff;
		memcpy(in6->sin6_addr.s6_addr + 16 - bytes_of(key->family), key->addr,
			bytes_of(key->family));
	}
	if (!whole) {
		k.tcpm_flags = TCP_MD5SIG_FLAG_PREFIX;
		k.tcpm_prefixlen = key->prefix;
	}
	return setsockopt(fd, IPPROTO_TCP, whole ? TCP_MD5SIG : TCP_MD5SIG_EXT, &k, sizeof(k)) < 0
		       ? -errno
		       : 0;
}

static const uint8_t *addr_bytes(const struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET6
		       ? ((const struct sockaddr_in6 *)a)->sin6_addr.s6_addr
		       : (const uint8_t *)&((const struct sockaddr_in *)a)->sin_addr;
}

bool tcp_key_is_for(const struct tcp_key *key, const struct sockaddr_storage *peer)
{
	struct sockaddr_storage plain = *peer;
	size_t whole = key->prefix / 8, rest = key->prefix % 8;
	const uint8_t *p;

	tcp_plain_addr(&plain);
	p = addr_bytes(&plain);
	return plain.ss_family == key->family && !memcmp(p, key->addr, whole) &&
	       (!rest || !((p[whole] ^ key->addr[whole]) >> (8 - rest)));
}

const struct tcp_key *tcp_keys_find(
	const struct tcp_key *v, size_t n, const struct sockaddr_storage *peer)
{
	const struct tcp_key *best = NULL;

	for (size_t i = 0; i < n; i++)
		if (tcp_key_is_for(&v[i], peer) && (!best || v[i].prefix > best->prefix))
			best = &v[i];
	return best;
}

bool tcp_keys_likely(uint32_t option_bytes)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct tcp_key any = {.family = AF_INET, .prefix = 32, .addr = {127, 0, 0, 1}, .len = 1};
	uint32_t one;

	if (!option_bytes || fd < 0 || tcp_key_set(fd, AF_INET, &any) < 0)
		return false;
	one = sock_option_bytes(fd);
	return one && option_bytes % one == 0;
}

/* What the check sum is made of as well; of IPv6 with a length of 32 bits. */
static void add_pseudo_header(MD5_CTX *m, const struct tcp_signed *s)
{
	size_t n = bytes_of(s->from->ss_family);
	const uint32_t v6[] = {htonl((uint32_t)s->segment_len), htonl(IPPROTO_TCP)};
	const uint16_t v4[] = {htons(IPPROTO_TCP), htons((uint16_t)s->segment_len)};

	MD5Update(m, addr_bytes(s->from), n);
	MD5Update(m, addr_bytes(s->to), n);
	if (s->from->ss_family == AF_INET6)
		MD5Update(m, (const void *)v6, sizeof(v6));
	else
		MD5Update(m, (const void *)v4, sizeof(v4));
}

void tcp_key_sign(
	const struct tcp_key *key, const struct tcp_signed *s, uint8_t ret[TCP_KEY_OPTION])
{
	uint8_t header[HEADER];
	MD5_CTX m;

	memcpy(header, s->header, sizeof(header));
	memset(header + HEADER_CHECKSUM, 0, 2);
	MD5Init(&m);
	add_pseudo_header(&m, s);
	MD5Update(&m, header, sizeof(header));
	MD5Update(&m, s->data, s->len);
	MD5Update(&m, key->secret, key->len);
	memcpy(ret, (const uint8_t[]){TCP_HAS_NOP, TCP_HAS_NOP, TCP_HAS_MD5, 2 + MD5_DIGEST_LENGTH},
		4);
	MD5Final(ret + 4, &m);
}

/* struct tcp_ao_info_opt, which older headers do not have; what it says does not matter. */
int tcp_ao_ask(int fd)
{
	uint64_t info[6] = {0};
	socklen_t len = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_AO_INFO, info, &len) < 0 ? -errno : 0;
}

bool tcp_ao_has(int r)
{
	return r != -ENOENT && r != -ENOPROTOOPT && r != -EOPNOTSUPP;
}
