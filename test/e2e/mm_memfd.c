/*
 * Holds: memfds: one mapped shared and privately with its descriptor open, one that lives only in two
 * mappings, one with seals, one that is only a descriptor with a hole of 1 GiB.
 * Shows: Memory: "memfd mappings"; contents, size, name, seals, position, and one object stays one.
 */
#include "mm.h"
#include <sys/stat.h>

#define LEN (8 * MM_PAGE)
#define FAR (1ll << 30)

static int memfd(const char *name, unsigned flags, uint64_t seed)
{
	int fd = MUST(memfd_create(name, flags | MFD_CLOEXEC));
	char page[MM_PAGE];

	for (size_t i = 0; i < 8; i++) {
		mm_fill(page, sizeof(page), seed + i);
		CHECK(write(fd, page, sizeof(page)) == (ssize_t)sizeof(page), "memfd: short write");
	}
	return fd;
}

static void memfd_expect_page(int fd, off_t at, uint64_t seed, const char *what)
{
	char page[MM_PAGE];

	CHECK(pread(fd, page, sizeof(page), at) == (ssize_t)sizeof(page), "%s: short read", what);
	mm_expect(page, sizeof(page), seed, what);
}

static void memfd_expect_name(int fd, const char *want)
{
	char path[64], got[128] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	MUST(readlink(path, got, sizeof(got) - 1));
	CHECK(!strcmp(got, want), "name: expected '%s', got '%s'", want, got);
}

int main(int argc, char **argv)
{
	int fd = memfd("first", 0, 10), lost = memfd("lost", 0, 20), sealed, hole;
	char *s = (char *)MUST(mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	char *p = (char *)MUST(mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
	char *x = (char *)MUST(mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, lost, 0));
	char *y = (char *)MUST(mmap(NULL, LEN / 2, PROT_READ, MAP_SHARED, lost, LEN / 2));
	struct stat st;

	victim_init(argc, argv);
	close(lost);
	mm_fill(p + MM_PAGE, MM_PAGE, 111);
	MUST(lseek(fd, 12345, SEEK_SET));
	sealed = memfd("sealed", MFD_ALLOW_SEALING, 30);
	MUST(fcntl(sealed, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE));
	hole = memfd("with a hole", 0, 40);
	MUST(ftruncate(hole, FAR + 100));
	victim_ready();
	victim_wait();
	for (size_t i = 0; i < 8; i++) {
		mm_expect(s + i * MM_PAGE, MM_PAGE, 10 + i, "shared mapping");
		mm_expect(p + i * MM_PAGE, MM_PAGE, i == 1 ? 111 : 10 + i, "private mapping");
		mm_expect(x + i * MM_PAGE, MM_PAGE, 20 + i, "mapping without descriptor");
		memfd_expect_page(fd, i * MM_PAGE, 10 + i, "descriptor");
		memfd_expect_page(sealed, i * MM_PAGE, 30 + i, "sealed");
		memfd_expect_page(hole, i * MM_PAGE, 40 + i, "with a hole");
	}
	CHECK(lseek(fd, 0, SEEK_CUR) == 12345, "position: expected 12345, got %ld",
		(long)lseek(fd, 0, SEEK_CUR));
	memfd_expect_name(fd, "/memfd:first (deleted)");
	memfd_expect_name(hole, "/memfd:with a hole (deleted)");
	CHECK(!strcmp(mm_vma(x).name, "/memfd:lost (deleted)"), "name: got '%s'", mm_vma(x).name);

	mm_fill(s + 3 * MM_PAGE, MM_PAGE, 50);
	memfd_expect_page(fd, 3 * MM_PAGE, 50, "a write, seen by the descriptor");
	mm_expect(p + 3 * MM_PAGE, MM_PAGE, 50, "a write, seen in a clean private page");
	mm_expect(p + MM_PAGE, MM_PAGE, 111, "dirty private page");
	mm_fill(x + LEN / 2, MM_PAGE, 60);
	mm_expect(y, MM_PAGE, 60, "the second mapping without descriptor");

	CHECK(fcntl(sealed, F_GET_SEALS) == (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE),
		"seals: got %#x", fcntl(sealed, F_GET_SEALS));
	CHECK(write(sealed, "x", 1) == -1 && errno == EPERM, "the sealed memfd takes a write");
	CHECK(fcntl(fd, F_GET_SEALS) == F_SEAL_SEAL, "seals of the first: expected %#x, got %#x",
		F_SEAL_SEAL, fcntl(fd, F_GET_SEALS));
	MUST(fstat(hole, &st));
	CHECK(st.st_size == FAR + 100, "size: expected %lld, got %ld", FAR + 100, (long)st.st_size);
	CHECK(st.st_blocks * 512 <= 2 * (long)LEN, "the hole takes %ld bytes",
		(long)st.st_blocks * 512);
	return 0;
}
