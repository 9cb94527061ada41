/*
 * The build id of an ELF file: a hash that the linker puts into every executable and library
 * (--build-id, the default of all distributions). Two files with the same one hold the same code.
 */
#ifndef CKPT_KERNEL_BUILD_ID_H
#define CKPT_KERNEL_BUILD_ID_H

#include <stddef.h>
#include <stdint.h>

#define BUILD_ID_MAX 64

struct build_id {
	uint8_t bytes[BUILD_ID_MAX];
	size_t len; /* 0: it has none */
};

/**
 * build_id_read() - find the build id of a file
 * @fd:   open for reading; its position stays
 * @ret:  filled when it is an ELF file of 64 bits
 * Return: 1 it is an ELF file (whether it has an id or not); 0 it is none; -errno of pread(2).
 * Source: elf(5), PT_NOTE with NT_GNU_BUILD_ID.
 */
int build_id_read(int fd, struct build_id *ret);

#endif
