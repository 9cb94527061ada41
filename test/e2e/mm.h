/*
 * What the memory victims share: patterns that are told by a seed, a view of /proc/self/smaps, and a
 * read or write that may fault. Everything works on the stack, so that looking changes no mapping.
 */
#ifndef TEST_E2E_MM_H
#define TEST_E2E_MM_H

#include "victim.h"
#include <setjmp.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#define MM_PAGE ((size_t)4096)

/* The 64-bit word that belongs at index i of a pattern (splitmix64). */
static inline uint64_t mm_word(uint64_t seed, size_t i)
{
	uint64_t z = (seed << 32) + (i + 1) * 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static inline void mm_fill(void *p, size_t len, uint64_t seed)
{
	volatile uint64_t *w = p;

	for (size_t i = 0; i < len / 8; i++)
		w[i] = mm_word(seed, i);
}

static inline void mm_expect(const void *p, size_t len, uint64_t seed, const char *what)
{
	const volatile uint64_t *w = p;

	for (size_t i = 0; i < len / 8; i++)
		CHECK(w[i] == mm_word(seed, i), "%s: byte %zu at %p: expected %016lx, got %016lx",
			what, i * 8, (void *)&w[i], (unsigned long)mm_word(seed, i),
			(unsigned long)w[i]);
}

static inline void mm_expect_zero(const void *p, size_t len, const char *what)
{
	const volatile uint64_t *w = p;

	for (size_t i = 0; i < len / 8; i++)
		CHECK(w[i] == 0, "%s: byte %zu at %p: expected 0, got %016lx", what, i * 8,
			(void *)&w[i], (unsigned long)w[i]);
}

static inline void *mm_map(size_t len, int prot, int flags)
{
	return (void *)MUST(mmap(NULL, len, prot, flags | MAP_ANONYMOUS, -1, 0));
}

/* A private anonymous mapping between two pages of nothing, so that it never merges. */
static inline void *mm_island(size_t len, int prot)
{
	char *p = mm_map(len + 2 * MM_PAGE, PROT_NONE, MAP_PRIVATE | MAP_NORESERVE);

	MUST(mmap(p + MM_PAGE, len, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	MUST(munmap(p, MM_PAGE));
	MUST(munmap(p + MM_PAGE + len, MM_PAGE));
	return p + MM_PAGE;
}

/* A file in the current directory that holds a pattern; returns its fd, open for both. */
static inline int mm_file(const char *name, size_t len, uint64_t seed)
{
	int fd = MUST(open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0755));
	uint64_t page[MM_PAGE / 8];

	for (size_t done = 0; done < len; done += MM_PAGE) {
		for (size_t i = 0; i < MM_PAGE / 8; i++)
			page[i] = mm_word(seed, done / 8 + i);
		CHECK(write(fd, page, MM_PAGE) == (ssize_t)MM_PAGE, "%s: %s", name,
			strerror(errno));
	}
	return fd;
}

struct mm_vma {
	unsigned long start, end, offset, inode;
	char perms[8], name[256], flags[160]; /* flags: " rd wr mr " with a space around each */
	unsigned long anon_huge_kb, locked_kb, private_dirty_kb, rss_kb;
	int pkey;
};

/* Reads lines through a buffer on the stack. */
struct mm_lines {
	int fd;
	size_t have, at;
	char buf[8192];
};

static inline bool mm_line(struct mm_lines *l, char *line, size_t size)
{
	size_t n = 0;

	for (;;) {
		if (l->at == l->have) {
			ssize_t got = read(l->fd, l->buf, sizeof(l->buf));

			if (got <= 0)
				return false;
			l->have = got;
			l->at = 0;
		}
		char c = l->buf[l->at++];

		if (c == '\n')
			break;
		if (n < size - 1)
			line[n++] = c;
	}
	line[n] = 0;
	return true;
}

static inline bool mm_vma_head(const char *line, struct mm_vma *v)
{
	struct mm_vma w = {0};
	unsigned maj, min;
	int at = 0;

	if (sscanf(line, "%lx-%lx %7s %lx %x:%x %lu %n", &w.start, &w.end, w.perms, &w.offset, &maj,
		    &min, &w.inode, &at) < 7)
		return false;
	snprintf(w.name, sizeof(w.name), "%s", line + at);
	*v = w;
	return true;
}

/* The mapping that holds addr; false if there is none. */
static inline bool mm_vma_find(const void *addr, struct mm_vma *ret)
{
	struct mm_lines l = {.fd = MUST(open("/proc/self/smaps", O_RDONLY | O_CLOEXEC))};
	unsigned long want = (unsigned long)addr;
	char line[512];
	bool in = false, found = false;
	struct mm_vma v;

	while (mm_line(&l, line, sizeof(line))) {
		if (mm_vma_head(line, &v)) {
			if (found)
				break;
			in = found = v.start <= want && want < v.end;
			if (in)
				*ret = v;
		} else if (in) {
			if (!strncmp(line, "VmFlags:", 8)) {
				char *sd = strstr(
					line, " sd"); /* soft-dirty: not the program's doing */

				if (sd)
					memmove(sd, sd + 3, strlen(sd + 3) + 1);
				snprintf(ret->flags, sizeof(ret->flags), "%.*s ",
					(int)sizeof(ret->flags) - 2, line + 8);
			}
			sscanf(line, "AnonHugePages: %lu", &ret->anon_huge_kb);
			sscanf(line, "Locked: %lu", &ret->locked_kb);
			sscanf(line, "Private_Dirty: %lu", &ret->private_dirty_kb);
			sscanf(line, "Rss: %lu", &ret->rss_kb);
			sscanf(line, "ProtectionKey: %d", &ret->pkey);
		}
	}
	close(l.fd);
	return found;
}

static inline struct mm_vma mm_vma(const void *addr)
{
	struct mm_vma v;

	CHECK(mm_vma_find(addr, &v), "%p: there is no mapping any more", addr);
	return v;
}

static inline bool mm_flag(const struct mm_vma *v, const char *flag)
{
	char word[8];

	snprintf(word, sizeof(word), " %s ", flag);
	return strstr(v->flags, word);
}

/* Everything that smaps tells about a mapping but for its use of memory. */
static inline void mm_expect_same(const struct mm_vma *was, const char *what)
{
	struct mm_vma now = mm_vma((void *)was->start);

	CHECK(now.start == was->start && now.end == was->end, "%s: expected %lx-%lx, got %lx-%lx",
		what, was->start, was->end, now.start, now.end);
	CHECK(!strcmp(now.perms, was->perms), "%s: expected %s, got %s", what, was->perms,
		now.perms);
	CHECK(now.offset == was->offset, "%s: offset: expected %lx, got %lx", what, was->offset,
		now.offset);
	CHECK(!strcmp(now.flags, was->flags), "%s: VmFlags: expected '%s', got '%s'", what,
		was->flags, now.flags);
	CHECK(now.pkey == was->pkey, "%s: pkey: expected %d, got %d", what, was->pkey, now.pkey);
}

/* Is there a page behind addr (present or swapped), without touching it? */
static inline bool mm_is_populated(const void *addr)
{
	int fd = MUST(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
	uint64_t entry;

	CHECK(pread(fd, &entry, 8, (unsigned long)addr / MM_PAGE * 8) == 8, "pagemap of %p: %s",
		addr, strerror(errno));
	close(fd);
	return entry >> 62;
}

static __thread sigjmp_buf mm_fault_env;
static __thread siginfo_t mm_fault_info;

static inline void mm_fault_hit(int sig, siginfo_t *si, void *uc)
{
	(void)sig;
	(void)uc;
	mm_fault_info = *si;
	siglongjmp(mm_fault_env, 1);
}

/* Touches one byte; returns 0 or the signal that came; mm_fault_info has its details. */
static inline int mm_touch(volatile char *p, bool write)
{
	struct sigaction act = {.sa_sigaction = mm_fault_hit, .sa_flags = SA_SIGINFO}, segv, bus;
	volatile int sig = 0;

	memset(&mm_fault_info, 0, sizeof(mm_fault_info));
	MUST(sigaction(SIGSEGV, &act, &segv));
	MUST(sigaction(SIGBUS, &act, &bus));
	if (sigsetjmp(mm_fault_env, 1) == 0) {
		if (write)
			*p = *p;
		else
			(void)*p;
	} else {
		sig = mm_fault_info.si_signo;
	}
	MUST(sigaction(SIGSEGV, &segv, NULL));
	MUST(sigaction(SIGBUS, &bus, NULL));
	return sig;
}

#define MM_READ  false
#define MM_WRITE true

#define MM_OVERCOMMIT "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_overcommit_hugepages"

/* Sixteen huge pages of 2 MiB may be had; else the victim is skipped. */
static inline void mm_allow_huge(void)
{
	char now[32] = "";
	int fd = open(MM_OVERCOMMIT, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		SKIP("no huge pages of 2 MiB (%s: %s)", MM_OVERCOMMIT, strerror(errno));
	if (read(fd, now, sizeof(now) - 1) > 0 && atol(now) < 16 && pwrite(fd, "16", 2, 0) != 2)
		SKIP("no huge pages can be allowed (%s: %s)", MM_OVERCOMMIT, strerror(errno));
	close(fd);
}

#endif
