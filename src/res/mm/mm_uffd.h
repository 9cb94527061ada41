/*
 * mm_uffd.h - a userfaultfd through which a new task's memory gets its contents.
 *
 * UFFDIO_COPY puts whole pages where none are: without the fault, the zeroing and the look-up of each page
 * that a write to /proc/PID/mem costs. Measured, it takes a quarter less of a processor's time. The task
 * makes the descriptor, as it is for the memory of whoever makes it, and registers its large mappings;
 * the coordinator takes a duplicate (pidfd_getfd), and both close it when the contents are there, so that
 * nothing of it is left when the task forks or the program runs. What can't be done so is written to
 * /proc/PID/mem.
 *
 * Left out is memory that would be given huge pages when it is written: UFFDIO_COPY gives none.
 * Source: userfaultfd(2), Linux >= 4.3; UFFD_USER_MODE_ONLY (for users without privilege), Linux >= 5.11.
 */
#ifndef CKPT_RES_MM_MM_UFFD_H
#define CKPT_RES_MM_MM_UFFD_H

#include "model/page_map.h"
#include "res/mm/mm.h"

#define MM_NO_UFFD ((size_t)-1)

/** mm_uffd_look() - set p->uffd and p->thp_bytes: whether it can be used here, and is worth it. @p: with its model */
void mm_uffd_look(struct plan *p);

/**
 * mm_uffd_ranges() - the mappings of a task for which it is worth it; pure
 * @only: what is filled of them, in any order; NULL: all that the task has pages for
 * @ret: added to, of nobody in particular
 * Return: 0; -ENOMEM
 */
int mm_uffd_ranges(
	const struct plan *p, pid_t pid, const struct page_map *only, struct page_map *ret);

/**
 * mm_uffd_plan() - append the making of it: one step makes the descriptor, the next begins, and each of
 * those that follow registers one of mm_uffd_ranges(); none of them has to succeed
 * Return: the first step; MM_NO_UFFD where it is not worth it.
 */
size_t mm_uffd_plan(struct plan *p, pid_t pid, const struct page_map *only, struct prog *prog);

/** mm_uffd_plan_close() - append its end, if there is one. @first: as returned by mm_uffd_plan() */
void mm_uffd_plan_close(size_t first, struct prog *prog);

/** mm_uffd_registered() - the step that has registered a range. @first: as returned by mm_uffd_plan() */
static inline size_t mm_uffd_registered(size_t first, size_t range)
{
	return first + 2 + range;
}

#endif
