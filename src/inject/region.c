/*
 * region.c - see region.h.
 */
#include "inject/region.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "inject/blob.h"
#include "inject/stubs.h"
#include "util/cleanup.h"
#include "util/vec.h"

#define STACK_SIZE 8192
#define PAGE       4096UL
#define NOT_MADE   INT64_MIN /* result of a call that is yet to be made */

static const struct prog *leader_prog(const struct region *g)
{
	static const struct prog none;

	return g->threads ? &g->threads[g->leader] : &none;
}

/* The questions, and the wait for us or the second rendezvous. */
static size_t steps_count(const struct region *g)
{
	return g->whole->n + leader_prog(g)->n + 1;
}

static uint64_t last_ret_at(const struct region *g)
{
	size_t last = g->whole->n + leader_prog(g)->n - 1;

	return g->at + g->steps_off + last * sizeof(struct agent_step) +
	       offsetof(struct agent_step, ret);
}

void region_layout(struct region *g)
{
	uint64_t off = sizeof(struct agent_prog);

	g->hold_off = ALIGN_UP((uint64_t)agent_blob_len(), 16);
	g->code_size = ALIGN_UP(g->hold_off + sizeof(STUBS_HOLD), PAGE);
	g->steps_off = g->code_size + ALIGN_UP(off, 16);
	g->whole_off = g->steps_off + ALIGN_UP(steps_count(g) * sizeof(struct agent_step), 16);
	g->threads_off = g->whole_off + ALIGN_UP(g->whole->data_len, 16);
	off = g->threads_off;
	if (g->threads)
		off += g->tr->n * stubs_stride(g->threads);
	g->size = ALIGN_UP(off + STACK_SIZE, PAGE);
}

static uint64_t thread_data_off(const struct region *g, size_t i)
{
	return g->threads_off + i * stubs_stride(g->threads);
}

static void fill_thread(const struct region *g, size_t i, uint8_t *data)
{
	const uint64_t word = STUBS_HINT;
	uint64_t hint = stubs_hint(&g->threads[i]);

	memcpy(data, g->threads[i].data, g->threads[i].data_len);
	if (hint != UINT64_MAX)
		memcpy(data + hint, &word, sizeof(word));
}

/* Put the agent, its program and all data into the region. */
int region_fill(struct region *g)
{
	size_t nsteps = steps_count(g);
	_cleanup_free_ uint8_t *buf = calloc(1, g->size);
	struct agent_prog *prog;
	struct agent_step *steps;

	if (!buf)
		return -ENOMEM;
	memcpy(buf, agent_blob, agent_blob_len());
	memcpy(buf + g->hold_off, &STUBS_HOLD, sizeof(STUBS_HOLD));
	prog = (void *)(buf + g->code_size);
	*prog = (struct agent_prog){.steps = g->at + g->steps_off, .n = nsteps};
	steps = (void *)(buf + g->steps_off);
	prog_lower(g->whole, &(struct prog_place){.data = g->at + g->whole_off}, steps);
	if (g->threads)
		prog_lower(leader_prog(g),
			&(struct prog_place){.data = g->at + thread_data_off(g, g->leader)},
			steps + g->whole->n);
	steps[nsteps - 1] = (struct agent_step){.op = AGENT_ASK, .args = {1}};
	if (g->free) {
		steps[nsteps - 2].ret = NOT_MADE;
		steps[nsteps - 1] = (struct agent_step){.op = AGENT_SYSCALL,
			.expect = AGENT_EXPECT_ANY,
			.nr = SYS_ppoll,
			.args = {0, 0, g->at + g->hold_off, 0, 0}};
	}
	memcpy(buf + g->whole_off, g->whole->data, g->whole->data_len);
	for (size_t i = 0; g->threads && i < g->tr->n; i++)
		fill_thread(g, i, buf + thread_data_off(g, i));
	return tracees_write(g->tr, g->at, buf, g->size - STACK_SIZE);
}

int region_read(struct region *g)
{
	size_t len = (g->whole->n + leader_prog(g)->n) * sizeof(struct agent_step);
	_cleanup_free_ struct agent_step *steps = malloc(len + 1);
	int r;

	if (!steps)
		return -ENOMEM;
	r = tracees_read(g->tr, g->at + g->steps_off, steps, len);
	if (r == 0)
		r = tracees_read(g->tr, g->at + g->whole_off, g->whole->data, g->whole->data_len);
	for (size_t i = 0; r == 0 && i < g->whole->n; i++)
		g->whole->steps[i].ret = steps[i].ret;
	for (size_t i = 0; r == 0 && i < leader_prog(g)->n; i++)
		leader_prog(g)->steps[i].ret = steps[g->whole->n + i].ret;
	return r;
}

void region_take_thread(const struct region *g, size_t i, uint8_t *data)
{
	const uint64_t word = STUBS_HINT, zero = 0;
	uint64_t hint = stubs_hint(&g->threads[i]);

	/* the call has failed: it has left what was there before */
	if (hint != UINT64_MAX && memcmp(data + hint, &word, sizeof(word)) == 0)
		memcpy(data + hint, &zero, sizeof(zero));
	if (g->threads[i].data_len)
		memcpy(g->threads[i].data, data, g->threads[i].data_len);
}

bool region_seems_done(const struct region *g)
{
	int64_t ret = NOT_MADE;

	return tracees_read(g->tr, last_ret_at(g), &ret, sizeof(ret)) < 0 || ret != NOT_MADE;
}
