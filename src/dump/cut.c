/*
 * cut.c - see cut.h.
 *
 * Parts that touch each other are scanned in one go: the kernel walks over the borders of mappings,
 * and a system call for each of 50 000 mappings would be most of the cost.
 */
#include "dump/cut.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "kernel/pagemap.h"
#include "util/cleanup.h"
#include "util/vec.h"

#define PAGE    4096UL
#define ENTRIES 4096 /* read at once: 32 KiB */

/* What makes two pages one; of a mapping where zeros count it is another page. */
#define KEY_ENTRY     (PAGEMAP_FRAME | PAGEMAP_SWAPPED | PAGEMAP_PRESENT)
#define KEY_KEEP_ZERO (1ULL << 55)

static const struct page_want *want_of(const struct cutter *k, const struct part *p)
{
	return &k->t->wants[p->want];
}

static uint32_t task_of(const struct cutter *k)
{
	return (uint32_t)(k->at - k->t->tasks);
}

static int add_piece(struct cutter *k, const struct piece *p)
{
	struct piece *last = k->n ? &k->v[k->n - 1] : NULL;

	if (last && last->want == p->want && last->of == p->of && last->common == p->common &&
		last->end == p->start) {
		last->end = p->end;
		return 0;
	}
	if (vec_reserve(&k->v, &k->cap, k->n + 1, sizeof(*k->v)) < 0)
		return -ENOMEM;
	k->v[k->n++] = *p;
	return 0;
}

/* ------------------------------------------------------------------ files */

static int cut_file(struct cutter *k, const struct part *p)
{
	int fd = want_of(k, p)->fd, r = 0;
	uint64_t at = p->start;

	while (r == 0 && at < p->end) {
		off_t data = lseek(fd, (off_t)at, SEEK_DATA), hole;

		if (data < 0 && errno == ENXIO)
			break;
		if (data < 0) { /* no holes known: all of it */
			data = (off_t)at;
			hole = (off_t)p->end;
		} else {
			hole = lseek(fd, data, SEEK_HOLE);
		}
		if (hole < 0)
			return -errno;
		r = add_piece(k, &(struct piece){.want = p->want,
					 .of = FRAME_OF_NOBODY,
					 .start = ALIGN_DOWN((uint64_t)data, PAGE),
					 .end = ALIGN_UP((uint64_t)hole, PAGE)});
		at = ALIGN_UP((uint64_t)hole, PAGE);
	}
	return r;
}

/* ------------------------------------------------------------------ memory */

/* What is done with the pages of a part that are there. */
typedef int take_fn(struct cutter *k, const struct pagemap *pm, const struct part *p,
	uint64_t start, uint64_t end);

/* A page that is the process's own: not the zero page, not a page of a file. */
static bool is_own(const struct cutter *k, uint64_t entry)
{
	if (entry & (PAGEMAP_FILE | PAGEMAP_GUARD))
		return false;
	if (entry & PAGEMAP_PRESENT)
		return !k->zero_frame || (entry & PAGEMAP_FRAME) != k->zero_frame;
	return entry & PAGEMAP_SWAPPED;
}

/* In a page with words of the kernel's, image and memory differ: it can't be another's. */
static bool is_shareable(const struct cutter *k, uint64_t entry, uint64_t at)
{
	return k->several && k->zero_frame && !(entry & PAGEMAP_EXCLUSIVE) &&
	       !kernel_words_in(&k->words[task_of(k)], at, at + PAGE);
}

static uint64_t key_of(const struct page_want *w, uint64_t entry)
{
	return (entry & KEY_ENTRY) | (w->keep_zero ? KEY_KEEP_ZERO : 0);
}

static int note_page(struct cutter *k, const struct part *p, uint64_t entry, uint64_t at)
{
	struct piece page = {p->want, FRAME_OF_NOBODY,
		(entry & (PAGEMAP_PRESENT | PAGEMAP_EXCLUSIVE)) == PAGEMAP_PRESENT, at, at + PAGE};

	if (!is_own(k, entry))
		return 0;
	if (is_shareable(k, entry, at) &&
		frames_note(&k->frames, at, key_of(want_of(k, p), entry), task_of(k), &page.of) < 0)
		return -ENOMEM;
	return add_piece(k, &page);
}

static int confirm_page(struct cutter *k, const struct part *p, uint64_t entry, uint64_t at)
{
	frames_confirm(&k->frames, at, key_of(want_of(k, p), entry), task_of(k));
	return 0;
}

static int each_entry(struct cutter *k, const struct pagemap *pm, const struct part *p,
	uint64_t start, uint64_t end,
	int (*fn)(struct cutter *k, const struct part *p, uint64_t entry, uint64_t at))
{
	int r = 0;

	while (r == 0 && start < end) {
		uint64_t to = MIN(end, start + ENTRIES * PAGE);

		r = pagemap_entries(pm, start, to, k->entries);
		for (size_t i = 0; r == 0 && start < to; i++, start += PAGE)
			r = fn(k, p, k->entries[i], start);
	}
	return r;
}

static int note_all(struct cutter *k, const struct pagemap *pm, const struct part *p,
	uint64_t start, uint64_t end)
{
	return each_entry(k, pm, p, start, end, note_page);
}

static int confirm_all(struct cutter *k, const struct pagemap *pm, const struct part *p,
	uint64_t start, uint64_t end)
{
	return each_entry(k, pm, p, start, end, confirm_page);
}

/* The parts from *@p on lie in the scanned range; of each its part of the run. */
static int take_run(struct cutter *k, const struct pagemap *pm, const struct page_run *run,
	const struct part **p, take_fn *take)
{
	uint64_t start = run->start;
	int r = 0;

	if (run->categories & (PAGE_IS_FILE | PAGE_IS_GUARD | PAGE_IS_PFNZERO))
		return 0;
	while (r == 0 && start < run->end) {
		uint64_t end;

		while ((*p)->end <= start)
			++*p;
		end = MIN(run->end, (*p)->end);
		r = take(k, pm, *p, start, end);
		start = end;
	}
	return r;
}

/* The first parts, of one task, as far as they touch each other. Return: how many; or negative */
static ssize_t scan(struct cutter *k, const struct pagemap *pm, const struct part *parts, size_t n,
	take_fn *take)
{
	struct page_runs runs = {0};
	const struct part *p = parts;
	size_t m = 1;
	int r;

	while (m < n && want_of(k, &parts[m])->of == k->at && parts[m].start == parts[m - 1].end)
		m++;
	r = pagemap_scan(pm, parts[0].start, parts[m - 1].end, &runs);
	for (size_t i = 0; r == 0 && i < runs.n; i++)
		r = take_run(k, pm, &runs.v[i], &p, take);
	page_runs_done(&runs);
	return r < 0 ? r : (ssize_t)m;
}

/* The first parts, as far as they are of one task. Return: how many; or negative */
static ssize_t each_run(struct cutter *k, const struct part *parts, size_t n, take_fn *take)
{
	struct pagemap pm;
	size_t done = 0;
	int r;

	k->at = want_of(k, parts)->of;
	r = pagemap_open(k->at->proc_fd, &pm);
	if (r < 0)
		return r;
	/* the zero page is told by its frame, or by the scan */
	if (k->zero_frame)
		pagemap_find_only(&pm);
	while (r >= 0 && done < n && want_of(k, &parts[done])->of == k->at) {
		ssize_t m = scan(k, &pm, parts + done, n - done, take);

		if (m < 0)
			r = (int)m;
		else
			done += (size_t)m;
	}
	pagemap_close(&pm);
	return r < 0 ? r : (ssize_t)done;
}

/* ------------------------------------------------------------------ what is shared */

/* Bits of the tasks that are first to have what others share. */
static int find_firsts(const struct cutter *k, uint8_t **ret)
{
	uint8_t *v = calloc(k->t->n_tasks, 1);

	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < k->n; i++)
		if (k->v[i].of != FRAME_OF_NOBODY)
			v[k->v[i].of] = 1;
	*ret = v;
	return 0;
}

/* Look at the first ones again, see the top of cut.h. */
static int confirm(struct cutter *k, const struct part *parts, size_t n)
{
	_cleanup_free_ uint8_t *firsts = NULL;
	int r = find_firsts(k, &firsts);

	for (size_t i = 0; r == 0 && i < n;) {
		const struct collect *of = want_of(k, &parts[i])->of;
		ssize_t m = 0;

		if (firsts[of - k->t->tasks])
			m = each_run(k, parts + i, n - i, confirm_all);
		else
			while (i + (size_t)m < n && want_of(k, &parts[i + (size_t)m])->of == of)
				m++;
		if (m < 0)
			r = (int)m;
		else
			i += (size_t)m;
	}
	return r;
}

/* Pages that were moved are saved with each who has them. */
static int give_up_moved(struct cutter *k)
{
	struct piece *old = k->v;
	size_t n = k->n;
	int r = 0;

	k->v = NULL;
	k->n = k->cap = 0;
	for (size_t i = 0; r == 0 && i < n; i++) {
		struct piece page = old[i];

		if (page.of == FRAME_OF_NOBODY) {
			r = add_piece(k, &page);
			continue;
		}
		for (; r == 0 && page.start < old[i].end; page.start += PAGE) {
			page.end = page.start + PAGE;
			page.of = frames_stays(&k->frames, page.start, old[i].of) ? old[i].of
										  : FRAME_OF_NOBODY;
			r = add_piece(k, &page);
		}
	}
	free(old);
	return r;
}

static int cut_memory(struct cutter *k, const struct part *parts, size_t n)
{
	int r = 0;

	k->several = want_of(k, &parts[0])->of != want_of(k, &parts[n - 1])->of;
	if (!k->entries && !(k->entries = malloc(ENTRIES * sizeof(*k->entries))))
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < n;) {
		ssize_t m = each_run(k, parts + i, n - i, note_all);

		if (m < 0)
			r = (int)m;
		else
			i += (size_t)m;
	}
	if (r == 0 && k->frames.n_shared)
		r = confirm(k, parts, n);
	if (r == 0 && k->frames.n_shared != k->frames.n_staying)
		r = give_up_moved(k);
	frames_clear(&k->frames);
	return r;
}

int cut_window(struct cutter *k, const struct part *parts, size_t n)
{
	k->n = 0;
	if (n == 0)
		return 0;
	k->at = want_of(k, parts)->of;
	return want_of(k, parts)->fd < 0 ? cut_memory(k, parts, n) : cut_file(k, parts);
}

void cutter_done(struct cutter *k)
{
	frames_done(&k->frames);
	free(k->v);
	free(k->entries);
}
