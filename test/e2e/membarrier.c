/*
 * Holds: the membarrier registrations (expedited commands are EPERM without them).
 * Shows: Process: "membarrier registrations".
 */
#include "victim.h"

#include <linux/membarrier.h>

#define MEMBARRIER_GET_REGISTRATIONS (1 << 9) /* Linux 6.3 */

static long barrier(int cmd)
{
	return syscall(SYS_membarrier, cmd, 0, 0);
}

int main(int argc, char **argv)
{
	static const int reg[] = {MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED,
		MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED,
		MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE,
		MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ};
	static const int use[] = {0, MEMBARRIER_CMD_PRIVATE_EXPEDITED,
		MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ};
	long has, before, after;

	victim_init(argc, argv);
	has = barrier(MEMBARRIER_CMD_QUERY);
	if (has < 0)
		SKIP("no membarrier here: %s", strerror(errno));
	for (int i = 1; i < 4; i++)
		CHECK(!(has & use[i]) || (barrier(use[i]) == -1 && errno == EPERM),
			"set-up: command %#x works without being registered", use[i]);
	for (int i = 0; i < 4; i++)
		if (has & reg[i])
			MUST(barrier(reg[i]));
	before = barrier(MEMBARRIER_GET_REGISTRATIONS);
	victim_ready();
	victim_wait();
	for (int i = 1; i < 4; i++)
		CHECK(!(has & use[i]) || barrier(use[i]) == 0, "command %#x: %s", use[i],
			strerror(errno));
	after = barrier(MEMBARRIER_GET_REGISTRATIONS);
	CHECK(after == before, "registrations: expected %#lx, got %#lx", before, after);
	return 0;
}
