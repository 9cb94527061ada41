/*
 * sink.h - where contents go: a file, or the memory of a task by the cheapest way that takes them.
 *
 * Into memory: whole pages through a userfaultfd (res/mm/mm_uffd.h) where one is for it; else by
 * process_vm_writev(2), which needs nothing to be opened; and what is protected from writing, through
 * /proc/PID/mem, which goes past protections.
 */
#ifndef CKPT_RESTORE_SINK_H
#define CKPT_RESTORE_SINK_H

#include <stdint.h>
#include <sys/types.h>

#include "model/page_map.h"

struct sink {
	int fd; /* a file, borrowed; of a task -EBADF at first, and /proc/PID/mem when it was needed */
	pid_t pid;                      /* the task; 0: it is a file */
	int uffd;                       /* borrowed; whatever where through is empty: */
	const struct page_map *through; /* what is registered with it; may be NULL */
};

/**
 * sink_write() - put contents into their place; by several threads at once
 * @at: an address, or an offset
 * @ret_call: the system call that failed; untouched else
 * Return: 0; -errno.
 * Source: process_vm_writev(2); proc(5); ioctl_userfaultfd(2) UFFDIO_COPY.
 */
int sink_write(
	struct sink *s, const uint8_t *from, uint64_t at, uint64_t len, const char **ret_call);

void sink_done(struct sink *s);

#endif
