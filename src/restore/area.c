/*
 * area.c - see area.h.
 */
#include "restore/area.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <linux/sched.h>

#include "arch/arch.h"
#include "inject/blob.h"
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

static uint64_t area_size(const struct task_plan *t)
{
	uint64_t size = code_bytes() + ALIGN_UP(sizeof(struct agent_ctl), 64);

	for (size_t i = 0; i < t->n; i++)
		size += thread_bytes(&t->threads[i].prog) + STACK_BYTES;
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

static void *map_free(const Ckpt__Mm *mm, uint64_t size)
{
	uint64_t lo = LOWEST;

	for (size_t i = 0; i <= mm->n_vmas; i++) {
		uint64_t hi = i < mm->n_vmas ? mm->vmas[i]->start : HIGHEST;

		/* a page of distance to each side */
		if (hi > lo + size + 2 * PAGE) {
			void *p = map_between(lo + PAGE, hi - PAGE, size);

			if (p != MAP_FAILED)
				return p;
		}
		if (i < mm->n_vmas && mm->vmas[i]->end > lo)
			lo = mm->vmas[i]->end;
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

static void put_thread(struct area *a, const struct task_plan *t, size_t i, uint64_t off)
{
	const struct prog *p = &t->threads[i].prog;
	struct piece x = piece_at(off, p);
	uint64_t base = (uintptr_t)a->at;
	struct prog_place place = {
		.data = base + x.data, .area_start = base, .area_end = base + a->size};
	struct agent_prog *prog = (void *)(a->at + x.prog);

	*prog = (struct agent_prog){
		.ctl = (uintptr_t)a->ctl, .steps = base + x.steps, .n = p->n, .id = i};
	prog_lower(p, &place, (void *)(a->at + x.steps));
	prog_lower_data(p, &place, a->at + x.data);
}

/* The first program spawns the others: it needs their programs and stacks. */
static void put_spawn(struct area *a, const struct task_plan *t, size_t i, uint64_t first_off,
	uint64_t off, uint64_t stack)
{
	struct piece x = piece_at(first_off, &t->threads[0].prog);
	struct agent_step *steps = (void *)(a->at + x.steps);
	struct clone_args *args = (void *)(a->at + x.data + t->threads[i].spawn_args);

	steps[t->threads[i].spawn_step].args[2] = (uintptr_t)a->at + off;
	args->stack = (uintptr_t)a->at + stack;
	args->stack_size = STACK_BYTES;
}

static void put_all(struct area *a, const struct task_plan *t)
{
	uint64_t ctl = code_bytes(), first = ALIGN_UP(ctl + sizeof(struct agent_ctl), 64),
		 off = first;
	uint64_t stack = a->size - t->n * STACK_BYTES;

	memcpy(a->at, agent_blob, agent_blob_len());
	a->ctl = (void *)(a->at + ctl);
	a->entry = (uintptr_t)a->at;
	a->first_prog = (uintptr_t)a->at + first;
	a->first_stack = (uintptr_t)a->at + stack + STACK_BYTES;
	a->syscall_insn = find_syscall(a->at, agent_blob_len());
	for (size_t i = 0; i < t->n; i++) {
		put_thread(a, t, i, off);
		if (i)
			put_spawn(a, t, i, first, off, stack + i * STACK_BYTES);
		off += thread_bytes(&t->threads[i].prog);
	}
}

int area_make(struct ckpt_op *op, const struct task_plan *t, const Ckpt__Mm *mm, struct area *ret)
{
	struct area a = {.size = area_size(t)};
	void *p = map_free(mm, a.size);

	if (p == MAP_FAILED)
		return op_fail(op, CKPT_E_SPACE, errno, "mmap", NULL,
			"pid %d (%s): no free room of %llu bytes in its address space",
			t->task->pid, t->task->comm, (unsigned long long)a.size);
	a.at = p;
	put_all(&a, t);
	if (mprotect(a.at, code_bytes(), PROT_READ | PROT_EXEC) < 0) {
		int err = errno;

		area_done(&a);
		return op_fail(op, CKPT_E_SYSTEM, err, "mprotect", NULL, "the agent's code");
	}
	*ret = a;
	return 0;
}

void area_done(struct area *a)
{
	if (a->at)
		munmap(a->at, a->size);
	*a = (struct area){0};
}
