/*
 * Holds: pages with contents under every protection: none, read, write, read-write, execute,
 * read-execute, all; machine code in anonymous memory; a patched function in the program's own text.
 * Shows: Memory: contents of PROT_NONE and read-only pages, private dirty pages of the executable.
 */
#include "mm.h"

#define LEN (3 * MM_PAGE)

static const int prots[] = {PROT_NONE, PROT_READ, PROT_WRITE, PROT_READ | PROT_WRITE, PROT_EXEC,
	PROT_READ | PROT_EXEC, PROT_READ | PROT_WRITE | PROT_EXEC};
#define PROTS (sizeof(prots) / sizeof(prots[0]))

/* A page of text of its own: returns 1, and is patched to return 2. */
__attribute__((noinline, aligned(4096))) static int prot_patched_text(void)
{
	return 1;
}

#ifdef __aarch64__
/* mov w0, #2; ret; and add w0, w0, #42; ret */
static const unsigned char code_two[] = {0x40, 0, 0x80, 0x52, 0xc0, 3, 0x5f, 0xd6};
static const unsigned char code_add[] = {0, 0xa8, 0, 0x11, 0xc0, 3, 0x5f, 0xd6};
#else
/* mov $2, %eax; ret; and lea 42(%rdi), %eax; ret */
static const unsigned char code_two[] = {0xb8, 2, 0, 0, 0, 0xc3};
static const unsigned char code_add[] = {0x8d, 0x47, 42, 0xc3};
#endif

/* Through a pointer that the compiler does not know. */
static int (*volatile prot_patched)(void) = prot_patched_text;

static void prot_patch(void)
{
	void *page = (void *)((uintptr_t)prot_patched_text & ~(MM_PAGE - 1));

	MUST(mprotect(page, MM_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC));
	memcpy((void *)prot_patched_text, code_two, sizeof(code_two));
	__builtin___clear_cache(
		(char *)prot_patched_text, (char *)prot_patched_text + sizeof(code_two));
	MUST(mprotect(page, MM_PAGE, PROT_READ | PROT_EXEC));
}

int main(int argc, char **argv)
{
	char *p[PROTS], *jit = mm_island(LEN, PROT_READ | PROT_WRITE);
	struct mm_vma was[PROTS];
	bool faults[PROTS];

	victim_init(argc, argv);
	for (size_t i = 0; i < PROTS; i++) {
		p[i] = mm_island(LEN, PROT_READ | PROT_WRITE);
		mm_fill(p[i], LEN, i);
		MUST(mprotect(p[i], LEN, prots[i]));
		was[i] = mm_vma(p[i]);
		faults[i] = mm_touch(p[i], MM_READ) != 0;
	}
	CHECK(faults[0] && !faults[1] && !faults[3], "the test is broken");
	memcpy(jit + MM_PAGE, code_add, sizeof(code_add));
	__builtin___clear_cache(jit + MM_PAGE, jit + MM_PAGE + sizeof(code_add));
	MUST(mprotect(jit, LEN, PROT_READ | PROT_EXEC));
	CHECK(((int (*)(int))(jit + MM_PAGE))(1) == 43, "the test is broken");
	CHECK(prot_patched() == 1, "the test is broken");
	prot_patch();
	CHECK(prot_patched() == 2, "the test is broken");
	victim_ready();
	victim_wait();
	CHECK(prot_patched() == 2, "patched text: expected 2, got %d", prot_patched());
	CHECK(((int (*)(int))(jit + MM_PAGE))(58) == 100, "generated code gives a wrong result");
	for (size_t i = 0; i < PROTS; i++) {
		char what[32];

		snprintf(what, sizeof(what), "protection %d", prots[i]);
		mm_expect_same(&was[i], what);
		CHECK((mm_touch(p[i], MM_READ) != 0) == faults[i], "%s: a read faults: expected %d",
			what, faults[i]);
		CHECK((mm_touch(p[i], MM_WRITE) == 0) == ((prots[i] & PROT_WRITE) && !faults[i]),
			"%s: a write is wrong", what);
		MUST(mprotect(p[i], LEN, PROT_READ | PROT_WRITE));
		mm_expect(p[i], LEN, i, what);
	}
	return 0;
}
