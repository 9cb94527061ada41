/*
 * thp.c - directories as kernels have them: up to 6.7 one choice for all, then one for each size.
 */
#include "kernel/thp.h"

#include "../image/fixture.h"

TestSuite(thp, .init = fixture_init, .fini = fixture_done);

static void put(const char *path, const char *text)
{
	int fd = open(in(&s, path), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	cr_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), "%s", path);
	close(fd);
}

static void put_size(const char *name, const char *text)
{
	char path[64];

	mkdir(in(&s, name), 0700);
	snprintf(path, sizeof(path), "%s/enabled", name);
	put(path, text);
}

static void expect(uint64_t want)
{
	uint64_t have = thp_always_bytes(in(&s, ""));

	cr_expect_eq(
		have, want, "%llu, not %llu", (unsigned long long)have, (unsigned long long)want);
}

Test(thp, one_choice_for_all)
{
	expect(0);
	put("hpage_pmd_size", "2097152\n");
	put("enabled", "always [madvise] never\n");
	expect(0);
	put("enabled", "[always] madvise never\n");
	expect(2097152);
}

Test(thp, a_choice_for_each_size)
{
	put("hpage_pmd_size", "2097152\n");
	put("enabled", "[always] madvise never\n");
	put_size("hugepages-2048kB", "always [inherit] madvise never\n");
	put_size("hugepages-64kB", "always inherit madvise [never]\n");
	put_size("hugepages-16kB", "always inherit [madvise] never\n");
	expect(2097152);
	put_size("hugepages-64kB", "[always] inherit madvise never\n");
	expect(65536);
	put("enabled", "always madvise [never]\n");
	put_size("hugepages-64kB", "always [inherit] madvise never\n");
	expect(0);
}

Test(thp, none)
{
	cr_expect_eq(thp_always_bytes(in(&s, "missing")), 0);
}
