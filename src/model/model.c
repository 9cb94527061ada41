/*
 * model.c - the records of a process tree, found by type and owner: see model.h.
 *
 * A tree of 4000 threads has around 80000 records, and collecting, saving and planning look each
 * of them up. So records are chained by type in the order of addition, and one hash table over
 * {type, owner} finds a single one.
 */
#include "model/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/vec.h"

#define HASH_MIN 64 /* slots; always a power of two */

void model_init(struct model *m)
{
	memset(m, 0, sizeof(*m));
}

void model_done(struct model *m)
{
	for (size_t i = 0; i < m->n; i++)
		protobuf_c_message_free_unpacked(m->recs[i].msg, NULL);
	free(m->recs);
	free(m->chains);
	free(m->slots);
	memset(m, 0, sizeof(*m));
}

static uint64_t hash(const struct model_type *type, uint64_t owner)
{
	uint64_t h = (owner ^ (uint64_t)(uintptr_t)type >> 4) * 0x9e3779b97f4a7c15ULL;

	h = (h ^ h >> 32 ^ (uint64_t)(uintptr_t)type) * 0xd6e8feb86659fd93ULL;
	return h ^ h >> 32;
}

/* Return: the slot that holds the record, or the free one where it belongs. Needs n_slots > n. */
static size_t *slot_find(const struct model *m, const struct model_type *type, uint64_t owner)
{
	size_t i = hash(type, owner) & (m->n_slots - 1);

	for (;; i = (i + 1) & (m->n_slots - 1)) {
		size_t *slot = &m->slots[i];

		if (!*slot)
			return slot;
		if (m->recs[*slot - 1].type == type && m->recs[*slot - 1].owner == owner)
			return slot;
	}
}

/* Keep the table at most half full. */
static int slots_grow(struct model *m)
{
	size_t n = m->n_slots ? m->n_slots * 2 : HASH_MIN;
	size_t *slots;

	if (m->n_slots > 2 * (m->n + 1))
		return 0;
	slots = calloc(n, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	free(m->slots);
	m->slots = slots;
	m->n_slots = n;
	for (size_t i = 0; i < m->n; i++)
		*slot_find(m, m->recs[i].type, m->recs[i].owner) = i + 1;
	return 0;
}

static struct model_chain *chain_find(const struct model *m, const struct model_type *type)
{
	for (size_t i = 0; i < m->n_chains; i++) {
		if (m->chains[i].type == type)
			return &m->chains[i];
	}
	return NULL;
}

static struct model_chain *chain_get(struct model *m, const struct model_type *type)
{
	struct model_chain *c = chain_find(m, type);

	if (c)
		return c;
	if (vec_reserve(&m->chains, &m->cap_chains, m->n_chains + 1, sizeof(*m->chains)) < 0)
		return NULL;
	c = &m->chains[m->n_chains++];
	*c = (struct model_chain){.type = type};
	return c;
}

static int add(
	struct model *m, const struct model_type *type, uint64_t owner, ProtobufCMessage *msg)
{
	struct model_chain *c;
	size_t *slot;

	if (slots_grow(m) < 0)
		return -ENOMEM;
	slot = slot_find(m, type, owner);
	if (*slot)
		return -EEXIST;
	c = chain_get(m, type);
	if (!c || vec_reserve(&m->recs, &m->cap, m->n + 1, sizeof(*m->recs)) < 0)
		return -ENOMEM;
	m->recs[m->n++] = (struct model_rec){.type = type, .owner = owner, .msg = msg};
	*slot = m->n;
	if (c->last)
		m->recs[c->last - 1].next = m->n;
	else
		c->first = m->n;
	c->last = m->n;
	return 0;
}

int model_add_take(
	struct model *m, const struct model_type *type, uint64_t owner, ProtobufCMessage *msg)
{
	int r = add(m, type, owner, msg);

	if (r < 0)
		protobuf_c_message_free_unpacked(msg, NULL);
	return r;
}

const struct model_rec *model_find(
	const struct model *m, const struct model_type *type, uint64_t owner)
{
	size_t *slot;

	if (!m->n_slots)
		return NULL;
	slot = slot_find(m, type, owner);
	return *slot ? &m->recs[*slot - 1] : NULL;
}

void *model_get(const struct model *m, const struct model_type *type, uint64_t owner)
{
	const struct model_rec *rec = model_find(m, type, owner);

	return rec ? rec->msg : NULL;
}

const struct model_rec *model_next(
	const struct model *m, const struct model_type *type, size_t *pos)
{
	const struct model_chain *c;
	size_t i;

	if (*pos == SIZE_MAX)
		return NULL;
	if (*pos) {
		i = m->recs[*pos - 1].next;
	} else {
		c = chain_find(m, type);
		i = c ? c->first : 0;
	}
	*pos = i ? i : SIZE_MAX;
	return i ? &m->recs[i - 1] : NULL;
}
