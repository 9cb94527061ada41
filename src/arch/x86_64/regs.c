/*
 * regs.c - registers of a stopped thread, and what the kernel would do with them (x86_64).
 *
 * A thread that ptrace stopped inside a system call shows the call's result in rax: -512, -513 and
 * -514 mean that the kernel will issue the call again, -516 that it will continue it by
 * restart_syscall(2), with a deadline that it keeps in the task. It does so only when the thread
 * leaves a stop of the signal path, and only when orig_rax still names a call.
 * Source: arch/x86/kernel/signal.c arch_do_signal_or_restart().
 */
#include "arch/arch.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "kernel/ptrace.h"

#define ERESTARTSYS           512
#define ERESTARTNOINTR        513
#define ERESTARTNOHAND        514
#define ERESTART_RESTARTBLOCK 516

/* The standard format of the extended registers. */
#define MXCSR_OFF     24
#define ST_OFF        32
#define ST_SIZE       128
#define XMM_OFF       160
#define XMM_SIZE      256
#define XCR0_OFF      464
#define XSTATE_BV_OFF 512
#define YMM_OFF       576
#define YMM_SIZE      256
#define XSTATE_X87    (1ULL << 0)
#define XSTATE_XMM    (1ULL << 1)
#define XSTATE_YMM    (1ULL << 2)
#define XSTATE_TILES  (1ULL << 18)
#define FCW_INIT      0x37f
#define MXCSR_INIT    0x1f80U

#define SYSCALL_INSN_LEN 2
#define EFLAGS_DF        0x400UL
#define EFLAGS_TF        0x100UL

int arch_regs_get(pid_t tid, struct arch_regs *ret)
{
	return ptrace_getregset(tid, NT_PRSTATUS, &ret->gp, sizeof(ret->gp), NULL);
}

int arch_regs_set(pid_t tid, const struct arch_regs *regs)
{
	return ptrace_setregset(tid, NT_PRSTATUS, &regs->gp, sizeof(regs->gp));
}

int arch_xstate_get(pid_t tid, uint8_t *buf, size_t cap, size_t *ret_len)
{
	return ptrace_getregset(tid, NT_X86_XSTATE, buf, cap, ret_len);
}

/*
 * The kernel takes only the whole set, of the length that it has on this CPU. Of one that tells neither xmm nor ymm
 * it does not take mxcsr, and a CPU without XSAVES then goes on with the one that the thread had: so xmm is told, be
 * it zeros. Source: arch/x86/kernel/fpu/xstate.c xfeatures_mxcsr_quirk(); Intel SDM volume 1, 13.8.
 */
int arch_xstate_set(pid_t tid, const uint8_t *data, size_t len)
{
	uint8_t xstate[ARCH_XSTATE_MAX];
	uint64_t bv;
	size_t whole;
	int r = ptrace_getregset(tid, NT_X86_XSTATE, xstate, sizeof(xstate), &whole);

	if (r < 0)
		return r;
	if (len > whole)
		return -ENODEV;
	memcpy(xstate, data, len);
	memset(xstate + len, 0, whole - len);
	if (whole >= XSTATE_BV_OFF + sizeof(bv)) {
		memcpy(&bv, xstate + XSTATE_BV_OFF, sizeof(bv));
		bv |= bv & (XSTATE_XMM | XSTATE_YMM) ? 0 : XSTATE_XMM;
		memcpy(xstate + XSTATE_BV_OFF, &bv, sizeof(bv));
	}
	return ptrace_setregset(tid, NT_X86_XSTATE, xstate, whole);
}

/* The kernel puts XCR0 where the bytes are the software's own. Source: arch/x86/kernel/fpu/regset.c */
uint64_t arch_xstate_features(const uint8_t *xstate, size_t len)
{
	uint64_t xcr0 = 0;

	if (len >= XCR0_OFF + sizeof(xcr0))
		memcpy(&xcr0, xstate + XCR0_OFF, sizeof(xcr0));
	return xcr0;
}

const char *arch_xstate_fragile(pid_t tid)
{
	return NULL;
}

static bool all_zero(const uint8_t *p, size_t len)
{
	while (len && *p == 0) {
		p++;
		len--;
	}
	return len == 0;
}

/*
 * A component that holds its initial values may be told as such, by its bit in XSTATE_BV, or not: the
 * kernel does either, as it comes. Of those whose initial values are simple; mxcsr is taken from a set of
 * registers only if xmm or ymm are there. Source: Intel SDM volume 1, 13.6 and 13.4.1; Linux
 * arch/x86/kernel/fpu/xstate.c copy_uabi_to_xstate().
 */
void arch_xstate_plain(uint8_t *xstate, size_t len)
{
	uint16_t fcw;
	uint32_t mxcsr;
	uint64_t bv;

	if (len < YMM_OFF + YMM_SIZE)
		return;
	memcpy(&fcw, xstate, sizeof(fcw));
	memcpy(&mxcsr, xstate + MXCSR_OFF, sizeof(mxcsr));
	memcpy(&bv, xstate + XSTATE_BV_OFF, sizeof(bv));
	if (fcw == FCW_INIT && all_zero(xstate + 2, MXCSR_OFF - 2) &&
		all_zero(xstate + ST_OFF, ST_SIZE))
		bv &= ~XSTATE_X87;
	if (mxcsr == MXCSR_INIT && all_zero(xstate + XMM_OFF, XMM_SIZE))
		bv &= ~XSTATE_XMM;
	if (mxcsr == MXCSR_INIT && all_zero(xstate + YMM_OFF, YMM_SIZE))
		bv &= ~XSTATE_YMM;
	memcpy(xstate + XSTATE_BV_OFF, &bv, sizeof(bv));
}

/* A component at its initial values has no bit and reads as zeros; the header is always kept. The room
 * for tiles alone is 8 KiB for each thread, of which nearly none has any. */
size_t arch_xstate_used(const uint8_t *xstate, size_t len)
{
	while (len > YMM_OFF && xstate[len - 1] == 0)
		len--;
	return len;
}

/* The kernel takes tiles only for a thread that has used some before: it enlarges the thread's buffer at
 * the first use. Source: arch/x86/kernel/fpu/xstate.c validate_user_xstate_header(). */
const char *arch_xstate_stuck(const uint8_t *xstate, size_t len)
{
	uint64_t bv;

	if (len < XSTATE_BV_OFF + sizeof(bv))
		return NULL;
	memcpy(&bv, xstate + XSTATE_BV_OFF, sizeof(bv));
	return bv & XSTATE_TILES ? "AMX tiles" : NULL;
}

uint64_t arch_ip(const struct arch_regs *r)
{
	return r->gp.rip;
}

uint64_t arch_sp(const struct arch_regs *r)
{
	return r->gp.rsp;
}

void arch_ip_set(struct arch_regs *r, uint64_t ip)
{
	r->gp.rip = ip;
}

long arch_syscall_nr(const struct arch_regs *r)
{
	return (long)r->gp.orig_rax;
}

void arch_syscall_nr_set(struct arch_regs *r, long nr)
{
	r->gp.orig_rax = nr;
}

long arch_syscall_ret(const struct arch_regs *r)
{
	return (long)r->gp.rax;
}

void arch_syscall_again(struct arch_regs *r)
{
	r->gp.rax = -ERESTARTNOHAND;
}

bool arch_syscall_is_again(const struct arch_regs *r)
{
	return arch_syscall_nr(r) >= 0 && arch_syscall_ret(r) == -ERESTARTNOHAND;
}

bool arch_syscall_restarts(const struct arch_regs *r)
{
	return arch_syscall_nr(r) >= 0 && arch_syscall_ret(r) == -ERESTART_RESTARTBLOCK;
}

void arch_syscall_ret_set(struct arch_regs *r, long ret)
{
	r->gp.rax = ret;
}

uint64_t arch_syscall_arg(const struct arch_regs *r, int i)
{
	const uint64_t args[6] = {r->gp.rdi, r->gp.rsi, r->gp.rdx, r->gp.r10, r->gp.r8, r->gp.r9};

	return args[i];
}

void arch_syscall_arg_set(struct arch_regs *r, int i, uint64_t value)
{
	unsigned long long *const args[6] = {
		&r->gp.rdi, &r->gp.rsi, &r->gp.rdx, &r->gp.r10, &r->gp.r8, &r->gp.r9};

	*args[i] = value;
}

void arch_syscall_ended(struct arch_regs *r, long ret)
{
	r->gp.rax = ret;
	r->gp.orig_rax = -1;
}

void arch_syscall_rewind(struct arch_regs *r)
{
	r->gp.rip -= SYSCALL_INSN_LEN;
	r->gp.rax = r->gp.orig_rax;
	r->gp.orig_rax = -1;
}

void arch_regs_resume(const struct arch_regs *r, struct arch_regs *ret)
{
	long result = arch_syscall_ret(r);

	*ret = *r;
	if (arch_syscall_nr(r) >= 0) {
		if (result == -ERESTARTSYS || result == -ERESTARTNOINTR ||
			result == -ERESTARTNOHAND) {
			arch_syscall_rewind(ret);
		} else if (result == -ERESTART_RESTARTBLOCK) {
			arch_syscall_rewind(ret);
			ret->gp.rax = SYS_restart_syscall;
		}
	}
	ret->gp.orig_rax = -1;
}

/* This kernel decides from the registers alone. */
void arch_syscall_reenter(const struct arch_regs *r, struct arch_regs *enter,
	struct arch_regs *leave, struct arch_regs *stop)
{
	*enter = *leave = *stop = *r;
}

void arch_syscall_handled(const struct arch_regs *r, struct arch_regs *ret)
{
	*ret = *r;
}

void arch_regs_restored(struct arch_regs *r)
{
	if (arch_syscall_restarts(r))
		arch_syscall_again(r);
}

void arch_regs_call(struct arch_regs *r, uint64_t at, long nr, const uint64_t args[6])
{
	r->gp.rip = at;
	r->gp.rax = nr;
	r->gp.rdi = args[0];
	r->gp.rsi = args[1];
	r->gp.rdx = args[2];
	r->gp.r10 = args[3];
	r->gp.r8 = args[4];
	r->gp.r9 = args[5];
	r->gp.orig_rax = -1;
	r->gp.eflags &= ~(EFLAGS_DF | EFLAGS_TF);
}

const uint8_t *arch_syscall_insn(size_t *ret_len)
{
	static const uint8_t insn[] = {0x0f, 0x05};

	*ret_len = sizeof(insn);
	return insn;
}
