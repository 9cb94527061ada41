/*
 * regs.c - registers of a stopped thread, and what the kernel would do with them (aarch64).
 *
 * At a stop on the signal path this kernel has already undone a broken-off call: the pc is at its svc,
 * x0 is its first argument again, and no system call number is shown. What it is about to do (issue the
 * call again, continue it by restart_syscall(2), or let it end with EINTR if a handler runs) is in local
 * variables of the kernel, and is forgotten once the thread has run injected code. Here the stop is
 * brought into the form that other ISAs show it in, from
 *  - the instruction at the pc, and x8, which the kernel leaves as they are;
 *  - orig_x0, the first argument of the thread's last call: /proc/TID/syscall tells it while the number
 *    of a call is set (NT_ARM_SYSTEM_CALL), which the kernel does not look at in such a stop.
 * A thread that is interrupted in front of an svc that it has not yet executed, with the same first
 * argument as the call before, can't be told from it. To issue that call is right for both.
 * Source: Linux arch/arm64/kernel/signal.c do_signal(), ptrace.c system_call_set().
 */
#include "arch/arch.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "kernel/proc.h"
#include "kernel/proc_syscall.h"
#include "kernel/ptrace.h"
#include "util/cleanup.h"

#define ERESTARTSYS           512
#define ERESTARTNOINTR        513
#define ERESTARTNOHAND        514
#define ERESTART_RESTARTBLOCK 516

#define SVC          0xd4000001U /* svc #0 */
#define INSN_BYTES   4
#define X8           8
#define NR_MAX       4096
#define PSTATE_BTYPE 0xc00UL    /* set by an indirect branch, for its target */
#define PSTATE_SS    0x200000UL /* single step */

static int insn_get(pid_t tid, uint64_t at, uint32_t *ret)
{
	uint64_t word;
	int r = at % INSN_BYTES ? -EINVAL : ptrace_peek(tid, at & ~7ULL, &word);

	if (r == 0)
		*ret = (uint32_t)(at & 4 ? word >> 32 : word);
	return r;
}

static int nr_set(pid_t tid, int32_t nr)
{
	return ptrace_setregset(tid, NT_ARM_SYSTEM_CALL, &nr, sizeof(nr));
}

/* The first argument of the last call. Should we die in between, the number that stays is not used. */
static int orig_x0_get(pid_t tid, int32_t nr, uint64_t *ret)
{
	_cleanup_close_ int fd = proc_open(tid);
	struct proc_syscall call = {.nr = -1};
	int r = fd < 0 ? fd : nr_set(tid, nr), r2;

	if (r < 0)
		return r;
	r = proc_syscall_read(fd, 0, &call);
	r2 = nr_set(tid, -1);
	if (r == 0 && r2 == 0 && call.nr != nr)
		return -ENODATA;
	*ret = call.args[0];
	return r < 0 ? r : r2;
}

/* How the kernel continues a broken-off call. Source: uses of set_restart_fn() in Linux 6.1. */
static long restart_kind(const struct arch_regs *r)
{
	int64_t nr = r->nr;

	if (nr == SYS_restart_syscall || nr == SYS_nanosleep ||
		(nr == SYS_clock_nanosleep && !(r->gp.regs[1] & TIMER_ABSTIME)))
		return -ERESTART_RESTARTBLOCK;
	if (nr == SYS_futex && r->gp.regs[3] &&
		((r->gp.regs[1] & FUTEX_CMD_MASK) == FUTEX_WAIT ||
			(r->gp.regs[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET))
		return -ERESTART_RESTARTBLOCK;
	return -ERESTARTNOHAND;
}

/* In a stop on the signal path: which call was broken off, if any. */
static int call_find(pid_t tid, struct arch_regs *r)
{
	uint32_t insn;
	uint64_t orig_x0;
	bool eintr = (int64_t)r->gp.regs[0] == -EINTR;
	bool rewound = insn_get(tid, r->gp.pc, &insn) == 0 && insn == SVC;
	int ret;

	if (r->gp.regs[X8] >= NR_MAX)
		return 0;
	if (!rewound && (!eintr || insn_get(tid, r->gp.pc - INSN_BYTES, &insn) < 0 || insn != SVC))
		return 0;
	ret = orig_x0_get(tid, (int32_t)r->gp.regs[X8], &orig_x0);
	if (ret < 0)
		return ret == -ENODATA ? 0 : ret;
	if (rewound && orig_x0 != r->gp.regs[0])
		return 0;
	r->nr = (int64_t)r->gp.regs[X8];
	r->orig_x0 = orig_x0;
	if (rewound) {
		r->gp.pc += INSN_BYTES;
		r->gp.regs[0] = (uint64_t)restart_kind(r);
	}
	return 0;
}

int arch_regs_get(pid_t tid, struct arch_regs *ret)
{
	struct arch_regs r = {.nr = -1};
	int32_t nr;
	int err = ptrace_getregset(tid, NT_PRSTATUS, &r.gp, sizeof(r.gp), NULL);

	if (err == 0)
		err = ptrace_getregset(tid, NT_ARM_SYSTEM_CALL, &nr, sizeof(nr), NULL);
	if (err == 0 && nr >= 0) { /* a stop at the entry or exit of a call */
		r.nr = nr;
		r.orig_x0 = r.gp.regs[0];
	} else if (err == 0) {
		err = call_find(tid, &r);
	}
	if (err == 0)
		*ret = r;
	return err;
}

int arch_regs_set(pid_t tid, const struct arch_regs *regs)
{
	struct arch_regs r;

	arch_regs_resume(regs, &r);
	return ptrace_setregset(tid, NT_PRSTATUS, &r.gp, sizeof(r.gp));
}

uint64_t arch_ip(const struct arch_regs *r)
{
	return r->gp.pc;
}

uint64_t arch_sp(const struct arch_regs *r)
{
	return r->gp.sp;
}

void arch_ip_set(struct arch_regs *r, uint64_t ip)
{
	r->gp.pc = ip;
}

long arch_syscall_nr(const struct arch_regs *r)
{
	return r->nr;
}

void arch_syscall_nr_set(struct arch_regs *r, long nr)
{
	r->nr = nr;
	r->gp.regs[X8] = (uint64_t)nr;
}

long arch_syscall_ret(const struct arch_regs *r)
{
	return (long)r->gp.regs[0];
}

void arch_syscall_again(struct arch_regs *r)
{
	r->gp.regs[0] = (uint64_t)-ERESTARTNOHAND;
}

bool arch_syscall_is_again(const struct arch_regs *r)
{
	return r->nr >= 0 && arch_syscall_ret(r) == -ERESTARTNOHAND;
}

bool arch_syscall_restarts(const struct arch_regs *r)
{
	return r->nr >= 0 && arch_syscall_ret(r) == -ERESTART_RESTARTBLOCK;
}

void arch_syscall_ret_set(struct arch_regs *r, long ret)
{
	r->gp.regs[0] = (uint64_t)ret;
}

uint64_t arch_syscall_arg(const struct arch_regs *r, int i)
{
	return i == 0 && r->nr >= 0 ? r->orig_x0 : r->gp.regs[i];
}

void arch_syscall_arg_set(struct arch_regs *r, int i, uint64_t value)
{
	if (i == 0 && r->nr >= 0)
		r->orig_x0 = value;
	else
		r->gp.regs[i] = value;
}

static void no_call(struct arch_regs *r)
{
	r->nr = -1;
	r->orig_x0 = 0;
}

void arch_syscall_ended(struct arch_regs *r, long ret)
{
	r->gp.regs[0] = (uint64_t)ret;
	no_call(r);
}

void arch_syscall_rewind(struct arch_regs *r)
{
	r->gp.pc -= INSN_BYTES;
	r->gp.regs[0] = r->orig_x0;
	r->gp.regs[X8] = (uint64_t)r->nr;
	no_call(r);
}

/* The number of restart_syscall stays in x8 behind it; so it does when the kernel does this. */
void arch_regs_resume(const struct arch_regs *r, struct arch_regs *ret)
{
	long result = arch_syscall_ret(r);

	*ret = *r;
	if (r->nr >= 0) {
		if (result == -ERESTARTSYS || result == -ERESTARTNOINTR ||
			result == -ERESTARTNOHAND) {
			arch_syscall_rewind(ret);
		} else if (result == -ERESTART_RESTARTBLOCK) {
			arch_syscall_rewind(ret);
			ret->gp.regs[X8] = SYS_restart_syscall;
		}
	}
	no_call(ret);
}

void arch_syscall_reenter(const struct arch_regs *r, struct arch_regs *enter,
	struct arch_regs *leave, struct arch_regs *stop)
{
	*stop = *r;
	arch_syscall_rewind(stop);
	*enter = *stop;
	enter->gp.regs[X8] = SYS_restart_syscall;
	/* what the kernel finds at the end of the call, and undoes by itself */
	*leave = *r;
	leave->gp.regs[X8] = (uint64_t)r->nr;
	no_call(leave);
}

/* Calls that a handler always ends, whatever its SA_RESTART. Source: signal(7). */
static bool ends_at_handler(int64_t nr)
{
	static const long calls[] = {SYS_ppoll, SYS_pselect6, SYS_epoll_pwait, SYS_epoll_pwait2,
		SYS_rt_sigsuspend, SYS_rt_sigtimedwait, SYS_msgrcv, SYS_msgsnd, SYS_semop,
		SYS_semtimedop, SYS_io_getevents, SYS_io_pgetevents};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (calls[i] == nr)
			return true;
	return false;
}

void arch_syscall_handled(const struct arch_regs *r, struct arch_regs *ret)
{
	*ret = *r;
	if (arch_syscall_restarts(r) || (arch_syscall_is_again(r) && ends_at_handler(r->nr)))
		arch_syscall_ended(ret, -EINTR);
}

void arch_regs_restored(struct arch_regs *r)
{
	if (arch_syscall_restarts(r))
		arch_syscall_again(r);
}

void arch_regs_call(struct arch_regs *r, uint64_t at, long nr, const uint64_t args[6])
{
	r->gp.pc = at;
	r->gp.regs[X8] = (uint64_t)nr;
	for (int i = 0; i < 6; i++)
		r->gp.regs[i] = args[i];
	r->gp.pstate &= ~(PSTATE_BTYPE | PSTATE_SS);
	no_call(r);
}

const uint8_t *arch_syscall_insn(size_t *ret_len)
{
	static const uint8_t insn[] = {0x01, 0x00, 0x00, 0xd4};

	*ret_len = sizeof(insn);
	return insn;
}
