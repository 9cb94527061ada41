/*
 * kmem.h - reading what the kernel keeps and no system call tells, without touching it.
 *
 * A BPF program of a few instructions copies bytes from an address of the kernel into a page that we have
 * mapped; where they are, the kernel's BTF tells (kernel/btf.h). It follows no pointer by itself and takes
 * no lock: what is read must not change meanwhile, and has to be checked for what it should be. An address
 * that is wrong gives an error or wrong bytes, and harms nothing.
 *
 * Unlike an iterator (kernel/unix_queues.h) it goes from one of our own descriptors to what is behind it,
 * and the walk is ordinary C.
 */
#ifndef CKPT_KERNEL_KMEM_H
#define CKPT_KERNEL_KMEM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "kernel/btf.h"

struct kmem_window;

struct kmem {
	struct btf btf;             /* owned; for the offsets of whoever reads */
	int prog;                   /* owned */
	struct kmem_window *window; /* owned: mapped */
	int files, fdt, fds, behind, ino, sk;
	/* of kmem_pages_find() */
	int ring;                            /* owned: closing it takes a while */
	uint64_t page_struct, page_contents; /* of one page; 0: not known */
	int64_t page_struct_bytes;
	size_t page_bytes;
};

/**
 * kmem_open() - get ready to read
 * @ret: ended by kmem_close(), also after a failure; not for two threads at once
 * Return: 0; -EPERM; -ENOENT this kernel has no BTF, or other structures; -errno.
 * Source: bpf(2), Linux >= 5.10 with BTF (BPF_PROG_TEST_RUN of a raw tracepoint); takes CAP_BPF and
 * CAP_PERFMON.
 */
int kmem_open(struct kmem *ret);

void kmem_close(struct kmem *k);

/**
 * kmem_read() - bytes at an address of the kernel
 * Return: 0; -EFAULT nothing can be read there; -errno.
 */
int kmem_read(const struct kmem *k, uint64_t addr, void *ret, size_t len);

/** kmem_word() - a pointer at an address of the kernel; 0: it is NULL, or can't be read */
uint64_t kmem_word(const struct kmem *k, uint64_t addr);

/**
 * kmem_behind() - the private data of an open file: of a socket, struct socket
 * @fd: ours
 * Another thread of ours that opens files meanwhile may have the kernel move the table that is read: the
 * caller checks what it is given, and asks again.
 * Return: an address; 0.
 */
uint64_t kmem_behind(const struct kmem *k, int fd);

/**
 * kmem_sock() - the struct sock of a socket
 * @fd: ours
 * @ino: of it
 * Return: an address; 0: what is found there is not that socket.
 */
uint64_t kmem_sock(const struct kmem *k, int fd, ino_t ino);

/**
 * kmem_pages_find() - find out how a struct page leads to the contents of the page
 * It takes some 15 ms, in which we sleep, and once as much in kmem_close(). Once it is known, nothing is done.
 * Return: 0; -EPERM; -ENXIO it can't be told on this machine; -errno.
 * Source: packet(7) PACKET_RX_RING, vmsplice(2); takes CAP_NET_RAW.
 */
int kmem_pages_find(struct kmem *k);

/**
 * kmem_page_read() - bytes of a page, or of several behind each other
 * @page: the address of its struct page
 * @off: bytes from its start
 * Return: as kmem_read(); -EFAULT also without kmem_pages_find().
 */
int kmem_page_read(const struct kmem *k, uint64_t page, uint64_t off, void *ret, size_t len);

#endif
