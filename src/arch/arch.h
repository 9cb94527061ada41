/*
 * arch.h - what differs between instruction sets, for host code. Implemented once per ISA under
 * arch/<isa>/; an ISA is added by files.
 */
#ifndef CKPT_ARCH_ARCH_H
#define CKPT_ARCH_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "isa/regs.h"

/* ---- registers of a thread in a ptrace stop ---- */

int arch_regs_get(pid_t tid, struct arch_regs *ret);
int arch_regs_set(pid_t tid, const struct arch_regs *regs);

uint64_t arch_ip(const struct arch_regs *r);
uint64_t arch_sp(const struct arch_regs *r);
void arch_ip_set(struct arch_regs *r, uint64_t ip);

/**
 * arch_xstate_get() - the registers beside the general ones, as arch_xstate_set() takes them
 * @cap: bytes of @buf; ARCH_XSTATE_MAX is enough
 * Return: 0; -E2BIG; -errno of ptrace(2).
 */
int arch_xstate_get(pid_t tid, uint8_t *buf, size_t cap, size_t *ret_len);

/** arch_xstate_set() - write them. Return: 0; -EINVAL not such registers; -errno of ptrace(2) */
int arch_xstate_set(pid_t tid, const uint8_t *data, size_t len);

/** arch_xstate_features() - which of them the CPU had (x86: XCR0); 0: unknown */
uint64_t arch_xstate_features(const uint8_t *xstate, size_t len);

/**
 * arch_xstate_fragile() - what of them an injected system call would lose
 * Return: its name, static; NULL: nothing.
 */
const char *arch_xstate_fragile(pid_t tid);

/** arch_xstate_plain() - of the ways to write the same extended registers, the shortest */
void arch_xstate_plain(uint8_t *xstate, size_t len);

/**
 * arch_xstate_used() - how much of the extended registers says anything: zeros behind it are their rest
 * @len: of all of them, as the kernel tells it
 * Return: bytes.
 */
size_t arch_xstate_used(const uint8_t *xstate, size_t len);

/**
 * arch_xstate_stuck() - what of the extended registers can't be put into a new thread
 * Return: its name, static; NULL: nothing.
 */
const char *arch_xstate_stuck(const uint8_t *xstate, size_t len);

/** arch_syscall_nr() - the system call that the thread is in, or -1 in user code */
long arch_syscall_nr(const struct arch_regs *r);

/** arch_syscall_nr_set() - have the thread be in another call than the kernel shows */
void arch_syscall_nr_set(struct arch_regs *r, long nr);

/** arch_syscall_ret() - the call's result so far: -512..-516 ask the kernel to restart it */
long arch_syscall_ret(const struct arch_regs *r);

/** arch_syscall_again() - have the kernel issue the call again, or end it with EINTR if a handler runs */
void arch_syscall_again(struct arch_regs *r);

/** arch_syscall_is_again() - whether the kernel will do so */
bool arch_syscall_is_again(const struct arch_regs *r);

/** arch_syscall_restarts() - whether the kernel would go on by restart_syscall(2), from its own memory */
bool arch_syscall_restarts(const struct arch_regs *r);

void arch_syscall_ret_set(struct arch_regs *r, long ret);
uint64_t arch_syscall_arg(const struct arch_regs *r, int i);
void arch_syscall_arg_set(struct arch_regs *r, int i, uint64_t value);

/** arch_syscall_ended() - make it a thread whose call has just returned @ret */
void arch_syscall_ended(struct arch_regs *r, long ret);

/** arch_syscall_rewind() - make the thread issue its system call again, as if it had not begun */
void arch_syscall_rewind(struct arch_regs *r);

/**
 * arch_regs_resume() - registers that, put into any stop, go on as the kernel would from @r
 * A restart that the kernel owes (-ERESTARTSYS, -ERESTART_RESTARTBLOCK, ...) is expressed in
 * registers, because code injected before it would use it up.
 */
void arch_regs_resume(const struct arch_regs *r, struct arch_regs *ret);

/*
 * With ARCH_STOP_REWINDS the kernel forgets, once a thread has run injected code, that a call of it was
 * broken off: a handler that runs then would return to a call that is issued again, where the program
 * is to see EINTR. So the thread is brought through its call's instruction once more.
 */

/**
 * arch_syscall_reenter() - registers with which a thread comes into such a stop anew
 * @r:     a broken-off call that is to be issued again, or continued
 * @enter: to be put in before; the thread then goes into restart_syscall(2), which does nothing, or
 *         continues the call
 * @leave: of a call that is to be issued again: to be put in at the exit of that
 * @stop:  to be put in at the stop
 */
void arch_syscall_reenter(const struct arch_regs *r, struct arch_regs *enter,
	struct arch_regs *leave, struct arch_regs *stop);

/** arch_syscall_handled() - the context that a handler is to return to, in such a stop */
void arch_syscall_handled(const struct arch_regs *r, struct arch_regs *ret);

/**
 * arch_regs_restored() - adapt registers of another life to a thread that has none of its memory in
 * the kernel: what the kernel would continue from there (restart_syscall) is issued anew
 */
void arch_regs_restored(struct arch_regs *r);

/** arch_regs_call() - turn @r into one at the instruction @at with a system call's number and arguments */
void arch_regs_call(struct arch_regs *r, uint64_t at, long nr, const uint64_t args[6]);

/** arch_syscall_insn() - the bytes of the system call instruction */
const uint8_t *arch_syscall_insn(size_t *ret_len);

/** arch_jump() - write a jump for the begin of a function, to an address; ARCH_JUMP_SIZE bytes */
void arch_jump(uint8_t *buf, uint64_t to);

/* ---- code that is injected; it ends by itself in the context that it is given ---- */

struct arch_call {
	long nr;
	uint64_t args[6];
	bool keep; /* its result counts */
};

/*
 * Where no jump goes everywhere without a register, the code's last jump goes to a landing: a jump near
 * to where the thread was, ARCH_LANDING_SIZE bytes.
 */

/** arch_landing_needed() - whether code between @start and @end can't go home to @resume by itself */
bool arch_landing_needed(uint64_t start, uint64_t end, const struct arch_regs *resume);

/** arch_landing_reaches() - whether a landing at @landing can */
bool arch_landing_reaches(uint64_t landing, const struct arch_regs *resume);

/** arch_landing_at() - where that of @resume is */
uint64_t arch_landing_at(const struct arch_regs *resume);

/** arch_landing() - write one that will be at @at, and have the code for @resume end there */
void arch_landing(uint8_t *buf, uint64_t at, struct arch_regs *resume);

/**
 * arch_stub_calls() - code that makes up to ARCH_STUB_CALLS_MAX system calls, waits for a short while
 * to be taken out, then resumes
 * @buf:    at least ARCH_STUB_CALLS_SIZE bytes
 * @at:     the address where it will be put
 * @hold_at: how long it waits: a struct timespec in the target, where that can't write. It does so in
 *          ppoll(2), which leaves the kernel's memory of a broken-off sleep alone; 0: not at all
 * @resume: context to end in (from arch_regs_resume())
 * @entry:  registers to start it with
 * Touches neither stack nor flags: a signal in its midst is handled on the right stack.
 * Return: its length in bytes; 0: arguments so long that it would not fit, or more than
 *         ARCH_STUB_RESULTS_MAX results to keep; nothing is to be used.
 */
size_t arch_stub_calls(uint8_t *buf, uint64_t at, const struct arch_call *calls, unsigned n,
	uint64_t hold_at, const struct arch_regs *resume, struct arch_regs *entry);

/** arch_stub_calls_held() - whether a thread waits in such code at @at, all calls made */
bool arch_stub_calls_held(const struct arch_regs *regs, uint64_t at);

/** arch_stub_calls_result() - the @i-th result that was kept, of a thread that waits there */
long arch_stub_calls_result(const struct arch_regs *regs, unsigned i);

/* A region that a stub maps, runs a program in, and unmaps. */
struct arch_region {
	uint64_t size;       /* whole */
	uint64_t code_size;  /* readable and executable part at its start; the rest is writable */
	uint64_t entry;      /* offset of the function to call */
	uint64_t arg;        /* offset of its argument */
	uint64_t ask_key;    /* rendezvous getpid(ask_key, 0, region) ... */
	uint32_t ask_answer; /* ... must return this, or the region is unmapped again */
};

/**
 * arch_stub_region() - code that blocks all signals, maps a region, asks its tracer to fill it,
 * calls the function in it, unmaps, sets @sigmask and resumes
 * @buf: at least ARCH_STUB_REGION_SIZE bytes
 * Return: its length in bytes; 0: it would not fit, nothing is to be used.
 */
size_t arch_stub_region(uint8_t *buf, uint64_t at, const struct arch_region *region,
	uint64_t sigmask, const struct arch_regs *resume, struct arch_regs *entry);

/* ---- a new task ---- */

/** arch_agent_start() - leave this program: call @entry(@prog) on the stack that ends at @stack_top */
void arch_agent_start(uint64_t entry, uint64_t prog, uint64_t stack_top) __attribute__((noreturn));

#endif
