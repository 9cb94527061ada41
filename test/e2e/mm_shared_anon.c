/*
 * Holds: shared anonymous memory: one object mapped twice as a whole and once in part (mremap with old
 * length 0), one that only has a mapping of its middle left, one of /dev/zero, one of another process's
 * making that died.
 * Shows: Memory: "shared anonymous within the process": what was one object is one, two objects are
 * two, holes stay holes.
 */
#include "mm.h"
#include <sys/wait.h>

#define LEN (16 * MM_PAGE)

static char *again(char *p, size_t len)
{
	return (char *)MUST(mremap(p, 0, len, MREMAP_MAYMOVE));
}

int main(int argc, char **argv)
{
	char *a = mm_map(LEN, PROT_READ | PROT_WRITE, MAP_SHARED), *b, *part, *other, *middle,
	     *zero;
	int fd;

	victim_init(argc, argv);
	mm_fill(a, 8 * MM_PAGE, 1);
	b = again(a, LEN);
	MUST(mprotect(b, LEN, PROT_READ));
	part = again(a + 4 * MM_PAGE, 2 * MM_PAGE);
	other = mm_map(LEN, PROT_READ | PROT_WRITE, MAP_SHARED);
	mm_fill(other, LEN, 2);
	middle = mm_map(LEN, PROT_READ | PROT_WRITE, MAP_SHARED);
	mm_fill(middle, LEN, 3);
	MUST(munmap(middle, 4 * MM_PAGE));
	MUST(munmap(middle + 12 * MM_PAGE, 4 * MM_PAGE));
	fd = MUST(open("/dev/zero", O_RDWR | O_CLOEXEC));
	zero = (char *)MUST(mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	close(fd);
	pid_t child = MUST(fork());

	if (!child) {
		mm_fill(zero, MM_PAGE, 4);
		_exit(0);
	}
	MUST(waitpid(child, NULL, 0));
	mm_expect(zero, MM_PAGE, 4, "the test is broken");
	victim_ready();
	victim_wait();
	mm_expect(a, 8 * MM_PAGE, 1, "object");
	mm_expect(b, 8 * MM_PAGE, 1, "its second mapping");
	mm_expect_zero(a + 8 * MM_PAGE, 8 * MM_PAGE, "what was never written");
	mm_expect(other, LEN, 2, "other object");
	for (size_t i = 4 * 512; i < 12 * 512; i++)
		CHECK(((uint64_t *)middle)[i] == mm_word(3, i), "middle: word %zu is wrong", i);
	mm_expect(zero, MM_PAGE, 4, "/dev/zero");
	mm_expect_zero(zero + MM_PAGE, LEN - MM_PAGE, "/dev/zero, never written");
	CHECK(!strcmp(mm_vma(zero).perms, "rw-s"), "/dev/zero is %s now", mm_vma(zero).perms);

	mm_fill(a + 4 * MM_PAGE, MM_PAGE, 5);
	mm_expect(b + 4 * MM_PAGE, MM_PAGE, 5, "a write, seen in the second mapping");
	mm_expect(part, MM_PAGE, 5, "a write, seen in the partial mapping");
	mm_fill(part + MM_PAGE, MM_PAGE, 6);
	mm_expect(a + 5 * MM_PAGE, MM_PAGE, 6, "a write through the partial mapping");
	mm_expect(other, LEN, 2, "other object, after writes to the first");
	CHECK(mm_vma(a).inode == mm_vma(b).inode && mm_vma(a).inode == mm_vma(part).inode,
		"one object has become several: inodes %lu %lu %lu", mm_vma(a).inode,
		mm_vma(b).inode, mm_vma(part).inode);
	CHECK(mm_vma(a).inode != mm_vma(other).inode, "two objects have become one");

	child = MUST(fork());
	if (!child) {
		mm_fill(a, MM_PAGE, 7);
		_exit(0);
	}
	MUST(waitpid(child, NULL, 0));
	mm_expect(b, MM_PAGE, 7, "a write by a child");
	return 0;
}
