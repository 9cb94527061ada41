/*
 * Time namespaces: CLOCK_MONOTONIC and CLOCK_BOOTTIME shifted against those of the machine.
 */
#ifndef CKPT_KERNEL_TIMENS_H
#define CKPT_KERNEL_TIMENS_H

#include <stdint.h>

struct timens_offsets {
	int64_t monotonic_ns, boottime_ns; /* what a task in it reads, less what the machine has */
};

/**
 * timens_parse() - parse the text of a timens_offsets file
 * @ret: untouched on failure
 * Return: 0; -EBADMSG.
 * Source: time_namespaces(7), Linux >= 5.6: "monotonic SECONDS NANOSECONDS", and boottime likewise.
 */
int timens_parse(const char *text, struct timens_offsets *ret);

/** timens_read() - of a process. Return: 0; -ENOENT a kernel without; -EBADMSG; -ENOMEM; -errno. */
int timens_read(int procfd, struct timens_offsets *ret);

/**
 * timens_unshare() - let the children that this thread makes from now on be in a new time namespace
 * The thread itself stays where it is; other threads are not concerned.
 * Return: 0; -EPERM without CAP_SYS_ADMIN and CAP_SYS_TIME; -EINVAL a kernel without; -ERANGE; -errno.
 */
int timens_unshare(const struct timens_offsets *offsets);

/**
 * timens_join() - be in a new time namespace oneself
 * For a process with one thread. On failure its children may be in one.
 * Return: 0; -EUSERS there are more threads; as timens_unshare().
 * Source: setns(2), Linux >= 5.6.
 */
int timens_join(const struct timens_offsets *offsets);

#endif
