/*
 * mm_uffd.c - see mm_uffd.h.
 */
#include "res/mm/mm_uffd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/userfaultfd.h>

#include "kernel/pidfd.h"
#include "kernel/probe.h"
#include "kernel/syscalls.h"
#include "kernel/thp.h"
#include "model/pages.h"
#include "proto/pages.pb-c.h"
#include "util/cleanup.h"
#include "util/vec.h"

/* From so many pages on less is saved by it than it costs: of one mapping, and of all of a task. */
#define RANGE_WORTH (32 * MM_PAGE)
#define TASK_WORTH  (128 * MM_PAGE)
/* With less in all, to look whether it can be used costs more than it saves. */
#define LOOK_WORTH (16ULL << 20)

static uint64_t page_bytes(const struct model *m)
{
	const struct model_rec *rec;
	uint64_t bytes = 0;
	size_t pos = 0;

	while ((rec = model_next(m, &res_pages.type, &pos))) {
		Ckpt__PageRun *const *runs;
		size_t n = pages_runs(rec->msg, &runs);

		for (size_t i = 0; i < n; i++)
			bytes += pages_run_bytes(runs[i]);
	}
	return bytes;
}

void mm_uffd_look(struct plan *p)
{
	_cleanup_close_ int pidfd = -EBADF, own = -EBADF;

	if (page_bytes(p->model) < LOOK_WORTH || !kernel_has(FEATURE_UFFD))
		return;
	/* a filter may forbid the other call that is needed */
	pidfd = pidfd_of(getpid());
	if (pidfd >= 0)
		own = pidfd_take(pidfd, pidfd);
	p->uffd = own >= 0;
	p->thp_bytes = thp_always_bytes("/sys/kernel/mm/transparent_hugepage");
}

/* Whether a fault would give it a huge page. */
static bool takes_huge(const struct plan *p, const Ckpt__Mm *mm, const Ckpt__Vma *v)
{
	uint64_t huge = p->thp_bytes;

	if (v->flags & VMF_HG)
		return true;
	return huge && !(v->flags & VMF_NH) && !mm->thp_disabled &&
	       ALIGN_UP(v->start, huge) + huge <= v->end;
}

static bool is_fit(const struct plan *p, const Ckpt__Mm *mm, const Ckpt__Vma *v)
{
	return v->kind == CKPT__VMA__KIND__ANON && !v->shared && !v->page_bytes && !v->droppable &&
	       !v->growsdown && !takes_huge(p, mm, v);
}

static int count_runs(const struct plan *p, pid_t pid, struct page_map *ret)
{
	const ProtobufCMessage *msg = model_get(p->model, &res_pages.type, (uint64_t)pid);
	Ckpt__PageRun *const *runs;
	size_t n = msg ? pages_runs(msg, &runs) : 0;
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = page_map_add(ret, runs[i]->start, pages_run_end(runs[i]), pid);
	return r;
}

/* The first mapping that ends behind an address. */
static size_t find_vma(const Ckpt__Mm *mm, uint64_t at)
{
	size_t lo = 0, hi = mm->n_vmas;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (mm->vmas[mid]->end <= at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* @have: of each mapping: how many bytes of it are filled */
static void count(const Ckpt__Mm *mm, const struct page_map *fill, uint64_t *have)
{
	for (size_t i = 0; i < fill->n; i++) {
		const struct page_span *s = &fill->v[i];

		for (size_t k = find_vma(mm, s->start);
			k < mm->n_vmas && mm->vmas[k]->start < s->end; k++)
			have[k] +=
				MIN(s->end, mm->vmas[k]->end) - MAX(s->start, mm->vmas[k]->start);
	}
}

static int add_ranges(
	const struct plan *p, const Ckpt__Mm *mm, const uint64_t *have, struct page_map *ret)
{
	uint64_t all = 0;
	int r = 0;

	for (size_t i = 0; i < mm->n_vmas && r == 0; i++) {
		const Ckpt__Vma *v = mm->vmas[i];

		if (have[i] < RANGE_WORTH || !is_fit(p, mm, v))
			continue;
		r = page_map_add(ret, v->start, v->end, 1);
		all += have[i];
	}
	if (all < TASK_WORTH)
		ret->n = 0;
	return r;
}

int mm_uffd_ranges(
	const struct plan *p, pid_t pid, const struct page_map *only, struct page_map *ret)
{
	const Ckpt__Mm *mm = model_get(p->model, &res_mm.type, (uint64_t)pid);
	struct page_map runs = {0};
	uint64_t *have;
	int r = 0;

	if (!mm)
		return 0;
	have = calloc(mm->n_vmas + 1, sizeof(*have));
	if (!have)
		return -ENOMEM;
	if (!only)
		r = count_runs(p, pid, &runs);
	if (r == 0) {
		count(mm, only ? only : &runs, have);
		r = add_ranges(p, mm, have, ret);
	}
	page_map_done(&runs);
	free(have);
	return r;
}

size_t mm_uffd_plan(struct plan *p, pid_t pid, const struct page_map *only, struct prog *prog)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct page_map v = {0};
	size_t first = MM_NO_UFFD;

	if (!p->uffd)
		return MM_NO_UFFD;
	if (mm_uffd_ranges(p, pid, only, &v) < 0)
		prog->err = -ENOMEM;
	if (v.n) {
		first = PROG_CALL_ANY(prog, "mm: have it filled", SYS_userfaultfd,
			IMM(O_CLOEXEC | UFFD_USER_MODE_ONLY));
		PROG_CALL_ANY(prog, "mm: have it filled", SYS_ioctl, RES(first), IMM(UFFDIO_API),
			DATA(prog_data(prog, &api, sizeof(api))));
	}
	for (size_t i = 0; i < v.n; i++) {
		struct uffdio_register reg = {.range = {v.v[i].start, v.v[i].end - v.v[i].start},
			.mode = UFFDIO_REGISTER_MODE_MISSING};

		PROG_CALL_ANY(prog, "mm: have it filled", SYS_ioctl, RES(first),
			IMM(UFFDIO_REGISTER), DATA(prog_data(prog, &reg, sizeof(reg))));
		prog_object(prog, "%llx-%llx", (unsigned long long)v.v[i].start,
			(unsigned long long)v.v[i].end);
	}
	page_map_done(&v);
	return first;
}

void mm_uffd_plan_close(size_t first, struct prog *prog)
{
	if (first != MM_NO_UFFD)
		PROG_CALL_ANY(prog, "mm: it is filled", SYS_close, RES(first));
}
