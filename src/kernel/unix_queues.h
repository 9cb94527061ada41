/*
 * unix_queues.h - what lies in the queues of unix sockets, buffer by buffer, as no system call tells.
 *
 * A socket that waits to be accepted has no descriptor, so what was sent to it can't be read; and a peek
 * at a stream does not tell with which byte descriptors came. A BPF iterator over all unix sockets sees
 * both, and touches nothing.
 */
#ifndef CKPT_KERNEL_UNIX_QUEUES_H
#define CKPT_KERNEL_UNIX_QUEUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/unix_peek.h"

/* One buffer. */
struct unix_skb {
	uint32_t len;      /* bytes in it */
	uint32_t paged;    /* of them, so many in pages of their own, which are not read */
	uint32_t consumed; /* that have been received already */
	bool rights;       /* descriptors come with its first byte */
	/* of an empty one: who sent it; len 0: nobody with a name */
	struct unix_addr from;
	/* len - paged bytes; NULL: not read, as that was not wanted, or the socket belongs to a file */
	const uint8_t *data;
};

struct unix_queue {
	uint64_t ino;  /* of the socket; 0: it belongs to no file */
	uint64_t peer; /* of its peer, likewise */
	struct unix_skb *v;
	size_t n, cap;
	bool cut; /* there are more buffers */
};

struct unix_queues {
	char *data; /* owned, into which buffers point */
	bool with_data;
	struct unix_queue *v;
	size_t n, cap;
};

/**
 * unix_queues_read() - all queues of our network namespace in which there is something
 * @ret: ended by unix_queues_done(), also after a failure
 * @data: what is in buffers of sockets that belong to no file, too; it takes some five times as long
 * Return: 0; -ENOENT or -EINVAL this kernel can't; -EPERM; -E2BIG there is too much; -errno.
 * Source: bpf(2), Linux >= 5.15 with BTF; takes CAP_BPF and CAP_PERFMON.
 */
int unix_queues_read(struct unix_queues *ret, bool data);

/** unix_queues_find() - @ino: of the socket; 0: of one that waits to be accepted, by its peer */
const struct unix_queue *unix_queues_find(const struct unix_queues *q, uint64_t ino, uint64_t peer);

void unix_queues_done(struct unix_queues *q);

#endif
