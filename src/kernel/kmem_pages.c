/*
 * kmem_pages.c - from a struct page of the kernel to the contents of the page; see kmem.h.
 *
 * The kernel has an array of struct page and maps all memory in one piece, and both are in the order of the
 * frames. So of one page both places have to be known, and they differ from boot to boot. It is one of ours: the
 * ring of a packet socket that nothing arrives at. The kernel notes by which address it reaches its ring; and a
 * pipe that was given the page notes its struct page. Another page of ours proves that it is right. (The buffer of
 * a perf event is made faster, but Linux 6.18 tells neither frame nor struct page of it; and symbols would be others
 * on each ISA.)
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "kernel/kmem.h"
#include "util/cleanup.h"
#include "util/fd.h"

/* The struct page of a page of ours: that of the first buffer of a pipe that holds it. */
static int find_struct(const struct kmem *k, void *page, uint64_t *ret)
{
	int bufs = btf_offset(&k->btf, "pipe_inode_info", "bufs");
	int in_buf = btf_offset(&k->btf, "pipe_buffer", "page");
	struct iovec iov = {page, k->page_bytes};
	_cleanup_close_ int in = -EBADF, out = -EBADF;
	int ends[2];
	uint64_t at;

	if (bufs < 0 || in_buf < 0)
		return -ENOENT;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	in = ends[0];
	out = ends[1];
	if (vmsplice(out, &iov, 1, 0) != (ssize_t)k->page_bytes)
		return -ENXIO;
	at = kmem_behind(k, in);
	at = at ? kmem_word(k, at + (uint64_t)bufs) : 0;
	*ret = at ? kmem_word(k, at + (uint64_t)in_buf) : 0;
	return *ret ? 0 : -ENXIO;
}

/* The address that the kernel has of the page of the ring. */
static int find_contents(const struct kmem *k, uint64_t *ret)
{
	int ring = btf_offset(&k->btf, "packet_sock", "rx_ring");
	int blocks = btf_offset(&k->btf, "packet_ring_buffer", "pg_vec");
	int block = btf_offset(&k->btf, "pgv", "buffer");
	uint64_t at = kmem_behind(k, k->ring);

	if (ring < 0 || blocks < 0 || block < 0)
		return -ENOENT;
	at = at ? kmem_word(k, at + (uint64_t)k->sk) : 0;
	at = at ? kmem_word(k, at + (uint64_t)ring + (uint64_t)blocks) : 0;
	*ret = at ? kmem_word(k, at + (uint64_t)block) : 0;
	return *ret ? 0 : -ENXIO;
}

/* A ring of one page. Return: its page, mapped; NULL, with errno */
static void *make_ring(struct kmem *k)
{
	struct tpacket_req one = {.tp_block_size = (unsigned)k->page_bytes,
		.tp_block_nr = 1,
		.tp_frame_size = (unsigned)k->page_bytes,
		.tp_frame_nr = 1};
	void *page;

	k->ring = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (k->ring < 0 || setsockopt(k->ring, SOL_PACKET, PACKET_RX_RING, &one, sizeof(one)) < 0)
		return NULL;
	page = mmap(NULL, k->page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, k->ring, 0);
	return page == MAP_FAILED ? NULL : page;
}

/* Whether what is in a page of ours is found from its struct page. */
static int prove(const struct kmem *k)
{
	uint8_t want[32], got[sizeof(want)];
	void *page = mmap(
		NULL, k->page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t at;
	int r = 0;

	if (page == MAP_FAILED)
		return -errno;
	if (getrandom(want, sizeof(want), 0) != sizeof(want))
		r = -EIO;
	memcpy(page, want, sizeof(want));
	if (r == 0)
		r = find_struct(k, page, &at);
	if (r == 0)
		r = kmem_page_read(k, at, 0, got, sizeof(got));
	munmap(page, k->page_bytes);
	return r < 0 ? r : memcmp(want, got, sizeof(want)) == 0 ? 0 : -ENXIO;
}

int kmem_pages_find(struct kmem *k)
{
	int struct_bytes = btf_size(&k->btf, "page"), r;
	void *page;

	if (k->page_contents)
		return 0;
	if (struct_bytes <= 0)
		return -ENOENT;
	k->ring = fd_close(k->ring); /* of a try that failed */
	k->page_struct_bytes = struct_bytes;
	k->page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	page = make_ring(k);
	if (!page)
		return -errno;
	r = find_struct(k, page, &k->page_struct);
	if (r == 0)
		r = find_contents(k, &k->page_contents);
	munmap(page, k->page_bytes);
	if (r == 0)
		r = prove(k);
	if (r < 0)
		k->page_contents = 0;
	return r;
}

int kmem_page_read(const struct kmem *k, uint64_t page, uint64_t off, void *ret, size_t len)
{
	int64_t distance = (int64_t)(page - k->page_struct);

	if (!k->page_contents || distance % k->page_struct_bytes)
		return -EFAULT;
	distance = distance / k->page_struct_bytes * (int64_t)k->page_bytes;
	return kmem_read(k, k->page_contents + (uint64_t)distance + off, ret, len);
}
