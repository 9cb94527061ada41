/*
 * stub.c - the code that is put behind the vdso of a target (x86_64).
 *
 * The rule that makes it harmless: from its first instruction on it leads, without a tracer, to the
 * context in which the thread was. Every register is set by an immediate at its end; nothing is
 * kept in a place that the death of the tracer could leave behind. It holds no breakpoint.
 *
 * The last jump goes through memory behind it, because no register is free. Flags are restored
 * where code before them changes them: OF by an addition that overflows (or a comparison that
 * doesn't), DF by std or cld, the rest by sahf.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "arch/arch.h"

enum gpr { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

static const enum gpr arg_reg[6] = {RDI, RSI, RDX, R10, R8, R9};

#define EFLAGS_DF 0x400UL
#define EFLAGS_OF 0x800UL
#define RED_ZONE  128

struct code {
	uint8_t *buf;
	size_t len, cap;
};

/* What does not fit is only counted. */
static void put(struct code *c, const void *bytes, size_t n)
{
	if (c->len + n <= c->cap)
		memcpy(c->buf + c->len, bytes, n);
	c->len += n;
}

#define PUT(c, ...) put(c, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* mov $imm, reg: the short form, which clears the upper half, where the value allows it */
static void put_mov(struct code *c, enum gpr reg, uint64_t imm)
{
	bool wide = imm > UINT32_MAX;

	if (wide || reg >= R8)
		PUT(c, 0x40 | wide << 3 | (reg >= R8));
	PUT(c, 0xb8 | (reg & 7));
	put(c, &imm, wide ? sizeof(uint64_t) : sizeof(uint32_t));
}

static void put_syscall(struct code *c)
{
	PUT(c, 0x0f, 0x05);
}

static void put_call(struct code *c, const struct arch_call *call)
{
	put_mov(c, RAX, call->nr);
	for (int i = 0; i < 6; i++)
		put_mov(c, arg_reg[i], call->args[i]);
	put_syscall(c);
}

/* jmp *0(%rip), and the address that it goes to */
static void put_jump(struct code *c, uint64_t to)
{
	PUT(c, 0xff, 0x25, 0, 0, 0, 0);
	put(c, &to, sizeof(to));
}

static uint64_t gpr_get(const struct user_regs_struct *r, enum gpr reg)
{
	const uint64_t v[16] = {r->rax, r->rcx, r->rdx, r->rbx, r->rsp, r->rbp, r->rsi, r->rdi,
		r->r8, r->r9, r->r10, r->r11, r->r12, r->r13, r->r14, r->r15};

	return v[reg];
}

/* Results stay in registers that system calls leave alone. */
static const enum gpr result_reg[ARCH_STUB_RESULTS_MAX] = {R12, R13, R14, R15};

static void put_keep_result(struct code *c, unsigned i)
{
	PUT(c, 0x49, 0x89, 0xc0 | (result_reg[i] & 7)); /* mov %rax, reg */
}

/* Set a register whose value is known: by its distance from that, if so it is shorter. */
static void put_change(struct code *c, enum gpr reg, uint64_t from, uint64_t to)
{
	int64_t by = (int64_t)(to - from);
	uint8_t hi = reg >= R8;

	if (by == 0)
		return;
	if (to <= UINT32_MAX || by != (int32_t)by) {
		put_mov(c, reg, to);
		return;
	}
	/* lea by(reg), reg: it leaves the flags alone */
	PUT(c, 0x48 | hi << 2 | hi, 0x8d);
	if (by == (int8_t)by) {
		PUT(c, 0x40 | (reg & 7) << 3 | (reg & 7), (uint8_t)by);
	} else {
		int32_t dist = (int32_t)by;

		PUT(c, 0x80 | (reg & 7) << 3 | (reg & 7));
		put(c, &dist, sizeof(dist));
	}
}

/* A call whose predecessor's arguments are still in their registers: the kernel preserves them. */
static void put_next_call(struct code *c, const struct arch_call *call, const uint64_t args[6])
{
	put_mov(c, RAX, call->nr);
	for (int i = 0; i < 6; i++)
		put_change(c, arg_reg[i], args[i], call->args[i]);
	put_syscall(c);
}

/* What the code has changed: a call clobbers rax, rcx and r11, arguments stand in six more. */
static void put_resume_changed(struct code *c, const struct user_regs_struct *r, unsigned kept)
{
	static const enum gpr touched[] = {RAX, RCX, RDX, RSI, RDI, R8, R9, R10, R11};

	for (size_t i = 0; i < sizeof(touched) / sizeof(touched[0]); i++)
		put_mov(c, touched[i], gpr_get(r, touched[i]));
	for (unsigned i = 0; i < kept; i++)
		put_mov(c, result_reg[i], gpr_get(r, result_reg[i]));
	put_jump(c, r->rip);
}

static void put_resume_all(struct code *c, const struct user_regs_struct *r)
{
	if (r->eflags & EFLAGS_OF)
		PUT(c, 0xb0, 0x7f, 0x04, 0x01); /* mov $0x7f, %al; add $1, %al */
	else
		PUT(c, 0x38, 0xc0);                  /* cmp %al, %al */
	PUT(c, r->eflags & EFLAGS_DF ? 0xfd : 0xfc); /* std, cld */
	PUT(c, 0xb4, r->eflags & 0xff);              /* mov $flags, %ah */
	PUT(c, 0x9e);                                /* sahf */
	for (enum gpr reg = RAX; reg <= R15; reg++)
		put_mov(c, reg, gpr_get(r, reg));
	put_jump(c, r->rip);
}

/* The calls must be few and alike: each is as long as it differs from the one before it. */
size_t arch_stub_calls(uint8_t *buf, uint64_t at, const struct arch_call *calls, unsigned n,
	uint64_t hold_at, const struct arch_regs *resume, struct arch_regs *entry)
{
	const struct arch_call hold = {SYS_ppoll, {0, 0, hold_at, 0, 0}, false};
	struct code c = {.buf = buf, .cap = ARCH_STUB_CALLS_SIZE};
	unsigned kept = 0;

	*entry = *resume;
	arch_regs_call(entry, at, calls[0].nr, calls[0].args);
	entry->gp.eflags = resume->gp.eflags;
	for (unsigned i = 0; i < n; i++) {
		if (i == 0)
			put_syscall(&c);
		else
			put_next_call(&c, &calls[i], calls[i - 1].args);
		if (!calls[i].keep)
			continue;
		if (kept == ARCH_STUB_RESULTS_MAX)
			return 0;
		put_keep_result(&c, kept++);
	}
	/* what is left of the wait the kernel can't write there, and does without */
	if (hold_at)
		put_next_call(&c, &hold, calls[n - 1].args);
	put_resume_changed(&c, &resume->gp, kept);
	return c.len <= c.cap ? c.len : 0;
}

bool arch_stub_calls_held(const struct arch_regs *regs, uint64_t at)
{
	return regs->gp.rip - at < ARCH_STUB_CALLS_SIZE && (long)regs->gp.orig_rax == SYS_ppoll;
}

long arch_stub_calls_result(const struct arch_regs *regs, unsigned i)
{
	return (long)gpr_get(&regs->gp, result_reg[i]);
}

/* A forward jump whose distance is filled in by jump_here(). */
static size_t put_jcc(struct code *c, uint8_t opcode)
{
	PUT(c, 0x0f, opcode, 0, 0, 0, 0);
	return c->len;
}

static void jump_here(struct code *c, size_t from)
{
	int32_t dist = (int32_t)(c->len - from);

	memcpy(c->buf + from - sizeof(dist), &dist, sizeof(dist));
}

#define JA  0x87
#define JNE 0x85

static void put_unmap(struct code *c, uint64_t size, uint64_t sp)
{
	put_mov(c, RSP, sp);
	PUT(c, 0x48, 0x89, 0xdf); /* mov %rbx, %rdi */
	put_mov(c, RSI, size);
	put_mov(c, RAX, SYS_munmap);
	put_syscall(c);
}

size_t arch_stub_region(uint8_t *buf, uint64_t at, const struct arch_region *region,
	uint64_t sigmask, const struct arch_regs *resume, struct arch_regs *entry)
{
	struct code c = {.buf = buf, .cap = ARCH_STUB_REGION_SIZE};
	/* two signal sets lie in front of the code, where nothing jumps over them */
	const uint64_t all_at = at, mask_at = at + 8;
	const uint64_t all = ~0ULL;
	size_t unmapped, unprotected, unanswered;

	put(&c, &all, sizeof(all));
	put(&c, &sigmask, sizeof(sigmask));
	*entry = *resume;
	arch_regs_call(entry, at + c.len, SYS_rt_sigprocmask,
		(const uint64_t[6]){2 /* SIG_SETMASK */, all_at, 0, 8});
	put_syscall(&c);

	put_call(&c, &(struct arch_call){SYS_mmap,
			     {0, region->size, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
				     -1ULL, 0},
			     false});
	PUT(&c, 0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff); /* cmp $-4096, %rax */
	unmapped = put_jcc(&c, JA);
	PUT(&c, 0x48, 0x89, 0xc3); /* mov %rax, %rbx */

	put_mov(&c, RDI, region->code_size);
	PUT(&c, 0x48, 0x01, 0xdf); /* add %rbx, %rdi */
	put_mov(&c, RSI, region->size - region->code_size);
	put_mov(&c, RDX, PROT_READ | PROT_WRITE);
	put_mov(&c, RAX, SYS_mprotect);
	put_syscall(&c);
	PUT(&c, 0x48, 0x85, 0xc0); /* test %rax, %rax */
	unprotected = put_jcc(&c, JNE);

	put_mov(&c, RDI, region->ask_key);
	PUT(&c, 0x31, 0xf6);       /* xor %esi, %esi */
	PUT(&c, 0x48, 0x89, 0xda); /* mov %rbx, %rdx */
	put_mov(&c, RAX, SYS_getpid);
	put_syscall(&c);
	PUT(&c, 0x3d); /* cmp $answer, %eax */
	put(&c, &region->ask_answer, sizeof(region->ask_answer));
	unanswered = put_jcc(&c, JNE);

	put_mov(&c, RSP, region->size - RED_ZONE);
	PUT(&c, 0x48, 0x01, 0xdc); /* add %rbx, %rsp */
	put_mov(&c, RDI, region->arg);
	PUT(&c, 0x48, 0x01, 0xdf); /* add %rbx, %rdi */
	put_mov(&c, RAX, region->entry);
	PUT(&c, 0x48, 0x01, 0xd8); /* add %rbx, %rax */
	PUT(&c, 0xfc);             /* cld */
	PUT(&c, 0xff, 0xd0);       /* call *%rax */

	jump_here(&c, unprotected);
	jump_here(&c, unanswered);
	put_unmap(&c, region->size, resume->gp.rsp);

	jump_here(&c, unmapped);
	put_mov(&c, RAX, SYS_rt_sigprocmask);
	put_mov(&c, RDI, 2);
	put_mov(&c, RSI, mask_at);
	put_mov(&c, RDX, 0);
	put_mov(&c, R10, 8);
	put_syscall(&c);
	put_resume_all(&c, &resume->gp);
	return c.len;
}
