/*
 * mm_check.c - address spaces that can't be: each is refused by the record and the reason.
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>
#include <sys/mman.h>

#include "ckpt.h"
#include "core/op.h"
#include "model/model.h"
#include "proto/pages.pb-c.h"
#include "res/mm/mm.h"
#include "res/mm/vdso.h"

struct space {
	struct ckpt_op op;
	struct model model;
	Ckpt__Vma vma[3];
	Ckpt__Vma *vmas[3];
	Ckpt__Mm mm;
	struct plan_file file;
	struct plan plan;
	uint8_t code[64];
};

/* Anonymous, a file, the vdso: nothing is wrong with it. */
static void space_init(struct space *s)
{
	static const Ckpt__Vma__Kind kinds[] = {
		CKPT__VMA__KIND__ANON, CKPT__VMA__KIND__FILE, CKPT__VMA__KIND__VDSO};

	memset(s, 0, sizeof(*s));
	op_init(&s->op, NULL);
	model_init(&s->model);
	ckpt__mm__init(&s->mm);
	for (int i = 0; i < 3; i++) {
		Ckpt__Vma *v = s->vmas[i] = &s->vma[i];

		ckpt__vma__init(v);
		v->kind = kinds[i];
		v->start = 0x200000ULL * (i + 1);
		v->end = v->start + 0x200000;
		v->prot = PROT_READ;
	}
	s->vma[1].file = 7;
	s->vma[2].name = (char *)"[vdso]";
	s->mm.vdso = (ProtobufCBinaryData){sizeof(s->code), s->code};
	s->mm.vmas = s->vmas;
	s->mm.n_vmas = 3;
	s->mm.exe_file = 7;
	s->file = (struct plan_file){.id = 7};
	s->plan = (struct plan){.op = &s->op, .model = &s->model, .files = &s->file, .n_files = 1};
}

static void expect_refused(struct space *s, const char *what)
{
	struct ckpt_error err = {0};

	cr_assert_lt(mm_check(&s->plan, 42, &s->mm), 0, "%s", what);
	op_done(&s->op, &err);
	cr_expect_eq(err.kind, CKPT_E_IMAGE);
	cr_expect(strstr(err.object, "mm 42"), "%s", err.object);
	cr_expect(strstr(err.object, what), "expected '%s' in '%s'", what, err.object);
	ckpt_error_done(&err);
	model_done(&s->model);
}

Test(mm_check, a_sound_one_passes)
{
	struct space s;

	space_init(&s);
	cr_expect_eq(mm_check(&s.plan, 42, &s.mm), 0);
	op_done(&s.op, NULL);
}

#define REFUSED(name, what, ...)                                                                   \
	Test(mm_check, name)                                                                       \
	{                                                                                          \
		struct space s;                                                                    \
		Ckpt__Vma *anon, *file, *vdso;                                                     \
                                                                                                   \
		space_init(&s);                                                                    \
		anon = &s.vma[0];                                                                  \
		file = &s.vma[1];                                                                  \
		vdso = &s.vma[2];                                                                  \
		(void)anon, (void)file, (void)vdso;                                                \
		__VA_ARGS__;                                                                       \
		expect_refused(&s, what);                                                          \
	}

REFUSED(empty, "vmas[0]: it ends before", anon->end = anon->start)
REFUSED(backwards, "vmas[1]: it ends before", file->end = 0x1000)
REFUSED(unaligned_start, "vmas[0]: it does not begin", anon->start += 1)
REFUSED(unaligned_end, "vmas[2]: it does not begin", vdso->end -= 8)
REFUSED(beyond, "vmas[2]: it lies beyond", vdso->end = 0x800000000000)
REFUSED(wraps, "vmas[2]: it lies beyond", vdso->end = 0xfffffffffffff000)
REFUSED(overlap, "vmas[1]: it overlaps", file->start = 0x3ff000)
REFUSED(kind, "vmas[0]: its kind", anon->kind = 4)
REFUSED(kind_negative, "vmas[0]: its kind", anon->kind = -1)
REFUSED(prot, "vmas[0]: its protection", anon->prot = 8)
REFUSED(flags, "vmas[0]: it has flags", anon->flags = 1ULL << 63)
REFUSED(flags_of_fact, "vmas[0]: it has flags", anon->flags = VMF_IO)
REFUSED(pkey, "vmas[0]: there is no such protection key", anon->pkey = 16)
REFUSED(no_file, "vmas[1]: its file", file->file = 8)
REFUSED(offset, "vmas[1]: its offset", file->offset = 1)
REFUSED(offset_wraps, "vmas[1]: its offset", file->offset = 0xfffffffffffff000)
REFUSED(shared_nothing, "vmas[0]: it is shared", anon->shared = true)
REFUSED(droppable_file, "vmas[1]: it is droppable", file->droppable = true)
REFUSED(huge_size, "vmas[0]: there are no pages of that size", anon->page_bytes = 3 << 20)
REFUSED(huge_alignment, "vmas[0]: it does not begin and end at a huge page",
	anon->page_bytes = 2 << 20, anon->end -= 0x1000)
REFUSED(two_vdsos, "vmas[2]: it is a second", file->kind = CKPT__VMA__KIND__VDSO,
	file->name = (char *)"[vdso]")
REFUSED(vdso_without_code, "vdso[0]", s.mm.vdso.len = 0)
REFUSED(code_without_vdso, "vdso[0]", s.mm.n_vmas = 2)
REFUSED(exe, "exe_file", s.mm.exe_file = 0)
REFUSED(auxv, "auxv", s.mm.auxv.len = 4097)
REFUSED(lock_future, "lock_future", s.mm.lock_future = 1)

Test(mm_check, guards)
{
	Ckpt__Range guard = CKPT__RANGE__INIT, *guards[] = {&guard};
	struct space s;

	space_init(&s);
	guard.start = 0x3000;
	guard.end = 0x3001;
	s.mm.guards = guards;
	s.mm.n_guards = 1;
	expect_refused(&s, "guards[0]");
}

/* Contents for the range @start, of @pages pages. */
static void pages_add(struct space *s, uint64_t start, uint64_t pages)
{
	Ckpt__Pages *m = malloc(sizeof(*m));

	ckpt__pages__init(m);
	m->runs = malloc(sizeof(*m->runs));
	m->runs[0] = malloc(sizeof(**m->runs));
	ckpt__page_run__init(m->runs[0]);
	m->runs[0]->start = start;
	m->runs[0]->pages = pages;
	m->n_runs = 1;
	cr_assert_eq(model_add_take(&s->model, &res_pages.type, 42, &m->base), 0);
}

Test(mm_check, contents_may_span_mappings)
{
	struct space s;

	space_init(&s);
	pages_add(&s, 0x3ff000, 2);
	cr_expect_eq(mm_check(&s.plan, 42, &s.mm), 0);
	model_done(&s.model);
	op_done(&s.op, NULL);
}

Test(mm_check, contents_where_nothing_is_mapped)
{
	struct space s;

	space_init(&s);
	pages_add(&s, 0x7ff000, 2);
	expect_refused(&s, "runs[0]: nothing is mapped");
}

Test(mm_check, contents_that_wrap)
{
	struct space s;

	space_init(&s);
	pages_add(&s, 0x200000, 1ULL << 52);
	expect_refused(&s, "runs[0]: no such range");
}

static uint64_t random_word(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* A number that is often near an edge. */
static uint64_t odd_word(uint64_t *state)
{
	static const uint64_t edges[] = {0, 1, 4096, 1 << 21, 0x7ffffffff000, 1ULL << 63, ~0ULL};
	uint64_t r = random_word(state), edge = edges[r % 7];

	switch (r >> 8 & 3) {
	case 0:
		return edge;
	case 1:
		return edge - 4096;
	case 2:
		return r >> 16 & ~4095ULL;
	default:
		return r >> (r & 63);
	}
}

static void damage(struct space *s, uint64_t *state)
{
	Ckpt__Vma *v = &s->vma[random_word(state) % 3];
	uint64_t value = odd_word(state);

	switch (random_word(state) % 12) {
	case 0:
		v->start = value;
		break;
	case 1:
		v->end = value;
		break;
	case 2:
		v->prot = value;
		break;
	case 3:
		v->kind = value;
		break;
	case 4:
		v->flags = value;
		break;
	case 5:
		v->pkey = value;
		break;
	case 6:
		v->page_bytes = value;
		break;
	case 7:
		v->offset = value;
		break;
	case 8:
		v->accounted = value & 1;
		break;
	case 9:
		v->shared = value & 1;
		break;
	case 10:
		v->locked = v->sealed = value & 1;
		break;
	default:
		v->name = (char *)(value & 1 ? "[vdso]" : "[vvar]");
	}
}

Test(mm_check, what_passes_can_be_planned)
{
	struct vdso_host host = {.n = 1, .size = 0x2000, .parts = {{"[vdso]", 0, 0x2000}}};
	uint64_t state = 20260101;
	unsigned passed = 0;

	for (unsigned i = 0; i < 20000; i++) {
		struct model_rec rec = {.type = &res_mm.type, .owner = 42};
		struct space s;

		space_init(&s);
		host.code = s.code;
		host.code_len = sizeof(s.code);
		s.plan.vdso = &host;
		for (unsigned n = 1 + i % 4; n > 0; n--)
			damage(&s, &state);
		if (mm_check(&s.plan, 42, &s.mm) == 0) {
			passed++;
			rec.msg = &s.mm.base;
			for (enum plan_phase phase = 0; phase < PLAN_PHASES; phase++) {
				struct prog prog = {0};

				mm_plan(&s.plan, phase, &rec, &prog);
				cr_assert_eq(prog.err, 0);
				prog_done(&prog);
			}
		}
		op_done(&s.op, NULL);
	}
	cr_expect_gt(passed, 1000, "the test is broken: only %u pass", passed);
}
