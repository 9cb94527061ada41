/*
 * kmem_skb.c - see kmem_skb.h.
 */
#include "kernel/kmem_skb.h"

#include <errno.h>
#include <string.h>

#include "util/vec.h"

#define ROW(field, ...)                                                                            \
	{                                                                                          \
		offsetof(struct kmem_skb_offsets, field), false,                                   \
		{                                                                                  \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}

static const struct kmem_row rows[] = {
	ROW(next, {"sk_buff", "next"}),
	ROW(len, {"sk_buff", "len"}),
	ROW(paged, {"sk_buff", "data_len"}),
	ROW(head, {"sk_buff", "head"}),
	ROW(data, {"sk_buff", "data"}),
	ROW(end, {"sk_buff", "end"}),
	ROW(n_frags, {"skb_shared_info", "nr_frags"}),
	ROW(frags, {"skb_shared_info", "frags"}),
	ROW(list, {"skb_shared_info", "frag_list"}),
};

/* A piece of a buffer in a page; until Linux 6.8 it was one of those of block devices. */
static int find_frag(const struct btf *b, struct kmem_skb_offsets *o)
{
	bool own = btf_offset(b, "skb_frag", "netmem") >= 0;
	const char *name = own ? "skb_frag" : "bio_vec";

	o->frag_page = btf_offset(b, name, own ? "netmem" : "bv_page");
	o->frag_len = btf_offset(b, name, own ? "len" : "bv_len");
	o->frag_off = btf_offset(b, name, own ? "offset" : "bv_offset");
	o->frag_bytes = btf_size(b, name);
	return o->frag_page < 0 || o->frag_len < 0 || o->frag_off < 0 || o->frag_bytes <= 0
		       ? -ENOENT
		       : 0;
}

/* Return: bytes; -ENOENT */
static int find_row(const struct btf *b, const struct kmem_row *row)
{
	int sum = 0;

	for (size_t i = 0; i < ARRAY_SIZE(row->step) && row->step[i].structure; i++) {
		int off = btf_offset(b, row->step[i].structure, row->step[i].member);

		if (off < 0)
			return off;
		sum += off;
	}
	return sum;
}

int kmem_rows_find(
	const struct btf *b, const struct kmem_row *r, size_t n, void *offsets, bool *ret_lacks)
{
	*ret_lacks = false;
	for (size_t i = 0; i < n; i++) {
		int off = find_row(b, &r[i]);

		if (off < 0 && !r[i].optional)
			return off;
		*ret_lacks |= off < 0;
		memcpy((char *)offsets + r[i].at, &off, sizeof(off));
	}
	return 0;
}

int kmem_skb_open(const struct btf *b, struct kmem_skb_offsets *ret)
{
	bool lacks;
	int r = kmem_rows_find(b, rows, ARRAY_SIZE(rows), ret, &lacks);

	ret->pages = 1;
	return r < 0 ? r : find_frag(b, ret);
}

int kmem_get(const struct kmem *k, uint64_t addr, const struct kmem_want *w, size_t n)
{
	int r = addr ? 0 : -EAGAIN;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = kmem_read(k, addr + (uint64_t)w[i].off, w[i].to, w[i].len);
	return r;
}

#define WANT(member, var)                                                                          \
	{                                                                                          \
		o->member, &(var), sizeof(var)                                                     \
	}

int kmem_skb_get(const struct kmem *k, const struct kmem_skb_offsets *o, uint64_t addr,
	uint32_t max, struct kmem_skb *ret)
{
	const struct kmem_want w[] = {WANT(next, ret->next), WANT(head, ret->head),
		WANT(data, ret->data), WANT(len, ret->len), WANT(paged, ret->paged),
		WANT(end, ret->end)};
	int r = kmem_get(k, addr, w, ARRAY_SIZE(w));

	ret->addr = addr;
	return r < 0 ? r : ret->len > max || ret->paged > ret->len ? -EAGAIN : 0;
}

/* What of it is in pages. */
static int read_pages(
	struct kmem *k, struct kmem_skb_offsets *o, const struct kmem_skb *b, uint8_t *to)
{
	uint64_t info = b->head + b->end, list = 0;
	uint32_t left = b->paged;
	uint8_t n = 0;
	const struct kmem_want w[] = {WANT(n_frags, n), WANT(list, list)};
	int r = kmem_get(k, info, w, ARRAY_SIZE(w));

	if (r == 0 && list)
		return -EAGAIN;
	if (o->pages > 0)
		o->pages = kmem_pages_find(k);
	if (o->pages < 0)
		return o->pages;
	for (unsigned i = 0; r == 0 && left && i < n; i++) {
		uint64_t at = info + (uint64_t)(o->frags + (int)i * o->frag_bytes), page = 0;
		uint32_t len = 0, off = 0;
		const struct kmem_want piece[] = {
			WANT(frag_page, page), WANT(frag_len, len), WANT(frag_off, off)};

		r = kmem_get(k, at, piece, ARRAY_SIZE(piece));
		if (r == 0 && len > left)
			r = -EAGAIN;
		if (r == 0)
			r = kmem_page_read(k, page, off, to, len);
		to += len;
		left -= len;
	}
	return r < 0 ? r : left ? -EAGAIN : 0;
}

int kmem_skb_read(struct kmem *k, struct kmem_skb_offsets *o, const struct kmem_skb *b, uint8_t *to)
{
	uint32_t linear = b->len - b->paged;
	int r = linear ? kmem_read(k, b->data, to, linear) : 0;

	return r < 0 || !b->paged ? r : read_pages(k, o, b, to + linear);
}
