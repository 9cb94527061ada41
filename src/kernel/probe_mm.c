/*
 * Trying what concerns memory, on pages of our own.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel/pagemap.h"
#include "kernel/probe_try.h"
#include "kernel/proc.h"
#include "kernel/proc_maps.h"
#include "kernel/syscalls.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/str.h"

#define ENTRY_SOFT_DIRTY (1ULL << 55)
#define ENTRY_PFN_MASK   (ENTRY_SOFT_DIRTY - 1)

static char *page_map(size_t bytes, int prot)
{
	char *p = mmap(NULL, bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* @arg: a category that must be known, or 0 for PAGEMAP_SCAN as such */
void try_pagemap(long arg, struct kernel_feature *ret)
{
	_cleanup_close_ int procfd = proc_open(0);
	struct pagemap pm;
	int r = procfd < 0 ? procfd : pagemap_open(procfd, &pm);

	if (r < 0) {
		probe_result(ret, r, "/proc/self/pagemap");
		return;
	}
	if (!pm.scan_mask)
		probe_absent(ret, "no PAGEMAP_SCAN");
	else if (arg && !(pm.scan_mask & (uint64_t)arg))
		probe_absent(ret, "PAGEMAP_SCAN: category unknown");
	else
		probe_found(ret, "categories 0x%llx", (unsigned long long)pm.scan_mask);
	pagemap_close(&pm);
}

static int entry_read(const void *p, uint64_t *ret)
{
	_cleanup_close_ int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return pread_full(fd, ret, sizeof(*ret), (off_t)((uintptr_t)p / page_size() * 8));
}

void try_pagemap_pfn(long arg, struct kernel_feature *ret)
{
	volatile char on_stack = 1;
	uint64_t entry = 0;
	int r = entry_read((const void *)&on_stack, &entry);

	(void)arg;
	if (r == 0 && !(entry & ENTRY_PFN_MASK))
		r = -EPERM;
	probe_result(ret, r, "frame numbers of /proc/self/pagemap");
}

/* Clear, look, write, look: a kernel without soft-dirty accepts the clearing and does nothing. */
static int soft_dirty_works(volatile char *page)
{
	_cleanup_close_ int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
	uint64_t clean = 0, dirty = 0;
	int r;

	if (fd < 0)
		return -errno;
	*page = 1;
	r = write_full(fd, "4", 1);
	if (r == 0)
		r = entry_read((const void *)page, &clean);
	if (r < 0)
		return r;
	*page = 2;
	r = entry_read((const void *)page, &dirty);
	if (r < 0)
		return r;
	return !(clean & ENTRY_SOFT_DIRTY) && (dirty & ENTRY_SOFT_DIRTY);
}

void try_soft_dirty(long arg, struct kernel_feature *ret)
{
	char *page = page_map(page_size(), PROT_READ | PROT_WRITE);
	int r = page ? soft_dirty_works(page) : -ENOMEM;

	(void)arg;
	if (r == 0)
		probe_absent(ret, "clear_refs accepts it, a write is not seen");
	else
		probe_result(ret, r, "clear_refs");
	if (page)
		munmap(page, page_size());
}

static int uffd_features(int flags, uint64_t *ret)
{
	_cleanup_close_ int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | flags);
	struct uffdio_api api = {.api = UFFD_API};

	if (fd < 0)
		return -errno;
	/* Asking for nothing gives the list of all. */
	if (ioctl(fd, UFFDIO_API, &api) < 0)
		return -errno;
	*ret = api.features;
	return 0;
}

uint64_t kernel_uffd_features(void)
{
	uint64_t features = 0;

	return uffd_features(UFFD_USER_MODE_ONLY, &features) < 0 ? 0 : features;
}

/* @arg: features that must be there */
void try_uffd(long arg, struct kernel_feature *ret)
{
	uint64_t features = 0;
	int r = uffd_features(UFFD_USER_MODE_ONLY, &features);

	if (r < 0)
		probe_result(ret, r, "userfaultfd");
	else if (~features & (uint64_t)arg)
		probe_absent(ret, "UFFDIO_API: feature unknown");
	else
		probe_found(ret, "features 0x%llx", (unsigned long long)features);
}

void try_uffd_kernel_faults(long arg, struct kernel_feature *ret)
{
	uint64_t features = 0;

	(void)arg;
	probe_result(ret, uffd_features(0, &features), "userfaultfd");
}

/* "[vvar] 4, [vvar_vclock] 2, [vdso] 2 pages", in the order of their addresses */
void try_vdso(long arg, struct kernel_feature *ret)
{
	_cleanup_close_ int procfd = proc_open(0);
	_cleanup_strbuf_ struct strbuf sb = {};
	struct vma_list maps = {};
	bool vdso = false;
	size_t i;
	int r = procfd < 0 ? procfd : proc_maps_read(procfd, &maps);

	(void)arg;
	for (i = 0; r == 0 && i < maps.n; i++) {
		const struct vma *v = &maps.v[i];

		if (!v->path || (!str_startswith(v->path, "[vvar") && !str_eq(v->path, "[vdso]")))
			continue;
		vdso |= str_eq(v->path, "[vdso]");
		strbuf_addf(&sb, "%s%s %zu", sb.len ? ", " : "", v->path,
			(size_t)(v->end - v->start) / page_size());
	}
	if (r < 0)
		probe_result(ret, r, "/proc/self/maps");
	else if (!vdso)
		probe_absent(ret, "no vdso is mapped");
	else
		probe_found(ret, "%s pages", sb.s ? sb.s : "");
	vma_list_done(&maps);
}

/* The request exists on x86 only; elsewhere the vdso of a fork is moved, which needs nothing. While one is
 * mapped it is refused with EEXIST. */
void try_vdso_map(long arg, struct kernel_feature *ret)
{
	(void)arg;
#ifdef SYS_arch_prctl
	if (syscall(SYS_arch_prctl, 0x2003 /* ARCH_MAP_VDSO_64 */, 0) < 0 && errno != EEXIST)
		probe_result(ret, -errno, "ARCH_MAP_VDSO_64");
	else
		probe_result(ret, 0, "ARCH_MAP_VDSO_64");
#else
	probe_found(ret, "a fork's own is moved");
#endif
}

void try_guard(long arg, struct kernel_feature *ret)
{
	char *page = page_map(page_size(), PROT_READ | PROT_WRITE);

	(void)arg;
	if (!page) {
		probe_result(ret, -ENOMEM, "mmap");
		return;
	}
	probe_result(ret, madvise(page, page_size(), MADV_GUARD_INSTALL) < 0 ? -errno : 0,
		"MADV_GUARD_INSTALL");
	munmap(page, page_size());
}

void try_mseal(long arg, struct kernel_feature *ret)
{
	(void)arg;
	/* Of nothing: sealed memory could not be unmapped again. */
	probe_result(ret, syscall(SYS_mseal, 0, 0, 0) < 0 ? -errno : 0, "mseal");
}

void try_droppable(long arg, struct kernel_feature *ret)
{
	char *p = mmap(NULL, page_size(), PROT_READ, MAP_DROPPABLE | MAP_ANONYMOUS, -1, 0);

	(void)arg;
	probe_result(ret, p == MAP_FAILED ? -errno : 0, "mmap(MAP_DROPPABLE)");
	if (p != MAP_FAILED)
		munmap(p, page_size());
}

void try_anon_name(long arg, struct kernel_feature *ret)
{
	char *page = page_map(page_size(), PROT_READ);
	int r = -ENOMEM;

	(void)arg;
	if (page) {
		r = prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, page, page_size(), "probe") < 0 ? -errno
											    : 0;
		munmap(page, page_size());
	}
	probe_result(ret, r, "PR_SET_VMA_ANON_NAME");
}

void try_pkeys(long arg, struct kernel_feature *ret)
{
	int key = pkey_alloc(0, 0);

	(void)arg;
	/* ENOSPC is also the answer of a CPU without keys: either way there is none to be had. */
	probe_result(ret, key < 0 ? -errno : 0, "pkey_alloc");
	if (key >= 0)
		pkey_free(key);
}
