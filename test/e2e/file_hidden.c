/*
 * e2e: args: covered bind lost rights path
 * e2e: refuse for lost: hidden by a mount
 * e2e: refuse for path: no name any more
 *
 * Holds: files that their names do not lead to any more, because something was mounted over them:
 *        covered: a directory above them; bind: the mount that they are on, which is mounted elsewhere
 *        too; lost: the mount that they are on, which is nowhere else; rights: a file that its program
 *        may not open any more; path: a deleted symbolic link, open with O_PATH.
 * Shows: Files: "files on overmounted mounts; a file that the task could not open again".
 */
#include "fds.h"
#include <sys/mount.h>
#include <sys/syscall.h>

#define LEN 5000

static struct fds_view was;

static void handshake(int fd)
{
	fds_view(fd, &was);
	victim_ready();
	victim_wait();
}

static void mounted(const char *from, const char *to, const char *type, unsigned long flags)
{
	if (mount(from, to, type, flags, NULL) < 0)
		SKIP("mount: %s", strerror(errno));
}

static void hidden_covered(void)
{
	int fd, dir, other;

	MUST(mkdir("d", 0755));
	fd = fds_file("d/file", O_APPEND, 1, LEN);
	MUST(mkdir("d/sub", 0755));
	dir = MUST(open("d/sub", O_RDONLY | O_DIRECTORY));
	mounted("none", "d", "tmpfs", 0);
	close(fds_file("d/file", 0, 2, 100));
	MUST(lseek(fd, 10, SEEK_SET));
	handshake(fd);
	fds_expect(fd, &was, true, "covered file");
	fds_expect_read(fd, 1, 10, LEN - 10, "covered file");
	fds_put(fd, 1, LEN, 10);
	MUST(openat(dir, "made", O_CREAT | O_WRONLY, 0600));
	CHECK(access("d/sub", F_OK) == -1, "the mount is gone");
	MUST(umount2("d", MNT_DETACH));
	other = MUST(open("d/file", O_RDONLY));
	fds_expect_read(other, 1, 0, LEN + 10, "the file, uncovered");
	CHECK(access("d/sub/made", F_OK) == 0, "the directory, uncovered");
}

static void hidden_bind(void)
{
	int fd, other;

	MUST(mkdir("m", 0755));
	MUST(mkdir("n", 0755));
	mounted("none", "m", "tmpfs", 0);
	MUST(mkdir("m/s", 0755));
	fd = fds_file("m/s/file", 0, 1, LEN);
	mounted("m/s", "n", NULL, MS_BIND);
	mounted("none", "m", "tmpfs", 0);
	MUST(lseek(fd, 10, SEEK_SET));
	handshake(fd);
	fds_expect_read(fd, 1, 10, LEN - 10, "file of a covered mount");
	fds_put(fd, 1, LEN, 10);
	other = MUST(open("n/file", O_RDONLY));
	fds_expect_read(other, 1, 0, LEN + 10, "the file by its other name");
	close(fd);
	close(other);
	MUST(umount2("n", MNT_DETACH));
	MUST(umount2("m", MNT_DETACH));
	MUST(umount2("m", MNT_DETACH));
}

static void hidden_lost(void)
{
	MUST(mkdir("m", 0755));
	mounted("none", "m", "tmpfs", 0);
	fds_file("m/file", 0, 1, LEN);
	mounted("none", "m", "tmpfs", 0);
	victim_ready();
	victim_wait();
	MUST(umount2("m", MNT_DETACH));
	MUST(umount2("m", MNT_DETACH));
}

static void hidden_rights(void)
{
	int fd;

	MUST(mkdir("closed", 0700));
	fd = fds_file("closed/file", 0, 1, LEN);
	MUST(fchmod(fd, 0));
	MUST(lseek(fd, 10, SEEK_SET));
	MUST(syscall(SYS_setresgid, 1000, 1000, 1000));
	MUST(chmod(victim_home, 0777));
	MUST(syscall(SYS_setresuid, 1000, 1000, 1000));
	CHECK(open("closed/file", O_RDONLY) == -1 && errno == EACCES, "the test is broken");
	victim_ready();
	fds_view(STDOUT_FILENO, &was);
	victim_wait();
	fds_expect_read(fd, 1, 10, LEN - 10, "file of another user");
	fds_put(fd, 1, LEN, 10);
	CHECK(open("closed/file", O_RDONLY) == -1 && errno == EACCES, "it can be opened now");
}

static void hidden_path(void)
{
	MUST(symlink("nowhere", "link"));
	MUST(open("link", O_PATH | O_NOFOLLOW));
	MUST(unlink("link"));
	victim_ready();
	victim_wait();
}

int main(int argc, char **argv)
{
	static const struct victim_case cases[] = {{"covered", hidden_covered},
		{"bind", hidden_bind}, {"lost", hidden_lost}, {"rights", hidden_rights},
		{"path", hidden_path}};

	return victim_cases(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
