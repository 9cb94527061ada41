/*
 * proc_vdso.c - see proc_vdso.h.
 */
#include "kernel/proc_vdso.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kernel/proc_maps.h"
#include "kernel/syscalls.h"
#include "util/cleanup.h"
#include "util/fd.h"

#define NAME "[vdso]"

/* As the kernel has told the program at its start; 0: not known. */
static uint64_t told(int procfd)
{
	_cleanup_free_ char *auxv = NULL;
	Elf64_auxv_t a;
	size_t len;

	if (file_read_at(procfd, "auxv", &auxv, &len) < 0)
		return 0;
	for (size_t at = 0; at + sizeof(a) <= len; at += sizeof(a)) {
		memcpy(&a, auxv + at, sizeof(a));
		if (a.a_type == AT_SYSINFO_EHDR)
			return a.a_un.a_val;
	}
	return 0;
}

static int query(int procfd, uint64_t *ret_start, uint64_t *ret_end)
{
	_cleanup_close_ int fd = openat(procfd, "maps", O_RDONLY | O_CLOEXEC);
	char name[sizeof(NAME) + 1] = "";
	struct ckpt_procmap_query q = {.size = sizeof(q),
		.addr = told(procfd),
		.name_size = sizeof(name),
		.name_addr = (uintptr_t)name};

	/* a longer name than there is room for is an error, and another one than this */
	if (fd < 0 || !q.addr || ioctl(fd, PROCMAP_QUERY, &q) < 0 || strcmp(name, NAME) != 0)
		return -ENOENT;
	*ret_start = q.start;
	*ret_end = q.end;
	return 0;
}

int proc_vdso_find(int procfd, uint64_t *ret_start, uint64_t *ret_end)
{
	struct vma_list maps = {0};
	int r;

	if (query(procfd, ret_start, ret_end) == 0)
		return 0;
	r = proc_maps_read(procfd, &maps);
	if (r < 0)
		return r;
	*ret_start = *ret_end = 0;
	for (size_t i = 0; i < maps.n; i++) {
		if (maps.v[i].path && strcmp(maps.v[i].path, NAME) == 0) {
			*ret_start = maps.v[i].start;
			*ret_end = maps.v[i].end;
		}
	}
	vma_list_done(&maps);
	return 0;
}
