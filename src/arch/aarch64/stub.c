/*
 * stub.c - the code that is put behind the vdso of a target (aarch64).
 *
 * The rule that makes it harmless: from its first instruction on it leads, without a tracer, to the
 * context in which the thread was. Registers are set by immediates at its end; nothing is kept in a
 * place that the death of the tracer could leave behind. It holds no breakpoint.
 *
 * No instruction jumps to where a register does not point and leaves all registers as they were, but a
 * branch within 128 MiB. The vdso is that near to the libraries, in which threads mostly are. For
 * the others such a branch is put near to where they are (a landing), with x17 loaded in front of it.
 * rt_sigreturn(2) would go anywhere, but its frame with the vector registers is longer than the slack
 * of a vdso, and it makes the kernel forget how a broken-off sleep goes on.
 *
 * Code and immediates are kept short by knowing what each register holds already.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "arch/arch.h"

enum { X0, X1, X2, X3, X4, X5, X8 = 8, X9, X10, X11, X12, X17 = 17, X19 = 19, SP = 31 };

#define GPRS         31
#define INSN_BYTES   4
#define INSN_SVC     0xd4000001U
#define INSN_NOP     0xd503201fU
#define BRANCH_REACH (1LL << 27)
#define POOL_MAX     40

/* Registers that the agent, a C function, may change, but for those that arguments stand in. */
static const uint8_t lost_in_call[] = {6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 30};

struct code {
	uint8_t *buf;
	uint64_t at; /* address of buf */
	size_t len, cap;
	uint32_t known; /* bit per register: holds value[] */
	uint64_t value[GPRS];
	unsigned n_pool; /* values that are loaded from behind the code */
	struct {
		size_t from;
		uint64_t value;
	} pool[POOL_MAX];
};

/* What does not fit is only counted. */
static void put(struct code *c, uint32_t insn)
{
	if (c->len + INSN_BYTES <= c->cap)
		memcpy(c->buf + c->len, &insn, INSN_BYTES);
	c->len += INSN_BYTES;
}

static void forget(struct code *c, unsigned reg)
{
	c->known &= ~(1U << reg);
}

static uint32_t half(uint64_t v, unsigned i)
{
	return (uint32_t)(v >> 16 * i & 0xffff);
}

static unsigned halves_unlike(uint64_t v, uint64_t other)
{
	unsigned n = 0;

	for (unsigned i = 0; i < 4; i++)
		n += half(v, i) != half(other, i);
	return n;
}

/* movk for each part of the register that is not right yet */
static void put_keep(struct code *c, unsigned reg, uint64_t now, uint64_t imm)
{
	for (unsigned i = 0; i < 4; i++)
		if (half(now, i) != half(imm, i))
			put(c, 0xf2800000U | i << 21 | half(imm, i) << 5 | reg);
}

/* The first mov sets one part, and all others to zeros or ones. */
static void put_mov_fresh(struct code *c, unsigned reg, uint64_t imm, bool ones)
{
	uint64_t rest = ones ? ~0ULL : 0;
	unsigned i = 0;

	while (i < 3 && half(imm, i) == half(rest, i))
		i++;
	put(c, (ones ? 0x92800000U : 0xd2800000U) | i << 21 |
			(half(imm, i) ^ (ones ? 0xffff : 0)) << 5 | reg);
	put_keep(c, reg, (rest & ~(0xffffULL << 16 * i)) | (imm & 0xffffULL << 16 * i), imm);
}

/* ldr from the pool: as long as three movs */
static void put_load(struct code *c, unsigned reg, uint64_t imm)
{
	if (c->n_pool < POOL_MAX) {
		c->pool[c->n_pool].from = c->len;
		c->pool[c->n_pool++].value = imm;
	}
	put(c, 0x58000000U | reg);
}

static void put_pool(struct code *c)
{
	for (unsigned i = 0; i < c->n_pool; i++) {
		size_t from = c->pool[i].from;
		uint32_t insn;

		if (c->len + sizeof(uint64_t) <= c->cap) {
			memcpy(&insn, c->buf + from, sizeof(insn));
			insn |= (uint32_t)(c->len - from) >> 2 << 5;
			memcpy(c->buf + from, &insn, sizeof(insn));
			memcpy(c->buf + c->len, &c->pool[i].value, sizeof(uint64_t));
		}
		c->len += sizeof(uint64_t);
	}
}

static void put_mov(struct code *c, unsigned reg, uint64_t imm)
{
	unsigned zeros = halves_unlike(imm, 0), ones = halves_unlike(imm, ~0ULL);
	unsigned fresh = zeros < ones ? zeros : ones;

	if ((c->known & 1U << reg) && halves_unlike(imm, c->value[reg]) <= (fresh ? fresh : 1))
		put_keep(c, reg, c->value[reg], imm);
	else if (fresh == 4)
		put_load(c, reg, imm);
	else
		put_mov_fresh(c, reg, imm, ones < zeros);
	c->known |= 1U << reg;
	c->value[reg] = imm;
}

static void put_copy(struct code *c, unsigned to, unsigned from)
{
	put(c, 0xaa0003e0U | from << 16 | to); /* mov to, from */
	forget(c, to);
}

static void put_sp(struct code *c, unsigned from)
{
	put(c, 0x91000000U | from << 5 | SP); /* mov sp, from */
}

/* to = from + n; n is a multiple of the page, or small */
static void put_add(struct code *c, unsigned to, unsigned from, uint64_t n)
{
	if (n % 4096 == 0)
		put(c, 0x91400000U | (uint32_t)(n >> 12) << 10 | from << 5 | to);
	else
		put(c, 0x91000000U | (uint32_t)n << 10 | from << 5 | to);
	forget(c, to);
}

static void put_adr(struct code *c, unsigned reg, uint64_t addr)
{
	uint32_t off = (uint32_t)(addr - (c->at + c->len));

	put(c, 0x10000000U | (off & 3) << 29 | (off >> 2 & 0x7ffff) << 5 | reg);
	c->known |= 1U << reg;
	c->value[reg] = addr;
}

static void put_svc(struct code *c)
{
	put(c, INSN_SVC);
	forget(c, X0);
}

static bool in_reach(uint64_t from, uint64_t to)
{
	int64_t dist = (int64_t)(to - from);

	return dist > -BRANCH_REACH + 4096 && dist < BRANCH_REACH - 4096;
}

static uint32_t branch(uint64_t from, uint64_t to)
{
	return 0x14000000U | (uint32_t)((int64_t)(to - from) >> 2 & 0x3ffffff);
}

static void known_from(struct code *c, const struct arch_regs *r)
{
	for (unsigned i = 0; i < GPRS; i++)
		c->value[i] = r->gp.regs[i];
	c->known = (1U << GPRS) - 1;
}

/* ------------------------------------------------------------------ the way home */

bool arch_landing_needed(uint64_t start, uint64_t end, const struct arch_regs *resume)
{
	return !in_reach(start, resume->gp.pc) || !in_reach(end, resume->gp.pc);
}

bool arch_landing_reaches(uint64_t landing, const struct arch_regs *resume)
{
	return in_reach(landing, resume->gp.pc);
}

uint64_t arch_landing_at(const struct arch_regs *resume)
{
	return resume->landing;
}

void arch_landing(uint8_t *buf, uint64_t at, struct arch_regs *resume)
{
	const uint32_t code[2] = {
		0x58000051 /* ldr x17, 8 bytes on */, branch(at + INSN_BYTES, resume->gp.pc)};
	uint64_t x17 = resume->gp.regs[X17];

	memcpy(buf, code, sizeof(code));
	memcpy(buf + sizeof(code), &x17, sizeof(x17));
	resume->landing = at;
}

/* Registers that do not hold what they should, and the jump. */
static void put_resume(struct code *c, const struct arch_regs *r)
{
	for (unsigned i = 0; i < GPRS; i++)
		put_mov(c, i, r->gp.regs[i]);
	if (in_reach(c->at + c->len, r->gp.pc)) {
		put(c, branch(c->at + c->len, r->gp.pc));
	} else {
		put_mov(c, X17, r->landing);
		put(c, 0xd65f0000U | X17 << 5); /* ret x17: no landing pad is asked for (BTI) */
	}
}

/* ------------------------------------------------------------------ a few calls */

/* Results stay in registers that system calls leave alone. */
static const uint8_t result_reg[ARCH_STUB_RESULTS_MAX] = {X9, X10, X11, X12};

static void put_calls(struct code *c, const struct arch_call *calls, unsigned n, uint64_t hold_at)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < n; i++) {
		for (unsigned a = 0; a < 6; a++)
			put_mov(c, a, calls[i].args[a]);
		put_mov(c, X8, (uint64_t)calls[i].nr);
		put_svc(c);
		if (calls[i].keep)
			put_copy(c, result_reg[kept++], X0);
	}
	if (hold_at) {
		const uint64_t args[5] = {0, 0, hold_at, 0, 0};

		for (unsigned a = 0; a < 5; a++)
			put_mov(c, a, args[a]);
		put_mov(c, X8, SYS_ppoll);
		forget(c, X0);
	}
	put(c, branch(c->at + c->len, c->at));
}

static unsigned kept_count(const struct arch_call *calls, unsigned n)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < n; i++)
		kept += calls[i].keep;
	return kept;
}

/*
 * At its begin is the wait (an svc, or nothing), and behind it the way home; then come the calls, which
 * branch to the begin. So it is known from the pc alone whether a thread waits there. What is left of the
 * wait the kernel can't write to where its length is, and does without.
 */
size_t arch_stub_calls(uint8_t *buf, uint64_t at, const struct arch_call *calls, unsigned n,
	uint64_t hold_at, const struct arch_regs *resume, struct arch_regs *entry)
{
	struct code c = {.buf = buf, .at = at, .cap = ARCH_STUB_CALLS_SIZE}, dry = {.at = at};

	if (kept_count(calls, n) > ARCH_STUB_RESULTS_MAX)
		return 0;
	*entry = *resume;
	arch_regs_call(entry, at, calls[0].nr, calls[0].args);
	known_from(&dry, entry);
	put_calls(&dry, calls, n, hold_at);

	c.known = dry.known;
	memcpy(c.value, dry.value, sizeof(c.value));
	put(&c, hold_at ? INSN_SVC : INSN_NOP);
	put_resume(&c, resume);
	entry->gp.pc = at + c.len;
	known_from(&c, entry);
	put_calls(&c, calls, n, hold_at);
	put_pool(&c);
	if (!in_reach(at, resume->gp.pc) && !resume->landing)
		return 0;
	return c.len <= c.cap ? c.len : 0;
}

bool arch_stub_calls_held(const struct arch_regs *regs, uint64_t at)
{
	return regs->gp.regs[X8] == SYS_ppoll &&
	       (regs->gp.pc == at || regs->gp.pc == at + INSN_BYTES);
}

long arch_stub_calls_result(const struct arch_regs *regs, unsigned i)
{
	return (long)regs->gp.regs[result_reg[i]];
}

/* ------------------------------------------------------------------ the region */

/* A forward branch whose distance is filled in by branch_here(). */
static size_t put_branch_if(struct code *c, uint32_t insn)
{
	put(c, insn);
	return c->len - INSN_BYTES;
}

static void branch_here(struct code *c, size_t from, uint32_t mask)
{
	uint32_t insn;

	if (c->len > c->cap)
		return;
	memcpy(&insn, c->buf + from, sizeof(insn));
	insn |= (uint32_t)((c->len - from) >> 2 << 5) & mask;
	memcpy(c->buf + from, &insn, sizeof(insn));
}

#define CBNZ_X0      0xb5000000U
#define CBNZ_W0      0x35000000U
#define CBNZ_MASK    0x00ffffe0U
#define TBNZ_X0_SIGN 0xb7f80000U
#define TBNZ_MASK    0x0007ffe0U
#define MRS_X4_NZCV  0xd53b4204U
#define MSR_NZCV_X4  0xd51b4204U

/* stp and ldp of a pair on the stack. An even number, with the flags, which pass through x4. */
static void put_pairs(struct code *c, bool push)
{
	const size_t n = sizeof(lost_in_call) / 2 + 1;

	if (push)
		put(c, MRS_X4_NZCV);
	for (size_t k = 0; k < n; k++) {
		size_t i = push ? k : n - 1 - k;
		uint32_t a = lost_in_call[2 * i];
		uint32_t b = 2 * i + 1 < sizeof(lost_in_call) ? lost_in_call[2 * i + 1] : X4;

		put(c, (push ? 0xa9bf03e0U : 0xa8c103e0U) | b << 10 | a);
	}
	if (!push)
		put(c, MSR_NZCV_X4);
}

/* The function of the region, on the region's stack. */
static void put_region_call(struct code *c, const struct arch_region *region)
{
	put_add(c, X2, X19, region->size);
	put_sp(c, X2);
	put_pairs(c, true);
	put_add(c, X0, X19, region->arg);
	put_add(c, X1, X19, region->entry);
	put(c, 0xd63f0000U | X1 << 5); /* blr x1 */
	put_pairs(c, false);
}

static void forget_arguments(struct code *c)
{
	for (unsigned i = X0; i <= X5; i++)
		forget(c, i);
	forget(c, X8);
	forget(c, X19);
}

static void put_call_args(struct code *c, long nr, const uint64_t *args, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		put_mov(c, i, args[i]);
	put_mov(c, X8, (uint64_t)nr);
	put_svc(c);
}

size_t arch_stub_region(uint8_t *buf, uint64_t at, const struct arch_region *region,
	uint64_t sigmask, const struct arch_regs *resume, struct arch_regs *entry)
{
	const uint64_t masks[2] = {~0ULL, sigmask}, all_at = at, mask_at = at + 8;
	struct code c = {.buf = buf, .at = at, .cap = ARCH_STUB_REGION_SIZE, .len = sizeof(masks)};
	size_t unmapped, unprotected, unanswered;

	memcpy(buf, masks, sizeof(masks));
	*entry = *resume;
	arch_regs_call(entry, at + c.len, SYS_rt_sigprocmask,
		(const uint64_t[6]){2 /* SIG_SETMASK */, all_at, 0, 8});
	known_from(&c, entry);
	put_svc(&c);

	put_call_args(&c, SYS_mmap,
		(const uint64_t[6]){0, region->size, PROT_READ | PROT_EXEC,
			MAP_PRIVATE | MAP_ANONYMOUS, -1ULL, 0},
		6);
	unmapped = put_branch_if(&c, TBNZ_X0_SIGN);
	put_copy(&c, X19, X0);

	put_add(&c, X0, X19, region->code_size);
	put_mov(&c, X1, region->size - region->code_size);
	put_mov(&c, X2, PROT_READ | PROT_WRITE);
	put_mov(&c, X8, SYS_mprotect);
	put_svc(&c);
	unprotected = put_branch_if(&c, CBNZ_X0);

	put_mov(&c, X0, region->ask_key);
	put_mov(&c, X1, 0);
	put_copy(&c, X2, X19);
	put_mov(&c, X8, SYS_getpid);
	put_svc(&c);
	put_mov(&c, X1, region->ask_answer);
	put(&c, 0x4b010000U); /* sub w0, w0, w1 */
	unanswered = put_branch_if(&c, CBNZ_W0);
	put_region_call(&c, region);

	branch_here(&c, unprotected, CBNZ_MASK);
	branch_here(&c, unanswered, CBNZ_MASK);
	forget_arguments(&c);
	put_mov(&c, X2, resume->gp.sp);
	put_sp(&c, X2);
	put_copy(&c, X0, X19);
	put_mov(&c, X1, region->size);
	put_mov(&c, X8, SYS_munmap);
	put_svc(&c);

	branch_here(&c, unmapped, TBNZ_MASK);
	forget_arguments(&c);
	put_mov(&c, X0, 2);
	put_adr(&c, X1, mask_at);
	put_mov(&c, X2, 0);
	put_mov(&c, X3, 8);
	put_mov(&c, X8, SYS_rt_sigprocmask);
	put_svc(&c);
	put_resume(&c, resume);
	put_pool(&c);
	if (!in_reach(at, resume->gp.pc) && !resume->landing)
		return 0;
	return c.len <= c.cap ? c.len : 0;
}
