/*
 * Holds: a private mapping of a file, at an offset beyond 4 GiB: pages not touched, read, written; the
 * page in which the file ends; pages behind the end of the file; the file then truncated.
 * Shows: Memory: "file-private with and without dirty pages": clean pages still follow the file, dirty
 * ones keep their own contents, access behind the end is still SIGBUS.
 */
#include "mm.h"

#define BASE  (5ull << 30)
#define PAGES 48
#define KEPT  32 /* the file ends 100 bytes into this page after it was truncated */

int main(int argc, char **argv)
{
	int fd = MUST(open("data", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
	char page[MM_PAGE], *p;
	struct mm_vma was;

	victim_init(argc, argv);
	for (size_t i = 0; i < PAGES; i++) {
		mm_fill(page, sizeof(page), i);
		CHECK(pwrite(fd, page, sizeof(page), BASE + i * MM_PAGE) == (ssize_t)sizeof(page),
			"data: %s", strerror(errno));
	}
	p = (char *)MUST(
		mmap(NULL, PAGES * MM_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, BASE));
	for (size_t i = 0; i < PAGES; i++) {
		if (i % 3 == 1)
			CHECK(mm_touch(p + i * MM_PAGE, MM_READ) == 0, "the test is broken");
		else if (i % 3 == 2)
			mm_fill(p + i * MM_PAGE, MM_PAGE, 1000 + i);
	}
	MUST(ftruncate(fd, BASE + KEPT * MM_PAGE + 100));
	close(fd);
	was = mm_vma(p);
	victim_ready();
	victim_wait();
	mm_expect_same(&was, "private file mapping");
	CHECK(mm_vma(p).inode == was.inode, "it maps inode %lu, was %lu", mm_vma(p).inode,
		was.inode);
	for (size_t i = 0; i < KEPT; i++)
		mm_expect(p + i * MM_PAGE, MM_PAGE, i % 3 == 2 ? 1000 + i : i, "page");

	/* What was never written is the file's page: a later change of the file shows in it. */
	fd = MUST(open("data", O_RDWR | O_CLOEXEC));
	for (size_t i = 0; i < KEPT; i++) {
		mm_fill(page, sizeof(page), 2000 + i);
		CHECK(pwrite(fd, page, sizeof(page), BASE + i * MM_PAGE) == (ssize_t)sizeof(page),
			"data: %s", strerror(errno));
	}
	for (size_t i = 0; i < KEPT; i++)
		mm_expect(p + i * MM_PAGE, MM_PAGE, i % 3 == 2 ? 1000 + i : 2000 + i,
			"page after the file has changed");
	for (size_t i = KEPT + 1; i < PAGES; i++)
		CHECK(mm_touch(p + i * MM_PAGE, MM_READ) == SIGBUS,
			"page %zu behind the end of the file: no SIGBUS", i);
	close(fd);
	return 0;
}
