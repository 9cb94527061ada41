/*
 * Holds: one regular file under many descriptors: each access mode, O_APPEND, O_NONBLOCK, O_SYNC,
 * O_NOATIME, close-on-exec; positions at 0, inside, behind the end, behind 4 GiB.
 * Shows: Files: "regular (position, flags, append)": each description is as it was, the file itself is
 * neither truncated nor touched, and writing goes on where it was.
 */
#include "fds.h"

#define LEN 10000

static const struct {
	int flags;
	long long pos;
} opens[] = {
	{O_RDWR, 0},
	{O_RDWR, 1000},
	{O_RDWR | O_CLOEXEC, LEN},
	{O_RDWR, LEN + 777},
	{O_RDWR, (5ll << 30) + 3},
	{O_RDONLY, 42},
	{O_RDONLY | O_NOATIME, 43},
	{O_WRONLY, 44},
	{O_WRONLY | O_APPEND, 0},
	{O_RDWR | O_APPEND, 45},
	{O_RDWR | O_NONBLOCK, 46},
	{O_WRONLY | O_SYNC, 47},
	{O_WRONLY | O_DSYNC | O_NOFOLLOW, 48},
	{O_RDWR | O_CREAT | O_CLOEXEC, 49},
};
#define OPENS (int)(sizeof(opens) / sizeof(opens[0]))

int main(int argc, char **argv)
{
	struct fds_view was[OPENS + 1];
	static struct fds_table table;
	int fd[OPENS + 1];

	victim_init(argc, argv);
	fd[OPENS] = fds_file("data", O_EXCL, 1, LEN); /* made with O_CREAT | O_EXCL | O_TRUNC */
	for (int i = 0; i < OPENS; i++) {
		fd[i] = MUST(open("data", opens[i].flags, 0600));
		MUST(lseek(fd[i], opens[i].pos, SEEK_SET));
	}
	for (int i = 0; i <= OPENS; i++)
		fds_view(fd[i], &was[i]);
	fds_table(&table);
	victim_ready();
	victim_wait();
	fds_expect_table(&table);
	for (int i = 0; i <= OPENS; i++) {
		char what[48];
		struct stat st;

		snprintf(what, sizeof(what), "open %d (flags %#o)", i,
			i < OPENS ? opens[i].flags : 0);
		fds_expect(fd[i], &was[i], true, what);
		MUST(fstat(fd[i], &st));
		CHECK(st.st_mtim.tv_sec == was[i].st.st_mtim.tv_sec &&
				st.st_mtim.tv_nsec == was[i].st.st_mtim.tv_nsec,
			"%s: the file was written to", what);
	}
	fds_expect_read(fd[1], 1, 1000, LEN - 1000, "the rest of the file");
	fds_expect_read(fd[5], 1, 42, 100, "read-only");
	CHECK(write(fd[5], "x", 1) == -1 && errno == EBADF, "read-only: it can be written");
	CHECK(read(fd[7], was[0].link, 1) == -1 && errno == EBADF, "write-only: it can be read");
	fds_put(fd[8], 1, LEN, 50); /* appends */
	fds_put(fd[2], 1, LEN, 100);
	MUST(lseek(fd[0], 0, SEEK_SET));
	fds_expect_read(fd[0], 1, 0, LEN + 100, "the whole file");
	fds_put(fd[9], 1, LEN + 100, 50);
	fds_expect_read(fd[0], 1, LEN + 100, 50, "what was appended");
	return 0;
}
