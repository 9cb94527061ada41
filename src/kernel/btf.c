/*
 * btf.c - see btf.h.
 *
 * A type has a head of three words, and behind it what its kind says; ids count from 1. Nothing is
 * indexed: a question is a walk over all of them, of which there are a few.
 */
#include "kernel/btf.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/btf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "util/fd.h"

#define DEPTH_MAX 8  /* of structures without a name in each other */
#define KIND_LAST 19 /* BTF_KIND_ENUM64, Linux 6.0 */

int btf_read(struct btf *ret)
{
	const struct btf_header *h;
	size_t len = 0;
	int r;

	*ret = (struct btf){0};
	r = file_read_at(AT_FDCWD, "/sys/kernel/btf/vmlinux", &ret->data, &len);
	if (r < 0)
		return r;
	h = (const struct btf_header *)ret->data;
	if (len < sizeof(*h) || h->magic != BTF_MAGIC || h->hdr_len > len ||
		h->type_off > len - h->hdr_len || h->type_len > len - h->hdr_len - h->type_off ||
		h->str_off > len - h->hdr_len || h->str_len > len - h->hdr_len - h->str_off)
		return -EBADMSG;
	ret->types = ret->data + h->hdr_len + h->type_off;
	ret->types_end = ret->types + h->type_len;
	ret->strings = ret->data + h->hdr_len + h->str_off;
	ret->strings_end = ret->strings + h->str_len;
	return 0;
}

void btf_done(struct btf *b)
{
	free(b->data);
	*b = (struct btf){0};
}

/* The bytes behind the head; negative: a kind that is not known. */
static long body_len(const struct btf_type *t)
{
	unsigned n = BTF_INFO_VLEN(t->info);

	switch (BTF_INFO_KIND(t->info)) {
	case BTF_KIND_INT:
	case BTF_KIND_VAR:
	case BTF_KIND_DECL_TAG:
		return 4;
	case BTF_KIND_ARRAY:
		return sizeof(struct btf_array);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
	case BTF_KIND_DATASEC:
	case KIND_LAST:
		return 12L * n;
	case BTF_KIND_ENUM:
	case BTF_KIND_FUNC_PROTO:
		return 8L * n;
	}
	return BTF_INFO_KIND(t->info) > KIND_LAST ? -1 : 0;
}

/* The type behind; NULL: there is none. */
static const struct btf_type *next(const struct btf *b, const struct btf_type *t)
{
	const char *at = (const char *)t;
	long body = body_len(t);

	if (body < 0)
		return NULL;
	at += sizeof(*t) + (size_t)body;
	return (size_t)(b->types_end - at) >= sizeof(*t) && at < b->types_end
		       ? (const struct btf_type *)at
		       : NULL;
}

static bool is_named(const struct btf *b, uint32_t off, const char *name)
{
	size_t len = strlen(name) + 1;

	return off && off < (size_t)(b->strings_end - b->strings) &&
	       (size_t)(b->strings_end - b->strings) - off >= len &&
	       memcmp(b->strings + off, name, len) == 0;
}

static const struct btf_type *find(
	const struct btf *b, unsigned kind, const char *name, int *ret_id)
{
	const struct btf_type *t = (const struct btf_type *)b->types;

	for (int id = 1; t; t = next(b, t), id++) {
		if (BTF_INFO_KIND(t->info) != kind || !is_named(b, t->name_off, name))
			continue;
		if (ret_id)
			*ret_id = id;
		return t;
	}
	return NULL;
}

static const struct btf_type *type_at(const struct btf *b, uint32_t id)
{
	const struct btf_type *t = (const struct btf_type *)b->types;

	while (t && --id)
		t = next(b, t);
	return t;
}

static int offset_in(
	const struct btf *b, const struct btf_type *t, const char *member, unsigned depth)
{
	const struct btf_member *m = (const struct btf_member *)(t + 1);
	bool has_bits = BTF_INFO_KFLAG(t->info);

	for (unsigned i = 0; i < BTF_INFO_VLEN(t->info); i++) {
		uint32_t bits = has_bits ? BTF_MEMBER_BIT_OFFSET(m[i].offset) : m[i].offset;
		const struct btf_type *in;
		int r;

		if (is_named(b, m[i].name_off, member))
			return (int)(bits / 8);
		if (m[i].name_off || depth == DEPTH_MAX)
			continue;
		in = type_at(b, m[i].type);
		if (!in || (BTF_INFO_KIND(in->info) != BTF_KIND_STRUCT &&
				   BTF_INFO_KIND(in->info) != BTF_KIND_UNION))
			continue;
		r = offset_in(b, in, member, depth + 1);
		if (r >= 0)
			return r + (int)(bits / 8);
	}
	return -ENOENT;
}

int btf_offset(const struct btf *b, const char *structure, const char *member)
{
	const struct btf_type *t = find(b, BTF_KIND_STRUCT, structure, NULL);

	return t ? offset_in(b, t, member, 0) : -ENOENT;
}

int btf_size(const struct btf *b, const char *structure)
{
	const struct btf_type *t = find(b, BTF_KIND_STRUCT, structure, NULL);

	return t ? (int)t->size : -ENOENT;
}

int btf_function(const struct btf *b, const char *name)
{
	int id;

	return find(b, BTF_KIND_FUNC, name, &id) ? id : -ENOENT;
}
