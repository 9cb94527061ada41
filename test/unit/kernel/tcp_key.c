/*
 * tcp_key.c - keys as the kernel tells and takes them; whose they are; what is signed.
 */
#include "kernel/tcp_key.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/sock.h"
#include "kernel/sock_diag.h"

static struct sockaddr_storage at(const char *ip)
{
	struct sockaddr_storage a = {0};

	a.ss_family = strchr(ip, ':') ? AF_INET6 : AF_INET;
	cr_assert_eq(
		inet_pton(a.ss_family, ip,
			a.ss_family == AF_INET ? (void *)&((struct sockaddr_in *)&a)->sin_addr
					       : (void *)&((struct sockaddr_in6 *)&a)->sin6_addr),
		1);
	return a;
}

static struct tcp_key key(const char *ip, uint8_t prefix, const char *secret)
{
	struct tcp_key k = {.family = strchr(ip, ':') ? AF_INET6 : AF_INET,
		.prefix = prefix,
		.len = (uint8_t)strlen(secret)};

	cr_assert_eq(inet_pton(k.family, ip, k.addr), 1);
	memcpy(k.secret, secret, k.len);
	return k;
}

static bool is_for(struct tcp_key k, const char *ip)
{
	struct sockaddr_storage a = at(ip);

	return tcp_key_is_for(&k, &a);
}

Test(tcp_key, is_for)
{
	cr_expect(is_for(key("10.1.2.3", 32, "x"), "10.1.2.3"));
	cr_expect_not(is_for(key("10.1.2.3", 32, "x"), "10.1.2.2"));
	cr_expect(is_for(key("10.1.2.3", 32, "x"), "::ffff:10.1.2.3"));
	cr_expect_not(is_for(key("10.1.2.3", 32, "x"), "a01:203::"));
	cr_expect(is_for(key("10.1.2.0", 23, "x"), "10.1.3.255"));
	cr_expect_not(is_for(key("10.1.2.0", 23, "x"), "10.1.4.0"));
	cr_expect(is_for(key("0.0.0.0", 0, "x"), "255.1.1.1"));
	cr_expect_not(is_for(key("0.0.0.0", 0, "x"), "2001:db8::1"));
	cr_expect(is_for(key("2001:db8::", 33, "x"), "2001:db8:7fff::1"));
	cr_expect_not(is_for(key("2001:db8::", 33, "x"), "2001:db8:8000::1"));
	cr_expect(is_for(key("2001:db8::1", 128, "x"), "2001:db8::1"));
}

Test(tcp_key, longest_prefix)
{
	struct tcp_key v[] = {
		key("10.0.0.0", 8, "a"), key("10.1.0.0", 16, "b"), key("0.0.0.0", 0, "c")};
	struct sockaddr_storage near = at("10.1.9.9"), far = at("10.2.9.9"), six = at("::1");

	cr_expect_eq(tcp_keys_find(v, 3, &near), &v[1]);
	cr_expect_eq(tcp_keys_find(v, 3, &far), &v[0]);
	cr_expect_null(tcp_keys_find(v, 3, &six));
	cr_expect_null(tcp_keys_find(v, 0, &near));
}

Test(tcp_key, of_diag)
{
	struct tcp_diag_md5sig d[2] = {
		{.tcpm_family = AF_INET, .tcpm_prefixlen = 24, .tcpm_keylen = 3, .tcpm_key = "abc"},
		{.tcpm_family = AF_INET, .tcpm_prefixlen = 33, .tcpm_keylen = 3}};
	struct tcp_key k;

	d[0].tcpm_addr[0] = htonl(0x0a010200);
	cr_assert_eq(tcp_key_of_diag(d, sizeof(d), 0, &k), 1);
	cr_expect_eq(k.family, AF_INET);
	cr_expect_eq(memcmp(k.addr, "\x0a\x01\x02\x00", 4), 0);
	cr_expect_eq(k.prefix, 24);
	cr_expect_eq(k.len, 3);
	cr_expect_eq(memcmp(k.secret, "abc", 3), 0);
	cr_expect_eq(tcp_key_of_diag(d, sizeof(d), 1, &k), -EBADMSG);
	d[1].tcpm_prefixlen = 32;
	d[1].tcpm_keylen = 81;
	cr_expect_eq(tcp_key_of_diag(d, sizeof(d), 1, &k), -EBADMSG);
	cr_expect_eq(tcp_key_of_diag(d, sizeof(d), 2, &k), 0);
	cr_expect_eq(tcp_key_of_diag(NULL, 0, 0, &k), 0);
}

/* What was set is told, the last first; an IPv6 socket has keys of both. */
Test(tcp_key, told_again)
{
	struct tcp_key v[] = {key("2001:db8::", 32, "net"), key("::1", 128, "six"),
		key("10.0.0.0", 8, "four"), key("127.0.0.1", 32, "one")};
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	struct sock_diag diag = {0};
	struct tcp_key k;
	struct stat st;
	const void *attr;
	size_t len = 0;

	cr_assert_geq(fd, 0);
	cr_expect_eq(sock_option_bytes(fd), 0);
	if (tcp_key_set(fd, AF_INET6, &v[0]) == -ENOPROTOOPT)
		cr_skip_test("no CONFIG_TCP_MD5SIG");
	cr_expect(tcp_keys_likely(sock_option_bytes(fd)));
	cr_expect_not(tcp_keys_likely(sock_option_bytes(fd) + 1));
	cr_expect_not(tcp_keys_likely(0));
	for (size_t i = 1; i < 4; i++)
		cr_assert_eq(tcp_key_set(fd, AF_INET6, &v[i]), 0);
	cr_expect(tcp_keys_likely(sock_option_bytes(fd)));
	cr_expect_not(tcp_ao_has(tcp_ao_ask(fd)));
	cr_assert_eq(listen(fd, 1), 0);
	cr_assert_eq(fstat(fd, &st), 0);
	if (sock_diag_read(&diag, AF_INET6, IPPROTO_TCP) < 0)
		cr_skip_test("the kernel does not tell of sockets");
	cr_assert_not_null(sock_diag_find(&diag, st.st_ino));
	attr = sock_diag_attr(sock_diag_find(&diag, st.st_ino), INET_DIAG_MD5SIG, &len);
	if (!attr)
		cr_skip_test("it takes CAP_NET_ADMIN");
	for (size_t i = 0; i < 4; i++) {
		cr_assert_eq(tcp_key_of_diag(attr, len, i, &k), 1);
		cr_expect_eq(memcmp(&k, &v[3 - i], sizeof(k)), 0, "key %zu", i);
	}
	cr_expect_eq(tcp_key_of_diag(attr, len, 4, &k), 0);
	sock_diag_done(&diag);
	close(fd);
}

static void expect_signed(const char *from, const char *to, const char *digest)
{
	static const uint8_t header[20] = {0, 179, 0xc3, 0x50, 1, 2, 3, 4, 5, 6, 7, 8, 0xa0, 0x18,
		0x03, 0xe8, 0xbe, 0xef, 0, 0};
	struct sockaddr_storage a = at(from), b = at(to);
	struct tcp_signed s = {.from = &a,
		.to = &b,
		.header = header,
		.segment_len = 44,
		.data = "data",
		.len = 4};
	struct tcp_key k = key("0.0.0.0", 0, "key");
	uint8_t option[TCP_KEY_OPTION];
	char text[2 * TCP_KEY_OPTION + 1];

	tcp_key_sign(&k, &s, option);
	for (size_t i = 0; i < sizeof(option); i++)
		snprintf(text + 2 * i, 3, "%02x", option[i]);
	cr_expect_eq(memcmp(text, "01011312", 8), 0, "%s", text);
	cr_expect_str_eq(text + 8, digest);
}

/* Digests by another program's MD5, of what RFC 2385 2.0 and RFC 8200 8.1 name. */
Test(tcp_key, sign)
{
	expect_signed("192.0.2.1", "192.0.2.2", "5a3c1f2547b976ef96111b8f02f993ca");
	expect_signed("2001:db8::1", "2001:db8::2", "55e4b0c5c69ea1302d2ca134e198d1f8");
}

/* What getsockopt(TCP_AO_INFO) answers: only where it says clearly that there are none there are none. */
Test(tcp_key, ao)
{
	cr_expect(tcp_ao_has(0));
	cr_expect_not(tcp_ao_has(-ENOENT));
	cr_expect_not(tcp_ao_has(-ENOPROTOOPT));
	cr_expect_not(tcp_ao_has(-EOPNOTSUPP));
	cr_expect(tcp_ao_has(-EINVAL));
	cr_expect(tcp_ao_has(-EPERM));
}
