/*
 * slack_file.c - a place for injected code in a process that has no vdso: the zero bytes between the
 * end of a program's or library's code and the end of its last page.
 *
 * The linker puts them there to fill the page; nobody executes them. A write through /proc/PID/mem
 * makes the page private to the process, and the file stays as it is.
 */
#include <string.h>

#include "inject/slack.h"
#include "inject/tracees.h"
#include "util/vec.h"

#define PAGE        4096UL
#define SLACK_ALIGN 64
#define LEAST       (ARCH_STUB_REGION_SIZE + 2 * ARCH_STUB_CALLS_SIZE)

static bool is_code_of_file(const struct vma *v)
{
	return v->ino && v->path && v->path[0] == '/' && v->prot == (VMA_READ | VMA_EXEC);
}

size_t slack_zeros_at_end(struct tracees *tr, const struct vma *v, size_t distance)
{
	uint8_t page[PAGE];
	size_t n = 0;

	if (!is_code_of_file(v) || tracees_read(tr, v->end - PAGE, page, sizeof(page)) < 0)
		return 0;
	while (n < PAGE && page[PAGE - 1 - n] == 0)
		n++;
	return n > distance ? ALIGN_DOWN(n - distance, distance) : 0;
}

void slack_find_in_files(struct tracees *tr, const struct vma_list *maps)
{
	size_t best = 0;

	for (size_t i = 0; i < maps->n; i++) {
		const struct vma *v = &maps->v[i];
		size_t n = slack_zeros_at_end(tr, v, SLACK_ALIGN);

		/* a whole page of zeros is no end of code */
		if (n < LEAST || n <= best || n == PAGE - SLACK_ALIGN)
			continue;
		best = n;
		tr->slack_start = v->end - n;
		tr->slack_end = v->end;
	}
}
