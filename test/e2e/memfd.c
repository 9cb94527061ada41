/*
 * e2e: args: odd sealed future exec read-only hugetlb huge-sealed
 *
 * Holds: memfds: of a size that is no multiple of pages; with every seal; with F_SEAL_FUTURE_WRITE and a mapping that may still write; of
 *        MFD_NOEXEC_SEAL; that is only open for reading, and mapped by it; of huge pages, one of them
 *        a hole, with a private mapping; of huge pages and sealed.
 * Shows: what may be done with a memfd is what it was, and nothing more.
 */
#include "fds.h"
#include "mm.h"
#include <sys/stat.h>

#define LEN      (8 * MM_PAGE)
#define HUGE_LEN ((size_t)2 << 20)

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif

static int make(const char *name, unsigned flags, size_t len)
{
	int fd = memfd_create(name, flags);
	char *p;

	if (fd < 0)
		SKIP("no such memfd here: %s", strerror(errno));
	MUST(ftruncate(fd, (off_t)len));
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		SKIP("no memory for it: %s", strerror(errno));
	mm_fill(p, LEN, 1);
	MUST(munmap(p, len));
	return fd;
}

static char *map(int fd, size_t len, int prot, int flags)
{
	return (char *)MUST(mmap(NULL, len, prot, flags, fd, 0));
}

static void handshake(int fd, int seals, const char *what)
{
	struct fds_view was;

	CHECK(fcntl(fd, F_GET_SEALS) == seals, "the test is broken: seals %#x",
		fcntl(fd, F_GET_SEALS));
	fds_view(fd, &was);
	victim_ready();
	victim_wait();
	fds_expect(fd, &was, false, what);
	CHECK(fcntl(fd, F_GET_SEALS) == seals, "%s: seals: expected %#x, got %#x", what, seals,
		fcntl(fd, F_GET_SEALS));
}

static void expect_contents(int fd, size_t len, const char *what)
{
	char *p = map(fd, len, PROT_READ, MAP_PRIVATE);

	mm_expect(p, LEN, 1, what);
	MUST(munmap(p, len));
}

static void memfd_sealed(void)
{
	int fd = make("sealed", MFD_ALLOW_SEALING | MFD_CLOEXEC, LEN);
	int all = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

	MUST(fcntl(fd, F_ADD_SEALS, all));
	handshake(fd, all, "sealed");
	expect_contents(fd, LEN, "sealed");
	CHECK(ftruncate(fd, LEN / 2) == -1 && errno == EPERM, "it can be made shorter");
	CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == -1 && errno == EPERM,
		"it can be sealed more");
}

static void memfd_odd(void)
{
	int fd = MUST(memfd_create("odd", MFD_ALLOW_SEALING)), all = F_SEAL_SHRINK | F_SEAL_GROW;
	int large = make("large", MFD_CLOEXEC, LEN);
	char text[16];

	CHECK(write(fd, "seven b", 7) == 7, "write: %s", strerror(errno));
	MUST(fcntl(fd, F_ADD_SEALS, all));
	MUST(ftruncate(large, LEN - 5));
	handshake(fd, all, "of seven bytes");
	CHECK(pread(fd, text, sizeof(text), 0) == 7 && !memcmp(text, "seven b", 7), "contents");
	CHECK(lseek(large, 0, SEEK_END) == LEN - 5, "size: expected %ld, got %ld", (long)LEN - 5,
		(long)lseek(large, 0, SEEK_END));
}

static void memfd_future(void)
{
	int fd = make("future", MFD_ALLOW_SEALING, LEN), ro;
	char *w = map(fd, LEN, PROT_READ | PROT_WRITE, MAP_SHARED), *r;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = MUST(open(path, O_RDONLY | O_CLOEXEC));
	MUST(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK));
	r = map(fd, LEN, PROT_READ, MAP_SHARED);
	handshake(ro, F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK, "sealed for the future");
	mm_expect(w, LEN, 1, "the old mapping");
	mm_fill(w, MM_PAGE, 2);
	mm_expect(r, MM_PAGE, 2, "a write, seen by the new mapping");
	CHECK(mprotect(r, MM_PAGE, PROT_READ | PROT_WRITE) == -1 && errno == EACCES,
		"the new mapping can be made writable");
	CHECK(write(fd, "x", 1) == -1 && errno == EPERM, "it takes a write");
	CHECK(mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED &&
			errno == EPERM,
		"it can be mapped for writing");
}

static void memfd_exec(void)
{
	int fd = make("noexec", MFD_NOEXEC_SEAL | MFD_CLOEXEC, LEN);

	handshake(fd, F_SEAL_EXEC, "not executable");
	CHECK(fchmod(fd, 0777) == -1 && errno == EPERM, "it can be made executable");
	MUST(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
}

static void memfd_read_only(void)
{
	int fd = make("read-only", MFD_CLOEXEC, LEN), ro;
	struct mm_vma was;
	char path[64], *p;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	MUST(fchmod(fd, 0444));
	ro = MUST(open(path, O_RDONLY));
	p = map(ro, LEN, PROT_READ, MAP_SHARED);
	close(fd);
	was = mm_vma(p);
	handshake(ro, F_SEAL_SEAL, "read-only");
	mm_expect_same(&was, "read-only");
	mm_expect(p, LEN, 1, "read-only");
	CHECK(write(ro, "x", 1) == -1 && errno == EBADF, "it takes a write");
	CHECK(mprotect(p, LEN, PROT_READ | PROT_WRITE) == -1 && errno == EACCES,
		"its mapping can be made writable");
}

static void memfd_hugetlb(void)
{
	struct stat was, now;
	char *p, *s;
	int fd;

	mm_allow_huge();
	fd = make("huge", MFD_HUGETLB | MFD_CLOEXEC, 3 * HUGE_LEN);
	p = map(fd, HUGE_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	s = map(fd, HUGE_LEN, PROT_READ | PROT_WRITE, MAP_SHARED);
	mm_fill(p + MM_PAGE, MM_PAGE, 7);
	MUST(fstat(fd, &was));
	handshake(fd, F_SEAL_SEAL, "huge");
	mm_expect(p, MM_PAGE, 1, "private mapping, first page");
	mm_expect(p + MM_PAGE, MM_PAGE, 7, "private mapping, written");
	mm_expect(s, LEN, 1, "shared mapping");
	MUST(fstat(fd, &now));
	CHECK(now.st_blksize == (long)HUGE_LEN, "pages of %ld bytes", (long)now.st_blksize);
	CHECK(now.st_blocks == was.st_blocks, "blocks: expected %ld, got %ld", (long)was.st_blocks,
		(long)now.st_blocks);
}

static void memfd_huge_sealed(void)
{
	int fd, seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK;

	mm_allow_huge();
	fd = make("huge and sealed", MFD_HUGETLB | MFD_ALLOW_SEALING, HUGE_LEN);
	MUST(fcntl(fd, F_ADD_SEALS, seals));
	handshake(fd, seals, "huge and sealed");
	expect_contents(fd, HUGE_LEN, "huge and sealed");
	MUST(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
}

int main(int argc, char **argv)
{
	static const struct victim_case cases[] = {{"odd", memfd_odd}, {"sealed", memfd_sealed},
		{"future", memfd_future}, {"exec", memfd_exec}, {"read-only", memfd_read_only},
		{"hugetlb", memfd_hugetlb}, {"huge-sealed", memfd_huge_sealed}};

	return victim_cases(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
