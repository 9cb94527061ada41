/*
 * Holds: a raised out-of-memory score.
 * Shows: Process: "oom_score_adj".
 */
#include "victim.h"

int main(int argc, char **argv)
{
	char got[32];
	int fd;

	victim_init(argc, argv);
	fd = MUST(open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
	CHECK(write(fd, "567", 3) == 3, "write: %s", strerror(errno));
	close(fd);
	victim_ready();
	victim_wait();
	victim_slurp("/proc/self/oom_score_adj", got, sizeof(got));
	CHECK(strcmp(got, "567\n") == 0, "expected 567, got %s", got);
	return 0;
}
