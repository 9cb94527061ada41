/*
 * show.h - the parts of `show` among themselves.
 */
#ifndef CKPT_LIB_SHOW_H
#define CKPT_LIB_SHOW_H

#include <stdbool.h>
#include <stdio.h>
#include <jansson.h>

#include "lib/load.h"
#include "lib/show_shared.h"

/** show_text() - everything, for people; @regs: with each thread's general registers */
void show_text(const struct loaded *l, const struct shared_pages *shared, bool regs, FILE *out);

/** show_regs() - the general registers of one thread, some lines; none where their set is unknown */
struct Ckpt__Regs;
void show_regs(const struct loaded *l, const struct Ckpt__Regs *m, FILE *out);

/** show_regs_json() - Return: a new array, {"tid", "rax": "0x...", ...} of each thread; NULL: no memory */
json_t *show_regs_json(const struct loaded *l);

/** show_memory() - the map of one task, with sizes by kind */
void show_memory(
	const struct loaded *l, const struct shared_pages *shared, uint64_t pid, FILE *out);

/** show_unix() - what a unix socket is beyond its type, in words */
void show_unix(const void *msg, FILE *out);

/** show_files() - the descriptors of one task */
void show_files(const struct loaded *l, uint64_t pid, FILE *out);

/**
 * show_socket() - a socket in words
 * @type, @msg: the record of its kind
 * Return: whether it is one; else nothing is printed.
 */
bool show_socket(const struct loaded *l, uint32_t id, const char *type, const void *msg, FILE *out);

#endif
