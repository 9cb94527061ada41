/*
 * prog.h - building programs for the agent: lists of system calls, each with what it is for.
 *
 * The same list is a batch of questions at a dump and the plan of a thread at a restore. It is plain
 * data until prog_lower() gives it addresses, so it can be made, printed and tested anywhere. Errors
 * of building (no memory) stick in the program and are asked for once, at its end.
 */
#ifndef CKPT_INJECT_PROG_H
#define CKPT_INJECT_PROG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/abi.h"

/* An argument: a value; an offset into the program's data; an earlier step's result; or something
 * about the area of memory that the agent and its programs live in during a restore. */
struct prog_arg {
	enum {
		PROG_IMM,
		PROG_DATA,
		PROG_RESULT,
		PROG_START_OF_AREA,
		PROG_END_OF_AREA,
		PROG_SPACE_ABOVE_AREA /* value: end of the address space */
	} kind;
	uint64_t value;
};

#define IMM(v)  ((struct prog_arg){PROG_IMM, (uint64_t)(v)})
#define DATA(v) ((struct prog_arg){PROG_DATA, (uint64_t)(v)})
#define RES(v)  ((struct prog_arg){PROG_RESULT, (uint64_t)(v)})

#define PROG_AREA_START      ((struct prog_arg){PROG_START_OF_AREA, 0})
#define PROG_AREA_END        ((struct prog_arg){PROG_END_OF_AREA, 0})
#define PROG_ABOVE_AREA(top) ((struct prog_arg){PROG_SPACE_ABOVE_AREA, (top)})

struct prog_step {
	enum agent_op op;
	enum agent_expect expect;
	long nr;
	struct prog_arg args[6];
	int64_t want;
	bool wants_ret;   /* of a thread's question: its result counts, not only what it writes */
	int64_t ret;      /* after a run; of a thread's question only with wants_ret */
	const char *what; /* static: the resource and the purpose, "mm: map" */
	char *object;     /* owned: "7f12..-7f34.. /usr/lib/libc.so.6"; NULL unless described */
};

struct prog {
	struct prog_step *steps;
	size_t n, cap;
	uint8_t *data;
	size_t data_len, data_cap;
	struct {
		uint64_t at, to;
	} * pointers;
	size_t n_pointers, cap_pointers;
	bool describe; /* make objects' texts: for --plan and for the text of an error */
	int err;       /* sticky */
};

void prog_done(struct prog *p);

/**
 * prog_add() - append a step; macros below are shorter
 * Return: its number, for RES() and for reading its result.
 */
size_t prog_add(struct prog *p, const struct prog_step *step);

/** prog_object() - describe the last step, printf; nothing is done unless p->describe */
void prog_object(struct prog *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** prog_data() - append bytes (zeros if NULL), aligned to 16. Return: offset, for DATA() */
uint64_t prog_data(struct prog *p, const void *bytes, size_t len);

/** prog_pointer() - have the 8 bytes of data at @at hold the address of the data at @to */
void prog_pointer(struct prog *p, uint64_t at, uint64_t to);

/* A call that must not fail; one whose result is the answer (_RET); one whose result must be @w
 * (_EQ); one whose result does not matter (_ANY). */
#define PROG_CALL(p, text, number, ...)                                                            \
	prog_add(p, &(struct prog_step){.op = AGENT_SYSCALL,                                       \
			    .what = (text),                                                        \
			    .nr = (number),                                                        \
			    .args = {__VA_ARGS__}})
#define PROG_CALL_RET(p, text, number, ...)                                                        \
	prog_add(p, &(struct prog_step){.op = AGENT_SYSCALL,                                       \
			    .what = (text),                                                        \
			    .nr = (number),                                                        \
			    .expect = AGENT_EXPECT_ANY,                                            \
			    .wants_ret = true,                                                     \
			    .args = {__VA_ARGS__}})
#define PROG_CALL_EQ(p, text, w, number, ...)                                                      \
	prog_add(p, &(struct prog_step){.op = AGENT_SYSCALL,                                       \
			    .what = (text),                                                        \
			    .nr = (number),                                                        \
			    .expect = AGENT_EXPECT_EQ,                                             \
			    .want = (int64_t)(w),                                                  \
			    .args = {__VA_ARGS__}})
#define PROG_CALL_ANY(p, text, number, ...)                                                        \
	prog_add(p, &(struct prog_step){.op = AGENT_SYSCALL,                                       \
			    .what = (text),                                                        \
			    .nr = (number),                                                        \
			    .expect = AGENT_EXPECT_ANY,                                            \
			    .args = {__VA_ARGS__}})

/* Where a program will lie. */
struct prog_place {
	uint64_t data;                 /* address of its data */
	uint64_t area_start, area_end; /* at a restore */
};

/** prog_value() - what an argument becomes in a place (a result: the number of its step) */
uint64_t prog_value(const struct prog_arg *a, const struct prog_place *place);

/** prog_lower() - write the steps as the agent reads them; out has room for p->n */
void prog_lower(const struct prog *p, const struct prog_place *place, struct agent_step *out);

/** prog_lower_data() - write the data, with its pointers set; out has room for p->data_len */
void prog_lower_data(const struct prog *p, const struct prog_place *place, void *out);

/**
 * prog_run_here() - make the calls of a program ourselves: of system calls alone, and what goes wrong with
 * them is told by the result
 * @ret_failed: the step that missed what it must give; may be NULL
 * Results are in the steps. Async-signal-safe.
 * Return: 0; -errno of the step that failed; -EINVAL it has other steps, or a result is not the one wanted.
 */
int prog_run_here(struct prog *p, size_t *ret_failed);

#endif
