/*
 * e2e: args: holes thousand high
 *
 * Holds: holes: descriptors at numbers far from each other, 0 closed; thousand: 1000 of them, of files,
 *        pipes and devices; high: one at the highest number that the limit allows.
 * Shows: Files: numbers, "cost grows linearly in fds", nothing of the tool's own is left open.
 */
#include "fds.h"
#include <sys/resource.h>

static struct fds_table table;

static void numbers_holes(void)
{
	static const int at[] = {3, 5, 63, 64, 127, 128, 255, 256, 700, 1000};
	struct fds_view was[10];

	for (int i = 0; i < 10; i++) {
		int fd = MUST(open(i % 2 ? "/dev/null" : "/dev/zero", O_RDWR | O_CLOEXEC));

		if (fd != at[i]) {
			MUST(dup3(fd, at[i], i % 3 ? O_CLOEXEC : 0));
			close(fd);
		}
		fds_view(at[i], &was[i]);
	}
	close(0);
	fds_table(&table);
	victim_ready();
	victim_wait();
	fds_expect_table(&table);
	for (int i = 0; i < 10; i++)
		fds_expect(at[i], &was[i], true, "descriptor");
	CHECK(MUST(open("/dev/null", O_RDONLY)) == 0, "0 is not the lowest free number");
}

static void numbers_thousand(void)
{
	static int fd[1000];
	char name[32];

	for (int i = 0; i < 1000; i++) {
		if (i % 5 == 3) {
			MUST(pipe2(&fd[i], O_CLOEXEC));
			fds_put(fd[i + 1], i, 0, i);
			i++;
		} else if (i % 5 == 2) {
			fd[i] = MUST(dup(fd[i - 1]));
		} else {
			snprintf(name, sizeof(name), "f%d", i % 50);
			fd[i] = fds_file(name, i % 2 ? O_CLOEXEC : 0, i % 50, 100);
			MUST(lseek(fd[i], i % 90, SEEK_SET));
		}
	}
	fds_table(&table);
	CHECK(table.n >= 1003, "the test is broken");
	victim_ready();
	victim_wait();
	fds_expect_table(&table);
	for (int i = 0; i < 1000; i++) {
		if (i % 5 == 3) {
			fds_expect_read(fd[i], i, 0, i, "pipe");
			i++;
		} else if (i % 5 == 2) {
			CHECK(fds_same(fd[i], fd[i - 1]), "dup %d is not shared", i);
		} else {
			fds_expect_read(fd[i], i % 50, i % 90, 10, "file");
		}
	}
}

static void numbers_high(void)
{
	struct rlimit lim;
	int fd, far;

	MUST(getrlimit(RLIMIT_NOFILE, &lim));
	far = lim.rlim_cur - 1;
	fd = fds_file("data", 0, 1, 100);
	MUST(dup2(fd, far));
	close(fd);
	MUST(lseek(far, 10, SEEK_SET));
	victim_ready();
	victim_wait();
	CHECK(far == (MUST(getrlimit(RLIMIT_NOFILE, &lim)), (int)lim.rlim_cur - 1),
		"the limit: expected %d, got %ld", far + 1, (long)lim.rlim_cur);
	fds_expect_read(far, 1, 10, 90, "the highest descriptor");
	CHECK(MUST(dup(far)) == fd, "a lower number is taken");
}

int main(int argc, char **argv)
{
	struct rlimit lim;

	victim_init(argc, argv);
	CHECK(argc == 2, "usage: fd_numbers holes|thousand|high");
	MUST(getrlimit(RLIMIT_NOFILE, &lim));
	if (lim.rlim_max < 2048)
		SKIP("the hard limit of open files is %lu", (long)lim.rlim_max);
	lim.rlim_cur = lim.rlim_max < 65536 ? lim.rlim_max : 65536;
	MUST(setrlimit(RLIMIT_NOFILE, &lim));
	if (!strcmp(argv[1], "holes"))
		numbers_holes();
	else if (!strcmp(argv[1], "thousand"))
		numbers_thousand();
	else
		numbers_high();
	return 0;
}
