/*
 * e2e: args: private shared shared-fd renamed
 *
 * Holds: mappings of a file that was deleted since: a private one with clean and dirty pages; two
 *        shared ones of the same file; one together with an open descriptor of the file; and one of a
 *        file that was renamed.
 * Shows: Memory: "deleted files": the contents come back, and what was one object still is one.
 */
#include "mm.h"

#define LEN (8 * MM_PAGE)

static void deleted_private(void)
{
	int fd = mm_file("gone", LEN, 1);
	char *p = (char *)MUST(mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
	struct mm_vma was;

	close(fd);
	MUST(unlink("gone"));
	mm_fill(p + 2 * MM_PAGE, MM_PAGE, 2);
	was = mm_vma(p);
	victim_ready();
	victim_wait();
	mm_expect_same(&was, "private mapping");
	for (size_t i = 0; i < 8; i++)
		if (i == 2)
			mm_expect(p + i * MM_PAGE, MM_PAGE, 2, "dirty page");
		else
			for (size_t k = 0; k < MM_PAGE / 8; k++)
				CHECK(((uint64_t *)p)[i * 512 + k] == mm_word(1, i * 512 + k),
					"clean page %zu is wrong", i);
}

static void deleted_shared(bool with_fd)
{
	int fd = mm_file("gone", LEN, 1);
	char *a = (char *)MUST(mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	char *b = (char *)MUST(mmap(NULL, LEN / 2, PROT_READ, MAP_SHARED, fd, LEN / 2));
	char page[MM_PAGE];

	if (!with_fd)
		close(fd);
	MUST(unlink("gone"));
	mm_fill(a, MM_PAGE, 2);
	victim_ready();
	victim_wait();
	mm_expect(a, MM_PAGE, 2, "page written before");
	for (size_t i = 512; i < LEN / 8; i++)
		CHECK(((uint64_t *)a)[i] == mm_word(1, i), "word %zu of the file is wrong", i);
	mm_fill(a + LEN / 2, MM_PAGE, 3);
	mm_expect(b, MM_PAGE, 3, "the second mapping of the same file");
	CHECK(mm_vma(a).inode == mm_vma(b).inode, "the mappings are of different files now");
	CHECK(strstr(mm_vma(a).name, "(deleted)"), "it is not deleted: '%s'", mm_vma(a).name);
	CHECK(access("gone", F_OK) == -1, "the deleted file is in its directory again");
	if (with_fd) {
		CHECK(pread(fd, page, sizeof(page), LEN / 2) == (ssize_t)sizeof(page),
			"short file");
		mm_expect(page, sizeof(page), 3, "the open descriptor");
		mm_fill(page, sizeof(page), 4);
		CHECK(pwrite(fd, page, sizeof(page), 0) == (ssize_t)sizeof(page), "write: %s",
			strerror(errno));
		mm_expect(a, MM_PAGE, 4, "mapping after a write to the descriptor");
	}
}

static void deleted_renamed(void)
{
	int fd = mm_file("old", LEN, 1);
	char *p = (char *)MUST(mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)),
	     page[MM_PAGE];

	close(fd);
	MUST(rename("old", "new"));
	victim_ready();
	victim_wait();
	mm_fill(p, MM_PAGE, 2);
	fd = MUST(open("new", O_RDONLY | O_CLOEXEC));
	CHECK(read(fd, page, sizeof(page)) == (ssize_t)sizeof(page), "short file");
	mm_expect(page, sizeof(page), 2, "the renamed file");
	CHECK(access("old", F_OK) == -1, "the old name is there again");
}

int main(int argc, char **argv)
{
	victim_init(argc, argv);
	CHECK(argc == 2, "usage: mm_file_deleted private|shared|shared-fd|renamed");
	if (!strcmp(argv[1], "private"))
		deleted_private();
	else if (!strcmp(argv[1], "renamed"))
		deleted_renamed();
	else
		deleted_shared(!strcmp(argv[1], "shared-fd"));
	return 0;
}
