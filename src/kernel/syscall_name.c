/*
 * The table is generated at build time from <asm/unistd.h>, so every ISA has its own; calls that
 * are newer than the headers are added here (from 424 on all ISAs have the same numbers).
 */
#include "kernel/syscall_name.h"

#include <stddef.h>

#include "util/vec.h"

static const char *const names[] = {
#include "gen/syscall_names.h"
};

static const struct {
	long nr;
	const char *name;
} newer[] = {
	{451, "cachestat"},
	{452, "fchmodat2"},
	{453, "map_shadow_stack"},
	{454, "futex_wake"},
	{455, "futex_wait"},
	{456, "futex_requeue"},
	{457, "statmount"},
	{458, "listmount"},
	{462, "mseal"},
};

const char *syscall_name(long nr)
{
	if (nr >= 0 && (size_t)nr < ARRAY_SIZE(names) && names[nr])
		return names[nr];
	for (size_t i = 0; i < ARRAY_SIZE(newer); i++)
		if (newer[i].nr == nr)
			return newer[i].name;
	return NULL;
}
