/*
 * mm.c - the address space: what the kernel keeps beside the mappings (vmas.c), and the collecting
 * of all of it. plan in mm_plan.c, the vdso in vdso.c.
 *
 * MCL_FUTURE can't be read anywhere: the task maps a page and looks whether it is locked (msync with
 * MS_INVALIDATE says EBUSY of locked memory) and populated (MCL_ONFAULT was not given). It is not
 * asked under a seccomp filter, which could take offence at it.
 */
#include "res/mm/mm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "proto/pages.pb-c.h"
#include "res/file/files.h"
#include "res/mm/vdso.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/str.h"
#include "util/vec.h"

#ifndef PR_GET_MEMORY_MERGE
#define PR_GET_MEMORY_MERGE 68
#endif
#define VDSO_MAX 65536

/* The steps of ask(). */
enum { ASK_BRK, ASK_MAP, ASK_LOCKED, ASK_POPULATED, ASK_UNMAP, ASK_MERGE };

static void ask(struct collect *c, struct tracee *t, struct prog *p)
{
	uint64_t populated;

	PROG_CALL(p, "mm: end of the heap", SYS_brk, IMM(0));
	if (c->status.seccomp > 0)
		return;
	populated = prog_data(p, NULL, 1);
	size_t map = PROG_CALL_ANY(p, "mm: is new memory locked", SYS_mmap, IMM(0), IMM(MM_PAGE),
		IMM(PROT_READ | PROT_WRITE), IMM(MAP_PRIVATE | MAP_ANONYMOUS), IMM(-1), IMM(0));
	PROG_CALL_ANY(p, "mm: is new memory locked", SYS_msync, RES(map), IMM(MM_PAGE),
		IMM(MS_ASYNC | MS_INVALIDATE));
	PROG_CALL_ANY(p, "mm: is new memory locked", SYS_mincore, RES(map), IMM(MM_PAGE),
		DATA(populated));
	PROG_CALL_ANY(p, "mm: is new memory locked", SYS_munmap, RES(map), IMM(MM_PAGE));
	PROG_CALL_ANY(p, "mm: same-page merging", SYS_prctl, IMM(PR_GET_MEMORY_MERGE));
}

static void collect_answers(struct collect *c, Ckpt__Mm *mm, const struct answer *a)
{
	const uint8_t *populated = answer_data(a, 0);

	mm->brk = answer_ret(a, ASK_BRK);
	mm->thp_disabled = c->status.thp_enabled == 0;
	if (c->status.seccomp > 0) {
		if (c->status.vm_locked_kb > 0)
			op_warn(c->op,
				"pid %d (%s): whether memory to come is locked (MCL_FUTURE) can't "
				"be asked under its seccomp filter: it will not be",
				c->pid, c->tr->comm);
		return;
	}
	if (answer_ret(a, ASK_LOCKED) == -EBUSY)
		mm->lock_future = MCL_FUTURE | (*populated & 1 ? 0 : MCL_ONFAULT);
	mm->memory_merge = answer_ret(a, ASK_MERGE) == 1;
}

int mm_coredump_filter_read(int proc_fd, uint64_t *ret)
{
	_cleanup_free_ char *text = NULL;
	int r = file_read_at(proc_fd, "coredump_filter", &text, NULL);
	const char *p = text;
	uint64_t value;

	if (r == 0 && str_u64(&p, 16, &value) < 0)
		r = -EBADMSG;
	if (r == 0)
		*ret = value;
	return r;
}

static int collect_coredump_filter(struct collect *c, Ckpt__Mm *mm)
{
	uint64_t value;
	int r = mm_coredump_filter_read(c->proc_fd, &value);

	if (r == 0)
		mm->coredump_filter = value;
	else if (r != -ENOENT) /* a kernel without core dumps has none */
		return op_fail(
			c->op, CKPT_E_TARGET, -r, "read", NULL, "/proc/%d/coredump_filter", c->pid);
	return 0;
}

static int collect_bounds(struct collect *c, Ckpt__Mm *mm)
{
	_cleanup_free_ char *auxv = NULL;
	size_t len;
	int r = file_read_at(c->proc_fd, "auxv", &auxv, &len);

	if (r < 0)
		return op_fail(c->op, CKPT_E_TARGET, -r, "read", NULL, "/proc/%d/auxv", c->pid);
	mm->auxv = msg_bytes(auxv, len);
	mm->start_code = c->stat.start_code;
	mm->end_code = c->stat.end_code;
	mm->start_data = c->stat.start_data;
	mm->end_data = c->stat.end_data;
	mm->start_brk = c->stat.start_brk;
	mm->start_stack = c->stat.start_stack;
	mm->arg_start = c->stat.arg_start;
	mm->arg_end = c->stat.arg_end;
	mm->env_start = c->stat.env_start;
	mm->env_end = c->stat.env_end;
	return files_of_exe(c, &mm->exe_file);
}

/* Its code without the slack behind it, which is ours to write into. */
static int collect_vdso(struct collect *c, Ckpt__Mm *mm)
{
	uint8_t buf[VDSO_MAX];

	for (size_t i = 0; i < mm->n_vmas; i++) {
		const Ckpt__Vma *v = mm->vmas[i];
		size_t len = MIN(v->end - v->start, (uint64_t)sizeof(buf));
		int r;

		if (v->kind != CKPT__VMA__KIND__VDSO || strcmp(v->name, "[vdso]") != 0)
			continue;
		r = tracees_read(c->tr, v->start, buf, len);
		if (r < 0)
			return op_fail(c->op, CKPT_E_TARGET, -r, "process_vm_readv", NULL,
				"pid %d (%s): its vdso", c->pid, c->tr->comm);
		mm->vdso = msg_bytes(buf, vdso_code_len(buf, len));
		if (!mm->vdso.data)
			return collect_oom(c);
	}
	return 0;
}

static int collect(struct collect *c, struct tracee *t, const struct answer *a)
{
	Ckpt__Mm *mm = msg_new(Ckpt__Mm, CKPT__MM__INIT);
	int r;

	if (!mm)
		return collect_oom(c);
	collect_answers(c, mm, a);
	r = mm_collect_vmas(c, mm);
	if (r == 0)
		r = collect_bounds(c, mm);
	if (r == 0)
		r = collect_coredump_filter(c, mm);
	if (r == 0)
		r = collect_vdso(c, mm);
	if (r < 0) {
		protobuf_c_message_free_unpacked(&mm->base, NULL);
		return r;
	}
	return collect_add_take(c, &res_mm.type, c->pid, mm);
}

const struct res res_mm = {
	.type = {"mm", SCOPE_TASK, &ckpt__mm__descriptor, NULL},
	.shared = SHARED_VM,
	.ask = ask,
	.collect = collect,
	.plan = mm_plan,
};

/* Contents of private memory, and of files that only the image still has. */
const struct res res_pages = {
	.type = {"pages", SCOPE_TASK, &ckpt__pages__descriptor, NULL},
};

const struct res res_contents = {
	.type = {"contents", SCOPE_FILE, &ckpt__pages__descriptor, NULL},
};
