/*
 * area.c - see area.h.
 */
#include "restore/area.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <linux/sched.h>

#include "arch/arch.h"
#include "inject/blob.h"
#include "proto/mm.pb-c.h"
#include "res/mm/mm.h"
#include "util/vec.h"

#define PAGE         4096UL
#define STACK_BYTES  2048UL
#define LOWEST       0x10000000ULL
#define HIGHEST      0x7f0000000000ULL
#define TRY_DISTANCE (64ULL << 20)

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/* Offsets of one thread's pieces. */
struct piece {
	uint64_t prog, steps, data;
};

static uint64_t thread_bytes(const struct prog *p)
{
	return ALIGN_UP(sizeof(struct agent_prog), 16) +
	       ALIGN_UP(p->n * sizeof(struct agent_step), 16) + ALIGN_UP(p->data_len, 16);
}

static uint64_t code_bytes(void)
{
	return ALIGN_UP((uint64_t)agent_blob_len(), PAGE);
}

static struct piece piece_at(uint64_t off, const struct prog *p)
{
	struct piece x = {.prog = off};

	x.steps = x.prog + ALIGN_UP(sizeof(struct agent_prog), 16);
	x.data = x.steps + ALIGN_UP(p->n * sizeof(struct agent_step), 16);
	return x;
}

static uint64_t area_size(const struct tree_plan *t)
{
	uint64_t size = code_bytes() + ALIGN_UP(sizeof(struct agent_ctl), 64);

	for (size_t i = 0; i < t->n; i++)
		for (size_t k = 0; k < t->tasks[i].n; k++)
			size += thread_bytes(&t->tasks[i].threads[k].prog) + STACK_BYTES;
	return ALIGN_UP(size + 64, PAGE);
}

/* Map at an address that is free in the image, and in this process. */
static void *map_between(uint64_t lo, uint64_t hi, uint64_t size)
{
	for (uint64_t at = ALIGN_UP(lo, PAGE); at + size <= hi; at += TRY_DISTANCE) {
		void *p = mmap((void *)at, size, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

		if (p == (void *)at)
			return p;
		if (p != MAP_FAILED)
			munmap(p, size); /* an old kernel took the address as a hint */
	}
	return MAP_FAILED;
}

/* What some task of the image has. */
struct used {
	uint64_t start, end;
};

static int by_start(const void *a, const void *b)
{
	const struct used *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

static int used_by_tasks(const struct model *m, struct used **ret, size_t *ret_n)
{
	const struct model_rec *rec;
	struct used *v = NULL;
	size_t n = 0, cap = 0, pos = 0;

	while ((rec = model_next(m, &res_mm.type, &pos))) {
		const Ckpt__Mm *mm = (const void *)rec->msg;

		if (vec_reserve(&v, &cap, n + mm->n_vmas, sizeof(*v)) < 0) {
			free(v);
			return -ENOMEM;
		}
		for (size_t i = 0; i < mm->n_vmas; i++)
			v[n++] = (struct used){mm->vmas[i]->start, mm->vmas[i]->end};
	}
	if (n)
		qsort(v, n, sizeof(*v), by_start);
	*ret = v;
	*ret_n = n;
	return 0;
}

static void *map_free(const struct used *v, size_t n, uint64_t size)
{
	uint64_t lo = LOWEST;

	for (size_t i = 0; i <= n; i++) {
		uint64_t hi = i < n ? v[i].start : HIGHEST;

		/* a page of distance to each side */
		if (hi > lo + size + 2 * PAGE) {
			void *p = map_between(lo + PAGE, hi - PAGE, size);

			if (p != MAP_FAILED)
				return p;
		}
		if (i < n && v[i].end > lo)
			lo = v[i].end;
	}
	return MAP_FAILED;
}

static uint64_t find_syscall(const uint8_t *code, size_t len)
{
	size_t n;
	const uint8_t *insn = arch_syscall_insn(&n);

	for (size_t i = 0; i + n <= len; i++)
		if (memcmp(code + i, insn, n) == 0)
			return (uintptr_t)code + i;
	return 0;
}

static void put_thread(struct area *a, const struct thread_plan *t)
{
	uint64_t base = (uintptr_t)a->at;
	struct piece x = piece_at(a->progs[t->id] - base, &t->prog);
	struct prog_place place = {
		.data = base + x.data, .area_start = base, .area_end = base + a->size};
	struct agent_prog *prog = (void *)(a->at + x.prog);

	*prog = (struct agent_prog){
		.ctl = (uintptr_t)a->ctl, .steps = base + x.steps, .n = t->prog.n, .id = t->id};
	prog_lower(&t->prog, &place, (void *)(a->at + x.steps));
	prog_lower_data(&t->prog, &place, a->at + x.data);
}

/* Who spawns a thread needs its program and its stack. */
static void put_spawn(struct area *a, const struct thread_plan *t, uint64_t stack)
{
	struct piece x = piece_at(a->progs[t->maker->id] - (uintptr_t)a->at, &t->maker->prog);
	struct agent_step *steps = (void *)(a->at + x.steps);
	struct clone_args *args = (void *)(a->at + x.data + t->spawn_args);

	steps[t->spawn_step].args[2] = a->progs[t->id];
	args->stack = stack;
	args->stack_size = STACK_BYTES;
}

static void place_all(struct area *a, const struct tree_plan *t)
{
	uint64_t at = (uintptr_t)a->ctl + ALIGN_UP(sizeof(struct agent_ctl), 64);

	for (size_t i = 0; i < t->n; i++) {
		for (size_t k = 0; k < t->tasks[i].n; k++) {
			const struct thread_plan *th = &t->tasks[i].threads[k];

			a->progs[th->id] = at;
			at += thread_bytes(&th->prog);
		}
	}
}

static void put_all(struct area *a, const struct tree_plan *t)
{
	uint64_t stacks = (uintptr_t)a->at + a->size - t->n_plans * STACK_BYTES;

	memcpy(a->at, agent_blob, agent_blob_len());
	a->ctl = (void *)(a->at + code_bytes());
	a->ctl->status = 1;
	a->entry = (uintptr_t)a->at;
	a->first_stack = stacks + STACK_BYTES;
	a->syscall_insn = find_syscall(a->at, agent_blob_len());
	place_all(a, t);
	for (size_t i = 0; i < t->n; i++)
		for (size_t k = 0; k < t->tasks[i].n; k++)
			put_thread(a, &t->tasks[i].threads[k]);
	for (size_t i = 0; i < t->n; i++) {
		for (size_t k = 0; k < t->tasks[i].n; k++) {
			const struct thread_plan *th = &t->tasks[i].threads[k];

			if (th->maker)
				put_spawn(a, th, stacks + th->id * STACK_BYTES);
		}
	}
}

static int map(struct ckpt_op *op, const struct model *m, struct area *a)
{
	struct used *used = NULL;
	size_t n = 0;
	void *p;

	if (used_by_tasks(m, &used, &n) < 0)
		return op_fail(op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "the memory of the image");
	p = map_free(used, n, a->size);
	free(used);
	if (p == MAP_FAILED)
		return op_fail(op, CKPT_E_SPACE, errno, "mmap", NULL,
			"no room of %llu bytes that is free in the address spaces of all tasks",
			(unsigned long long)a->size);
	a->at = p;
	return 0;
}

int area_make(
	struct ckpt_op *op, const struct tree_plan *t, const struct model *m, struct area *ret)
{
	struct area a = {.size = area_size(t), .progs = calloc(t->n_plans, sizeof(*a.progs))};
	int r = a.progs ? map(op, m, &a)
			: op_fail(op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "the tasks' programs");

	if (r == 0) {
		put_all(&a, t);
		if (mprotect(a.at, code_bytes(), PROT_READ | PROT_EXEC) < 0)
			r = op_fail(op, CKPT_E_SYSTEM, errno, "mprotect", NULL, "the agent's code");
	}
	if (r < 0)
		area_done(&a);
	else
		*ret = a;
	return r;
}

void area_done(struct area *a)
{
	if (a->at)
		munmap(a->at, a->size);
	free(a->progs);
	*a = (struct area){0};
}
