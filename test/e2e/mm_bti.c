/*
 * Holds: code in anonymous memory and memory that was protected later, both of which take indirect
 * branches only where they say so (PROT_BTI).
 * Shows: Memory: "protections of every kind".
 * e2e: isa: aarch64
 */
#include "mm.h"

#include <sys/auxv.h>

#define BTI_PROT  0x10
#define BTI_HWCAP (1UL << 17) /* HWCAP2_BTI */

/* bti c; add w0, w0, #1; ret */
static const uint32_t bti_code[] = {0xd503245f, 0x11000400, 0xd65f03c0};

static int bti_flag(const void *p)
{
	char line[256];
	unsigned long start, end;
	bool in = false;
	FILE *f = fopen("/proc/self/smaps", "r");
	int found = -1;

	CHECK(f, "smaps: %s", strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			in = (unsigned long)p >= start && (unsigned long)p < end;
		else if (in && !strncmp(line, "VmFlags:", 8))
			found = strstr(line, " bt ") != NULL;
	}
	fclose(f);
	return found;
}

static void bti_expect(char *guarded, char *plain)
{
	CHECK(bti_flag(guarded) == 1, "the guarded code is not any more");
	CHECK(bti_flag(plain) == 0, "the plain code is guarded");
	CHECK(((int (*)(int))guarded)(4) == 5, "guarded code gives a wrong result");
}

int main(int argc, char **argv)
{
	char *p = mm_island(4 * MM_PAGE, PROT_READ | PROT_WRITE);

	victim_init(argc, argv);
	if (!(getauxval(AT_HWCAP2) & BTI_HWCAP))
		SKIP("this CPU has no branch targets");
	memcpy(p, bti_code, sizeof(bti_code));
	__builtin___clear_cache(p, p + sizeof(bti_code));
	MUST(mprotect(p, 2 * MM_PAGE, PROT_READ | PROT_EXEC | BTI_PROT));
	MUST(mprotect(p + 2 * MM_PAGE, 2 * MM_PAGE, PROT_READ | PROT_EXEC));
	bti_expect(p, p + 2 * MM_PAGE);
	victim_ready();
	victim_wait();
	bti_expect(p, p + 2 * MM_PAGE);
	return 0;
}
