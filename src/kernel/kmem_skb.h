/*
 * kmem_skb.h - buffers of sockets in the kernel's memory (kernel/kmem.h): what their readers share.
 *
 * Nothing is locked: who reads a queue reads it again if it has changed meanwhile, and checks all lengths.
 */
#ifndef CKPT_KERNEL_KMEM_SKB_H
#define CKPT_KERNEL_KMEM_SKB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/kmem.h"

/* Where a member is: up to two more steps in, for members of members. */
struct kmem_row {
	size_t at;     /* of an int in the reader's structure of offsets */
	bool optional; /* this kernel may lack it: the int is negative then */
	struct {
		const char *structure, *member;
	} step[3];
};

/**
 * kmem_rows_find() - find the offsets of a table
 * @offsets: the structure of ints that the rows are about
 * @ret_lacks: whether an optional one is not there
 * Return: 0; -ENOENT this kernel lacks one that is not optional.
 */
int kmem_rows_find(
	const struct btf *b, const struct kmem_row *rows, size_t n, void *offsets, bool *ret_lacks);

/* A member of a structure, to its place here. */
struct kmem_want {
	int off;
	void *to;
	size_t len;
};

/**
 * kmem_get() - several members of what is at an address
 * Return: 0; -EAGAIN the address is NULL; as kmem_read().
 */
int kmem_get(const struct kmem *k, uint64_t addr, const struct kmem_want *w, size_t n);

/* Where members are. */
struct kmem_skb_offsets {
	int next, len, paged, head, data, end, n_frags, frags, list;
	int frag_page, frag_len, frag_off, frag_bytes;
	int pages; /* 0: they can be read; -errno; 1: nobody has tried */
};

/* A buffer of a queue. */
struct kmem_skb {
	uint64_t addr, next, head, data;
	uint32_t len;   /* of the data */
	uint32_t paged; /* how much of that is in pages, or in further buffers */
	uint32_t end;   /* of the linear part, from its head */
};

/** kmem_skb_open() - find the offsets. Return: 0; -ENOENT this kernel has other structures */
int kmem_skb_open(const struct btf *b, struct kmem_skb_offsets *ret);

/**
 * kmem_skb_get() - what a buffer says of itself
 * @max: no longer than that, bytes
 * Return: 0; -EAGAIN that makes no sense; -errno.
 */
int kmem_skb_get(const struct kmem *k, const struct kmem_skb_offsets *o, uint64_t addr,
	uint32_t max, struct kmem_skb *ret);

/**
 * kmem_skb_read() - all of its data
 * @to: with room for b->len bytes
 * Return: 0; -EAGAIN it makes no sense, or goes on in further buffers; of data in pages also as
 * kmem_pages_find(); -errno.
 */
int kmem_skb_read(
	struct kmem *k, struct kmem_skb_offsets *o, const struct kmem_skb *b, uint8_t *to);

#endif
