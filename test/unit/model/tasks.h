/*
 * tasks.h - images of tasks that share pages, written down as text.
 *
 * The tasks are 1, 2, ... in this order. Of each one character per page from address 0x10000 on: a letter is a
 * page full of it, '.' none, a digit an alias of that task's page ('0' and '-': of no task at all); '|' cuts
 * a run. All contents lie in page file 0, in the order of the text.
 */
#ifndef CKPT_TEST_MODEL_TASKS_H
#define CKPT_TEST_MODEL_TASKS_H

#include <ctype.h>

#include "model/store.h"
#include "test/unit/model/memory.pb-c.h"
#include "util/hash.h"

#include "../image/fixture.h"

#define PAGE      4096
#define FIRST     0x10000
#define TASKS_MAX 4
#define TEXT_MAX  16 /* pages of a task */

static const struct model_type memory = {.name = "memory", .desc = &test__memory__descriptor};
static const struct model_type *const types[] = {&memory, NULL};

static inline int alias_of(char c)
{
	return c == '-' ? -1 : c - '0';
}

static inline bool joins(char prev, char c)
{
	return isalpha(c) ? isalpha(prev) : prev == c;
}

/* One task. @at: in the page file, moved on. */
static inline void task_add(struct image_writer *w, uint64_t owner, const char *text, uint64_t *at)
{
	Ckpt__PageRun runs[TEXT_MAX], *ptrs[TEXT_MAX], *run = NULL;
	Test__Memory msg = TEST__MEMORY__INIT;
	uint8_t contents[TEXT_MAX * PAGE], packed[2048];
	uint64_t addr = FIRST;

	msg.runs = ptrs;
	for (char prev = '.'; *text; prev = *text++) {
		if (*text == '|')
			continue;
		if (*text != '.' && !joins(prev, *text)) {
			run = ptrs[msg.n_runs] = &runs[msg.n_runs];
			msg.n_runs++;
			ckpt__page_run__init(run);
			run->start = addr;
			if (isalpha(*text))
				run->offset = *at;
			else {
				run->kind = CKPT__PAGE_RUN__KIND__ALIAS;
				run->of = alias_of(*text);
			}
		}
		addr += PAGE;
		if (*text == '.')
			continue;
		if (isalpha(*text)) {
			memset(contents + run->pages * PAGE, *text, PAGE);
			cr_assert_eq(pwrite_full(image_shard_fd(w, 0), contents + run->pages * PAGE,
					     PAGE, (off_t)*at),
				0);
			*at += PAGE;
			run->xxh3 = hash64(contents, (run->pages + 1) * PAGE);
		}
		run->pages++;
	}
	cr_assert_leq(protobuf_c_message_get_packed_size(&msg.base), sizeof(packed));
	cr_assert_eq(image_add(&op, w, "memory", owner, packed,
			     protobuf_c_message_pack(&msg.base, packed)),
		0);
}

/* @tasks: ends with NULL. */
static inline void tasks_save(const char *name, const char *const *tasks)
{
	struct image_writer *w = writer_open(&op, in(&s, name), false);
	uint64_t at = 0;

	for (uint64_t i = 0; tasks[i]; i++)
		task_add(w, i + 1, tasks[i], &at);
	cr_assert_eq(commit_as(&op, w, TEST_CRID), 0, "%s", op.first.object);
}

/* The same, opened again. @m: released by the caller. */
static inline struct image *tasks_load(const char *name, const char *const *tasks, struct model *m)
{
	struct image *img = NULL;

	tasks_save(name, tasks);
	model_init(m);
	cr_assert_eq(image_open(&op, in(&s, name), &img), 0, "%s", op.first.object);
	cr_assert_eq(model_load(&op, img, types, m), 0, "%s", op.first.object);
	return img;
}

#endif
