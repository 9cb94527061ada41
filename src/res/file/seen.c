/*
 * seen.c - see seen.h.
 */
#include "res/file/seen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/kcmp.h"
#include "util/str.h"
#include "util/vec.h"

#define SLOTS_MIN 64

static uint64_t hash(dev_t dev, ino_t ino)
{
	uint64_t x = (uint64_t)ino * 0x9e3779b97f4a7c15ULL ^ (uint64_t)dev * 0xc2b2ae3d27d4eb4fULL;

	return x ^ x >> 29;
}

/* The slot of an inode, or the free one where it belongs. */
static size_t slot_of(const struct seen *s, dev_t dev, ino_t ino)
{
	size_t at = hash(dev, ino) & (s->n_slots - 1);

	for (; s->slots[at]; at = (at + 1) & (s->n_slots - 1)) {
		const struct seen_inode *i = &s->v[s->slots[at] - 1];

		if (i->dev == dev && i->ino == ino)
			break;
	}
	return at;
}

static int grow(struct seen *s)
{
	size_t want = s->n_slots ? s->n_slots * 2 : SLOTS_MIN;
	uint32_t *slots;

	if (s->n_slots > 2 * s->n)
		return 0;
	slots = calloc(want, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	free(s->slots);
	s->slots = slots;
	s->n_slots = want;
	for (size_t i = 0; i < s->n; i++)
		slots[slot_of(s, s->v[i].dev, s->v[i].ino)] = i + 1;
	return 0;
}

struct seen_inode *seen_inode(struct collect_tree *c, dev_t dev, ino_t ino)
{
	struct seen *s;
	size_t at;

	if (!c->seen)
		c->seen = calloc(1, sizeof(*c->seen));
	s = c->seen;
	if (!s || grow(s) < 0 || vec_reserve(&s->v, &s->cap, s->n + 1, sizeof(*s->v)) < 0)
		return NULL;
	at = slot_of(s, dev, ino);
	if (!s->slots[at]) {
		s->v[s->n] = (struct seen_inode){.dev = dev, .ino = ino};
		s->slots[at] = ++s->n;
	}
	return &s->v[s->slots[at] - 1];
}

int64_t seen_find(const struct collect *c, const struct seen_inode *s, int fd, size_t *ret_at)
{
	const struct collect_tree *t = c->tree;
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		const struct collect_file *f = &t->files[s->ids[mid] - 1];
		int order = kcmp_files(c->alive, fd, f->of->alive, f->target_fd);

		if (order < 0)
			return order;
		if (order == KCMP_EQUAL)
			return s->ids[mid];
		if (order == KCMP_LESS)
			hi = mid;
		else
			lo = mid + 1;
	}
	*ret_at = lo;
	return 0;
}

int seen_add(struct collect_tree *c, struct seen_inode *s, size_t at, const struct collect_file *f,
	uint32_t *ret_id)
{
	uint32_t id = c->n_files + 1;

	if (vec_reserve(&c->files, &c->cap_files, id, sizeof(*c->files)) < 0)
		return -ENOMEM;
	if (f->target_fd >= 0) {
		if (vec_reserve(&s->ids, &s->cap, s->n + 1, sizeof(*s->ids)) < 0)
			return -ENOMEM;
		memmove(s->ids + at + 1, s->ids + at, (s->n - at) * sizeof(*s->ids));
		s->ids[at] = id;
		s->n++;
	}
	c->files[c->n_files++] = *f;
	if (f->target_fd < 0) {
		c->files[id - 1].next_mapped = s->mapped;
		s->mapped = id;
	}
	if (!s->first)
		s->first = id;
	*ret_id = id;
	return 0;
}

/* ---- mappings ---- */

static bool is_shared_rw(const struct vma *v)
{
	return v->prot & VMA_SHARED && v->vmflags & VMF_MW;
}

/* Device and inode alone do not tell: of overlayfs, several files may show those of one. */
static bool is_of(const struct seen_mapping *m, const struct vma *v)
{
	return m->ino == v->ino && m->dev_major == v->dev_major && m->dev_minor == v->dev_minor &&
	       m->exec == !!(v->prot & VMA_EXEC) && m->shared_rw == is_shared_rw(v) &&
	       m->deleted == v->deleted && v->path && str_eq(m->path, v->path);
}

static size_t bucket_of(const struct vma *v)
{
	return (v->ino ^ v->dev_minor) % SEEN_MAPPINGS;
}

uint32_t seen_mapping_find(const struct collect_tree *c, const struct vma *v)
{
	const struct seen *s = c->seen;

	for (uint32_t i = s ? s->mapping[bucket_of(v)] : 0; i; i = s->mappings[i - 1].next)
		if (is_of(&s->mappings[i - 1], v))
			return s->mappings[i - 1].id;
	return 0;
}

int seen_mapping_add(struct collect_tree *c, const struct vma *v, uint32_t id)
{
	struct seen *s = c->seen;
	uint32_t *bucket = &s->mapping[bucket_of(v)];
	struct seen_mapping m = {.ino = v->ino,
		.dev_major = v->dev_major,
		.dev_minor = v->dev_minor,
		.exec = v->prot & VMA_EXEC,
		.shared_rw = is_shared_rw(v),
		.deleted = v->deleted,
		.path = strdup(v->path ? v->path : ""),
		.id = id,
		.next = *bucket};

	if (!m.path || vec_reserve(&s->mappings, &s->cap_mappings, s->n_mappings + 1,
			       sizeof(*s->mappings)) < 0) {
		free(m.path);
		return -ENOMEM;
	}
	s->mappings[s->n_mappings++] = m;
	*bucket = (uint32_t)s->n_mappings;
	return 0;
}

int seen_add_apart(struct collect_tree *c, const struct collect_file *f, uint32_t *ret_id)
{
	if (vec_reserve(&c->files, &c->cap_files, c->n_files + 1, sizeof(*c->files)) < 0)
		return -ENOMEM;
	c->files[c->n_files++] = *f;
	*ret_id = c->n_files;
	return 0;
}

void seen_done(struct collect_tree *c)
{
	for (size_t i = 0; c->seen && i < c->seen->n; i++)
		free(c->seen->v[i].ids);
	for (size_t i = 0; c->seen && i < c->seen->n_mappings; i++)
		free(c->seen->mappings[i].path);
	if (c->seen) {
		free(c->seen->mappings);
		free(c->seen->v);
		free(c->seen->slots);
	}
	free(c->seen);
	free(c->files);
	c->seen = NULL;
	c->files = NULL;
	c->n_files = c->cap_files = 0;
}
