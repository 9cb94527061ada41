/*
 * Holds: known values in every general register, in the flags (CF PF AF ZF SF DF OF) and in the red
 * zone, in four threads that spin in user code while they are dumped. Two of them leave the spin by
 * themselves; two are called out of it by a signal, so that rcx and rip are checked as well.
 * Shows: Threads: "general registers"; a stop in user code goes on at the very instruction.
 * e2e: isa: x86_64
 */
#include "spin.h"

#include <sys/ucontext.h>

#define REGS_FLAGS   0xcd5UL /* CF PF AF ZF SF DF OF */
#define REGS_THREADS 4

/* The assembly below knows these offsets. */
struct regs_job {
	uint64_t in[15];     /* 0: rax rbx rcx rdx rsi rdi rbp r8..r15 */
	uint64_t flags;      /* 120 */
	uint64_t red[2];     /* 128: at rsp-8 and rsp-128 */
	uint64_t out[15];    /* 144 */
	uint64_t flags_out;  /* 264 */
	uint64_t red_out[2]; /* 272 */
	uint64_t rsp;        /* 288 */
	uint64_t rsp_out;    /* 296 */
	uint64_t rip_out;    /* 304 */
};

volatile int regs_stop;
__thread struct regs_job *regs_job;
void regs_spin(struct regs_job *job);
void regs_hang(struct regs_job *job);
extern char regs_hang_at[], regs_store[];

/*
 * regs_spin() loads everything and spins with no instruction that touches the flags; only rcx is used.
 * regs_hang() loads everything and stays at one instruction until a signal's handler moves it.
 */
__asm__(".macro regs_load\n"
	"	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
	"	mov %rsp, 288(%rdi)\n"
	"	mov 128(%rdi), %rax; mov %rax, -8(%rsp)\n"
	"	mov 136(%rdi), %rax; mov %rax, -128(%rsp)\n"
	"	lea -256(%rsp), %rsp\n"
	"	pushq 120(%rdi); popfq\n"
	"	lea 256(%rsp), %rsp\n"
	"	mov 0(%rdi), %rax; mov 8(%rdi), %rbx; mov 16(%rdi), %rcx; mov 24(%rdi), %rdx\n"
	"	mov 32(%rdi), %rsi; mov 48(%rdi), %rbp; mov 56(%rdi), %r8; mov 64(%rdi), %r9\n"
	"	mov 72(%rdi), %r10; mov 80(%rdi), %r11; mov 88(%rdi), %r12; mov 96(%rdi), %r13\n"
	"	mov 104(%rdi), %r14; mov 112(%rdi), %r15; mov 40(%rdi), %rdi\n"
	".endm\n"
	".text\n"
	".globl regs_spin, regs_hang, regs_hang_at, regs_store\n"
	"regs_hang:\n"
	"	regs_load\n"
	"regs_hang_at:\n"
	"	jmp regs_hang_at\n"
	"regs_spin:\n"
	"	regs_load\n"
	"1:	pause\n"
	"	mov regs_stop(%rip), %ecx\n"
	"	jrcxz 1b\n"
	"	mov %fs:regs_job@tpoff, %rcx\n"
	"regs_store:\n" /* rcx: the job */
	"	mov %rax, 144(%rcx); mov %rbx, 152(%rcx); mov %rdx, 168(%rcx); mov %rsi, 176(%rcx)\n"
	"	mov %rdi, 184(%rcx); mov %rbp, 192(%rcx); mov %r8, 200(%rcx); mov %r9, 208(%rcx)\n"
	"	mov %r10, 216(%rcx); mov %r11, 224(%rcx); mov %r12, 232(%rcx); mov %r13, 240(%rcx)\n"
	"	mov %r14, 248(%rcx); mov %r15, 256(%rcx); mov %rsp, 296(%rcx)\n"
	"	mov -8(%rsp), %rax; mov %rax, 272(%rcx); mov -128(%rsp), %rax; mov %rax, 280(%rcx)\n"
	"	pushfq; popq 264(%rcx)\n"
	"	cld\n"
	"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"	ret\n");

static const char *const regs_name[15] = {"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "r8",
	"r9", "r10", "r11", "r12", "r13", "r14", "r15"};

static void regs_leave(int sig, siginfo_t *info, void *ctx)
{
	ucontext_t *uc = ctx;

	(void)sig;
	(void)info;
	regs_job->rip_out = uc->uc_mcontext.gregs[REG_RIP];
	regs_job->out[2] = uc->uc_mcontext.gregs[REG_RCX];
	uc->uc_mcontext.gregs[REG_RIP] = (greg_t)regs_store;
	uc->uc_mcontext.gregs[REG_RCX] = (greg_t)regs_job;
}

static void regs_fill(struct regs_job *job, int who)
{
	/* All flags, none, and alternating ones; bit 1 is always set, IF must stay set. */
	static const uint64_t flags[REGS_THREADS] = {REGS_FLAGS, 0, 0xc01, 0x0d4};

	for (int i = 0; i < 15; i++)
		job->in[i] = 0x0123456789abcdefULL * (i + 1) ^ (uint64_t)(who + 1) << 60;
	job->flags = flags[who] | 0x202;
	job->red[0] = 0x5ed0000000000000ULL + who;
	job->red[1] = 0x5ed0000000000080ULL + who;
}

static void regs_check(const struct regs_job *job, int who, int hung)
{
	for (int i = 0; i < 15; i++)
		CHECK((i == 2 && !hung) || job->out[i] == job->in[i],
			"thread %d: %s: expected %#lx, got %#lx", who, regs_name[i], job->in[i],
			job->out[i]);
	CHECK((job->flags_out & REGS_FLAGS) == (job->flags & REGS_FLAGS),
		"thread %d: flags: expected %#lx, got %#lx", who, job->flags, job->flags_out);
	CHECK(job->rsp_out == job->rsp, "thread %d: rsp: expected %#lx, got %#lx", who, job->rsp,
		job->rsp_out);
	for (int i = 0; i < 2; i++)
		CHECK(job->red_out[i] == job->red[i],
			"thread %d: red zone: expected %#lx, got %#lx", who, job->red[i],
			job->red_out[i]);
	CHECK(!hung || job->rip_out == (uint64_t)regs_hang_at,
		"thread %d: rip: expected %p, got %#lx", who, (void *)regs_hang_at, job->rip_out);
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
