/*
 * e2e: args: 3 20 unmap
 * e2e: timeout: 120
 *
 * Holds: 32 MiB that a root and its children had in common, of which the root writes, drops and gives
 *        back parts between the forks and after them; one of the children does the same to its own children.
 *        With `unmap`: the root has unmapped a quarter of it at the end.
 * Shows: pages that a parent has changed since the fork are shared among the children that have them: the
 *        sum of what all have stays within 10 % of what it was, whether they go on or come back.
 */
#include "tree.h"

#define PAGE  4096UL
#define PAGES 8192
#define WORDS (PAGE / sizeof(uint64_t))

#define HALF  (PAGES / 2)
#define GONE  (PAGES - PAGES / 4) /* unmapped from here on */
#define BELOW 4                   /* children of the first child */

static unsigned char *memory;
static short expected[PAGES]; /* the version of each page; 0: zeros; -1: unmapped */
static pid_t *pids;

static void put(int version, unsigned page)
{
	uint64_t *w = (void *)(memory + page * PAGE);

	for (unsigned i = 0; i < WORDS; i++)
		w[i] = ((uint64_t)version + 1) * 0x9e3779b97f4a7c15 + page * WORDS + i;
	expected[page] = (short)version;
}

static void put_range(int version, unsigned first, unsigned end, unsigned step)
{
	for (unsigned p = first; p < end; p += step)
		put(version, p);
}

static void drop(unsigned first, unsigned end)
{
	MUST(madvise(memory + first * PAGE, (end - first) * PAGE, MADV_DONTNEED));
	for (unsigned p = first; p < end; p++)
		expected[p] = 0;
}

static void verify(const char *who)
{
	for (unsigned p = 0; p < PAGES; p++) {
		const uint64_t *w = (void *)(memory + p * PAGE);

		for (unsigned i = 0; i < WORDS && expected[p] >= 0; i++) {
			uint64_t want = expected[p]
						? ((uint64_t)expected[p] + 1) * 0x9e3779b97f4a7c15 +
							  p * WORDS + i
						: 0;

			CHECK(w[i] == want,
				"%s: page %u of version %d, word %u: expected %#lx, got %#lx", who,
				p, expected[p], i, want, w[i]);
		}
	}
}

static int grandchild(int i)
{
	put_range(2000 + i, 7 * i, 7 * i + 20, 1);
	tree_report();
	tree_pass();
	verify("a grandchild");
	return 0;
}

static int child(int i)
{
	/* some pages of its own, among them such as the root has changed or will change */
	put_range(1000 + i, 11 * i, PAGES, 257);
	if (i == 0) {
		for (int k = 0; k < BELOW; k++)
			pids[100 + k] = tree_fork(grandchild, k);
		put_range(1500, HALF / 2, HALF + HALF / 2, 1);
	}
	tree_report();
	tree_pass();
	verify("a child");
	for (int k = 0; i == 0 && k < BELOW; k++)
		tree_ends(pids[100 + k], 0, "a grandchild");
	return i;
}

/* The sum of what all use, with what n of them share counted once: bytes. */
static long pss(pid_t pid)
{
	char path[64], buf[2048], *p;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	fd = MUST(open(path, O_RDONLY | O_CLOEXEC));
	n = MUST(read(fd, buf, sizeof(buf) - 1));
	close(fd);
	buf[n] = 0;
	p = strstr(buf, "\nPss_Anon:");
	CHECK(p, "%s: no Pss_Anon", path);
	return strtol(p + strlen("\nPss_Anon:"), NULL, 10) * 1024;
}

static long pss_of_all(int n)
{
	long sum = pss(getpid());

	for (int i = 0; i < n; i++)
		sum += pss(pids[i]);
	for (int i = 0; i < BELOW; i++)
		sum += pss(pids[100 + i]);
	return sum;
}

int main(int argc, char **argv)
{
	bool unmap = argc == 2 && strcmp(argv[1], "unmap") == 0;
	int n = unmap ? 5 : argc == 2 ? atoi(argv[1]) : 0;
	long before, after;

	victim_init(argc, argv);
	CHECK(n > 0 && n <= 100, "how many?");
	pids = victim_shared(200 * sizeof(*pids));
	memory = mmap(
		NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(memory != MAP_FAILED, "mmap: %s", strerror(errno));
	MUST(madvise(memory, PAGES * PAGE, MADV_NOHUGEPAGE));
	put_range(1, 0, PAGES, 1);
	tree_init();
	for (int i = 0; i < n; i++) {
		pids[i] = tree_fork(child, i);
		/* another version of some pages for the children to come */
		if (i % 3 == 1)
			put_range(10 + i, 500 + 50 * i, PAGES, 5);
		if (i == 2)
			drop(100, 400);
	}
	tree_expect(n + BELOW);
	put_range(100, 0, HALF, 1);
	drop(HALF, HALF + 500);
	if (unmap) {
		MUST(munmap(memory + GONE * PAGE, (PAGES - GONE) * PAGE));
		memset(expected + GONE, -1, (PAGES - GONE) * sizeof(*expected));
	}
	before = pss_of_all(n);
	victim_ready();
	victim_wait();
	after = pss_of_all(n);
	CHECK(labs(after - before) <= before / 10,
		"the memory of all: expected about %ld bytes, got %ld", before, after);
	tree_open(n + BELOW);
	verify("the root");
	for (int i = 0; i < n; i++)
		tree_ends(pids[i], i << 8, "a child");
	tree_no_more();
	return 0;
}
