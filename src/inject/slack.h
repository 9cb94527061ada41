/*
 * slack.h - the place for injected code: the unused bytes behind the vdso's segment.
 *
 * The vdso is mapped readable and executable in every process, and its last page is longer than its
 * code. A write through /proc/PID/mem makes that page private to the process; no text of the program
 * is touched, and no system call in the target is needed first.
 *
 * A slot is never used again while a signal frame may return into it. So code goes only into bytes
 * that are zero; our own bytes are zeroed after a clean run, and what a dead tracer left is zeroed
 * only when no stack points to it.
 */
#ifndef CKPT_INJECT_SLACK_H
#define CKPT_INJECT_SLACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/arch.h"
#include "kernel/proc_maps.h"

struct tracees;

/** slack_find() - find the slack of a vdso; none is found where it is no ELF image, or too small */
void slack_find(struct tracees *tr, uint64_t vdso_start, uint64_t vdso_end);

/**
 * slack_find_in_files() - find a slack in a process without a vdso; all threads are held
 * @maps: its memory map
 * None is found where no program or library leaves enough zeros behind its code.
 */
void slack_find_in_files(struct tracees *tr, const struct vma_list *maps);

/**
 * slack_zeros_at_end() - zeros at the end of a mapping's last page
 * @distance: so many of them are left to what is in front; a power of 2
 * Return: bytes, a multiple of @distance; 0: none, or it is not code of a file.
 */
size_t slack_zeros_at_end(struct tracees *tr, const struct vma *v, size_t distance);

/** slack_holds() - whether an address lies in the slack */
bool slack_holds(const struct tracees *tr, uint64_t addr);

/**
 * slack_take() - find room for code, all of it zero
 * @want: bytes
 * @from: look from this address on; 0: from the start
 * Return: its address, 0 when there is none.
 */
uint64_t slack_take(struct tracees *tr, size_t want, uint64_t from);

/**
 * slack_landing() - give code for @resume a way home, where it needs one (arch_landing())
 * @resume: context that the code is to end in; told where the way is
 * It takes zero bytes behind the code of a program or library that is near to where the thread was.
 * Return: 0; -ENOSPC there are none; -errno of reading or writing the memory.
 */
int slack_landing(struct tracees *tr, struct arch_regs *resume);

/**
 * slack_bounce() - put code somewhere that does nothing but go to @to
 * @ret_at: its address; slack_unbounce() takes it away
 * Return: as slack_landing().
 */
int slack_bounce(struct tracees *tr, const struct arch_regs *to, uint64_t *ret_at);
void slack_unbounce(struct tracees *tr, uint64_t at);

/** slack_on_landing() - whether an address lies in a landing of ours */
bool slack_on_landing(const struct tracees *tr, uint64_t addr);

/* of slack_clear() */
void slack_zero(struct tracees *tr, uint64_t start, uint64_t end);
void slack_landings_clear(struct tracees *tr);

/** slack_clear() - zero our own code, after a clean run: every thread is out of it */
void slack_clear(struct tracees *tr);

#endif
