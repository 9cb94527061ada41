/*
 * agent.c - the interpreter that runs inside foreign and new address spaces.
 *
 * Freestanding and position independent: no libc, no writable data, no relocation, general
 * registers only (so that the FPU state of its host thread needs no care). It runs on a stack that
 * the coordinator gave it. It never loops without end on its own: a rendezvous that nobody answers
 * ends a dump's program, and the tasks of a restore die with their coordinator.
 */
#include <linux/futex.h>
#include <asm/unistd.h>

#include "agent/abi.h"
#include "isa/raw_syscall.h"

void agent_main(struct agent_prog *p);
long agent_clone3(void *args, unsigned long size, struct agent_prog *child);

#define MAX_ERRNO 4095UL

static int is_error(long ret)
{
	return (unsigned long)ret >= -MAX_ERRNO;
}

static long futex(uint32_t *word, int op, uint32_t val)
{
	return raw_syscall6(__NR_futex, (long)word, op, val, 0, 0, 0);
}

static uint32_t load(uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static void park(struct agent_ctl *ctl)
{
	for (;;)
		futex(&ctl->park, FUTEX_WAIT, load(&ctl->park));
}

static void arrive(struct agent_ctl *ctl, uint32_t *wanted)
{
	uint32_t n = __atomic_add_fetch(&ctl->arrived, 1, __ATOMIC_SEQ_CST);

	if (n >= load(wanted))
		futex(&ctl->arrived, FUTEX_WAKE, 1);
}

static void wait_phase(struct agent_ctl *ctl, uint32_t phase)
{
	uint32_t now;

	while ((now = load(&ctl->phase)) < phase)
		futex(&ctl->phase, FUTEX_WAIT, now);
	if (now == AGENT_PHASE_ABORT)
		raw_syscall6(__NR_exit_group, load(&ctl->status), 0, 0, 0, 0, 0);
}

static void wait_gate(struct agent_prog *p, struct agent_ctl *ctl, uint32_t times)
{
	uint32_t now;

	while ((now = load(&p->gate)) <= times)
		futex(&p->gate, FUTEX_WAIT, now);
	wait_phase(ctl, 0);
}

/* The first failure is the one that is told; every thread then waits for the end. */
static void fail(struct agent_prog *p, struct agent_ctl *ctl, long ret)
{
	uint32_t none = 0;

	if (__atomic_compare_exchange_n(
		    &ctl->error, &none, 2, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
		ctl->failed_id = p->id;
		ctl->failed_step = p->at;
		ctl->failed_errno = is_error(ret) ? (int32_t)-ret : 0;
		__atomic_store_n(&ctl->error, 1, __ATOMIC_SEQ_CST);
	}
	__atomic_store_n(&ctl->wanted, 0, __ATOMIC_SEQ_CST);
	arrive(ctl, &ctl->wanted);
	wait_phase(ctl, AGENT_PHASE_ABORT);
}

static int met(const struct agent_step *s)
{
	switch (s->expect) {
	case AGENT_EXPECT_OK:
		return !is_error(s->ret);
	case AGENT_EXPECT_EQ:
		return s->ret == s->want;
	case AGENT_EXPECT_END:
		if (s->ret != s->want)
			raw_syscall6(__NR_exit_group, 1, 0, 0, 0, 0, 0);
		return 1;
	default:
		return 1;
	}
}

/* Return: 0 to go on, 1 when the program ends. */
static int run_step(struct agent_prog *p, struct agent_step *steps, struct agent_ctl *ctl)
{
	struct agent_step *s = &steps[p->at];
	uint64_t a[6];

	for (int i = 0; i < 6; i++)
		a[i] = s->result_mask & 1 << i ? (uint64_t)steps[s->args[i]].ret : s->args[i];
	if (s->op == AGENT_SYSCALL) {
		s->ret = raw_syscall6(s->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	} else if (s->op == AGENT_SPAWN) {
		s->ret = agent_clone3((void *)a[0], a[1], (struct agent_prog *)a[2]);
	} else if (s->op == AGENT_ARRIVE) {
		arrive(ctl, a[0] ? &ctl->all : &ctl->wanted);
	} else if (s->op == AGENT_WAIT) {
		wait_phase(ctl, a[0]);
	} else if (s->op == AGENT_GATE) {
		wait_gate(p, ctl, a[0]);
	} else if (s->op == AGENT_PARK) {
		arrive(ctl, &ctl->all);
		park(ctl);
	} else if (s->op == AGENT_ASK) {
		s->ret = raw_syscall6(__NR_getpid, AGENT_ASK_KEY, a[0], 0, 0, 0, 0);
		return s->ret != AGENT_ASK_ANSWER;
	} else {
		return 1;
	}
	if (met(s))
		return 0;
	p->failed = 1;
	if (ctl)
		fail(p, ctl, s->ret);
	return 1;
}

__attribute__((section(".text.head"))) void agent_main(struct agent_prog *p)
{
	struct agent_step *steps = (struct agent_step *)p->steps;
	struct agent_ctl *ctl = (struct agent_ctl *)p->ctl;

	for (uint32_t at = 0; at < p->n; at++) {
		/* whoever sees it sees the results of the steps before */
		__atomic_store_n(&p->at, at, __ATOMIC_RELEASE);
		if (run_step(p, steps, ctl))
			return;
	}
}
