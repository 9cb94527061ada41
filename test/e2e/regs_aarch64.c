/*
 * Holds: known values in every general register and in the flags, in four threads that spin in the
 * program's own code while they are dumped. Two leave the spin by themselves; two are called out of it by
 * a signal, so that all registers and the pc are checked.
 * Shows: Threads: "general registers"; a stop in user code goes on at the very instruction.
 * e2e: isa: aarch64
 */
#include "spin.h"

#include <sys/ucontext.h>

#define REGS_FLAGS   0xf0000000UL /* N Z C V */
#define REGS_THREADS 4

/* The assembly below knows these offsets. */
struct regs_job {
	uint64_t in[31];    /* 0 */
	uint64_t flags;     /* 248 */
	uint64_t out[31];   /* 256 */
	uint64_t flags_out; /* 504 */
	uint64_t sp;        /* 512 */
	uint64_t sp_out;    /* 520 */
	uint64_t pc_out;    /* 528 */
};

volatile int regs_stop;
static __thread struct regs_job *regs_job;
void regs_spin(struct regs_job *job);
void regs_hang(struct regs_job *job);
extern char regs_hang_at[], regs_leave_at[];

/* regs_spin() uses x17, and x16 as the address of regs_stop; below its stack pointer is the job's address. */
__asm__(".macro regs_load\n"
	"	stp x29, x30, [sp, #-112]!\n"
	"	stp x19, x20, [sp, #16]; stp x21, x22, [sp, #32]; stp x23, x24, [sp, #48]\n"
	"	stp x25, x26, [sp, #64]; stp x27, x28, [sp, #80]; str x0, [sp, #96]\n"
	"	mov x1, sp; str x1, [x0, #512]\n"
	"	ldr x1, [x0, #248]; msr nzcv, x1\n"
	"	ldp x2, x3, [x0, #16]; ldp x4, x5, [x0, #32]; ldp x6, x7, [x0, #48]\n"
	"	ldp x8, x9, [x0, #64]; ldp x10, x11, [x0, #80]; ldp x12, x13, [x0, #96]\n"
	"	ldp x14, x15, [x0, #112]; ldp x16, x17, [x0, #128]; ldp x18, x19, [x0, #144]\n"
	"	ldp x20, x21, [x0, #160]; ldp x22, x23, [x0, #176]; ldp x24, x25, [x0, #192]\n"
	"	ldp x26, x27, [x0, #208]; ldp x28, x29, [x0, #224]; ldr x30, [x0, #240]\n"
	"	ldp x0, x1, [x0]\n"
	".endm\n"
	".text\n"
	".globl regs_spin, regs_hang, regs_hang_at, regs_leave_at\n"
	"regs_hang:\n"
	"	regs_load\n"
	"regs_hang_at:\n"
	"	b regs_hang_at\n"
	"regs_spin:\n"
	"	regs_load\n"
	"1:	ldr w17, [x16]\n"
	"	cbz w17, 1b\n"
	"	ldr x17, [sp, #96]\n"
	"	stp x0, x1, [x17, #256]; stp x2, x3, [x17, #272]; stp x4, x5, [x17, #288]\n"
	"	stp x6, x7, [x17, #304]; stp x8, x9, [x17, #320]; stp x10, x11, [x17, #336]\n"
	"	stp x12, x13, [x17, #352]; stp x14, x15, [x17, #368]; str x16, [x17, #384]\n"
	"	stp x18, x19, [x17, #400]; stp x20, x21, [x17, #416]; stp x22, x23, [x17, #432]\n"
	"	stp x24, x25, [x17, #448]; stp x26, x27, [x17, #464]; stp x28, x29, [x17, #480]\n"
	"	str x30, [x17, #496]; mrs x0, nzcv; str x0, [x17, #504]; mov x0, sp\n"
	"	str x0, [x17, #520]\n"
	"regs_leave_at:\n"
	"	ldp x19, x20, [sp, #16]; ldp x21, x22, [sp, #32]; ldp x23, x24, [sp, #48]\n"
	"	ldp x25, x26, [sp, #64]; ldp x27, x28, [sp, #80]; ldp x29, x30, [sp], #112\n"
	"	ret\n");

static void regs_leave(int sig, siginfo_t *info, void *ctx)
{
	mcontext_t *mc = &((ucontext_t *)ctx)->uc_mcontext;

	(void)sig;
	(void)info;
	for (int i = 0; i < 31; i++)
		regs_job->out[i] = mc->regs[i];
	regs_job->flags_out = mc->pstate;
	regs_job->sp_out = mc->sp;
	regs_job->pc_out = mc->pc;
	mc->pc = (uint64_t)regs_leave_at;
}

static void regs_fill(struct regs_job *job, int who)
{
	static const uint64_t flags[REGS_THREADS] = {REGS_FLAGS, 0, 0xa0000000, 0x50000000};

	for (int i = 0; i < 31; i++)
		job->in[i] = 0x0123456789abcdefULL * (i + 1) ^ (uint64_t)(who + 1) << 60;
	job->in[16] = (uint64_t)&regs_stop;
	job->flags = flags[who];
}

static void regs_check(const struct regs_job *job, int who, int hung)
{
	for (int i = 0; i < 31; i++)
		CHECK((i == 17 && !hung) || job->out[i] == job->in[i],
			"thread %d: x%d: expected %#lx, got %#lx", who, i, job->in[i], job->out[i]);
	CHECK((job->flags_out & REGS_FLAGS) == job->flags,
		"thread %d: flags: expected %#lx, got %#lx", who, job->flags, job->flags_out);
	CHECK(job->sp_out == job->sp, "thread %d: sp: expected %#lx, got %#lx", who, job->sp,
		job->sp_out);
	CHECK(!hung || job->pc_out == (uint64_t)regs_hang_at,
		"thread %d: pc: expected %p, got %#lx", who, (void *)regs_hang_at, job->pc_out);
}

static void *regs_thread(void *arg)
{
	int who = (int)(intptr_t)arg, hung = who >= 2;
	struct regs_job job = {0};

	regs_fill(&job, who);
	regs_job = &job;
	spin_ready();
	if (hung)
		regs_hang(&job);
	else
		regs_spin(&job);
	regs_check(&job, who, hung);
	return NULL;
}

int main(int argc, char **argv)
{
	struct sigaction act = {.sa_sigaction = regs_leave, .sa_flags = SA_SIGINFO};

	victim_init(argc, argv);
	MUST(sigaction(SIGUSR1, &act, NULL));
	spin_run(REGS_THREADS, regs_thread, &regs_stop, 2);
	return 0;
}
