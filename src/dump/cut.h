/*
 * cut.h - what is to be saved of one window: which pages are there, and whose they are.
 *
 * Relatives share private pages after fork(2) until one of them writes. Such a page has one frame, at the
 * same address in all of them; it is saved once, with the first of them.
 *
 * Why a frame number that was read at one instant can be relied on: everyone is stopped, so contents stay, but
 * the kernel may move a page (compaction, swap) and give its frame to another one. So the entries of the first
 * are read again when those of all others have been. A page that has the same frame, or the same place in the
 * swap space, before and after had it in between as well, when the other was seen with it: so both had one
 * page then, and what they hold is the same for as long as they are stopped, wherever it is moved later.
 * (To go away and come back within the milliseconds of a window, it would have to be moved twice into just
 * the frame that it left, and the other's page into it and out again in between: the kernel takes
 * frames from the other end of a zone than where it frees them when it compacts, and does not reuse
 * a place in the swap space at once.) Comparing contents instead would cost as much as saving them.
 */
#ifndef CKPT_DUMP_CUT_H
#define CKPT_DUMP_CUT_H

#include "dump/frames.h"
#include "dump/kernel_words.h"
#include "dump/windows.h"

/* Pages of one want, one behind the other. */
struct piece {
	uint32_t want;
	uint32_t of; /* the task that has the same ones; FRAME_OF_NOBODY: to be saved */
	bool common; /* somebody else maps them as well, in this tree or outside of it */
	uint64_t start, end;
};

/* For one thread; zeroed but for its first members. */
struct cutter {
	const struct collect_tree *t;
	const struct kernel_words *words; /* of each task */
	uint64_t zero_frame; /* of pagemap_zero_frame(); 0: what is shared can't be seen */
	bool several;        /* tasks in this window: they may share pages */
	struct frames frames;
	struct piece *v; /* of the last window, in the order of its parts */
	size_t n, cap;
	uint64_t *entries;
	const struct collect *at; /* whose memory is looked at */
};

/**
 * cut_window() - find what is to be saved of a window
 * Return: 0; -ENOMEM; -errno of looking at k->at
 */
int cut_window(struct cutter *k, const struct part *parts, size_t n);
void cutter_done(struct cutter *k);

#endif
