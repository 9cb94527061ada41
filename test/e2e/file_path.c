/*
 * Holds: O_PATH descriptors: of a file, a directory, a symbolic link itself, a device, a fifo.
 * Shows: Files: "O_PATH": each is of the same file, still cannot be read, and still names it.
 */
#include "fds.h"

int main(int argc, char **argv)
{
	static const char *const names[] = {"file", "dir", "link", "fifo", "/dev/null"};
	struct fds_view was[5];
	int fd[5], opened;
	char text[64] = "";

	victim_init(argc, argv);
	close(fds_file("file", 0, 1, 100));
	MUST(mkdir("dir", 0755));
	MUST(symlink("nowhere at all", "link"));
	MUST(mkfifo("fifo", 0600));
	for (int i = 0; i < 5; i++) {
		fd[i] = MUST(open(names[i], O_PATH | O_NOFOLLOW | (i % 2 ? O_CLOEXEC : 0)));
		fds_view(fd[i], &was[i]);
	}
	victim_ready();
	victim_wait();
	for (int i = 0; i < 5; i++) {
		fds_expect(fd[i], &was[i], true, names[i]);
		CHECK(read(fd[i], text, 1) == -1 && errno == EBADF, "%s: it can be read", names[i]);
	}
	MUST(readlinkat(fd[2], "", text, sizeof(text) - 1));
	CHECK(!strcmp(text, "nowhere at all"), "the link says '%s'", text);
	snprintf(text, sizeof(text), "/proc/self/fd/%d", fd[0]);
	opened = MUST(open(text, O_RDONLY));
	fds_expect_read(opened, 1, 0, 100, "the file behind it");
	MUST(mkdirat(fd[1], "below", 0755));
	MUST(access("dir/below", F_OK));
	return 0;
}
