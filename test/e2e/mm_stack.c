/*
 * e2e: args: main own threads
 *
 * Holds: main: 2 MiB of frames on the main stack; own: a grows-down mapping of the program's own;
 *        threads: two threads, each with frames on its own stack and a guard page below it.
 * Shows: Memory: "stacks (grows-down, guard)": the contents stay, a grows-down stack grows further
 * afterwards, and a guard page still faults.
 */
#include "mm.h"
#include <sys/resource.h>

#define FRAME (4 * MM_PAGE)

static volatile int stack_up, stack_go;
static pthread_barrier_t stack_end;

/* Fills a frame on each level; at the bottom runs `then`; checks the frames on the way back. */
__attribute__((noinline)) static void stack_dive(int depth, uint64_t seed, void (*then)(void))
{
	char frame[FRAME];

	mm_fill(frame, sizeof(frame), seed + depth);
	if (depth)
		stack_dive(depth - 1, seed, then);
	else if (then)
		then();
	mm_expect(frame, sizeof(frame), seed + depth, "stack frame");
}

static void stack_handshake(void)
{
	struct mm_vma was;

	stack_dive(8, 9000, NULL); /* looking and waiting take some stack themselves */
	was = mm_vma(&was);
	victim_ready();
	victim_wait();
	mm_expect_same(&was, "main stack");
	CHECK(!strcmp(mm_vma(&was).name, "[stack]"), "name: expected [stack], got '%s'",
		mm_vma(&was).name);
	stack_dive(192, 5000, NULL); /* 3 MiB more */
	CHECK(mm_vma(&was).start + (1 << 20) < was.start, "the stack did not grow: %lx, was %lx",
		mm_vma(&was).start, was.start);
}

static void stack_own(void)
{
	size_t room = 16 << 20, len = 16 * MM_PAGE;
	char *base = mm_map(room, PROT_NONE, MAP_PRIVATE | MAP_NORESERVE), *top = base + room;
	struct mm_vma was;

	MUST(munmap(base, room));
	MUST(mmap(top - len, len, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_STACK | MAP_FIXED, -1, 0));
	mm_fill(top - len, len, 1);
	CHECK(mm_touch(top - 2 * len, MM_WRITE) == 0, "does not grow even before");
	mm_fill(top - 2 * len, len, 2);
	was = mm_vma(top - len);
	CHECK(mm_flag(&was, "gd"), "no 'gd' in VmFlags: '%s'", was.flags);
	victim_ready();
	victim_wait();
	mm_expect_same(&was, "grows-down mapping");
	mm_expect(top - len, len, 1, "grows-down mapping");
	mm_expect(top - 2 * len, len, 2, "grown part");
	CHECK(mm_touch(top - 8 * len, MM_WRITE) == 0, "it does not grow any more");
	mm_expect_zero(top - 8 * len, 6 * len, "newly grown part");
	CHECK(mm_vma(top - len).start == (unsigned long)top - 8 * len,
		"it grew into another mapping");
}

static void stack_wait(void)
{
	__atomic_add_fetch(&stack_up, 1, __ATOMIC_SEQ_CST);
	while (!stack_go)
		usleep(2000);
}

static void *stack_thread(void *arg)
{
	pthread_attr_t attr;
	void *low;
	size_t size, guard;

	stack_dive(4, (intptr_t)arg * 100, stack_wait);
	pthread_getattr_np(pthread_self(), &attr);
	pthread_attr_getstack(&attr, &low, &size);
	pthread_attr_getguardsize(&attr, &guard);
	pthread_attr_destroy(&attr);
	CHECK(guard >= MM_PAGE, "thread %ld: no guard page", (long)arg);
	CHECK(mm_touch((char *)low, MM_READ) == 0, "thread %ld: the last stack page faults",
		(long)arg);
	pthread_barrier_wait(&stack_end); /* mm_touch changes the handlers: one at a time */
	return NULL;
}

static void stack_threads(void)
{
	pthread_t t[2];
	struct mm_vma guard[2];
	pthread_attr_t attr;
	void *low[2];
	size_t size;

	pthread_barrier_init(&stack_end, NULL, 3);
	for (int i = 0; i < 2; i++) {
		t[i] = victim_thread(stack_thread, (void *)(intptr_t)(i + 1));
		pthread_getattr_np(t[i], &attr);
		pthread_attr_getstack(&attr, &low[i], &size);
		pthread_attr_destroy(&attr);
		guard[i] = mm_vma((char *)low[i] - 1);
		CHECK(!strncmp(guard[i].perms, "---", 3), "the guard is %s", guard[i].perms);
	}
	while (stack_up < 2)
		usleep(1000);
	victim_ready();
	victim_wait();
	for (int i = 0; i < 2; i++) {
		mm_expect_same(&guard[i], "guard");
		CHECK(mm_touch((char *)low[i] - 1, MM_READ) == SIGSEGV, "guard %d does not fault",
			i);
	}
	stack_go = 1;
	pthread_barrier_wait(&stack_end);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
}

int main(int argc, char **argv)
{
	victim_init(argc, argv);
	CHECK(argc == 2, "usage: mm_stack main|own|threads");
	if (!strcmp(argv[1], "main"))
		stack_dive(128, 0, stack_handshake);
	else if (!strcmp(argv[1], "own"))
		stack_own();
	else
		stack_threads();
	return 0;
}
