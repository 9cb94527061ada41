/*
 * Holds: a directory of 300 entries, open and read in part; one not read; one opened read to its end;
 *        one that has been removed.
 * Shows: Files: "directories": reading goes on with the entries that are left, each exactly once, and
 * the descriptor works as the base of a look-up.
 */
#include "fds.h"

#define ENTRIES 300

struct dir_entry {
	uint64_t ino, off;
	unsigned short len;
	unsigned char type;
	char name[];
};

/* One getdents64 with a small buffer; marks what it saw; returns the number of entries. */
static int dir_read(int fd, char *seen)
{
	char buf[1024];
	long n = MUST(syscall(SYS_getdents64, fd, buf, sizeof(buf)));
	int count = 0;

	for (long at = 0; at < n; count++) {
		struct dir_entry *e = (struct dir_entry *)(buf + at);

		if (e->name[0] == 'f')
			seen[atoi(e->name + 1)]++;
		at += e->len;
	}
	return count;
}

int main(int argc, char **argv)
{
	char seen[ENTRIES] = {0}, all[ENTRIES] = {0}, name[32];
	struct fds_view was[3], was_gone;
	int fd[3], file, gone;
	struct stat st;

	victim_init(argc, argv);
	MUST(mkdir("d", 0755));
	for (int i = 0; i < ENTRIES; i++) {
		snprintf(name, sizeof(name), "d/f%d", i);
		close(MUST(open(name, O_WRONLY | O_CREAT, 0644)));
	}
	for (int i = 0; i < 3; i++)
		fd[i] = MUST(open("d", O_RDONLY | O_DIRECTORY | (i == 1 ? O_CLOEXEC : 0)));
	for (int i = 0; i < 3; i++)
		dir_read(fd[0], seen);
	while (dir_read(fd[2], all) > 0)
		;
	for (int i = 0; i < 3; i++)
		fds_view(fd[i], &was[i]);
	MUST(mkdir("gone", 0751));
	gone = MUST(open("gone", O_RDONLY | O_DIRECTORY));
	MUST(rmdir("gone"));
	fds_view(gone, &was_gone);
	CHECK(was[0].pos > 0, "the test is broken");
	victim_ready();
	victim_wait();
	for (int i = 0; i < 3; i++)
		fds_expect(fd[i], &was[i], true, "directory");
	fds_expect(gone, &was_gone, false, "removed directory");
	MUST(fstat(gone, &st));
	CHECK(st.st_nlink == 0 && access("gone", F_OK) == -1,
		"the removed directory is there again");
	while (dir_read(fd[0], seen) > 0)
		;
	for (int i = 0; i < ENTRIES; i++)
		CHECK(seen[i] == 1, "entry %d was read %d times", i, seen[i]);
	CHECK(dir_read(fd[2], all) == 0, "the directory that was at its end goes on");
	memset(all, 0, sizeof(all));
	while (dir_read(fd[1], all) > 0)
		;
	for (int i = 0; i < ENTRIES; i++)
		CHECK(all[i] == 1, "unread directory: entry %d was read %d times", i, all[i]);
	file = MUST(openat(fd[0], "f17", O_RDONLY));
	close(file);
	return 0;
}
