/*
 * Holds: known values in every vector register that the CPU has (zmm and k, else ymm, else xmm), in
 * mxcsr, the x87 stack and control word, and PKRU; different ones in each of five threads, which keep
 * them in registers while they spin; one has nothing but an unusual mxcsr.
 * Shows: Threads: "FPU and all xsave registers (AVX, AVX-512 where the CPU has it, PKRU)".
 * e2e: isa: x86_64
 */
#include "spin.h"

#include <cpuid.h>

#define FPU_THREADS 5

/* The assembly knows the offsets. */
struct fpu_state {
	uint8_t v[32][64]; /* 0 */
	uint64_t k[8];     /* 2048 */
	double st[8];      /* 2112 */
	uint32_t mxcsr;    /* 2176 */
	uint16_t cw, pad;  /* 2180 */
	uint32_t pkru;     /* 2184 */
};

volatile int fpu_stop;
static int fpu_level, fpu_has_pkru; /* level: 0 xmm, 1 ymm, 2 zmm and k */
void fpu_spin_0(const struct fpu_state *in, struct fpu_state *out);
void fpu_spin_1(const struct fpu_state *in, struct fpu_state *out);
void fpu_spin_2(const struct fpu_state *in, struct fpu_state *out);

__asm__(".macro fpu_begin\n"
	"	fninit; fldcw 2180(%rdi); ldmxcsr 2176(%rdi)\n"
	"	fldl 2112(%rdi); fldl 2120(%rdi); fldl 2128(%rdi); fldl 2136(%rdi)\n"
	"	fldl 2144(%rdi); fldl 2152(%rdi); fldl 2160(%rdi); fldl 2168(%rdi)\n"
	".endm\n"
	".macro fpu_loop\n"
	"7:	pause\n"
	"	mov fpu_stop(%rip), %ecx\n"
	"	jrcxz 7b\n"
	".endm\n"
	".macro fpu_end\n"
	"	fnstcw 2180(%rsi); stmxcsr 2176(%rsi)\n"
	"	fstpl 2168(%rsi); fstpl 2160(%rsi); fstpl 2152(%rsi); fstpl 2144(%rsi)\n"
	"	fstpl 2136(%rsi); fstpl 2128(%rsi); fstpl 2120(%rsi); fstpl 2112(%rsi)\n"
	"	fninit; pushq $0x1f80; ldmxcsr (%rsp); add $8, %rsp\n"
	"	ret\n"
	".endm\n"
	".text\n"
	".globl fpu_spin_0, fpu_spin_1, fpu_spin_2\n"
	"fpu_spin_0:\n"
	"	fpu_begin\n"
	"	.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
	"	movdqu \\n*64(%rdi), %xmm\\n\n"
	"	.endr\n"
	"	fpu_loop\n"
	"	.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
	"	movdqu %xmm\\n, \\n*64(%rsi)\n"
	"	.endr\n"
	"	fpu_end\n"
	"fpu_spin_1:\n"
	"	fpu_begin\n"
	"	.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
	"	vmovdqu \\n*64(%rdi), %ymm\\n\n"
	"	.endr\n"
	"	fpu_loop\n"
	"	.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
	"	vmovdqu %ymm\\n, \\n*64(%rsi)\n"
	"	.endr\n"
	"	vzeroupper\n"
	"	fpu_end\n"
	"fpu_spin_2:\n"
	"	fpu_begin\n"
	"	.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,"
	"30,31\n"
	"	vmovdqu64 \\n*64(%rdi), %zmm\\n\n"
	"	.endr\n"
	"	.irp n,0,1,2,3,4,5,6,7\n"
	"	kmovq 2048+\\n*8(%rdi), %k\\n\n"
	"	.endr\n"
	"	fpu_loop\n"
	"	.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,"
	"30,31\n"
	"	vmovdqu64 %zmm\\n, \\n*64(%rsi)\n"
	"	.endr\n"
	"	.irp n,0,1,2,3,4,5,6,7\n"
	"	kmovq %k\\n, 2048+\\n*8(%rsi)\n"
	"	.endr\n"
	"	vzeroupper\n"
	"	fpu_end\n");

static void fpu_probe(void)
{
	unsigned a, b, c, d;

	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx512bw"))
		fpu_level = 2;
	else if (__builtin_cpu_supports("avx2"))
		fpu_level = 1;
	if (__get_cpuid_count(7, 0, &a, &b, &c, &d))
		fpu_has_pkru = c >> 4 & 1; /* OSPKE */
}

static uint32_t fpu_rdpkru(void)
{
	uint32_t value;

	__asm__ volatile(".byte 0x0f, 0x01, 0xee" : "=a"(value) : "c"(0) : "rdx");
	return value;
}

static void fpu_wrpkru(uint32_t value)
{
	__asm__ volatile(".byte 0x0f, 0x01, 0xef" : : "a"(value), "c"(0), "d"(0) : "memory");
}

static void fpu_fill(struct fpu_state *s, int who)
{
	/* Rounding modes and flush-to-zero differ by thread, all exceptions stay masked. */
	static const uint32_t mxcsr[FPU_THREADS] = {0x1f80, 0x3f80, 0x9fa0, 0x7fc1, 0x5f80};
	static const uint16_t cw[FPU_THREADS] = {0x037f, 0x077f, 0x0b7f, 0x027f, 0x037f};

	for (int i = 0; i < 32; i++)
		for (int j = 0; j < 64; j++)
			s->v[i][j] = who == 4 ? 0 : (uint8_t)(who * 64 + i * 7 + j * 3 + 1);
	for (int i = 0; i < 8; i++) {
		s->k[i] = 0x0102030405060708ULL * (i + 1) + who;
		s->st[i] = 1.5 * (i + 1) + 1000 * who;
	}
	s->mxcsr = mxcsr[who];
	s->cw = cw[who];
	if (who == 4)
		memset(s->k, 0, sizeof(s->k));
	s->pkru = 0x55555554U & ~(3U << 2 * (who + 1));
}

static void fpu_check(const struct fpu_state *in, const struct fpu_state *out, int who)
{
	static const int wide[] = {16, 32, 64}, many[] = {16, 16, 32};

	for (int i = 0; i < many[fpu_level]; i++)
		for (int j = 0; j < wide[fpu_level]; j++)
			CHECK(in->v[i][j] == out->v[i][j],
				"thread %d: vector register %d byte %d: expected %#x, got %#x", who,
				i, j, in->v[i][j], out->v[i][j]);
	for (int i = 0; i < 8; i++) {
		CHECK(fpu_level < 2 || in->k[i] == out->k[i],
			"thread %d: k%d: expected %#lx, got %#lx", who, i, in->k[i], out->k[i]);
		CHECK(in->st[i] == out->st[i], "thread %d: st(%d): expected %g, got %g", who, 7 - i,
			in->st[i], out->st[i]);
	}
	CHECK(in->mxcsr == out->mxcsr, "thread %d: mxcsr: expected %#x, got %#x", who, in->mxcsr,
		out->mxcsr);
	CHECK(in->cw == out->cw, "thread %d: x87 control word: expected %#x, got %#x", who, in->cw,
		out->cw);
	CHECK(!fpu_has_pkru || in->pkru == out->pkru, "thread %d: PKRU: expected %#x, got %#x", who,
		in->pkru, out->pkru);
}

static void *fpu_thread(void *arg)
{
	static void (*const spin[])(const struct fpu_state *, struct fpu_state *) = {
		fpu_spin_0, fpu_spin_1, fpu_spin_2};
	static struct fpu_state in[FPU_THREADS], out[FPU_THREADS];
	int who = (int)(intptr_t)arg;

	fpu_fill(&in[who], who);
	if (fpu_has_pkru)
		fpu_wrpkru(in[who].pkru);
	spin_ready();
	spin[fpu_level](&in[who], &out[who]);
	if (fpu_has_pkru)
		out[who].pkru = fpu_rdpkru();
	fpu_check(&in[who], &out[who], who);
	return NULL;
}

int main(int argc, char **argv)
{
	victim_init(argc, argv);
	fpu_probe();
	victim_say("vector level %d, PKRU %d", fpu_level, fpu_has_pkru);
	spin_run(FPU_THREADS, fpu_thread, &fpu_stop, FPU_THREADS);
	return 0;
}
