/*
 * Holds: two allocated protection keys, one freed in between, mappings under them with rights of their
 * own in each of two threads, and an execute-only mapping (which takes a key of the kernel's own).
 * Shows: Memory: "protection keys": the keys of the mappings, the rights of each thread (PKRU), and
 * which keys are allocated.
 */
#include "mm.h"

#ifndef SEGV_PKUERR
#define SEGV_PKUERR 4
#endif
#define LEN (2 * MM_PAGE)

static volatile int pkey_up, pkey_go;
static int keys[3];
static char *p[3];

/* mm_touch(), but with the rights of before: a handler runs with the kernel's, and is left by a jump. */
static int pkey_touch(volatile char *at, bool write)
{
	int rights[3], sig;

	for (int i = 0; i < 3; i += 2)
		rights[i] = MUST(pkey_get(keys[i]));
	sig = mm_touch(at, write);
	for (int i = 0; i < 3; i += 2)
		MUST(pkey_set(keys[i], rights[i]));
	return sig;
}

static void *pkey_thread(void *arg)
{
	(void)arg;
	MUST(pkey_set(keys[0], 0));
	MUST(pkey_set(keys[2], PKEY_DISABLE_ACCESS));
	pkey_up = 1;
	while (!pkey_go)
		usleep(2000);
	CHECK(pkey_get(keys[0]) == 0, "thread: key 0: expected 0, got %d", pkey_get(keys[0]));
	CHECK(pkey_get(keys[2]) == PKEY_DISABLE_ACCESS, "thread: key 2: expected %d, got %d",
		PKEY_DISABLE_ACCESS, pkey_get(keys[2]));
	mm_expect(p[0], LEN, 0, "thread: open key");
	return NULL;
}

int main(int argc, char **argv)
{
	struct mm_vma was[3], was_x;
	pthread_t t;
	char *x;

	victim_init(argc, argv);
	for (int i = 0; i < 3; i++) {
		keys[i] = pkey_alloc(0, 0);
		if (keys[i] < 0)
			SKIP("no protection keys on this CPU (pkey_alloc: %s)", strerror(errno));
		p[i] = mm_island(LEN, PROT_READ | PROT_WRITE);
		mm_fill(p[i], LEN, i);
	}
	MUST(pkey_free(keys[1]));
	for (int i = 0; i < 3; i += 2)
		MUST(pkey_mprotect(p[i], LEN, PROT_READ | PROT_WRITE, keys[i]));
	x = mm_island(LEN, PROT_READ | PROT_WRITE);
	memset(x, 0xc3, LEN); /* ret */
	MUST(mprotect(x, LEN, PROT_EXEC));
	MUST(pkey_set(keys[0], PKEY_DISABLE_ACCESS));
	MUST(pkey_set(keys[2], PKEY_DISABLE_WRITE));
	for (int i = 0; i < 3; i++)
		was[i] = mm_vma(p[i]);
	was_x = mm_vma(x);
	CHECK(was[0].pkey == keys[0] && was[2].pkey == keys[2], "the test is broken");
	t = victim_thread(pkey_thread, NULL);
	while (!pkey_up)
		usleep(1000);
	victim_ready();
	victim_wait();
	for (int i = 0; i < 3; i++)
		mm_expect_same(&was[i], "mapping with a key");
	mm_expect_same(&was_x, "execute-only mapping");
	((void (*)(void))x)();
	CHECK(pkey_touch(x, MM_READ) == SIGSEGV, "the execute-only mapping can be read");
	CHECK(pkey_touch(p[0], MM_READ) == SIGSEGV && mm_fault_info.si_code == SEGV_PKUERR,
		"key without access: a read gives si_code %d, expected %d", mm_fault_info.si_code,
		SEGV_PKUERR);
	mm_expect(p[2], LEN, 2, "key without write");
	CHECK(pkey_touch(p[2], MM_WRITE) == SIGSEGV && mm_fault_info.si_code == SEGV_PKUERR,
		"key without write: a write gives si_code %d, expected %d", mm_fault_info.si_code,
		SEGV_PKUERR);
	pkey_go = 1;
	pthread_join(t, NULL);
	MUST(pkey_set(keys[0], 0));
	mm_expect(p[0], LEN, 0, "key opened afterwards");
	/* the key that was freed is the kernel's now, for the execute-only mapping */
	CHECK(was_x.pkey == keys[1], "the test is broken");
	int next = MUST(pkey_alloc(0, 0));

	CHECK(next == keys[2] + 1, "the next free key: expected %d, got %d", keys[2] + 1, next);
	MUST(pkey_free(next));
	MUST(pkey_free(keys[0]));
	MUST(pkey_free(keys[2]));
	return 0;
}
