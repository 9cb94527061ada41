/*
 * Holds: a reservation of 16 TiB of PROT_NONE memory with three used islands in it, and 1 TiB of
 * writable memory of which three pages are touched.
 * Shows: Memory: "PROT_NONE reservations of terabytes at no cost": the image is small, the dump and
 * the restore are fast (where the kernel can skip holes), the reservation stays empty and can be used
 * afterwards.
 */
#include "mm.h"
#include <dirent.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define TIB          (1ull << 40)
#define RESERVED     (16 * TIB)
#define SPARSE       TIB
#define IMAGE_BYTES  (8u << 20)
#define DEAD_SECONDS 5.0

static const size_t islands[] = {0, RESERVED / 2, RESERVED - 16 * MM_PAGE};
static const size_t pages[] = {0, SPARSE / 3 / MM_PAGE *MM_PAGE, SPARSE - MM_PAGE};

/* Bytes of every image that the driver has made; 0 when there is none. */
static off_t image_bytes(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *e;
	off_t sum = 0;

	while (dir && (e = readdir(dir))) {
		char name[512];
		struct stat st;

		snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		if (e->d_name[0] == '.' || lstat(name, &st))
			continue;
		sum += S_ISDIR(st.st_mode) ? image_bytes(name) : st.st_size;
	}
	if (dir)
		closedir(dir);
	return sum;
}

/* PAGEMAP_SCAN, Linux 6.7. Without it eight bytes are read of every page, 2 GiB of the sparse memory. */
static bool kernel_skips_holes(void)
{
	struct {
		uint64_t size, asked[11];
	} arg = {.size = sizeof(arg)}; /* an empty range */
	int fd = MUST(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
	int r = ioctl(fd, _IOWR('f', 16, arg), &arg);

	close(fd);
	return r >= 0;
}

int main(int argc, char **argv)
{
	char *p = mm_map(RESERVED, PROT_NONE, MAP_PRIVATE | MAP_NORESERVE);
	char *q = mm_map(SPARSE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE);
	struct mm_vma was;

	victim_init(argc, argv);
	for (int i = 0; i < 3; i++) {
		MUST(mprotect(p + islands[i], 16 * MM_PAGE, PROT_READ | PROT_WRITE));
		mm_fill(p + islands[i], 16 * MM_PAGE, i);
		mm_fill(q + pages[i], MM_PAGE, 10 + i);
	}
	was = mm_vma(p + TIB);
	victim_ready();
	victim_wait();
	CHECK(!kernel_skips_holes() || victim_dead_s() < DEAD_SECONDS,
		"dump and restore: expected below %g s, took %g s", DEAD_SECONDS, victim_dead_s());
	CHECK(image_bytes("img") < 3 * IMAGE_BYTES, "image: expected below %u bytes, got %ld",
		IMAGE_BYTES, (long)image_bytes("img"));
	mm_expect_same(&was, "reservation");
	for (int i = 0; i < 3; i++) {
		mm_expect(p + islands[i], 16 * MM_PAGE, i, "island");
		mm_expect(q + pages[i], MM_PAGE, 10 + i, "touched page");
	}
	CHECK(mm_touch(p + TIB, MM_READ) == SIGSEGV, "the reservation can be read");
	MUST(mprotect(p + TIB, MM_PAGE, PROT_READ | PROT_WRITE));
	mm_expect_zero(p + TIB, MM_PAGE, "page that was reserved");
	mm_expect_zero(q + SPARSE / 2, MM_PAGE, "page that was never touched");
	return 0;
}
