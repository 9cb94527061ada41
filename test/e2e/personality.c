/*
 * Holds: a personality in each of two threads; the main thread's has READ_IMPLIES_EXEC, which changes
 * every later mmap: the mappings from before must not become executable by being made again.
 * Shows: Process: "personality".
 */
#include "victim.h"

#include <sys/mman.h>
#include <sys/personality.h>

static volatile int persona_up, persona_go;

static void persona_expect(unsigned long want, const char *who)
{
	unsigned long got = syscall(SYS_personality, 0xffffffffUL);

	CHECK(got == want, "%s: expected %#lx, got %#lx", who, want, got);
}

static void *persona_thread(void *arg)
{
	syscall(SYS_personality, (unsigned long)(ADDR_NO_RANDOMIZE | ADDR_COMPAT_LAYOUT));
	persona_up = 1;
	while (!persona_go)
		usleep(1000);
	persona_expect(ADDR_NO_RANDOMIZE | ADDR_COMPAT_LAYOUT, "thread");
	return arg;
}

static void persona_perms(const void *at, char perms[5])
{
	static char text[1 << 16];
	char want[32], *line;

	victim_slurp("/proc/self/maps", text, sizeof(text));
	snprintf(want, sizeof(want), "%lx-", (unsigned long)at);
	line = strstr(text, want);
	CHECK(line, "no mapping at %p", at);
	memcpy(perms, strchr(line, ' ') + 1, 4);
	perms[4] = 0;
}

int main(int argc, char **argv)
{
	char perms[5];
	pthread_t t;
	void *page;

	victim_init(argc, argv);
	/* Between two holes, so that it is a mapping of its own. */
	page = mmap(NULL, 3 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(page != MAP_FAILED, "mmap: %s", strerror(errno));
	page = (char *)page + 4096;
	MUST(mprotect(page, 4096, PROT_READ));
	t = victim_thread(persona_thread, NULL);
	while (!persona_up)
		usleep(1000);
	syscall(SYS_personality, (unsigned long)READ_IMPLIES_EXEC);
	persona_perms(page, perms);
	CHECK(strcmp(perms, "r--p") == 0, "set-up: expected r--p, got %s", perms);
	victim_ready();
	victim_wait();
	persona_expect(READ_IMPLIES_EXEC, "main");
	persona_perms(page, perms);
	CHECK(strcmp(perms, "r--p") == 0, "mapping: expected r--p, got %s", perms);
	persona_go = 1;
	pthread_join(t, NULL);
	return 0;
}
