/*
 * Holds: a file under four descriptors of one description, and under another description; a pipe and
 * /dev/null dup'ed likewise; stdout and stderr as the driver made them.
 * Shows: Files: "dup'ed descriptions stay shared": one position and one set of flags for all dups,
 * close-on-exec for each.
 */
#include "fds.h"

int main(int argc, char **argv)
{
	int a = fds_file("data", 0, 1, 1000), b, c, d, other, p[2], w2, n1, n2;
	static struct fds_table table;

	victim_init(argc, argv);
	b = MUST(dup(a));
	c = MUST(dup2(a, 200));
	d = MUST(fcntl(a, F_DUPFD_CLOEXEC, 100));
	other = MUST(open("data", O_RDWR));
	MUST(pipe(p));
	w2 = MUST(dup3(p[1], 150, O_CLOEXEC));
	n1 = MUST(open("/dev/null", O_RDWR));
	n2 = MUST(dup2(n1, 151));
	MUST(lseek(a, 100, SEEK_SET));
	MUST(lseek(other, 7, SEEK_SET));
	fds_table(&table);
	CHECK(fds_same(1, 2), "the test is broken: stdout and stderr are two descriptions");
	victim_ready();
	victim_wait();
	fds_expect_table(&table);
	CHECK(fds_same(1, 2), "stdout and stderr are two descriptions now");
	CHECK(fds_same(a, b) && fds_same(a, c) && fds_same(a, d),
		"the dups of a file are not shared");
	CHECK(!fds_same(a, other), "two opens of a file have become one");
	CHECK(fds_same(p[1], w2) && !fds_same(p[0], p[1]), "the pipe's ends are mixed up");
	CHECK(fds_same(n1, n2), "the dups of /dev/null are not shared");
	fds_expect_read(a, 1, 100, 50, "first");
	fds_expect_read(c, 1, 150, 50, "dup2");
	fds_expect_read(b, 1, 200, 50, "dup");
	fds_expect_read(d, 1, 250, 50, "F_DUPFD_CLOEXEC");
	fds_expect_read(other, 1, 7, 50, "the other description");
	MUST(fcntl(b, F_SETFL, O_APPEND | O_NONBLOCK));
	CHECK((fcntl(c, F_GETFL) & (O_APPEND | O_NONBLOCK)) == (O_APPEND | O_NONBLOCK),
		"flags set through one dup are not seen in another");
	CHECK(!(fcntl(other, F_GETFL) & O_APPEND), "flags leak into the other description");
	CHECK(fcntl(d, F_GETFD) == FD_CLOEXEC && fcntl(w2, F_GETFD) == FD_CLOEXEC,
		"close-on-exec got lost");
	CHECK(!fcntl(a, F_GETFD) && !fcntl(c, F_GETFD) && !fcntl(p[1], F_GETFD),
		"close-on-exec was set");
	close(p[1]);
	CHECK(write(w2, "x", 1) == 1, "the pipe's dup: %s", strerror(errno));
	return 0;
}
