/*
 * sink.c - see sink.h.
 */
#include "restore/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <linux/userfaultfd.h>

#include "util/fd.h"
#include "util/vec.h"

#define PAGE 4096UL

/* Whether an address is in what is registered, and up to where that holds. */
static bool look_through(const struct sink *s, uint64_t at, uint64_t *end)
{
	const struct page_map *map = s->through;
	size_t lo = 0, hi = map ? map->n : 0;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (map->v[mid].end <= at)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!map || lo == map->n)
		return false;
	if (map->v[lo].start <= at) {
		*end = MIN(*end, map->v[lo].end);
		return true;
	}
	*end = MIN(*end, map->v[lo].start);
	return false;
}

/* /proc/PID/mem, opened once for all threads. Return: -errno */
static int open_mem(struct sink *s)
{
	int fd = __atomic_load_n(&s->fd, __ATOMIC_ACQUIRE), none = -EBADF;
	char path[32];

	if (fd >= 0)
		return fd;
	snprintf(path, sizeof(path), "/proc/%d/mem", s->pid);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (__atomic_compare_exchange_n(
		    &s->fd, &none, fd, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return fd;
	close(fd); /* another thread was first */
	return none;
}

/* A task's memory, past protections where it must be. */
static int write_memory(
	struct sink *s, const uint8_t *from, uint64_t at, uint64_t len, const char **ret_call)
{
	struct iovec local = {(void *)from, len}, remote = {(void *)at, len};
	ssize_t done = 0;
	int fd, r;

	/* once it had to be opened, it is no slower */
	if (__atomic_load_n(&s->fd, __ATOMIC_ACQUIRE) < 0)
		done = process_vm_writev(s->pid, &local, 1, &remote, 1, 0);
	if (done == (ssize_t)len)
		return 0;
	if (done < 0)
		done = 0;
	fd = open_mem(s);
	if (fd < 0) {
		*ret_call = "open";
		return fd;
	}
	r = pwrite_full(fd, from + done, len - (uint64_t)done, (off_t)(at + (uint64_t)done));
	if (r < 0)
		*ret_call = "write";
	return r;
}

/* Where a page is there already (of a parent), or for whatever reason, it is written. */
static int copy_pages(
	struct sink *s, const uint8_t *from, uint64_t at, uint64_t end, const char **ret_call)
{
	int r = 0;

	while (r == 0 && at < end) {
		struct uffdio_copy copy = {.dst = at,
			.src = (uintptr_t)from,
			.len = end - at,
			.mode = UFFDIO_COPY_MODE_DONTWAKE};
		uint64_t done = 0;

		if (ioctl(s->uffd, UFFDIO_COPY, &copy) == 0 || copy.copy > 0)
			done = (uint64_t)copy.copy;
		if (done == 0 && errno != EAGAIN) {
			done = errno == EEXIST ? PAGE : end - at;
			r = write_memory(s, from, at, done, ret_call);
		}
		at += done;
		from += done;
	}
	return r;
}

int sink_write(
	struct sink *s, const uint8_t *from, uint64_t at, uint64_t len, const char **ret_call)
{
	uint64_t last = at + len;
	int r = 0;

	if (!s->pid) {
		r = pwrite_full(s->fd, from, len, (off_t)at);
		if (r < 0)
			*ret_call = "write";
		return r;
	}
	while (r == 0 && at < last) {
		uint64_t end = last;

		if (look_through(s, at, &end))
			r = copy_pages(s, from, at, end, ret_call);
		else
			r = write_memory(s, from, at, end - at, ret_call);
		from += end - at;
		at = end;
	}
	return r;
}

void sink_done(struct sink *s)
{
	if (s->pid)
		fd_close(s->fd);
	s->fd = -EBADF;
}
