/*
 * ip_sum.c - see ip_sum.h.
 */
#include "kernel/ip_sum.h"

uint32_t ip_sum_add(uint32_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (; len > 1; p += 2, len -= 2)
		sum += (uint32_t)p[0] << 8 | p[1];
	if (len)
		sum += (uint32_t)p[0] << 8;
	return (sum & 0xffff) + (sum >> 16);
}

uint32_t ip_sum_pseudo4(struct in_addr from, struct in_addr to, uint8_t protocol, size_t len)
{
	struct {
		struct in_addr from, to;
		uint8_t zero, protocol;
		uint16_t len;
	} pseudo = {from, to, 0, protocol, htons(len)};

	return ip_sum_add(0, &pseudo, sizeof(pseudo));
}

uint32_t ip_sum_pseudo6(
	const struct in6_addr *from, const struct in6_addr *to, uint8_t protocol, size_t len)
{
	struct {
		struct in6_addr from, to;
		uint32_t len;
		uint8_t zero[3], protocol;
	} pseudo = {*from, *to, htonl(len), {0}, protocol};

	return ip_sum_add(0, &pseudo, sizeof(pseudo));
}

uint16_t ip_sum_end(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	sum = ~sum & 0xffff;
	return htons(sum ? sum : 0xffff);
}
