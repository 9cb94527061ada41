/*
 * Holds: three threads that map, unmap, protect and write all the time, each with a table of what it has mapped.
 * Shows: Memory: a map that changes while it is looked at; every mapping that is left has its contents and
 * protection, at whatever instant the process was stopped.
 */
#include "victim.h"

#include <sys/mman.h>

#define CHURNERS 3
#define SLOTS    200
#define PAGES    16

struct slot {
	uint8_t *at; /* NULL: free */
	size_t pages;
	uint8_t mark;
	int readonly;
};

static struct slot slots[CHURNERS][SLOTS];
static volatile int churn_stop;

static void check_slot(const struct slot *s)
{
	CHECK(s->at[0] == s->mark && s->at[s->pages * 4096 - 1] == s->mark,
		"%p of %zu pages: expected %d, got %d and %d", (void *)s->at, s->pages, s->mark,
		s->at[0], s->at[s->pages * 4096 - 1]);
}

static void make_slot(struct slot *s, unsigned *seed)
{
	s->pages = 1 + (unsigned)rand_r(seed) % PAGES;
	s->mark = (uint8_t)rand_r(seed);
	s->readonly = 0;
	s->at = mmap(
		NULL, s->pages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(s->at != MAP_FAILED, "mmap");
	s->at[0] = s->at[s->pages * 4096 - 1] = s->mark;
}

static void *churn(void *arg)
{
	struct slot *mine = slots[(intptr_t)arg];
	unsigned seed = (unsigned)(intptr_t)arg + 1;

	while (!churn_stop) {
		struct slot *s = &mine[rand_r(&seed) % SLOTS];

		if (!s->at) {
			make_slot(s, &seed);
			continue;
		}
		check_slot(s);
		if (!s->readonly && rand_r(&seed) % 2) {
			MUST(mprotect(s->at, s->pages * 4096, PROT_READ));
			s->readonly = 1;
		} else {
			MUST(munmap(s->at, s->pages * 4096));
			s->at = NULL;
		}
	}
	for (int i = 0; i < SLOTS; i++)
		if (mine[i].at)
			check_slot(&mine[i]);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t t[CHURNERS];

	victim_init(argc, argv);
	for (int i = 0; i < CHURNERS; i++)
		t[i] = victim_thread(churn, (void *)(intptr_t)i);
	victim_ready();
	victim_wait();
	churn_stop = 1;
	for (int i = 0; i < CHURNERS; i++)
		pthread_join(t[i], NULL);
	return 0;
}
