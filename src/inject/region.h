/*
 * region.h - the memory that a leader maps for the agent, its program and all answers.
 *
 * Code, how long to hold | program, steps, data of all | stack. The first part is made executable and
 * not writable, the rest the other way round.
 */
#ifndef CKPT_INJECT_REGION_H
#define CKPT_INJECT_REGION_H

#include "inject/prog.h"
#include "inject/tracees.h"

struct region {
	struct tracees *tr;
	struct prog *whole, *threads; /* as of remote_run(); threads may be NULL */
	size_t leader; /* its index; its own thread's questions are asked by the agent too */
	bool free;     /* the agent runs without stops, and waits for us at its end */
	uint64_t at;   /* where the target has mapped it */
	uint64_t code_size, size; /* bytes, of whole pages */
	uint64_t hold_off, steps_off, whole_off, threads_off;
};

/** region_layout() - set sizes and offsets, from the programs, @leader and @free */
void region_layout(struct region *g);

/** region_fill() - write all into the target's memory at g->at. Return: 0; -errno */
int region_fill(struct region *g);

/** region_seems_done() - whether all questions seem to have been asked; a hint */
bool region_seems_done(const struct region *g);

/** region_read() - have the agent's answers, into the programs. Return: 0; -errno */
int region_read(struct region *g);

/** region_take_thread() - take a thread's answers from @data, a copy of its part of the region */
void region_take_thread(const struct region *g, size_t i, uint8_t *data);

#endif
