/*
 * e2e: args: mapped closed two unmapped
 * e2e: refuse for unmapped: secret, not mapped
 *
 * Holds: memory of memfd_secret: mapped: with its descriptor; closed: without; two: of two, one of them
 *        read-only and never written; unmapped: only a descriptor, with contents.
 * Shows: Files: "memfd and memfd_secret".
 */
#include "fds.h"
#include "mm.h"

#define LEN (5 * MM_PAGE)

static int secret(size_t len)
{
	int fd = (int)syscall(SYS_memfd_secret, O_CLOEXEC);

	if (fd < 0)
		SKIP("no memfd_secret here: %s", strerror(errno));
	MUST(ftruncate(fd, (off_t)len));
	return fd;
}

static char *map(int fd, size_t len, int prot)
{
	char *p = mmap(NULL, len, prot, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		SKIP("it can't be mapped: %s", strerror(errno));
	return p;
}

/* What makes it secret: the kernel does not read it for others. */
static void expect_secret(const void *p)
{
	int fd = MUST(open("/proc/self/mem", O_RDONLY));
	char c;

	CHECK(pread(fd, &c, 1, (off_t)(uintptr_t)p) == -1, "others can read it");
	close(fd);
}

int main(int argc, char **argv)
{
	const char *what = argc == 2 ? argv[1] : "";
	struct fds_view was;
	struct mm_vma vma;
	char *p, *q = NULL;
	int fd;

	victim_init(argc, argv);
	fd = secret(LEN);
	p = map(fd, LEN, PROT_READ | PROT_WRITE);
	expect_secret(p);
	mm_fill(p, MM_PAGE, 1);
	mm_fill(p + 3 * MM_PAGE, 2 * MM_PAGE, 2);
	fds_view(fd, &was);
	vma = mm_vma(p);
	if (!strcmp(what, "closed"))
		close(fd);
	if (!strcmp(what, "two"))
		q = map(secret(MM_PAGE), MM_PAGE, PROT_READ);
	if (!strcmp(what, "unmapped"))
		MUST(munmap(p, LEN));
	victim_ready();
	victim_wait();
	if (!strcmp(what, "unmapped"))
		return 0;
	if (strcmp(what, "closed"))
		fds_expect(fd, &was, false, "descriptor");
	mm_expect_same(&vma, "mapping");
	mm_expect(p, MM_PAGE, 1, "first page");
	mm_expect_zero(p + MM_PAGE, 2 * MM_PAGE, "pages that were not written");
	mm_expect(p + 3 * MM_PAGE, 2 * MM_PAGE, 2, "last pages");
	expect_secret(p);
	if (q) {
		mm_expect_zero(q, MM_PAGE, "the other");
		expect_secret(q);
	}
	if (strcmp(what, "closed")) {
		char *again = map(fd, LEN, PROT_READ);

		mm_fill(p + MM_PAGE, MM_PAGE, 3);
		mm_expect(again + MM_PAGE, MM_PAGE, 3, "a write, seen by another mapping");
	}
	return 0;
}
