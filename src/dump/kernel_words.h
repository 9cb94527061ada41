/*
 * kernel_words.h - words in a program's memory that the kernel writes whenever a thread runs: the
 * processor numbers in rseq areas. In an image they are zero, so that two images of one state do not
 * differ by the processors on which it stood.
 */
#ifndef CKPT_DUMP_KERNEL_WORDS_H
#define CKPT_DUMP_KERNEL_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "inject/tracees.h"

struct kernel_words {
	uint64_t *rseq; /* addresses of rseq areas, ascending */
	size_t n;
};

/** kernel_words_find() - find them. @ret: released with kernel_words_done(). 0; -ENOMEM */
int kernel_words_find(const struct tracees *tr, struct kernel_words *ret);
void kernel_words_done(struct kernel_words *w);

/** kernel_words_zero() - zero those that lie in a copy of the memory at @start */
void kernel_words_zero(const struct kernel_words *w, uint64_t start, uint8_t *copy, size_t len);

/** kernel_words_in() - Return: whether any lies in [@start, @end), which are whole pages */
bool kernel_words_in(const struct kernel_words *w, uint64_t start, uint64_t end);

#endif
