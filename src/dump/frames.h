/*
 * frames.h - which task of a tree was the first that was seen with a page: while one window is looked at.
 */
#ifndef CKPT_DUMP_FRAMES_H
#define CKPT_DUMP_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_OF_NOBODY UINT32_MAX

struct frame {
	uint64_t address; /* 0: nothing here */
	uint64_t key;     /* what tells one page from another at this address */
	uint32_t task;    /* the first that has it */
	bool shared;      /* another has it as well */
	bool stays;       /* the first still had it when it was looked at again */
};

struct frames {
	struct frame *v;
	size_t n, n_slots;          /* a power of two */
	size_t n_shared, n_staying; /* of the shared ones */
};

/**
 * frames_note() - a task has a page
 * @address: not 0
 * @ret_first: the earlier task that has it; FRAME_OF_NOBODY: this is the first
 * Return: 0; -ENOMEM
 */
int frames_note(
	struct frames *f, uint64_t address, uint64_t key, uint32_t task, uint32_t *ret_first);

/** frames_confirm() - a task has a page still; one that nobody shares does not matter */
void frames_confirm(struct frames *f, uint64_t address, uint64_t key, uint32_t task);

/** frames_stays() - Return: whether all pages that @task was first to have at an address are confirmed */
bool frames_stays(const struct frames *f, uint64_t address, uint32_t task);

/** frames_clear() - forget all */
void frames_clear(struct frames *f);
void frames_done(struct frames *f);

#endif
