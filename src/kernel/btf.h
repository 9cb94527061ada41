/*
 * btf.h - where the running kernel has the members of its structures, as its BTF tells.
 */
#ifndef CKPT_KERNEL_BTF_H
#define CKPT_KERNEL_BTF_H

#include <stddef.h>
#include <stdint.h>

struct btf {
	char *data; /* owned */
	const char *types, *types_end, *strings, *strings_end;
};

/**
 * btf_read() - the BTF of the kernel itself
 * @ret: ended by btf_done(), also after a failure
 * Some 5 MB are read. Return: 0; -ENOENT this kernel has none; -EBADMSG; -errno.
 * Source: /sys/kernel/btf/vmlinux, Linux >= 5.4 with CONFIG_DEBUG_INFO_BTF.
 */
int btf_read(struct btf *ret);

/**
 * btf_offset() - of a member in a structure, through structures and unions without a name
 * Return: bytes; -ENOENT there is none such.
 */
int btf_offset(const struct btf *b, const char *structure, const char *member);

/** btf_size() - of a structure. Return: bytes; -ENOENT there is none such */
int btf_size(const struct btf *b, const char *structure);

/** btf_function() - the id of a function; -ENOENT: there is none such */
int btf_function(const struct btf *b, const char *name);

void btf_done(struct btf *b);

#endif
