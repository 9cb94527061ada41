/*
 * thp.c - see thp.h.
 */
#include "kernel/thp.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/fd.h"
#include "util/str.h"
#include "util/vec.h"

static bool is_chosen(int dir, const char *path, const char *choice)
{
	_cleanup_free_ char *text = NULL;

	return file_read_at(dir, path, &text, NULL) == 0 && strstr(text, choice);
}

static uint64_t pmd_bytes(int dir)
{
	_cleanup_free_ char *text = NULL;
	const char *p;
	uint64_t bytes;

	if (file_read_at(dir, "hpage_pmd_size", &text, NULL) < 0)
		return 0;
	p = text;
	return str_u64(&p, 10, &bytes) < 0 ? 0 : bytes;
}

/* "hugepages-64kB" */
static uint64_t size_of(const char *name)
{
	const char *p = str_startswith(name, "hugepages-");
	uint64_t kib;

	return !p || str_u64(&p, 10, &kib) < 0 || strcmp(p, "kB") != 0 ? 0 : kib << 10;
}

uint64_t thp_always_bytes(const char *dir)
{
	_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool always = fd >= 0 && is_chosen(fd, "enabled", "[always]");
	uint64_t least = 0, pmd;
	struct dirent *e;
	bool any = false;
	DIR *d;

	if (fd < 0)
		return 0;
	d = opendir(dir);
	while (d && (e = readdir(d))) {
		uint64_t bytes = size_of(e->d_name);
		char path[sizeof(e->d_name) + 16];

		if (!bytes)
			continue;
		any = true;
		snprintf(path, sizeof(path), "%s/enabled", e->d_name);
		if ((is_chosen(fd, path, "[always]") ||
			    (always && is_chosen(fd, path, "[inherit]"))) &&
			(!least || bytes < least))
			least = bytes;
	}
	if (d)
		closedir(d);
	pmd = !any && always ? pmd_bytes(fd) : 0;
	return any ? least : pmd;
}
