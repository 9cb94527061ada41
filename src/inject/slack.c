/*
 * slack.c - see slack.h.
 */
#include "inject/slack.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "inject/tracees.h"
#include "util/vec.h"

#define SLACK_ALIGN 64
#define SLACK_MAX   8192
#define STACK_LOOK  (128 * 1024)
#define LEAST       (ARCH_STUB_REGION_SIZE + ARCH_STUB_CALLS_SIZE)
#define STUB_MAX                                                                                   \
	(ARCH_STUB_REGION_SIZE > ARCH_STUB_CALLS_SIZE ? ARCH_STUB_REGION_SIZE                      \
						      : ARCH_STUB_CALLS_SIZE)

void slack_find(struct tracees *tr, uint64_t vdso_start, uint64_t vdso_end)
{
	Elf64_Ehdr eh;
	Elf64_Phdr ph[16];
	uint64_t headers;

	if (!vdso_start || tracees_read(tr, vdso_start, &eh, sizeof(eh)) < 0 ||
		memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0 || eh.e_phnum > ARRAY_SIZE(ph) ||
		eh.e_phentsize != sizeof(ph[0]) ||
		tracees_read(tr, vdso_start + eh.e_phoff, ph, eh.e_phnum * sizeof(ph[0])) < 0)
		return;
	/* the section headers lie behind the segment; debuggers read them */
	headers = eh.e_shoff + (uint64_t)eh.e_shnum * eh.e_shentsize;
	for (unsigned i = 0; i < eh.e_phnum; i++) {
		uint64_t end = vdso_start + MAX(ph[i].p_offset + ph[i].p_filesz, headers);

		if (ph[i].p_type != PT_LOAD || end > vdso_end)
			continue;
		tr->slack_start = ALIGN_UP(end, SLACK_ALIGN);
		tr->slack_end = vdso_end;
		if (tr->slack_end - tr->slack_start > SLACK_MAX)
			tr->slack_start = tr->slack_end - SLACK_MAX;
		if (tr->slack_end - tr->slack_start < LEAST)
			tr->slack_start = tr->slack_end = 0;
	}
}

bool slack_holds(const struct tracees *tr, uint64_t addr)
{
	return addr >= tr->slack_start && addr < tr->slack_end;
}

static uint64_t zero_room(const uint8_t *bytes, size_t len, size_t want, size_t from)
{
	size_t run = 0;

	for (size_t i = from; i < len; i++) {
		if (bytes[i])
			run = 0;
		else if (++run >= want + SLACK_ALIGN)
			return ALIGN_UP(i + 1 - run, SLACK_ALIGN);
		else if (i + 1 == len && run >= want && (i + 1 - run) % SLACK_ALIGN == 0)
			return i + 1 - run;
	}
	return UINT64_MAX;
}

/* Code that a signal frame may return to reaches from its start to its jump home. */
static void keep_around(uint8_t *keep, size_t len, size_t at)
{
	size_t from = at > STUB_MAX ? at - STUB_MAX : 0, to = MIN(at + STUB_MAX, len);

	memset(keep + from, 1, to - from);
}

/* Mark what a signal frame on some stack may still return to. */
static void keep_pointed(struct tracees *tr, uint8_t *keep, size_t slack_len)
{
	static const size_t words = 512;
	uint64_t page[512];

	for (size_t i = 0; i < tr->n; i++) {
		uint64_t sp = (arch_sp(&tr->v[i].regs) - 128) & ~7ULL, stop = sp + STACK_LOOK;

		while (sp < stop) {
			size_t len = words * 8 - (sp & (words * 8 - 1));

			if (tracees_read(tr, sp, page, len) < 0)
				break;
			for (size_t w = 0; w < len / 8; w++)
				if (slack_holds(tr, page[w]))
					keep_around(keep, slack_len, page[w] - tr->slack_start);
			sp += len;
		}
	}
}

void slack_zero(struct tracees *tr, uint64_t start, uint64_t end)
{
	const uint8_t zeros[SLACK_MAX] = {0};

	tracees_write(tr, start, zeros, end - start);
}

uint64_t slack_take(struct tracees *tr, size_t want, uint64_t from)
{
	uint8_t bytes[SLACK_MAX];
	size_t len = tr->slack_end - tr->slack_start, skip = from ? from - tr->slack_start : 0;
	uint64_t at;

	if (skip >= len || want > len - skip || tracees_read(tr, tr->slack_start, bytes, len) < 0)
		return 0;
	at = zero_room(bytes, len, want, skip);
	if (at == UINT64_MAX && !from) {
		memset(bytes, 0, sizeof(bytes));
		keep_pointed(tr, bytes, len);
		at = zero_room(bytes, len, want, 0);
		if (at != UINT64_MAX)
			slack_zero(tr, tr->slack_start + at, tr->slack_start + at + want);
	}
	return at == UINT64_MAX ? 0 : tr->slack_start + at;
}

/* No more than our own: a signal frame may still return into what a dead tracer has left. */
void slack_clear(struct tracees *tr)
{
	if (tr->code_start)
		slack_zero(tr, tr->code_start, tr->code_end);
	tr->code_start = tr->code_end = 0;
	slack_landings_clear(tr);
}
