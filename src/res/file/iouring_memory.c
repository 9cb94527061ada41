/*
 * iouring_memory.c - the memory of an io_uring ring, as shared anonymous memory.
 */
#include "res/file/iouring.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <linux/io_uring.h>

#include "proto/shmem.pb-c.h"
#include "res/mm/mm.h"
#include "util/cleanup.h"

#define OFF_PBUF    0x80000000UL
#define SHARED_MODE (S_IFREG | 0777) /* of shared anonymous memory */

static int copy_vma(struct collect *c, const struct vma *v, int fd)
{
	size_t len = v->end - v->start;
	_cleanup_free_ uint8_t *buf = malloc(len);
	int r = buf ? tracees_read(c->tr, v->start, buf, len) : -ENOMEM;

	return r < 0 ? r : pwrite_full(fd, buf, len, (off_t)iouring_offset(v));
}

/* Whether a mapping is as long as one of rings of the usual layout would be. */
static bool is_usual(const struct vma *v, const struct iouring_head *h)
{
	uint64_t len = v->end - v->start, list = iouring_list_at(h->cq_entries);

	if (!h->sq_entries || h->sq_entries > IOURING_ENTRIES_MAX ||
		h->cq_entries > 2 * IOURING_ENTRIES_MAX)
		return false;
	if (iouring_offset(v))
		return len == ALIGN_UP((uint64_t)h->sq_entries * IOURING_SQE_BYTES, MM_PAGE);
	return len == ALIGN_UP(list + h->sq_entries * sizeof(uint32_t), MM_PAGE) ||
	       len == ALIGN_UP(list, MM_PAGE);
}

/*
 * A list of requests into which a program has never written may be one that the ring does not use
 * (IORING_SETUP_NO_SQARRAY, 6.6): then the requests are taken in their order. One who does write into it
 * does so before each request.
 */
static int fill_list(int fd, const struct iouring_head *h)
{
	uint64_t at = iouring_list_at(h->cq_entries);
	size_t len = h->sq_entries * sizeof(uint32_t);
	_cleanup_free_ uint32_t *list = calloc(h->sq_entries, sizeof(*list));

	if (!list)
		return -ENOMEM;
	if (pread(fd, list, len, (off_t)at) < 0)
		return -errno;
	for (uint32_t i = 0; i < h->sq_entries; i++)
		if (list[i])
			return 0;
	for (uint32_t i = 0; i < h->sq_entries; i++)
		list[i] = i;
	return pwrite_full(fd, list, len, (off_t)at);
}

/* All that is mapped of a ring, in a file of our own. Return: bytes; -errno */
static int64_t copy_memory(struct collect *c, ino_t ino, int fd)
{
	struct iouring_head h = {0};
	uint64_t size = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->maps.n; i++) {
		const struct vma *v = &c->maps.v[i];

		if (!iouring_is_vma(v) || v->ino != ino)
			continue;
		if (v->pgoff_bytes >= OFF_PBUF || v->end - v->start > IOURING_RINGS_BYTES)
			return -EOPNOTSUPP;
		size = MAX(size, iouring_offset(v) + (v->end - v->start));
		r = copy_vma(c, v, fd);
	}
	if (r == 0 && size <= IOURING_RINGS_BYTES)
		return -EOPNOTSUPP;
	if (r == 0)
		r = pread_full(fd, &h, sizeof(h), 0);
	for (size_t i = 0; r == 0 && i < c->maps.n; i++)
		if (iouring_is_vma(&c->maps.v[i]) && c->maps.v[i].ino == ino &&
			!is_usual(&c->maps.v[i], &h))
			r = -EOPNOTSUPP;
	if (r == 0)
		r = fill_list(fd, &h);
	return r < 0 ? r : (int64_t)size;
}

int iouring_collect_memory(struct collect *c, uint64_t id, const struct file_look *l)
{
	Ckpt__Shmem *m = msg_new(Ckpt__Shmem, CKPT__SHMEM__INIT);
	struct page_want w = {.type = &res_contents.type,
		.owner = id,
		.fd = memfd_create("io_uring", MFD_CLOEXEC)};
	int64_t size = m && w.fd >= 0 ? copy_memory(c, l->st.st_ino, w.fd) : -ENOMEM;

	if (size < 0 || ftruncate(w.fd, size) < 0) {
		free(m);
		fd_close(w.fd);
		return op_fail(c->op, size == -EOPNOTSUPP ? CKPT_E_REFUSED : CKPT_E_SYSTEM,
			size < 0 ? (int)-size : errno, "read", IOURING_CLOSE_IT,
			"pid %d (%s): the memory of an io_uring ring%s", c->pid, c->tr->comm,
			size == -EOPNOTSUPP ? ", which is laid out in a way that is not known"
					    : "");
	}
	m->kind = CKPT__SHMEM__KIND__ANON;
	m->size_bytes = size;
	m->mode = SHARED_MODE;
	m->ino = l->st.st_ino;
	w.end = w.resident_bytes = size;
	if (collect_add_take(c, &res_shmem.type, id, m) < 0) {
		fd_close(w.fd);
		return -ENOMEM;
	}
	return collect_want_take(c, &w);
}
