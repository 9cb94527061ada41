/*
 * abi.h - what the coordinator and the agent agree on: programs of steps.
 *
 * The agent is an interpreter of system-call lists. It knows no resource: what a step is for is
 * known only to the host code that made it. At a dump it runs in the tracee (a "batch"), at a
 * restore it is all that a new task consists of until its own context is put in (a "plan").
 *
 * All addresses in a program are absolute in the address space that the agent runs in.
 */
#ifndef CKPT_AGENT_ABI_H
#define CKPT_AGENT_ABI_H

#include <stdint.h>

enum agent_op {
	AGENT_SYSCALL, /* nr(args) */
	AGENT_SPAWN,   /* clone3(args[0], args[1]); the child runs the program at args[2] */
	AGENT_ARRIVE, /* add 1 to ctl->arrived and wake the coordinator; if args[0], only when all have */
	AGENT_WAIT, /* until ctl->phase >= args[0] */
	AGENT_GATE, /* until the gate of its own program is open wider than args[0] */
	AGENT_PARK, /* arrive, then wait to be taken over by a tracer */
	AGENT_ASK,  /* rendezvous args[0] with a tracer; the program ends when none answers */
	AGENT_DONE  /* the program ends */
};

/* What a step's result must be; a step that misses it ends the program with an error. */
enum agent_expect {
	AGENT_EXPECT_OK,  /* no errno */
	AGENT_EXPECT_EQ,  /* exactly want */
	AGENT_EXPECT_ANY, /* whatever it is */
	AGENT_EXPECT_END  /* exactly want; else the process ends, as nobody is left to be told */
};

struct agent_step {
	uint8_t op;
	uint8_t expect;
	uint8_t result_mask; /* bit i: args[i] is the number of an earlier step, whose result counts */
	uint8_t reserved;
	uint32_t nr;
	uint64_t args[6];
	int64_t want;
	int64_t ret; /* written by the agent */
};

/* One thread's program. */
struct agent_prog {
	uint64_t ctl;   /* address of struct agent_ctl, 0 at a dump */
	uint64_t steps; /* address of the steps */
	uint32_t n;
	uint32_t at; /* the step being run; written by the agent */
	uint32_t id; /* the thread's number in the plan of the tree */
	uint32_t failed;
	uint32_t gate; /* futex; how often the coordinator has opened it */
};

/* The restore has failed: who waits, or comes to wait, ends. Gates are opened for it, too. */
#define AGENT_PHASE_ABORT UINT32_MAX

/* Shared by the coordinator and all restored threads. */
struct agent_ctl {
	uint32_t phase;   /* futex; raised by the coordinator */
	uint32_t arrived; /* futex; raised by the threads */
	uint32_t wanted;  /* arrivals that the coordinator waits for; fewer do not wake it */
	uint32_t all;     /* likewise: all of them; who meets others is no news before that */
	uint32_t error;   /* futex; 0, or 1 from the first failure on */
	uint32_t failed_id;
	uint32_t failed_step;
	int32_t failed_errno;
	uint32_t status; /* that a process ends with when the restore has failed */
	uint32_t park;   /* futex; never woken */
};

/* A rendezvous is getpid(AGENT_ASK_KEY, which): harmless when no tracer is there to answer it. */
#define AGENT_ASK_KEY    0x636b7074UL
#define AGENT_ASK_ANSWER 0x5ca1ab1eUL

#endif
