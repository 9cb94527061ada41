/*
 * show_memory.c - the memory map of a saved task: sums by kind, then mapping by mapping.
 */
#include "lib/show.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "model/pages.h"
#include "proto/mm.pb-c.h"
#include "util/str.h"
#include "util/units.h"
#include "util/vec.h"

enum kind { HEAP, STACK, ANON, CODE, FILE_PRIVATE, FILE_SHARED, KERNEL, KINDS };

static const char *const kind_names[KINDS] = {
	[HEAP] = "heap",
	[STACK] = "stack",
	[ANON] = "anonymous",
	[CODE] = "code of files",
	[FILE_PRIVATE] = "private, of files",
	[FILE_SHARED] = "shared",
	[KERNEL] = "of the kernel",
};

struct sum {
	size_t mappings;
	uint64_t bytes, saved_bytes, shared_bytes;
};

/* Heap and stack are told by the bounds that the kernel keeps: names of mappings can be changed. */
static enum kind kind_of(const Ckpt__Mm *mm, const Ckpt__Vma *v)
{
	if (v->kind == CKPT__VMA__KIND__VDSO)
		return KERNEL;
	if (v->kind == CKPT__VMA__KIND__ANON && !v->shared) {
		if (v->start < mm->brk && v->end > mm->start_brk)
			return HEAP;
		if (v->growsdown || (v->start <= mm->start_stack && v->end > mm->start_stack))
			return STACK;
	}
	if (v->shared)
		return FILE_SHARED;
	if (v->kind == CKPT__VMA__KIND__FILE)
		return v->prot & PROT_EXEC ? CODE : FILE_PRIVATE;
	return ANON;
}

/* Bytes of contents in [start, end). Runs ascend and so do the calls, so *at only moves on. */
static uint64_t saved_bytes(
	Ckpt__PageRun *const *runs, size_t n, size_t *at, uint64_t start, uint64_t end)
{
	uint64_t sum = 0;

	while (*at < n && runs[*at]->start + pages_run_bytes(runs[*at]) <= start)
		(*at)++;
	for (size_t i = *at; i < n && runs[i]->start < end; i++) {
		uint64_t from = MAX(runs[i]->start, start);
		uint64_t to = MIN(runs[i]->start + pages_run_bytes(runs[i]), end);

		if (runs[i]->kind == CKPT__PAGE_RUN__KIND__SHARD)
			sum += to - from;
	}
	return sum;
}

static const char *name_of(const Ckpt__Mm *mm, const Ckpt__Vma *v)
{
	enum kind kind = kind_of(mm, v);

	if (v->name && *v->name)
		return v->name;
	return kind == HEAP ? "[heap]" : kind == STACK ? "[stack]" : "";
}

static void mapping(
	const Ckpt__Mm *mm, const Ckpt__Vma *v, const struct sum *s, bool any_shared, FILE *out)
{
	char size[UNITS_LEN], kept[UNITS_LEN];

	fprintf(out, "  %012llx-%012llx %c%c%c%c %11s %11s  ", (unsigned long long)v->start,
		(unsigned long long)v->end, v->prot & PROT_READ ? 'r' : '-',
		v->prot & PROT_WRITE ? 'w' : '-', v->prot & PROT_EXEC ? 'x' : '-',
		v->shared ? 's' : 'p', bytes_text(s->bytes, size),
		s->saved_bytes ? bytes_text(s->saved_bytes, kept) : "-");
	if (any_shared)
		fprintf(out, "%11s  ", s->shared_bytes ? bytes_text(s->shared_bytes, kept) : "-");
	str_put(out, name_of(mm, v));
	fputc('\n', out);
}

static void sums(const struct sum sum[KINDS], bool any_shared, FILE *out)
{
	char size[UNITS_LEN], kept[UNITS_LEN], shared[UNITS_LEN];

	fprintf(out, "\n  %-20s %9s %11s %11s%s\n", "memory", "mappings", "size", "in image",
		any_shared ? "  in others" : "");
	for (int k = 0; k < KINDS; k++) {
		if (!sum[k].mappings)
			continue;
		fprintf(out, "  %-20s %9zu %11s %11s", kind_names[k], sum[k].mappings,
			bytes_text(sum[k].bytes, size), bytes_text(sum[k].saved_bytes, kept));
		if (any_shared)
			fprintf(out, " %11s", bytes_text(sum[k].shared_bytes, shared));
		fputc('\n', out);
	}
}

static void measure(const struct loaded *l, const struct shared_pages *shared, uint64_t pid,
	const Ckpt__Mm *mm, struct sum *of)
{
	const ProtobufCMessage *pages = model_get(&l->model, load_type("pages"), pid);
	Ckpt__PageRun *const *runs = NULL;
	size_t n = pages ? pages_runs(pages, &runs) : 0, at = 0;

	for (size_t i = 0; i < mm->n_vmas; i++) {
		uint64_t start = mm->vmas[i]->start, end = mm->vmas[i]->end;

		of[i].bytes = end - start;
		of[i].saved_bytes = saved_bytes(runs, n, &at, start, end);
		of[i].shared_bytes = shared_bytes(shared, l, pid, start, end);
	}
}

void show_memory(const struct loaded *l, const struct shared_pages *shared, uint64_t pid, FILE *out)
{
	const Ckpt__Mm *mm = model_get(&l->model, load_type("mm"), pid);
	struct sum sum[KINDS] = {}, *of = mm ? calloc(mm->n_vmas + 1, sizeof(*of)) : NULL;
	bool any_shared = shared->owned.n > 0;

	if (!of)
		return;
	measure(l, shared, pid, mm, of);
	for (size_t i = 0; i < mm->n_vmas; i++) {
		struct sum *s = &sum[kind_of(mm, mm->vmas[i])];

		s->mappings++;
		s->bytes += of[i].bytes;
		s->saved_bytes += of[i].saved_bytes;
		s->shared_bytes += of[i].shared_bytes;
	}
	sums(sum, any_shared, out);
	fprintf(out, "\n  %-25s %-4s %11s %11s  %s%s\n", "addresses", "", "size", "in image",
		any_shared ? "  in others  " : "", "name");
	for (size_t i = 0; i < mm->n_vmas; i++)
		mapping(mm, mm->vmas[i], &of[i], any_shared, out);
	free(of);
}
