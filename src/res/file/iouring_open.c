/*
 * iouring_open.c - rings again: see iouring.c.
 *
 * The kernel counts from 0, and can't be told where to go on; so it is given as many requests that do
 * nothing as it has had, some ten millions a second, in the memory that the ring will have. Then what was
 * in there is put back.
 */
#include "res/file/iouring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include <linux/io_uring.h>

#include "kernel/syscalls.h"
#include "proto/fdtable.pb-c.h"
#include "proto/iouring.pb-c.h"
#include "proto/shmem.pb-c.h"
#include "util/cleanup.h"
#include "util/vec.h"

#define MANY 100000000U /* requests that take a while */

struct ring {
	struct open_ctx *o;
	const Ckpt__IoUring *m;
	int fd;
	uint8_t *memory, *saved;
	uint64_t size, array_at;
};

static struct iouring_head *head_of(uint8_t *memory)
{
	return (struct iouring_head *)memory;
}

static int fail_image(struct open_ctx *o, const char *what)
{
	return op_fail(
		o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify", "an io_uring ring: %s", what);
}

static bool power_of_two(uint32_t n, uint32_t max)
{
	return n && n <= max && !(n & (n - 1));
}

static int check(struct ring *r)
{
	const Ckpt__Shmem *mem =
		r->m->memory ? model_get(r->o->model, &res_shmem.type, r->m->memory) : NULL;

	if (!power_of_two(r->m->sq_entries, IOURING_ENTRIES_MAX) ||
		!power_of_two(r->m->cq_entries, 2 * IOURING_ENTRIES_MAX))
		return fail_image(r->o, "no such sizes");
	if (!r->m->memory)
		return 0;
	if (!mem || plan_fd(r->o->plan, r->m->memory) < 0 ||
		mem->size_bytes <
			IOURING_RINGS_BYTES + (uint64_t)r->m->sq_entries * IOURING_SQE_BYTES)
		return fail_image(r->o, "its memory is not there, or too small");
	r->size = mem->size_bytes;
	return 0;
}

static int map(struct ring *r)
{
	if (!r->m->memory)
		return 0;
	r->memory = mmap(NULL, r->size, PROT_READ | PROT_WRITE, MAP_SHARED,
		plan_fd(r->o->plan, r->m->memory), 0);
	r->saved = malloc(r->size);
	if (r->memory == MAP_FAILED || !r->saved)
		return op_fail(r->o->op, CKPT_E_SPACE, ENOMEM, "mmap", NULL, "an io_uring ring");
	memcpy(r->saved, r->memory, r->size);
	memset(r->memory, 0, r->size);
	return 0;
}

/* The last field of sq_off and cq_off is an address, which older headers have no name for. */
static void set_addresses(struct ring *r, struct io_uring_params *p)
{
	uint64_t rings = (uintptr_t)r->memory, requests = rings + IOURING_RINGS_BYTES;

	p->flags |= IORING_SETUP_NO_MMAP;
	memcpy((char *)&p->sq_off + sizeof(p->sq_off) - 8, &requests, 8);
	memcpy((char *)&p->cq_off + sizeof(p->cq_off) - 8, &rings, 8);
}

static bool is_known(const struct io_uring_params *p)
{
	return p->cq_off.cqes == IOURING_CQES_AT && p->sq_off.head == 0 && p->sq_off.tail == 4 &&
	       p->cq_off.head == 8 && p->cq_off.tail == 12 &&
	       p->sq_off.array == iouring_list_at(p->cq_entries);
}

bool iouring_can_be_made(void)
{
	struct io_uring_params p = {.flags = IORING_SETUP_CQSIZE, .cq_entries = 2};
	size_t size = IOURING_RINGS_BYTES + IOURING_SQE_BYTES;
	struct ring r = {.memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)};

	if (r.memory == MAP_FAILED)
		return false;
	set_addresses(&r, &p);
	r.fd = (int)syscall(SYS_io_uring_setup, 1, &p);
	munmap(r.memory, size);
	fd_close(r.fd);
	return r.fd >= 0 && is_known(&p);
}

static int make(struct ring *r)
{
	struct io_uring_params p = {.flags = IORING_SETUP_CQSIZE, .cq_entries = r->m->cq_entries};

	if (r->m->memory)
		set_addresses(r, &p);
	r->fd = (int)syscall(SYS_io_uring_setup, r->m->sq_entries, &p);
	if (r->fd < 0)
		return op_fail(r->o->op, CKPT_E_SYSTEM, errno, "io_uring_setup",
			errno == EINVAL ? "restore it with Linux 6.5 or newer" : NULL,
			"an io_uring ring");
	r->array_at = p.sq_off.array;
	if (!is_known(&p) || r->array_at + p.sq_entries * sizeof(uint32_t) > IOURING_RINGS_BYTES)
		return op_fail(r->o->op, CKPT_E_SYSTEM, 0, "io_uring_setup", NULL,
			"an io_uring ring: this kernel lays it out in another way");
	if (r->m->memory)
		return 0;
	r->size = r->array_at + p.sq_entries * sizeof(uint32_t);
	r->memory =
		mmap(NULL, r->size, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, IORING_OFF_SQ_RING);
	if (r->memory == MAP_FAILED)
		return op_fail(r->o->op, CKPT_E_SYSTEM, errno, "mmap", NULL, "an io_uring ring");
	return 0;
}

/* All requests are of zeros, which is to do nothing. */
static int count_on(struct ring *r)
{
	volatile struct iouring_head *h = head_of(r->memory);
	uint32_t *array = (uint32_t *)(r->memory + r->array_at);
	uint32_t left = r->m->done, unit = MIN(r->m->sq_entries, r->m->cq_entries);

	if (left > MANY)
		op_info(r->o->op, "an io_uring ring has had %u requests: it takes a while", left);
	for (uint32_t i = 0; i < r->m->sq_entries; i++)
		array[i] = i;
	while (left) {
		uint32_t n = MIN(left, unit);

		__atomic_store_n(&h->sq_tail, h->sq_tail + n, __ATOMIC_RELEASE);
		if (syscall(SYS_io_uring_enter, r->fd, n, 0, 0, NULL, 0) != (long)n)
			return op_fail(r->o->op, CKPT_E_SYSTEM, errno, "io_uring_enter", NULL,
				"an io_uring ring");
		__atomic_store_n(&h->cq_head, h->cq_tail, __ATOMIC_RELEASE);
		left -= n;
	}
	return 0;
}

static int put_back(struct ring *r)
{
	const struct iouring_head *was = head_of(r->saved);
	struct iouring_head *h = head_of(r->memory);

	if (was->sq_head != r->m->done || was->sq_tail - was->sq_head > r->m->sq_entries ||
		was->cq_tail - was->cq_head > r->m->cq_entries || was->cq_tail != r->m->done)
		return fail_image(r->o, "its counters contradict each other");
	h->sq_tail = was->sq_tail;
	h->cq_head = was->cq_head;
	h->sq_dropped = was->sq_dropped;
	h->cq_overflow = was->cq_overflow;
	h->cq_flags = was->cq_flags;
	memcpy(r->memory + IOURING_CQES_AT, r->saved + IOURING_CQES_AT,
		r->array_at - IOURING_CQES_AT);
	memcpy(r->memory + IOURING_CQES_AT, r->saved + IOURING_CQES_AT, r->size - IOURING_CQES_AT);
	return 0;
}

int iouring_open(
	struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record)
{
	struct ring r = {.o = o, .m = (const void *)rec->msg, .fd = -EBADF, .memory = MAP_FAILED};
	int ret = check(&r);

	(void)id;
	(void)file_record;
	if (ret == 0)
		ret = map(&r);
	if (ret == 0)
		ret = make(&r);
	if (ret == 0)
		ret = count_on(&r);
	if (ret == 0 && r.m->memory)
		ret = put_back(&r);
	if (r.memory != MAP_FAILED)
		munmap(r.memory, r.size);
	free(r.saved);
	if (ret < 0)
		fd_close(r.fd);
	return ret < 0 ? ret : r.fd;
}

/* Without one that shall be something else by --fd. */
static int register_eventfd(struct open_ctx *o, const Ckpt__IoUring *m, int fd)
{
	int event = m->eventfd ? plan_fd(o->plan, m->eventfd) : -1;

	if (event < 0 ||
		syscall(SYS_io_uring_register, fd, IORING_REGISTER_EVENTFD, &event, 1) == 0)
		return 0;
	return op_fail(o->op, CKPT_E_SYSTEM, errno, "io_uring_register", NULL,
		"the eventfd of an io_uring ring");
}

int iouring_opened_all(struct open_ctx *o, const struct model_rec *rec, int fd)
{
	const Ckpt__IoUring *m = (const void *)rec->msg;
	_cleanup_free_ int *fds = NULL;
	int r = register_eventfd(o, m, fd);

	if (r < 0 || !m->file_slots)
		return r;
	fds = m->file_slots <= IOURING_ENTRIES_MAX ? malloc(m->file_slots * sizeof(*fds)) : NULL;
	if (!fds)
		return fail_image(o, "it has too many registered files");
	for (uint32_t i = 0; i < m->file_slots; i++)
		fds[i] = -1;
	for (size_t i = 0; i < m->n_files; i++) {
		if (m->files[i]->index >= m->file_slots)
			return fail_image(o, "a registered file is out of its table");
		fds[m->files[i]->index] = plan_fd(o->plan, m->files[i]->file);
	}
	if (syscall(SYS_io_uring_register, fd, IORING_REGISTER_FILES, fds, m->file_slots) < 0)
		return op_fail(o->op, CKPT_E_SYSTEM, errno, "io_uring_register", NULL,
			"%u files of an io_uring ring", m->file_slots);
	return 0;
}

void iouring_plan(struct plan *p, enum plan_phase phase, const struct model_rec *rec, int fd,
	struct prog *prog)
{
	const Ckpt__IoUring *m = (const void *)rec->msg;
	uint64_t at;

	(void)p;
	if (phase != PLAN_PROCESS || !m->n_buffers)
		return;
	at = prog_data(prog, NULL, m->n_buffers * sizeof(struct iovec));
	for (size_t i = 0; !prog->err && i < m->n_buffers; i++) {
		struct iovec iov = {
			(void *)(uintptr_t)m->buffers[i]->start, m->buffers[i]->size_bytes};

		memcpy(prog->data + at + i * sizeof(iov), &iov, sizeof(iov));
	}
	PROG_CALL(prog, "iouring: register buffers", SYS_io_uring_register, IMM(fd),
		IMM(IORING_REGISTER_BUFFERS), DATA(at), IMM(m->n_buffers));
	prog_object(prog, "fd %d", fd);
}
