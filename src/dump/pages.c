/*
 * pages.c - see pages.h.
 *
 * The work comes in chunks (chunks.h), each a list of ranges of one kind. A worker takes the next
 * one, and writes it to its own page file: one inode's lock would make two writers wait for each
 * other.
 */
#include "dump/pages.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/fault.h"
#include "core/trace.h"
#include "dump/chunks.h"
#include "dump/page_records.h"
#include "util/cleanup.h"
#include "util/hash.h"
#include "util/vec.h"

#define PAGE        4096UL
#define SMALL_BYTES (4UL << 20)

struct work {
	struct collect_tree *t;
	struct kernel_words *words; /* of each task */
	struct chunks *chunks;
	uint64_t wanted; /* bytes, about, before it is known exactly */
	_Atomic uint64_t taken;
};

struct worker {
	struct work *work;
	pthread_t thread;
	bool started;
	unsigned shard;
	int fd;
	uint8_t *buf;
	struct cutter cutter;
	struct chunk chunk; /* the one at hand */
	uint64_t offset;    /* in its page file */
	struct run *runs;
	size_t n_runs, cap_runs;
	int err; /* errno, positive */
	const char *call;
};

static int no_memory(struct collect_tree *t)
{
	return op_fail(t->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "saving memory");
}

/* ------------------------------------------------------------------ copying */

/* Past protections, page by page: a page that can't be read at all (a guard) holds nothing. */
static int read_forced(const struct chunk *c, uint8_t *buf, uint64_t start, uint64_t len)
{
	for (uint64_t off = 0; off < len; off += PAGE) {
		int r = pread_full(c->of->tr->mem_fd, buf + off, PAGE, start + off);

		if (r == -EIO || r == -EFAULT)
			memset(buf + off, 0, PAGE);
		else if (r < 0)
			return r;
	}
	return 0;
}

/* Some ranges of which nobody else maps a page. */
static int read_own(const struct chunk *c, uint32_t first, uint32_t n, uint8_t *buf, uint64_t bytes)
{
	const struct range *v = c->v + first;
	struct iovec local = {buf, bytes}, remote[CHUNK_RANGES_MAX];
	ssize_t got;

	for (uint32_t i = 0; i < n; i++)
		remote[i] = (struct iovec){(void *)v[i].start, v[i].len};
	got = process_vm_readv(c->of->alive, &local, 1, remote, n, 0);
	if (got == (ssize_t)bytes)
		return 0;
	if (got < 0 && errno != EFAULT && errno != EPERM)
		return -errno;
	for (uint32_t i = 0; i < n; i++) {
		int r = read_forced(c, buf, v[i].start, v[i].len);

		if (r < 0)
			return r;
		buf += v[i].len;
	}
	return 0;
}

/*
 * process_vm_readv(2) pins pages, and a pin ends sharing: since Linux 5.19 (commit a7f226604170) the target would
 * get a copy of its own of each page that it has in common with relatives. A read of /proc/PID/mem does
 * not, but is slower.
 */
static int read_common(const struct chunk *c, const struct range *v, uint8_t *buf)
{
	int r = pread_full(c->of->tr->mem_fd, buf, v->len, (off_t)v->start);

	return r == -EIO || r == -EFAULT ? read_forced(c, buf, v->start, v->len) : r;
}

static int read_raw(const struct worker *k, const struct chunk *c)
{
	uint8_t *to = k->buf;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < c->n;) {
		uint64_t bytes = c->v[i].len;
		uint32_t n = 1;

		while (!c->v[i].common && i + n < c->n && !c->v[i + n].common)
			bytes += c->v[i + n++].len;
		r = c->v[i].common ? read_common(c, &c->v[i], to) : read_own(c, i, n, to, bytes);
		to += bytes;
		i += n;
	}
	return r;
}

static int read_memory(const struct worker *k, const struct chunk *c)
{
	const struct range *v = c->v;
	uint8_t *copy = k->buf;
	int r = read_raw(k, c);

	for (uint32_t i = 0; r == 0 && i < c->n; copy += v[i++].len)
		kernel_words_zero(
			&k->work->words[c->of - k->work->t->tasks], v[i].start, copy, v[i].len);
	return r;
}

/* What is behind the end of a file, in its last page: only a mapping shows it. */
static void read_tail(int fd, uint64_t at, uint8_t *to)
{
	uint64_t page = ALIGN_DOWN(at, PAGE);
	uint8_t *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, (off_t)page);

	if (p == MAP_FAILED)
		return;
	/* not by memcpy: the file may shrink, and would raise SIGBUS then */
	process_vm_readv(getpid(), &(struct iovec){to, PAGE - (at - page)}, 1,
		&(struct iovec){p + (at - page), PAGE - (at - page)}, 1, 0);
	munmap(p, PAGE);
}

/* The end of a file may lie within a page: the rest of that is zero, but for shared memory. */
static int read_file(const struct worker *k, const struct chunk *c, int fd)
{
	const struct range *v = c->v;
	uint8_t *to = k->buf;

	for (uint32_t i = 0; i < c->n; i++) {
		uint64_t done = 0;

		while (done < v[i].len) {
			ssize_t n = pread(fd, to + done, v[i].len - done, v[i].start + done);

			if (n < 0)
				return -errno;
			if (n == 0)
				break;
			done += n;
		}
		memset(to + done, 0, v[i].len - done);
		if (done % PAGE)
			read_tail(fd, v[i].start + done, to + done);
		to += v[i].len;
	}
	return 0;
}

static bool page_is_zero(const uint8_t *page)
{
	const uint64_t *w = (const void *)page;

	for (size_t i = 0; i < PAGE / 8; i += 16) {
		uint64_t any = 0;

		for (size_t j = 0; j < 16; j++)
			any |= w[i + j];
		if (any)
			return false;
	}
	return true;
}

static int add_run(struct worker *k, const struct run *r)
{
	if (vec_reserve(&k->runs, &k->cap_runs, k->n_runs + 1, sizeof(*k->runs)) < 0)
		return -ENOMEM;
	k->runs[k->n_runs++] = *r;
	return 0;
}

/* Close up over pages of zeros, and note what remains as runs. Return: bytes to write, or -ENOMEM. */
static ssize_t pack(struct worker *k, const struct chunk *c)
{
	const struct range *v = c->v;
	uint8_t *from = k->buf, *to = k->buf;

	for (uint32_t i = 0; i < c->n; i++) {
		bool keep_zero = k->work->t->wants[v[i].want].keep_zero;

		for (uint64_t off = 0; off < v[i].len;) {
			struct run r = {
				.want = v[i].want, .shard = k->shard, .start = v[i].start + off};
			uint8_t *first = to;

			while (off < v[i].len && (keep_zero || !page_is_zero(from))) {
				if (to != from)
					memcpy(to, from, PAGE);
				to += PAGE;
				from += PAGE;
				off += PAGE;
			}
			r.pages = (to - first) / PAGE;
			r.offset = k->offset + (first - k->buf);
			if (r.pages) {
				r.hash = hash64(first, to - first);
				if (add_run(k, &r) < 0)
					return -ENOMEM;
			}
			while (off < v[i].len && !keep_zero && page_is_zero(from)) {
				from += PAGE;
				off += PAGE;
			}
		}
	}
	return to - k->buf;
}

static int copy_chunk(struct worker *k, const struct chunk *c)
{
	ssize_t len;
	int r;

	k->call = c->fd < 0 ? "process_vm_readv" : "pread";
	r = c->fd < 0 ? read_memory(k, c) : read_file(k, c, c->fd);
	if (r < 0)
		return r;
	len = pack(k, c);
	if (len < 0)
		return len;
	k->call = "write";
	r = write_full(k->fd, k->buf, len);
	k->offset += len;
	return r;
}

static void *worker_main(void *arg)
{
	struct worker *k = arg;
	struct ckpt_op *op = k->work->t->op;
	struct trace_span span = trace_begin(op->trace, "pages", k->work->t->tasks->pid, k->shard);

	while (!k->err && chunks_take(k->work->chunks, &k->cutter, &k->chunk)) {
		uint64_t taken = atomic_fetch_add(&k->work->taken, k->chunk.bytes);
		int r;

		if (k->shard == 0)
			op_progress(op, "saving memory", taken, k->work->wanted);
		r = op_cancelled(op);
		if (r == 0)
			r = copy_chunk(k, &k->chunk);
		if (r < 0) {
			k->err = -r;
			chunks_stop(k->work->chunks);
		}
	}
	trace_end(&span);
	return NULL;
}

static int copy_all(struct work *w, struct worker *v, unsigned n)
{
	struct ckpt_op *op = w->t->op;

	for (unsigned i = 1; i < n; i++)
		v[i].started = pthread_create(&v[i].thread, NULL, worker_main, &v[i]) == 0;
	worker_main(&v[0]);
	for (unsigned i = 1; i < n; i++)
		if (v[i].started)
			pthread_join(v[i].thread, NULL);
	for (unsigned i = 0; i < n; i++)
		if (v[i].err)
			return op_fail(op,
				v[i].err == ENOSPC || v[i].err == ENOMEM ? CKPT_E_SPACE
				: v[i].err == ESRCH                      ? CKPT_E_TARGET
									 : CKPT_E_SYSTEM,
				v[i].err, v[i].call,
				v[i].err == ENOSPC ? "free space, or dump to another file system"
						   : NULL,
				"pid %d (%s): saving its memory", v[i].chunk.of->pid,
				v[i].chunk.of->tr->comm);
	return 0;
}

static int gather(struct work *w, struct worker *v, unsigned n, uint64_t *ret_bytes)
{
	_cleanup_free_ struct run *all = NULL;
	const struct piece *shared;
	ssize_t n_shared = chunks_shared(w->chunks, &shared);
	size_t total = 0, at = 0;

	*ret_bytes = 0;
	if (n_shared < 0)
		return (int)n_shared;
	for (unsigned i = 0; i < n; i++) {
		total += v[i].n_runs;
		*ret_bytes += v[i].offset;
	}
	all = malloc((total + 1) * sizeof(*all));
	if (!all)
		return no_memory(w->t);
	for (unsigned i = 0; i < n; i++) {
		if (v[i].n_runs)
			memcpy(all + at, v[i].runs, v[i].n_runs * sizeof(*all));
		at += v[i].n_runs;
	}
	return page_records_add(w->t, all, total, shared, (size_t)n_shared);
}

static int find_words(struct work *w)
{
	w->words = calloc(w->t->n_tasks, sizeof(*w->words));
	if (!w->words)
		return no_memory(w->t);
	for (size_t i = 0; i < w->t->n_tasks; i++)
		if (w->t->tasks[i].tr && kernel_words_find(w->t->tasks[i].tr, &w->words[i]) < 0)
			return no_memory(w->t);
	return 0;
}

static void work_done(struct work *w)
{
	for (size_t i = 0; w->words && i < w->t->n_tasks; i++)
		kernel_words_done(&w->words[i]);
	free(w->words);
	chunks_free(w->chunks);
}

/* About what there is to save, before it is known exactly. */
static uint64_t wanted_bytes(const struct collect_tree *t)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < t->n_wants; i++)
		bytes += t->wants[i].resident_bytes;
	return bytes;
}

int pages_dump(
	struct collect_tree *t, struct image_writer *w, unsigned workers, uint64_t *ret_bytes)
{
	struct work work = {.t = t};
	_cleanup_free_ struct worker *v = calloc(workers, sizeof(*v));
	int r = v ? fault_point(t->op, "dump.pages") : no_memory(t);

	if (r < 0)
		return r;
	r = find_words(&work);
	if (r == 0)
		work.chunks = chunks_new(t, work.words);
	if (r == 0 && !work.chunks)
		r = no_memory(t);
	work.wanted = wanted_bytes(t);
	if (work.wanted < SMALL_BYTES)
		workers = 1;
	for (unsigned i = 0; r == 0 && i < workers; i++) {
		v[i] = (struct worker){.work = &work, .shard = i, .fd = image_shard_fd(w, i)};
		v[i].cutter = chunks_cutter(work.chunks);
		v[i].buf = aligned_alloc(PAGE, CHUNK_BYTES);
		if (!v[i].buf)
			r = no_memory(t);
	}
	if (r == 0)
		r = copy_all(&work, v, workers);
	if (r == 0)
		r = gather(&work, v, workers, ret_bytes);
	for (unsigned i = 0; i < workers; i++) {
		cutter_done(&v[i].cutter);
		free(v[i].buf);
		free(v[i].runs);
	}
	work_done(&work);
	return r;
}
