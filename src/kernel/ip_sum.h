/*
 * ip_sum.h - checksums of what stands in a packet of IP.
 */
#ifndef CKPT_KERNEL_IP_SUM_H
#define CKPT_KERNEL_IP_SUM_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

/** ip_sum_add() - add bytes to a sum; all but the last piece have an even number of them */
uint32_t ip_sum_add(uint32_t sum, const void *data, size_t len);

/** ip_sum_pseudo4(), ip_sum_pseudo6() - the sum of what is covered beside the data, of @len bytes */
uint32_t ip_sum_pseudo4(struct in_addr from, struct in_addr to, uint8_t protocol, size_t len);
uint32_t ip_sum_pseudo6(
	const struct in6_addr *from, const struct in6_addr *to, uint8_t protocol, size_t len);

/** ip_sum_end() - the checksum as on the wire; never 0, which says of UDP that there is none */
uint16_t ip_sum_end(uint32_t sum);

#endif
