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

/* An argument: a value, an offset into the program's data, or an earlier step's result. */
struct prog_arg {
	enum { PROG_IMM, PROG_DATA, PROG_RESULT } kind;
	uint64_t value;
};

#define IMM(v)  ((struct prog_arg){PROG_IMM, (uint64_t)(v)})
#define DATA(v) ((struct prog_arg){PROG_DATA, (uint64_t)(v)})
#define RES(v)  ((struct prog_arg){PROG_RESULT, (uint64_t)(v)})

struct prog_step {
	enum agent_op op;
	enum agent_expect expect;
	long nr;
	struct prog_arg args[6];
	int64_t want;
	int64_t ret;	  /* after a run */
	const char *what; /* static: the resource and the purpose, "mm: map" */
	char *object;	  /* owned: "7f12..-7f34.. /usr/lib/libc.so.6"; NULL unless described */
};

struct prog {
	struct prog_step *steps;
	size_t n, cap;
	uint8_t *data;
	size_t data_len, data_cap;
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

/* A call that must not fail; one whose result must be @w; one whose result does not matter. */
#define PROG_CALL(p, text, number, ...)                                                            \
	prog_add(p, &(struct prog_step){.op = AGENT_SYSCALL, .what = (text), .nr = (number),       \
			    .args = {__VA_ARGS__}})
#define PROG_CALL_EQ(p, text, w, number, ...)                                                      \
	prog_add(p, &(struct prog_step){.op = AGENT_SYSCALL, .what = (text), .nr = (number),       \
			    .expect = AGENT_EXPECT_EQ, .want = (int64_t)(w),                       \
			    .args = {__VA_ARGS__}})
#define PROG_CALL_ANY(p, text, number, ...)                                                        \
	prog_add(p, &(struct prog_step){.op = AGENT_SYSCALL, .what = (text), .nr = (number),       \
			    .expect = AGENT_EXPECT_ANY, .args = {__VA_ARGS__}})

/** prog_value() - what an argument becomes when data lies at @data_addr (a result: its step) */
uint64_t prog_value(const struct prog_arg *a, uint64_t data_addr);

/** prog_lower() - write the steps as the agent reads them; out has room for p->n */
void prog_lower(const struct prog *p, uint64_t data_addr, struct agent_step *out);

#endif
