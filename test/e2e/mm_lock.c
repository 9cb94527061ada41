/*
 * e2e: args: mlock onfault mlockall future
 *
 * Holds: mlock: a locked mapping beside one that is not; onfault: mlock2(MLOCK_ONFAULT) with a hole;
 *        mlockall: everything locked now; future: everything that is mapped later.
 * Shows: Memory: "mlock": the flags, the pages that are locked, and that later mappings are locked.
 */
#include "mm.h"

#define LEN (8 * MM_PAGE)

static char *lock_map(void)
{
	char *p = mm_island(LEN, PROT_READ | PROT_WRITE);

	mm_fill(p, LEN / 2, 1);
	return p;
}

static void lock_expect(const char *p, bool lo, bool lf, unsigned long kb, const char *what)
{
	struct mm_vma v = mm_vma(p);

	CHECK(mm_flag(&v, "lo") == lo, "%s: locked: expected %d, VmFlags '%s'", what, lo, v.flags);
	/* before Linux 6.2 or so, smaps had no letters for it */
	CHECK((mm_flag(&v, "lf") || mm_flag(&v, "??")) == lf,
		"%s: on fault: expected %d, VmFlags '%s'", what, lf, v.flags);
	CHECK(v.locked_kb == kb, "%s: locked: expected %lu KiB, got %lu", what, kb, v.locked_kb);
}

int main(int argc, char **argv)
{
	char *p = lock_map(), *free = lock_map(), *later;
	const char *how;
	bool onfault;

	victim_init(argc, argv);
	CHECK(argc == 2, "usage: mm_lock mlock|onfault|mlockall|future");
	how = argv[1];
	onfault = !strcmp(how, "onfault");
	if (!strcmp(how, "mlock"))
		MUST(mlock(p, LEN));
	else if (onfault)
		MUST(mlock2(p, LEN, MLOCK_ONFAULT));
	else if (!strcmp(how, "mlockall"))
		MUST(mlockall(MCL_CURRENT));
	else
		MUST(mlockall(MCL_FUTURE));
	victim_ready();
	victim_wait();
	if (!strcmp(how, "mlock") || onfault) {
		lock_expect(p, true, onfault, (onfault ? LEN / 2 : LEN) / 1024, "locked mapping");
		lock_expect(free, false, false, 0, "other mapping");
	} else if (!strcmp(how, "mlockall")) {
		lock_expect(p, true, false, LEN / 1024, "mapping");
		lock_expect(free, true, false, LEN / 1024, "other mapping");
	} else {
		lock_expect(p, false, false, 0, "mapping from before mlockall");
	}
	mm_expect(p, LEN / 2, 1, "contents");
	CHECK(!onfault || !mm_is_populated(p + LEN / 2), "MLOCK_ONFAULT: the hole was populated");
	mm_expect_zero(p + LEN / 2, LEN / 2, "hole");
	mm_fill(p + LEN / 2, LEN / 2, 2);
	if (onfault)
		lock_expect(p, true, true, LEN / 1024, "after the hole was written");
	later = mm_island(LEN, PROT_READ | PROT_WRITE);
	if (!strcmp(how, "future"))
		lock_expect(later, true, false, LEN / 1024, "mapping made afterwards");
	else
		lock_expect(later, false, false, 0, "mapping made afterwards");
	return 0;
}
