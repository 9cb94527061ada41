/*
 * Holds: another root directory, and a current directory inside it.
 * Shows: Process: "root".
 */
#include "victim.h"

#include <sys/stat.h>

static ino_t chroot_ino(const char *path)
{
	struct stat st;

	CHECK(stat(path, &st) == 0, "%s: %s", path, strerror(errno));
	return st.st_ino;
}

int main(int argc, char **argv)
{
	char cwd[256];
	ino_t root, sub;

	victim_init(argc, argv);
	if (geteuid() != 0)
		SKIP("needs root");
	MUST(mkdir("sub", 0755));
	MUST(chroot("."));
	MUST(chdir("/sub"));
	strcpy(victim_home, "/");
	root = chroot_ino("/");
	sub = chroot_ino(".");
	victim_ready();
	victim_wait();
	CHECK(chroot_ino("/") == root, "/: expected inode %lu, got %lu", root, chroot_ino("/"));
	CHECK(chroot_ino("..") == root, "..: expected inode %lu, got %lu", root, chroot_ino(".."));
	CHECK(chroot_ino(".") == sub, ".: expected inode %lu, got %lu", sub, chroot_ino("."));
	CHECK(getcwd(cwd, sizeof(cwd)) && strcmp(cwd, "/sub") == 0, "cwd: expected /sub, got %s",
		cwd);
	CHECK(access("/usr/bin", F_OK) == -1, "/usr/bin can be seen: not in the new root");
	return 0;
}
