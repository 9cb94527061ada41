/*
 * seccomp_bpf.h - what a seccomp filter would say of a system call, without making the call.
 *
 * A filter is a classic BPF program over struct seccomp_data. The kernel has checked it when it was
 * installed (no loops, jumps inside, aligned 32-bit loads of the data only), but ours may come from
 * an image, so everything is checked again.
 */
#ifndef CKPT_KERNEL_SECCOMP_BPF_H
#define CKPT_KERNEL_SECCOMP_BPF_H

#include <stddef.h>
#include <stdint.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

/**
 * seccomp_bpf_run() - run one filter
 * @n:    instructions
 * @ret:  SECCOMP_RET_* with its data; untouched on failure
 * Return: 0; -EINVAL the program is none that the kernel would take.
 * Source: Linux kernel/seccomp.c seccomp_check_filter(), seccomp_run_filters().
 */
int seccomp_bpf_run(
	const struct sock_filter *filter, size_t n, const struct seccomp_data *data, uint32_t *ret);

/** seccomp_bpf_stricter() - of the answers of two stacked filters, the one that counts */
uint32_t seccomp_bpf_stricter(uint32_t a, uint32_t b);

#endif
