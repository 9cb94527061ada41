/*
 * Holds: known values in every vector register and in the control and status registers, in three
 * threads that keep them there while they spin; as `sve`, the whole vectors and predicates.
 * Shows: Threads: "FPU and vector registers": V, FPCR, FPSR; Z, P, FFR where the CPU has them.
 * e2e: isa: aarch64
 * e2e: args: simd sve
 * e2e: leave refused for sve: SVE registers
 * e2e: no again,cycle,faults,kill,loop for sve: it can't be left running
 */
#include "spin.h"

#include <sys/auxv.h>

#define FPU_THREADS  3
#define FPU_VL_MAX   256
#define FPU_HAS_SVE  (1UL << 22)  /* HWCAP_SVE */
#define FPU_FPCR     0x03c00000UL /* rounding mode, flush to zero, default NaN */
#define FPU_P_OFFSET (32 * FPU_VL_MAX)

/* The assembly knows the offsets. */
struct fpu_state {
	uint64_t fpcr, fpsr;                              /* 0, 8 */
	uint8_t v[32 * FPU_VL_MAX + 17 * FPU_VL_MAX / 8]; /* 16: registers, predicates, FFR */
};

volatile int fpu_stop;
static int fpu_sve;
void fpu_spin_simd(const struct fpu_state *in, struct fpu_state *out);
void fpu_spin_sve(const struct fpu_state *in, struct fpu_state *out);
uint64_t fpu_vl(void);

__asm__(".text\n"
	".arch_extension sve\n"
	".globl fpu_spin_simd, fpu_spin_sve, fpu_vl\n"
	".macro fpu_save\n"
	"	stp d8, d9, [sp, #-64]!; stp d10, d11, [sp, #16]; stp d12, d13, [sp, #32]\n"
	"	stp d14, d15, [sp, #48]\n"
	".endm\n"
	".macro fpu_wait\n"
	"	ldp x2, x3, [x0]; msr fpcr, x2; msr fpsr, x3\n"
	"	adrp x4, fpu_stop; add x4, x4, :lo12:fpu_stop\n"
	"7:	ldr w5, [x4]\n"
	"	cbz w5, 7b\n"
	"	mrs x2, fpcr; mrs x3, fpsr; stp x2, x3, [x1]; msr fpcr, xzr\n"
	".endm\n"
	".macro fpu_end\n"
	"	ldp d10, d11, [sp, #16]; ldp d12, d13, [sp, #32]; ldp d14, d15, [sp, #48]\n"
	"	ldp d8, d9, [sp], #64\n"
	"	ret\n"
	".endm\n"
	"fpu_spin_simd:\n"
	"	fpu_save\n"
	"	.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,"
	"30,31\n"
	"	ldr q\\n, [x0, #(16 + 16 * \\n)]\n"
	"	.endr\n"
	"	fpu_wait\n"
	"	.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,"
	"30,31\n"
	"	str q\\n, [x1, #(16 + 16 * \\n)]\n"
	"	.endr\n"
	"	fpu_end\n"
	"fpu_spin_sve:\n"
	"	fpu_save\n"
	"	mov x7, #8192; add x6, x0, #16; add x7, x6, x7\n"
	"	ldr p0, [x7, #16, mul vl]; wrffr p0.b\n"
	"	.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,"
	"30,31\n"
	"	ldr z\\n, [x6, #\\n, mul vl]\n"
	"	.endr\n"
	"	.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
	"	ldr p\\n, [x7, #\\n, mul vl]\n"
	"	.endr\n"
	"	fpu_wait\n"
	"	mov x7, #8192; add x6, x1, #16; add x7, x6, x7\n"
	"	.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,"
	"30,31\n"
	"	str z\\n, [x6, #\\n, mul vl]\n"
	"	.endr\n"
	"	.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
	"	str p\\n, [x7, #\\n, mul vl]\n"
	"	.endr\n"
	"	rdffr p0.b; str p0, [x7, #16, mul vl]\n"
	"	fpu_end\n"
	"fpu_vl:\n"
	"	rdvl x0, #1\n"
	"	ret\n");

static void fpu_fill(struct fpu_state *s, int who)
{
	for (size_t i = 0; i < sizeof(s->v); i++)
		s->v[i] = (uint8_t)(who * 64 + i * 7 + i / 256 + 1);
	/* FFR: its true elements come first */
	if (fpu_sve)
		memset(s->v + FPU_P_OFFSET + 16 * fpu_sve / 8, 0, fpu_sve / 8);
	s->v[FPU_P_OFFSET + 16 * fpu_sve / 8] = (uint8_t)((1 << (who + 2)) - 1);
	s->fpcr = (uint64_t)who << 22 | (who ? 0 : 1UL << 25);
	s->fpsr = 1UL << who;
}

static void fpu_check(const struct fpu_state *in, const struct fpu_state *out, int who)
{
	size_t n = 32 * (fpu_sve ? fpu_sve : 16);

	for (size_t i = 0; i < n; i++)
		CHECK(in->v[i] == out->v[i],
			"thread %d: vector register %zu byte %zu: expected %#x, got %#x", who,
			i * 32 / n, i % (n / 32), in->v[i], out->v[i]);
	for (size_t i = FPU_P_OFFSET; fpu_sve && i < FPU_P_OFFSET + 17 * (size_t)fpu_sve / 8; i++)
		CHECK(in->v[i] == out->v[i], "thread %d: predicate byte %zu: expected %#x, got %#x",
			who, i - FPU_P_OFFSET, in->v[i], out->v[i]);
	CHECK((out->fpcr & FPU_FPCR) == in->fpcr, "thread %d: fpcr: expected %#lx, got %#lx", who,
		in->fpcr, out->fpcr);
	CHECK(out->fpsr == in->fpsr, "thread %d: fpsr: expected %#lx, got %#lx", who, in->fpsr,
		out->fpsr);
}

static void *fpu_thread(void *arg)
{
	static struct fpu_state in[FPU_THREADS], out[FPU_THREADS];
	int who = (int)(intptr_t)arg;

	fpu_fill(&in[who], who);
	spin_ready();
	(fpu_sve ? fpu_spin_sve : fpu_spin_simd)(&in[who], &out[who]);
	fpu_check(&in[who], &out[who], who);
	return NULL;
}

int main(int argc, char **argv)
{
	victim_init(argc, argv);
	if (argc > 1 && !strcmp(argv[1], "sve")) {
		if (!(getauxval(AT_HWCAP) & FPU_HAS_SVE))
			SKIP("this CPU has no SVE");
		fpu_sve = (int)fpu_vl();
		victim_say("vectors of %d bytes", fpu_sve);
	}
	spin_run(FPU_THREADS, fpu_thread, &fpu_stop, FPU_THREADS);
	return 0;
}
