/*
 * The memory map on captured text, and on mappings that the test makes itself.
 */
#include "kernel/proc_maps.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "kernel/proc.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/str.h"
#include "util/vec.h"

/* Captured on Linux 6.18, counts then made all different; VmFlags of several VMAs put together. */
static const char smaps_618[] =
	"55bb4234b000-55bb42350000 r-xp 00002000 fe:1a 248056                     /usr/bin/sleep\n"
	"Size:                 20 kB\n"
	"KernelPageSize:        4 kB\n"
	"MMUPageSize:           4 kB\n"
	"Rss:                  19 kB\n"
	"Pss:                  10 kB\n"
	"Pss_Dirty:             0 kB\n"
	"Shared_Clean:         17 kB\n"
	"Shared_Dirty:         16 kB\n"
	"Private_Clean:        15 kB\n"
	"Private_Dirty:        14 kB\n"
	"Referenced:           13 kB\n"
	"Anonymous:            12 kB\n"
	"KSM:                  11 kB\n"
	"LazyFree:             10 kB\n"
	"AnonHugePages:         9 kB\n"
	"ShmemPmdMapped:        8 kB\n"
	"FilePmdMapped:         7 kB\n"
	"Shared_Hugetlb:        6 kB\n"
	"Private_Hugetlb:       5 kB\n"
	"Swap:                  4 kB\n"
	"SwapPss:               3 kB\n"
	"Locked:                2 kB\n"
	"THPeligible:           0\n"
	"ProtectionKey:         3\n"
	"VmFlags: rd ex mr mw me lo dc lf gu zz \n"
	"7fa7b971b000-7fa7b971f000 rw-s 00000000 00:01 1045                       /memfd:x y (deleted)\n"
	"Rss:                   0 kB\n"
	"VmFlags: rd wr sh \n"
	"7fa7b971f000-7fa7b9721000 ---p 00000000 00:00 0 \n"
	"VmFlags: mr mw me nr ??\n"
	"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n"
	"VmFlags:\n";

Test(proc_maps, smaps_every_field)
{
	struct vma_list l;

	cr_assert_eq(proc_maps_parse(smaps_618, &l), 0);
	cr_assert_eq(l.n, 4);
	cr_assert_eq(l.v[0].start, 0x55bb4234b000);
	cr_assert_eq(l.v[0].end, 0x55bb42350000);
	cr_assert_eq(l.v[0].prot, VMA_READ | VMA_EXEC);
	cr_assert_eq(l.v[0].pgoff_bytes, 0x2000);
	cr_assert_eq(l.v[0].dev_major, 0xfe);
	cr_assert_eq(l.v[0].dev_minor, 0x1a);
	cr_assert_eq(l.v[0].ino, 248056);
	cr_assert_str_eq(l.v[0].path, "/usr/bin/sleep");
	cr_assert_not(l.v[0].deleted);
	cr_assert_eq(l.v[0].kernel_page_bytes, 4096);
	cr_assert_eq(l.v[0].rss_bytes, 19 * 1024);
	cr_assert_eq(l.v[0].shared_dirty_bytes, 16 * 1024);
	cr_assert_eq(l.v[0].private_dirty_bytes, 14 * 1024);
	cr_assert_eq(l.v[0].anonymous_bytes, 12 * 1024);
	cr_assert_eq(l.v[0].ksm_bytes, 11 * 1024);
	cr_assert_eq(l.v[0].anon_huge_bytes, 9 * 1024);
	cr_assert_eq(l.v[0].hugetlb_bytes, (6 + 5) * 1024);
	cr_assert_eq(l.v[0].swap_bytes, 4 * 1024);
	cr_assert_eq(l.v[0].locked_bytes, 2 * 1024);
	cr_assert_eq(l.v[0].protection_key, 3);
	cr_assert_eq(l.v[0].vmflags, VMF_RD | VMF_EX | VMF_MR | VMF_MW | VMF_ME | VMF_LO | VMF_DC |
					     VMF_LF | VMF_GU | VMF_UNKNOWN);
	cr_assert_str_eq(l.v[1].path, "/memfd:x y");
	cr_assert(l.v[1].deleted);
	cr_assert_eq(l.v[1].prot, VMA_READ | VMA_WRITE | VMA_SHARED);
	cr_assert_eq(l.v[1].vmflags, VMF_RD | VMF_WR | VMF_SH);
	cr_assert_eq(l.v[1].kernel_page_bytes, 0);
	cr_assert_null(l.v[2].path);
	cr_assert_eq(l.v[2].prot, 0);
	cr_assert_eq(l.v[2].vmflags, VMF_MR | VMF_MW | VMF_ME | VMF_NR | VMF_UNKNOWN);
	cr_assert_eq(l.v[3].end, 0xffffffffff601000);
	cr_assert_eq(l.v[3].vmflags, 0);
	vma_list_done(&l);
}

Test(proc_maps, names_of_flags_are_their_letters)
{
	struct vma_list l;
	unsigned int bit;

	for (bit = 0; bit < VMA_BIT_UNKNOWN; bit++) {
		char text[100];

		snprintf(text, sizeof(text), "1000-2000 r--p 00000000 00:00 0 \nVmFlags: %s \n",
			vma_flag_name(bit));
		cr_assert_eq(proc_maps_parse(text, &l), 0);
		cr_assert_eq(l.v[0].vmflags, 1ULL << bit);
		vma_list_done(&l);
	}
	cr_assert_str_eq(vma_flag_name(VMA_BIT_UNKNOWN), "??");
	cr_assert_str_eq(vma_flag_name(VMA_BIT_GU), "gu");
	cr_assert_str_eq(vma_flag_name(VMA_BIT_RD), "rd");
}

Test(proc_maps, names_that_are_hard)
{
	struct vma_list l;
	static const char text[] =
		"1000-2000 r--p 00000000 00:00 1                          /a\\012b\n"
		"2000-3000 r--p 00000000 00:00 1                          /a\\040b\n"
		"3000-4000 r--p 00000000 00:00 1                          /a  (deleted) (deleted)\n"
		"4000-5000 rw-p 00000000 00:00 0                          [anon:Size: 4 kB]\n"
		"5000-6000 r--p 00000000 00:00 1                           (deleted)\n"
		"6000-7000 rw-p 00000000 00:00 0";

	cr_assert_eq(proc_maps_parse(text, &l), 0);
	cr_assert_eq(l.n, 6);
	cr_assert_str_eq(l.v[0].path, "/a\nb");
	cr_assert_str_eq(l.v[1].path, "/a\\040b");
	cr_assert_str_eq(l.v[2].path, "/a  (deleted)");
	cr_assert(l.v[2].deleted);
	cr_assert_str_eq(l.v[3].path, "[anon:Size: 4 kB]");
	cr_assert_str_eq(l.v[4].path, "(deleted)");
	cr_assert_not(l.v[4].deleted);
	cr_assert_null(l.v[5].path);
	vma_list_done(&l);
	cr_assert_null(l.v);
}

Test(proc_maps, malformed_text_is_refused)
{
	static const char *const bad[] = {
		"Rss: 4 kB\n",
		"1000-1000 r--p 00000000 00:00 0\n",
		"2000-1000 r--p 00000000 00:00 0\n",
		"1000-2000 r--q 00000000 00:00 0\n",
		"1000-2000 r-p 00000000 00:00 0\n",
		"1000-2000 r--p 00000000 00 0\n",
		"1000-2000 r--p 00000000 00:00\n",
		"1000-2000 r--p 00000000 00:00 0x\n",
		"11000000000000000-2000 r--p 00000000 00:00 0\n",
		"1000-3000 r--p 00000000 00:00 0\n2000-4000 r--p 00000000 00:00 0\n",
		"3000-4000 r--p 00000000 00:00 0\n1000-2000 r--p 00000000 00:00 0\n",
		"1000-2000 r--p 00000000 00:00 0 \nRss: x kB\n",
		"1000-2000 r--p 00000000 00:00 0 \nRss: 18446744073709551615 kB\n",
		"1000-2000 r--p 00000000 00:00 0 /with/path\n1000\n",
	};
	struct vma_list l;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(proc_maps_parse(bad[i], &l), -EBADMSG, "text %zu", i);
	cr_assert_eq(proc_maps_parse("", &l), 0);
	cr_assert_eq(l.n, 0);
}

Test(proc_maps, cut_text_never_reads_beyond_its_end)
{
	size_t i;

	/* Each cut in its own allocation, so that the sanitizer sees a read behind it. */
	for (i = 0; i < sizeof(smaps_618); i++) {
		_cleanup_free_ char *text = strndup(smaps_618, i);
		struct vma_list l = {};

		if (proc_maps_parse(text, &l) == 0)
			cr_assert_leq(l.n, 4);
		vma_list_done(&l);
	}
}

Test(proc_maps, find)
{
	struct vma_list l;

	cr_assert_eq(proc_maps_parse("1000-2000 r--p 00000000 00:00 0\n"
				     "3000-5000 r--p 00000000 00:00 0\n"
				     "5000-6000 r--p 00000000 00:00 0\n",
			     &l),
		0);
	cr_assert_null(vma_list_find(&l, 0xfff));
	cr_assert_eq(vma_list_find(&l, 0x1000), &l.v[0]);
	cr_assert_null(vma_list_find(&l, 0x2000));
	cr_assert_eq(vma_list_find(&l, 0x4fff), &l.v[1]);
	cr_assert_eq(vma_list_find(&l, 0x5000), &l.v[2]);
	cr_assert_null(vma_list_find(&l, 0x6000));
	vma_list_done(&l);
}

static int map_file(const char *dir, const char *name, void **ret)
{
	_cleanup_free_ char *path = NULL;
	int fd;

	cr_assert_geq(asprintf(&path, "%s/%s", dir, name), 0);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	cr_assert_geq(fd, 0);
	cr_assert_eq(ftruncate(fd, 8192), 0);
	*ret = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 4096);
	cr_assert_neq(*ret, MAP_FAILED);
	cr_assert_eq(unlink(path), 0);
	return fd;
}

Test(proc_maps, of_this_process)
{
	_cleanup_close_ int procfd = proc_open(0);
	char dir[] = "/tmp/unit-maps-XXXXXX";
	char *locked =
		mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const struct vma *vma;
	struct vma_list l, maps;
	struct stat st;
	void *file;
	int fd;

	cr_assert_not_null(mkdtemp(dir));
	fd = map_file(dir, "a\nb", &file);
	rmdir(dir);
	cr_assert_eq(madvise(locked, 8 * 4096, MADV_DONTFORK), 0);
	locked[0] = locked[4096] = 1;
	cr_assert_eq(proc_smaps_read(procfd, &l), 0);
	vma = vma_list_find(&l, (uint64_t)(uintptr_t)locked);
	cr_assert_not_null(vma);
	cr_assert_eq(vma->end - vma->start, 8 * 4096);
	cr_assert_eq(vma->rss_bytes, 2 * 4096);
	cr_assert_eq(vma->anonymous_bytes, 2 * 4096);
	cr_assert(vma->vmflags & VMF_DC);
	cr_assert_eq(vma->kernel_page_bytes, 4096);

	cr_assert_eq(fstat(fd, &st), 0);
	cr_assert_eq(proc_maps_read(procfd, &maps), 0);
	vma = vma_list_find(&maps, (uint64_t)(uintptr_t)file);
	cr_assert_not_null(vma);
	cr_assert_eq(vma->ino, st.st_ino);
	cr_assert_eq(vma->pgoff_bytes, 4096);
	cr_assert_eq(vma->prot, VMA_READ | VMA_WRITE | VMA_SHARED);
	cr_assert(vma->deleted);
	cr_assert_str_eq(strrchr(vma->path, '/'), "/a\nb");
	cr_assert_eq(vma->vmflags, 0);
	vma_list_done(&l);
	vma_list_done(&maps);
	fd_close(fd);
}

#define TRIES 5

/* Time of parsing @n VMAs of 26 lines each. */
static uint64_t parse_time_ns(size_t n)
{
	_cleanup_strbuf_ struct strbuf sb = {};
	const char *body = strchr(smaps_618, '\n') + 1;
	size_t body_len = (size_t)(strstr(smaps_618, "7fa7b971b000") - body), i;
	struct vma_list l;
	uint64_t start;

	for (i = 1; i <= n; i++) {
		strbuf_addf(&sb, "%zx000-%zx000 rw-p 00000000 00:00 0 \n", i, i + 1);
		strbuf_addn(&sb, body, body_len);
	}
	cr_assert_eq(sb.err, 0);
	start = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	cr_assert_eq(proc_maps_parse(sb.s, &l), 0);
	start = clock_ns(CLOCK_THREAD_CPUTIME_ID) - start;
	cr_assert_eq(l.n, n);
	cr_assert_eq(l.v[n - 1].rss_bytes, 19 * 1024);
	vma_list_done(&l);
	return start;
}

Test(proc_maps, fifty_thousand_vmas_parse_linearly)
{
	uint64_t few = UINT64_MAX, many = UINT64_MAX;

	/* the least of some: caches and the clock of the CPU are not ours alone */
	for (int i = 0; i < TRIES; i++) {
		few = MIN(few, parse_time_ns(2000));
		many = MIN(many, parse_time_ns(50000));
	}
	printf("2000 VMAs %.1f ms, 50000 VMAs %.1f ms\n", (double)few / 1e6, (double)many / 1e6);
	/* 25 times as many; a quadratic parser would need 625 times as long. */
	cr_assert_lt(many, few * 150);
}
