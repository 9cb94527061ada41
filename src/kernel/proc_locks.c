/*
 * The parser of /proc/locks: see the header.
 */
#include "kernel/proc_locks.h"

#include <fcntl.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/fd.h"

/* "2: LEASE  BREAKING  READ  4711 00:1c:42 0 EOF"; those who break it are BREAKER. */
bool proc_locks_parse(const char *text)
{
	return strstr(text, " BREAK");
}

bool proc_locks_breaking(void)
{
	_cleanup_free_ char *text = NULL;

	return file_read_at(AT_FDCWD, "/proc/locks", &text, NULL) < 0 || proc_locks_parse(text);
}
