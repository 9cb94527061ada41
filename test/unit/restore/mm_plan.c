/*
 * mm_plan.c - address spaces made by hand, and the exact steps that must come of each.
 *
 * What is expected is written down from the manual pages and the layout of the model, as numbers;
 * the constants of the planner are not used.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "model/model.h"
#include "proto/sysvshm.pb-c.h"
#include "res/ipc/ipc.h"
#include "res/mm/mm.h"
#include "res/mm/vdso.h"
#include "util/str.h"

#define VMAS 8

struct space {
	Ckpt__Vma vma[VMAS];
	Ckpt__Vma *vmas[VMAS];
	Ckpt__Mm mm;
	struct plan_file file;
	struct vdso_host host;
	struct plan plan;
	uint8_t code[512]; /* of the vdso */
};

/* Mappings: one letter of kind (a, f, v), range, protection. */
static void space_init(struct space *s)
{
	memset(s, 0, sizeof(*s));
	ckpt__mm__init(&s->mm);
	s->mm.vmas = s->vmas;
	s->mm.exe_file = 7;
	s->file = (struct plan_file){.id = 7, .fd = 900};
	s->plan = (struct plan){.files = &s->file, .n_files = 1, .vdso = &s->host};
}

static Ckpt__Vma *add(
	struct space *s, Ckpt__Vma__Kind kind, uint64_t start, uint64_t end, uint32_t prot)
{
	Ckpt__Vma *v = &s->vma[s->mm.n_vmas];

	ckpt__vma__init(v);
	v->kind = kind;
	v->start = start;
	v->end = end;
	v->prot = prot;
	if (kind == CKPT__VMA__KIND__FILE)
		v->file = 7;
	s->vmas[s->mm.n_vmas++] = v;
	return v;
}

static const char *call_name(long nr)
{
	static const struct {
		long nr;
		const char *name;
	} names[] = {{SYS_mmap, "mmap"}, {SYS_munmap, "munmap"}, {SYS_mprotect, "mprotect"},
		{SYS_madvise, "madvise"}, {SYS_prctl, "prctl"}, {SYS_mlock2, "mlock2"},
		{SYS_mlockall, "mlockall"}, {SYS_mremap, "mremap"}, {SYS_arch_prctl, "arch_prctl"},
		{SYS_pkey_alloc, "pkey_alloc"}, {SYS_pkey_free, "pkey_free"},
		{SYS_pkey_mprotect, "pkey_mprotect"}, {462, "mseal"}, {SYS_openat, "openat"},
		{SYS_write, "write"}, {SYS_close, "close"}, {SYS_getpid, "getpid"},
		{SYS_process_vm_writev, "process_vm_writev"}, {SYS_shmat, "shmat"},
		{SYS_shmctl, "shmctl"}};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].nr == nr)
			return names[i].name;
	return "?";
}

/* Arguments up to the last that is not zero; data as "D", an earlier result as "R". */
static void step_text(struct strbuf *sb, const struct prog_step *s)
{
	static const char *const area[] = {"AREA", "AREA_END", "ABOVE"};
	int n = 6;

	while (n > 0 && s->args[n - 1].kind == PROG_IMM && s->args[n - 1].value == 0)
		n--;
	strbuf_add(sb, call_name(s->nr));
	for (int i = 0; i < n; i++) {
		if (s->args[i].kind == PROG_IMM)
			strbuf_addf(sb, " %llx", (unsigned long long)s->args[i].value);
		else if (s->args[i].kind == PROG_DATA)
			strbuf_add(sb, " D");
		else if (s->args[i].kind == PROG_RESULT)
			strbuf_add(sb, " R");
		else
			strbuf_addf(sb, " %s", area[s->args[i].kind - PROG_START_OF_AREA]);
	}
	if (s->expect == AGENT_EXPECT_EQ)
		strbuf_addf(sb, " = %llx", (unsigned long long)s->want);
	else if (s->expect == AGENT_EXPECT_ANY)
		strbuf_add(sb, " = any");
	strbuf_add(sb, "\n");
}

static void expect_plan(struct space *s, enum plan_phase phase, const char *want)
{
	struct model_rec rec = {.type = &res_mm.type, .owner = 1, .msg = &s->mm.base};
	struct prog prog = {0};
	struct strbuf sb = {0};
	char *text = NULL;

	mm_plan(&s->plan, phase, &rec, &prog);
	cr_assert_eq(prog.err, 0);
	for (size_t i = 0; i < prog.n; i++)
		step_text(&sb, &prog.steps[i]);
	cr_assert_eq(strbuf_take(&sb, &text), 0);
	cr_expect_str_eq(text, want);
	free(text);
	prog_done(&prog);
}

/* What stands before and behind the mappings in every address space without a vdso. */
#define BEFORE "munmap 0 AREA\nmunmap AREA_END ABOVE\nprctl 29\nprctl 43 = any\n"
#define AFTER  "prctl 23 e D 68\n"

Test(mm_plan, what_a_core_dump_holds)
{
	static const uint64_t own = 0x33;
	struct space s;

	space_init(&s);
	s.mm.coredump_filter = 0x33;
	expect_plan(&s, PLAN_PROCESS,
		"openat ffffffffffffff9c D 80001 = any\nwrite R D 4 = any\nclose R = any\n");
	s.plan.own_coredump_filter = &own;
	expect_plan(&s, PLAN_PROCESS, "");
	s.mm.coredump_filter = 0x7f;
	expect_plan(&s, PLAN_PROCESS,
		"openat ffffffffffffff9c D 80001 = any\nwrite R D 4 = any\nclose R = any\n");
}

Test(mm_plan, memory_and_files)
{
	struct space s;
	Ckpt__Vma *v;

	space_init(&s);
	add(&s, CKPT__VMA__KIND__ANON, 0x10000, 0x12000, 3);
	v = add(&s, CKPT__VMA__KIND__FILE, 0x20000, 0x23000, 5);
	v->offset = 0x1000;
	v = add(&s, CKPT__VMA__KIND__FILE, 0x30000, 0x31000, 1);
	v->shared = true;
	/* 2 private, 20 anonymous, 1 shared, 100000 no-replace; 384 is the descriptor 900 */
	expect_plan(&s, PLAN_EARLY,
		BEFORE "mmap 10000 2000 3 100022 ffffffffffffffff = 10000\n"
		       "mmap 20000 3000 5 100002 384 1000 = 20000\n"
		       "mmap 30000 1000 1 100001 384 = 30000\n" AFTER);
	expect_plan(&s, PLAN_LATE, "");
}

Test(mm_plan, kinds_of_anonymous_memory)
{
	struct space s;
	Ckpt__Vma *v;

	space_init(&s);
	v = add(&s, CKPT__VMA__KIND__ANON, 0x10000, 0x12000, 3);
	v->droppable = v->noreserve = true;
	v = add(&s, CKPT__VMA__KIND__ANON, 0x200000, 0x600000, 3);
	v->page_bytes = 2 << 20;
	v = add(&s, CKPT__VMA__KIND__ANON, 0x700000, 0x701000, 3);
	v->growsdown = true;
	/* 8 droppable, 4000 no reserve, 40000 hugetlb with 21 in its upper six bits, 100 grows down */
	expect_plan(&s, PLAN_EARLY,
		BEFORE "mmap 10000 2000 3 104028 ffffffffffffffff = 10000\n"
		       "mmap 200000 400000 3 54140022 ffffffffffffffff = 200000\n"
		       "mmap 700000 1000 3 100122 ffffffffffffffff = 700000\n" AFTER);
}

Test(mm_plan, advice_and_policies)
{
	struct space s;
	Ckpt__Vma *v;

	space_init(&s);
	s.mm.thp_disabled = s.mm.memory_merge = true;
	v = add(&s, CKPT__VMA__KIND__ANON, 0x10000, 0x12000, 3);
	v->flags = VMF_DC | VMF_HG;
	v->name = (char *)"x";
	/* 10 DONTFORK, 14 HUGEPAGE; 53564d41 is PR_SET_VMA; 67 PR_SET_MEMORY_MERGE */
	expect_plan(&s, PLAN_EARLY,
		"munmap 0 AREA\nmunmap AREA_END ABOVE\nprctl 29 1\nprctl 43 1\n"
		"mmap 10000 2000 3 100022 ffffffffffffffff = 10000\n"
		"madvise 10000 2000 a\nmadvise 10000 2000 e\n"
		"prctl 53564d41 0 10000 2000 D = any\n" AFTER);
}

Test(mm_plan, what_was_one_mapping_is_mapped_as_one)
{
	struct space s;

	space_init(&s);
	add(&s, CKPT__VMA__KIND__ANON, 0x10000, 0x11000, 3)->accounted = true;
	add(&s, CKPT__VMA__KIND__ANON, 0x11000, 0x12000, 1)->accounted = true;
	add(&s, CKPT__VMA__KIND__ANON, 0x12000, 0x14000, 0)->accounted = true;
	add(&s, CKPT__VMA__KIND__FILE, 0x14000, 0x15000, 1)->accounted = true;
	add(&s, CKPT__VMA__KIND__ANON, 0x15000, 0x16000, 1);
	expect_plan(&s, PLAN_EARLY,
		BEFORE "mmap 10000 4000 3 100022 ffffffffffffffff = 10000\n"
		       "madvise 10000 1000 17 = any\nmadvise 10000 1000 4 = any\n"
		       "mprotect 11000 1000 1\nmprotect 12000 2000\n"
		       "mmap 14000 1000 3 100002 384 = 14000\nmprotect 14000 1000 1\n"
		       "mmap 15000 1000 1 100022 ffffffffffffffff = 15000\n" AFTER);
}

Test(mm_plan, protection_keys)
{
	struct space s;

	space_init(&s);
	add(&s, CKPT__VMA__KIND__ANON, 0x10000, 0x11000, 3)->pkey = 1;
	add(&s, CKPT__VMA__KIND__ANON, 0x20000, 0x21000, 4)->pkey = 3; /* the kernel's own */
	expect_plan(&s, PLAN_EARLY,
		BEFORE "pkey_alloc = 1\npkey_alloc = 2\npkey_alloc = 3\npkey_free 3\n"
		       "mmap 10000 1000 3 100022 ffffffffffffffff = 10000\n"
		       "mmap 20000 1000 4 100022 ffffffffffffffff = 20000\n"
		       "pkey_mprotect 10000 1000 3 1\npkey_free 2\n" AFTER);
}

Test(mm_plan, what_follows_the_contents)
{
	struct space s;
	Ckpt__Range guard = CKPT__RANGE__INIT, *guards[] = {&guard};
	Ckpt__Vma *v;

	space_init(&s);
	v = add(&s, CKPT__VMA__KIND__ANON, 0x10000, 0x12000, 3);
	v->locked = v->sealed = true;
	v = add(&s, CKPT__VMA__KIND__ANON, 0x20000, 0x21000, 3);
	v->locked = v->lock_onfault = true;
	guard.start = 0x11000;
	guard.end = 0x12000;
	s.mm.guards = guards;
	s.mm.n_guards = 1;
	s.mm.lock_future = 2;
	s.mm.coredump_filter = 0x33;
	expect_plan(&s, PLAN_PROCESS,
		"madvise 11000 1000 66\n"
		"mlock2 10000 2000 1\nmlock2 10000 2000 = any\n"
		"mlock2 20000 1000 1\n"
		"openat ffffffffffffff9c D 80001 = any\nwrite R D 4 = any\nclose R = any\n");
	expect_plan(&s, PLAN_LATE, "mseal 10000 2000\nmlockall 2\n");
}

/* ---- the vdso ---- */

/* The kernel's: 4 pages of data, 2 of clocks, 2 of code. */
static void host_init(struct space *s)
{
	s->host = (struct vdso_host){.n = 3,
		.size = 0x8000,
		.code = s->code,
		.code_len = sizeof(s->code),
		.parts = {{"[vvar]", 0, 0x4000}, {"[vvar_vclock]", 0x4000, 0x2000},
			{"[vdso]", 0x6000, 0x2000}}};
	s->mm.vdso = (ProtobufCBinaryData){sizeof(s->code), s->code};
}

static Ckpt__Vma *add_part(struct space *s, const char *name, uint64_t start, uint64_t size)
{
	Ckpt__Vma *v = add(s, CKPT__VMA__KIND__VDSO, start, start + size, 1);

	v->name = (char *)name;
	return v;
}

Test(mm_plan, vdso_as_the_kernel_lays_it_out)
{
	struct space s;

	space_init(&s);
	host_init(&s);
	add_part(&s, "[vvar]", 0x70000000, 0x4000);
	add_part(&s, "[vvar_vclock]", 0x70004000, 0x2000);
	add_part(&s, "[vdso]", 0x70006000, 0x2000);
	expect_plan(&s, PLAN_EARLY,
		BEFORE "arch_prctl 2003 70000000\n"
		       "mremap 70000000 4000 4000 = 70000000\n" AFTER);
}

Test(mm_plan, vdso_with_parts_moved_and_absent)
{
	struct space s;

	space_init(&s);
	host_init(&s);
	add_part(&s, "[vdso]", 0x30000000, 0x2000);
	add_part(&s, "[vvar]", 0x50000000, 0x4000);
	/* aside: 8000 bytes and a page below 7ffffffff000 */
	expect_plan(&s, PLAN_EARLY,
		BEFORE "arch_prctl 2003 7fffffff6000\n"
		       "mremap 7fffffff6000 4000 4000 = 7fffffff6000\n"
		       "mremap 7fffffff6000 4000 4000 3 50000000 = 50000000\n"
		       "munmap 7fffffffa000 2000\n"
		       "mremap 7fffffffc000 2000 2000 3 30000000 = 30000000\n" AFTER);
}

Test(mm_plan, vdso_of_another_kernel)
{
	struct space s;
	uint8_t other[512] = {1};

	space_init(&s);
	host_init(&s);
	s.mm.vdso = (ProtobufCBinaryData){sizeof(other), other};
	add_part(&s, "[vvar]", 0x70000000, 0x4000);
	add_part(&s, "[vdso]", 0x70004000, 0x2000);
	/* a stack up to the very end: nothing comes below it, where it grows */
	add(&s, CKPT__VMA__KIND__ANON, 0x7fffff000000, 0x7ffffffff000, 3)->growsdown = true;
	expect_plan(&s, PLAN_EARLY,
		BEFORE "arch_prctl 2003 6fff7000\n"
		       "mremap 6fff7000 4000 4000 = 6fff7000\n"
		       "mmap 70000000 4000 1 32 ffffffffffffffff = 70000000\n"
		       "mmap 70004000 2000 3 32 ffffffffffffffff = 70004000\n"
		       "getpid\nprocess_vm_writev R D 1 D 1 = 200\n"
		       "mprotect 70004000 2000 5\n"
		       "mmap 7fffff000000 fff000 3 100122 ffffffffffffffff = 7fffff000000\n" AFTER);
}

/* A segment of 3 pages less a bit, with the id 0x55, as the file of mappings. */
struct segment {
	Ckpt__IpcPerm perm;
	Ckpt__SysvShm shm;
	struct model_rec rec;
};

static void segment_init(struct space *s, struct segment *g)
{
	ckpt__ipc_perm__init(&g->perm);
	ckpt__sysv_shm__init(&g->shm);
	g->perm.id = 0x55;
	g->shm.perm = &g->perm;
	g->shm.size_bytes = 0x2f00;
	g->rec = (struct model_rec){.type = &res_sysvshm.type, .owner = 7, .msg = &g->shm.base};
	s->file.rec = &g->rec;
	s->file.fd = -1;
}

static void part(struct space *s, uint64_t start, uint64_t end, uint64_t offset, uint32_t prot)
{
	Ckpt__Vma *v = add(s, CKPT__VMA__KIND__FILE, start, end, prot);

	v->shared = true;
	v->offset = offset;
}

Test(mm_plan, a_segment_is_attached_whole)
{
	struct segment g;
	struct space s;

	space_init(&s);
	segment_init(&s, &g);
	part(&s, 0x10000, 0x11000, 0, 3);
	part(&s, 0x11000, 0x13000, 0x1000, 1);
	part(&s, 0x20000, 0x23000, 0, 5);
	/* 8000 SHM_EXEC */
	expect_plan(&s, PLAN_EARLY,
		BEFORE "shmat 55 10000 = 10000\nmprotect 11000 2000 1\n"
		       "shmat 55 20000 8000 = 20000\nmprotect 20000 3000 5\n" AFTER);
}

Test(mm_plan, a_segment_read_only_and_to_be_removed)
{
	struct segment g;
	struct space s;

	space_init(&s);
	segment_init(&s, &g);
	g.shm.read_only = g.shm.removed = true;
	part(&s, 0x10000, 0x13000, 0, 1);
	/* 1000 SHM_RDONLY; IPC_RMID is 0 */
	expect_plan(&s, PLAN_EARLY, BEFORE "shmat 55 10000 1000 = 10000\nshmctl 55\n" AFTER);
}

Test(mm_plan, parts_of_a_segment_are_moved_from_one_attachment)
{
	struct segment g;
	struct space s;

	space_init(&s);
	segment_init(&s, &g);
	part(&s, 0x11000, 0x12000, 0x1000, 3);
	add(&s, CKPT__VMA__KIND__ANON, 0x12000, 0x13000, 3);
	part(&s, 0x20000, 0x21000, 0x2000, 3); /* of another attachment */
	/* the highest room of 4 pages, below the last page of addresses, and MREMAP_MAYMOVE with MREMAP_FIXED is 3 */
	expect_plan(&s, PLAN_EARLY,
		BEFORE "shmat 55 7fffffffa000 = 7fffffffa000\n"
		       "mremap 7fffffffb000 1000 1000 3 11000 = 11000\n"
		       "munmap 7fffffffa000 3000\n"
		       "mmap 12000 1000 3 100022 ffffffffffffffff = 12000\n"
		       "shmat 55 7fffffffa000 = 7fffffffa000\n"
		       "mremap 7fffffffc000 1000 1000 3 20000 = 20000\n"
		       "munmap 7fffffffa000 3000\n" AFTER);
}

Test(mm_plan, parts_of_one_attachment_with_something_between)
{
	struct segment g;
	struct space s;

	space_init(&s);
	segment_init(&s, &g);
	part(&s, 0x10000, 0x11000, 0, 3);
	add(&s, CKPT__VMA__KIND__ANON, 0x11000, 0x12000, 3);
	part(&s, 0x12000, 0x13000, 0x2000, 1);
	expect_plan(&s, PLAN_EARLY,
		BEFORE "shmat 55 7fffffffa000 = 7fffffffa000\n"
		       "mremap 7fffffffa000 1000 1000 3 10000 = 10000\n"
		       "mremap 7fffffffc000 1000 1000 3 12000 = 12000\nmprotect 12000 1000 1\n"
		       "munmap 7fffffffa000 3000\n"
		       "mmap 11000 1000 3 100022 ffffffffffffffff = 11000\n" AFTER);
}
