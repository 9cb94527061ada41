/*
 * e2e: timeout: 60
 *
 * Holds: a process and three children with 24 MiB at the same addresses, in which each has pages of its own:
 *        writable, protected from writing, protected from everything, and now and then none.
 * Shows: memory in such amounts comes back byte for byte, and nothing of how it was done stays: what was never
 *        written can be, and no mapping is registered with a userfaultfd.
 */
#include "tree.h"

#define PAGE     4096UL
#define PART     1024UL /* pages */
#define PARTS    6UL
#define CHILDREN 3

static const int prots[PARTS] = {PROT_READ | PROT_WRITE, PROT_READ, PROT_NONE,
	PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC, PROT_READ | PROT_WRITE};

static uint64_t *memory;

static uint64_t *page_at(unsigned long p)
{
	return memory + p * (PAGE / sizeof(*memory));
}

/* The fourth part has holes. The first page of all has nothing. */
static bool is_there(unsigned long p)
{
	return p && !(p / PART == 3 && p % 5 == 0);
}

static uint64_t word(int who, unsigned long p, unsigned long i)
{
	return (uint64_t)(who + 1) * 0x9e3779b97f4a7c15 ^ p << 32 ^ i;
}

static void protect(bool all)
{
	for (unsigned long i = 0; i < PARTS; i++)
		MUST(mprotect(
			page_at(i * PART), PART * PAGE, all ? PROT_READ | PROT_WRITE : prots[i]));
}

static void fill(int who)
{
	protect(true);
	for (unsigned long p = 0; p < PARTS * PART; p++)
		for (unsigned long i = 0; is_there(p) && i < PAGE / sizeof(uint64_t); i++)
			page_at(p)[i] = word(who, p, i);
	protect(false);
}

static void verify(int who)
{
	char flags[4096], path[] = "/proc/self/smaps";
	FILE *f = fopen(path, "re");

	CHECK(f, "%s: %s", path, strerror(errno));
	while (fgets(flags, sizeof(flags), f))
		CHECK(strncmp(flags, "VmFlags:", 8) != 0 || !strstr(flags, " um"),
			"task %d: a mapping is registered: %s", who, flags);
	fclose(f);
	MUST(mprotect(page_at(2 * PART), PART * PAGE, PROT_READ));
	for (unsigned long p = 0; p < PARTS * PART; p++)
		for (unsigned long i = 0; i < PAGE / sizeof(uint64_t); i++)
			CHECK(page_at(p)[i] == (is_there(p) ? word(who, p, i) : 0),
				"task %d: page %lu, word %lu: got %#lx", who, p, i, page_at(p)[i]);
	page_at(0)[1] = 1;
}

static int child(int i)
{
	fill(i);
	tree_report();
	tree_pass();
	verify(i);
	return 10 + i;
}

int main(int argc, char **argv)
{
	pid_t pid[CHILDREN];

	victim_init(argc, argv);
	tree_init();
	memory = mmap(NULL, PARTS * PART * PAGE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(memory != MAP_FAILED, "mmap: %s", strerror(errno));
	fill(CHILDREN);
	for (int i = 0; i < CHILDREN; i++)
		pid[i] = tree_fork(child, i);
	tree_expect(CHILDREN);
	victim_ready();
	victim_wait();
	tree_open(CHILDREN);
	verify(CHILDREN);
	for (int i = 0; i < CHILDREN; i++)
		tree_ends(pid[i], (10 + i) << 8, "a child");
	tree_no_more();
	return 0;
}
