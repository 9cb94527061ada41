/*
 * Holds: an unusual umask.
 * Shows: Process: "umask".
 */
#include "victim.h"

#include <sys/stat.h>

int main(int argc, char **argv)
{
	mode_t got;

	victim_init(argc, argv);
	umask(0351);
	victim_ready();
	victim_wait();
	got = umask(0);
	CHECK(got == 0351, "expected 0351, got %#o", got);
	return 0;
}
