/*
 * vdso.h - the code and data that the kernel maps into every process.
 */
#ifndef CKPT_RES_MM_VDSO_H
#define CKPT_RES_MM_VDSO_H

#include <stddef.h>
#include <stdint.h>

#include "inject/prog.h"
#include "proto/mm.pb-c.h"

#define VDSO_PARTS_MAX 8

/* One mapping of it. */
struct vdso_part {
	char name[24];     /* [vvar], [vvar_vclock], [vdso] */
	uint64_t at, size; /* bytes; at from the first part on */
};

/* What the running kernel maps. */
struct vdso_host {
	struct vdso_part parts[VDSO_PARTS_MAX]; /* ascending */
	size_t n;                               /* 0: this kernel has none */
	uint64_t start;                         /* of the first part, in this process ... */
	uint64_t top;                           /* ... where no mapping reaches higher than this */
	uint64_t size;                          /* from the first part to the end of the last */
	const uint8_t *code; /* of [vdso], without the slack behind it; borrowed */
	size_t code_len;
};

/**
 * vdso_host_read() - look at this process's own vdso
 * @ret: its code lies in this process, and stays as long as that
 * Return: 0; -errno of reading /proc/self/maps.
 */
int vdso_host_read(struct vdso_host *ret);

/**
 * vdso_code_len() - how much of a [vdso] is code, without the slack that injection writes to
 * @code: an ELF image of @len bytes; untrusted
 * Return: bytes, a multiple of 64 (or @len); @len where it is no ELF image.
 */
size_t vdso_code_len(const uint8_t *code, size_t len);

/**
 * vdso_symbol() - find a function of a vdso by its name
 * @ret_value: offset of its code
 * @ret_room:  bytes from there that belong to it
 * Return: 0; -ENOENT; -EBADMSG no ELF image, or a damaged one.
 */
int vdso_symbol(
	const uint8_t *code, size_t len, const char *name, uint64_t *ret_value, uint64_t *ret_room);

/**
 * vdso_patch() - send the functions of an old vdso to those of a new one
 * @old, @old_len: code of the old one; changed
 * @new, @new_len: code of the new one
 * @new_at: address at which the new one will be
 * Return: how many functions were sent on.
 */
unsigned vdso_patch(
	uint8_t *old, size_t old_len, const uint8_t *new, size_t new_len, uint64_t new_at);

/**
 * vdso_plan_keep() - the part of a fork's memory that its vdso is made of
 * @ret_end: its end
 * @ret_top: end of all of the fork's memory
 * Return: its start; 0: a vdso is mapped anew, nothing has to be kept for it.
 */
uint64_t vdso_plan_keep(const struct vdso_host *host, uint64_t *ret_end, uint64_t *ret_top);

/**
 * vdso_plan() - the steps that give a task the vdso of @mm, in an empty address space
 * (but for what vdso_plan_keep() tells)
 * @host: of the running kernel
 */
void vdso_plan(const struct vdso_host *host, const Ckpt__Mm *mm, struct prog *prog);

/**
 * vdso_room() - the highest room that an address space leaves
 * The agent's area keeps below: restore/area.c takes the lowest.
 * Return: its address, a multiple of a page; 0: there is none of @size bytes.
 */
uint64_t vdso_room(const Ckpt__Mm *mm, uint64_t size);

#endif
