/*
 * Holds: shared mappings of one file: one writable, one read-only through a read-only descriptor, both
 * descriptors closed; and one of a part of the file, whose descriptor is open.
 * Shows: Memory: "file-shared": the mappings are the file: writes go both ways; a mapping that could
 * not become writable still cannot.
 */
#include "mm.h"

#define LEN (8 * MM_PAGE)

int main(int argc, char **argv)
{
	int rw = mm_file("data", LEN, 1), ro = MUST(open("data", O_RDONLY | O_CLOEXEC)), fd;
	char *w = (char *)MUST(mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, rw, 0));
	char *r = (char *)MUST(mmap(NULL, LEN, PROT_READ, MAP_SHARED, ro, 0));
	char *part = (char *)MUST(
		mmap(NULL, 2 * MM_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, rw, 4 * MM_PAGE));
	struct mm_vma was_w = mm_vma(w), was_r = mm_vma(r), was_part = mm_vma(part);
	char page[MM_PAGE];

	victim_init(argc, argv);
	close(ro);
	mm_fill(w, MM_PAGE, 2);
	victim_ready();
	victim_wait();
	mm_expect_same(&was_w, "writable mapping");
	mm_expect_same(&was_r, "read-only mapping");
	mm_expect_same(&was_part, "partial mapping");
	mm_expect(w, MM_PAGE, 2, "page written before");
	mm_expect(r, MM_PAGE, 2, "page written before, read-only mapping");
	mm_fill(w + 4 * MM_PAGE, MM_PAGE, 3);
	mm_expect(part, MM_PAGE, 3, "partial mapping");
	mm_expect(r + 4 * MM_PAGE, MM_PAGE, 3, "read-only mapping");
	fd = MUST(open("data", O_RDWR | O_CLOEXEC));
	CHECK(pread(fd, page, sizeof(page), 4 * MM_PAGE) == (ssize_t)sizeof(page), "data: short");
	mm_expect(page, sizeof(page), 3, "the file itself");
	mm_fill(page, sizeof(page), 4);
	CHECK(pwrite(rw, page, sizeof(page), 0) == (ssize_t)sizeof(page), "the open descriptor: %s",
		strerror(errno));
	mm_expect(w, MM_PAGE, 4, "mapping after a write to the file");
	CHECK(mprotect(r, LEN, PROT_READ | PROT_WRITE) == -1 && errno == EACCES,
		"the read-only mapping became writable");
	CHECK(mm_touch(r, MM_WRITE) == SIGSEGV, "the read-only mapping takes a write");
	close(fd);
	return 0;
}
