/*
 * boot_id.c - see boot_id.h.
 */
#include "kernel/boot_id.h"

#include <fcntl.h>
#include <stdio.h>

#include "util/cleanup.h"
#include "util/fd.h"

void boot_id_read(char ret[BOOT_ID_LEN])
{
	_cleanup_free_ char *text = NULL;

	*ret = '\0';
	if (file_read_at(AT_FDCWD, "/proc/sys/kernel/random/boot_id", &text, NULL) == 0)
		snprintf(ret, BOOT_ID_LEN, "%s", text);
}
