/*
 * e2e: args: both one-end deleted
 *
 * Holds: named pipes: with both ends and contents; with only an end that writes and none that reads;
 *        one whose name is gone.
 * Shows: Files: "pipes inside the process with their contents", of pipes that have names.
 */
#include "fds.h"

static void handshake(void)
{
	victim_ready();
	victim_wait();
}

static void both(const char *gone)
{
	struct fds_view was[3];
	int rw, rd, wr;
	char c;

	MUST(mkfifo("pipe", 0640));
	rw = MUST(open("pipe", O_RDWR));
	rd = MUST(open("pipe", O_RDONLY | O_NONBLOCK));
	wr = MUST(open("pipe", O_WRONLY | O_CLOEXEC));
	close(rw);
	if (gone)
		MUST(unlink("pipe"));
	fds_put(wr, 1, 0, 5000);
	fds_view(rd, &was[0]);
	fds_view(wr, &was[1]);
	handshake();
	fds_expect(rd, &was[0], !gone, "read end");
	fds_expect(wr, &was[1], !gone, "write end");
	CHECK((access("pipe", F_OK) != 0) == !!gone, "the name");
	fds_expect_read(rd, 1, 0, 5000, "contents");
	CHECK(read(rd, &c, 1) == -1 && errno == EAGAIN, "there is more in it");
	fds_put(wr, 2, 0, 100);
	fds_expect_read(rd, 2, 0, 100, "written afterwards");
	close(wr);
	CHECK(read(rd, &c, 1) == 0, "there is another writer");
}

static void one_end(void)
{
	int rd, wr;

	signal(SIGPIPE, SIG_IGN);
	MUST(mkfifo("pipe", 0600));
	rd = MUST(open("pipe", O_RDONLY | O_NONBLOCK));
	wr = MUST(open("pipe", O_WRONLY));
	close(rd);
	handshake();
	CHECK(write(wr, "x", 1) == -1 && errno == EPIPE, "a write without a reader: %s",
		strerror(errno));
	rd = MUST(open("pipe", O_RDONLY | O_NONBLOCK));
	fds_put(wr, 3, 0, 10);
	fds_expect_read(rd, 3, 0, 10, "by a new reader");
}

int main(int argc, char **argv)
{
	victim_init(argc, argv);
	if (argc == 2 && !strcmp(argv[1], "one-end"))
		one_end();
	else
		both(argc == 2 && !strcmp(argv[1], "deleted") ? "gone" : NULL);
	return 0;
}
