/*
 * e2e: args: 3 20 huge
 * e2e: timeout: 120
 *
 * Holds: 64 MiB that a root and its children have in common since fork, but for what each has changed in
 *        it: pages written by children, by a grandchild, by the root when the children were there already;
 *        zeroed, dropped, unmapped, and with other protections.
 * Shows: "Private pages shared copy-on-write between relatives": the sum of what they have stays within
 *        10 % of what it was, whether they go on or come back.
 * e2e: exec: yes
 */
#include "tree.h"
#include <sys/uio.h>

#define PAGE  4096UL
#define PAGES 16384
#define WORDS (PAGE / sizeof(uint64_t))

#define PROTECTED     2000
#define PROTECTED_END 2300

#define ZEROS    -1
#define UNMAPPED -2

static unsigned char *memory;
static short expected[PAGES]; /* who wrote it, or one of the above */

static uint64_t word(int who, unsigned page, unsigned i)
{
	return ((uint64_t)who + 1) * 0x9e3779b97f4a7c15 + page * WORDS + i;
}

static void fill(int who, unsigned page)
{
	uint64_t *w = (void *)(memory + page * PAGE);

	for (unsigned i = 0; i < WORDS; i++)
		w[i] = word(who, page, i);
	expected[page] = (short)who;
}

/* Every step-th page from the first on, as far as it is there and stays writable. */
static void change(int who, unsigned first, unsigned step)
{
	for (unsigned p = first; p < PAGES; p += step)
		if (expected[p] != UNMAPPED && (p < PROTECTED || p >= PROTECTED_END))
			fill(who, p);
}

static void zero(unsigned first, unsigned n)
{
	memset(memory + first * PAGE, 0, n * PAGE);
	for (unsigned p = first; p < first + n; p++)
		expected[p] = ZEROS;
}

static void drop(unsigned first, unsigned n)
{
	MUST(madvise(memory + first * PAGE, n * PAGE, MADV_DONTNEED));
	for (unsigned p = first; p < first + n; p++)
		expected[p] = ZEROS;
}

static void unmap(unsigned first, unsigned n)
{
	MUST(munmap(memory + first * PAGE, n * PAGE));
	for (unsigned p = first; p < first + n; p++)
		expected[p] = UNMAPPED;
}

static void protect(unsigned first, unsigned n, int prot)
{
	MUST(mprotect(memory + first * PAGE, n * PAGE, prot));
}

static bool readable(unsigned page)
{
	char c;

	return process_vm_readv(getpid(), &(struct iovec){&c, 1}, 1,
		       &(struct iovec){memory + page * PAGE, 1}, 1, 0) == 1;
}

static bool writable(unsigned page)
{
	int fd = MUST(open("/dev/zero", O_RDONLY | O_CLOEXEC));
	unsigned char was = memory[page * PAGE];
	bool is = read(fd, memory + page * PAGE, 1) == 1;

	close(fd);
	if (is)
		memory[page * PAGE] = was;
	return is;
}

static void verify(const char *who)
{
	for (unsigned p = 0; p < PAGES; p++) {
		const uint64_t *w = (void *)(memory + p * PAGE);
		unsigned char in;

		if (expected[p] == UNMAPPED) {
			CHECK(mincore(memory + p * PAGE, PAGE, &in) < 0 && errno == ENOMEM,
				"%s: page %u is mapped", who, p);
			continue;
		}
		for (unsigned i = 0; i < WORDS; i++) {
			uint64_t want = expected[p] == ZEROS ? 0 : word(expected[p], p, i);

			CHECK(w[i] == want,
				"%s: page %u of writer %d, word %u: expected %#lx, got %#lx", who,
				p, expected[p], i, want, w[i]);
		}
	}
}

static int grandchild(int i)
{
	struct tree_self self = tree_self();

	change(200 + i, 5, 89);
	tree_report();
	tree_pass();
	tree_same(&self, "the grandchild");
	protect(2200, 10, PROT_READ | PROT_WRITE);
	verify("the grandchild");
	return 0;
}

static int child(int i)
{
	struct tree_self self = tree_self();
	pid_t below = 0;

	change(i + 1, i, 97);
	zero(3000 + 8 * i, 2);
	drop(4000 + 8 * i, 3);
	unmap(1000 + 8 * i, 2);
	protect(2000, 10, i % 2 ? PROT_READ : PROT_READ | PROT_WRITE);
	if (i % 3 == 0)
		protect(2200, 10, PROT_NONE);
	if (i == 0) {
		below = tree_fork(grandchild, i);
		change(300, 3, 71);
	}
	tree_report();
	tree_pass();
	tree_same(&self, "a child");
	CHECK(readable(2205) == (i % 3 != 0), "child %d: page 2205 can%s be read", i,
		readable(2205) ? "" : "'t");
	CHECK(writable(2005) == (i % 2 == 0), "child %d: page 2005 can%s be written", i,
		writable(2005) ? "" : "'t");
	protect(2200, 10, PROT_READ | PROT_WRITE);
	verify("a child");
	if (below)
		tree_ends(below, 0, "the grandchild");
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

static long pss_of_all(pid_t *pid, int n)
{
	char path[64], buf[64] = {0};
	long sum = pss(getpid());
	int fd;

	for (int i = 0; i < n; i++)
		sum += pss(pid[i]);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid[0], pid[0]);
	fd = MUST(open(path, O_RDONLY | O_CLOEXEC));
	MUST(read(fd, buf, sizeof(buf) - 1));
	close(fd);
	return sum + pss(atoi(buf));
}

int main(int argc, char **argv)
{
	bool huge = argc == 2 && strcmp(argv[1], "huge") == 0;
	int n = huge ? 3 : argc == 2 ? atoi(argv[1]) : 0;
	pid_t *pid = calloc(n, sizeof(*pid));
	long before, after;

	victim_init(argc, argv);
	CHECK(n > 0, "how many?");
	memory = mmap(
		NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(memory != MAP_FAILED, "mmap: %s", strerror(errno));
	MUST(madvise(memory, PAGES * PAGE, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE));
	for (unsigned p = 0; p < PAGES; p++)
		fill(0, p);
	tree_init();
	for (int i = 0; i < n; i++)
		pid[i] = tree_fork(child, i);
	tree_expect(n + 1);
	change(100, 7, 61);
	before = pss_of_all(pid, n);
	victim_ready();
	victim_wait();
	after = pss_of_all(pid, n);
	CHECK(labs(after - before) <= before / 10,
		"the memory of all: expected about %ld bytes, got %ld", before, after);
	tree_open(n + 1);
	verify("the root");
	for (int i = 0; i < n; i++)
		tree_ends(pid[i], i << 8, "a child");
	tree_no_more();
	return 0;
}
