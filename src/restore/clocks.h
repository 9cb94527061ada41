/*
 * clocks.h - CLOCK_MONOTONIC and CLOCK_BOOTTIME go on from where they were.
 *
 * They count from the boot: on another machine, or after a reboot, they may be behind what the
 * program has seen, or far ahead, and its absolute deadlines would be wrong. There, it gets a time
 * namespace in which the clocks go on from the instant of the dump. On the same boot they have just
 * run on, and it gets what it had.
 */
#ifndef CKPT_RESTORE_CLOCKS_H
#define CKPT_RESTORE_CLOCKS_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel/timens.h"
#include "proto/core.pb-c.h"
#include "res/res.h"

/* The clocks of a machine at one instant, in ns since its boot; and which boot that was. */
struct clocks_now {
	struct timens_offsets machine;
	const char *boot_id;
};

/**
 * clocks_offsets() - the offsets that a task needs; pure
 * @m:   of the image, whose clocks are the machine's at the dump
 * @was: the offsets that the task had then
 * @now: of the restoring machine
 */
struct timens_offsets clocks_offsets(
	const Ckpt__Manifest *m, const struct timens_offsets *was, const struct clocks_now *now);

/**
 * clocks_plan() - which offsets the task @pid gets here
 * Where they are needed but may not be set, a warning says by how much the clocks jump.
 * @ret: untouched unless 1
 * Return: 1 it needs a time namespace; 0 it is fine as it is.
 */
int clocks_plan(
	const struct plan *p, const Ckpt__Manifest *m, pid_t pid, struct timens_offsets *ret);

/**
 * clocks_away_ns() - how long ago the tree of an image was stopped
 * Of another boot it is what the wall clocks tell, which may have been set meanwhile.
 * Return: ns; 0 if that lies ahead
 */
uint64_t clocks_away_ns(const Ckpt__Manifest *m);

#endif
