/*
 * bpf_program.h - programs of eBPF.
 *
 * The kernel rewrites a program when it is loaded, and does not give back what it was. So when those who use it are
 * gone it can only be had where somebody has pinned it: in a file system of type bpf.
 */
#ifndef CKPT_KERNEL_BPF_PROGRAM_H
#define CKPT_KERNEL_BPF_PROGRAM_H

#include <stdint.h>

#define BPF_PROGRAM_LINK "anon_inode:bpf-prog" /* of a descriptor */
#define BPF_PROGRAM_TAG  8

struct bpf_program {
	uint32_t id;
	uint32_t type;                /* BPF_PROG_TYPE_* */
	uint8_t tag[BPF_PROGRAM_TAG]; /* a digest of what it does */
};

/**
 * bpf_program_open() - open one where it is pinned
 * Return: owned by the caller; -EMEDIUMTYPE: something else is there; -errno.
 * Source: bpf(2) BPF_OBJ_GET, Linux >= 4.4; BPF_OBJ_GET_INFO_BY_FD, Linux >= 4.13.
 */
int bpf_program_open(const char *path, struct bpf_program *ret);

/**
 * bpf_program_find() - where a program is pinned
 * @id: of the kernel, as in fdinfo
 * @ret_path: one of the places; owned by the caller; untouched on failure
 * Return: 0; -ENOENT nowhere that we see; -ENOMEM; -errno.
 */
int bpf_program_find(uint32_t id, struct bpf_program *ret, char **ret_path);

/**
 * bpf_program_of_socket() - which program is the filter of a socket (SO_ATTACH_BPF)
 * @fd: of the socket
 * It is read where the kernel has it (kernel/kmem.h): it takes some 10 ms.
 * Return: its id; 0: it has none such, or it can't be told.
 */
uint32_t bpf_program_of_socket(int fd);

#endif
