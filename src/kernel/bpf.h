/*
 * bpf.h - bpf(2), which the C library does not have.
 */
#ifndef CKPT_KERNEL_BPF_H
#define CKPT_KERNEL_BPF_H

#include <errno.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

/** bpf_call() - Return: as of bpf(2); -errno */
static inline int bpf_call(int cmd, union bpf_attr *attr)
{
	long r = syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	return r < 0 ? -errno : (int)r;
}

#endif
