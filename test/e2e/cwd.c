/*
 * Holds: a current directory: an ordinary one, one with odd characters in its name, or one that has
 * been deleted.
 * Shows: Process: "cwd".
 * e2e: args: plain odd deleted
 */
#include "victim.h"

#include <sys/stat.h>

static void cwd_link(char *ret, size_t size)
{
	ssize_t n = readlink("/proc/self/cwd", ret, size - 1);

	CHECK(n > 0, "readlink: %s", strerror(errno));
	ret[n] = 0;
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "plain";
	const char *name = strcmp(how, "odd") == 0 ? "a b\n(deleted) \\040" : "sub";
	int gone = strcmp(how, "deleted") == 0;
	char before[2048], after[2048];
	struct stat st;

	victim_init(argc, argv);
	MUST(mkdir(name, 0755));
	MUST(chdir(name));
	if (gone)
		MUST(rmdir("../sub"));
	else
		MUST(close(open("here", O_CREAT | O_WRONLY | O_CLOEXEC, 0644)));
	cwd_link(before, sizeof(before));
	victim_ready();
	victim_wait();
	cwd_link(after, sizeof(after));
	CHECK(strcmp(before, after) == 0, "expected '%s', got '%s'", before, after);
	MUST(stat(".", &st));
	CHECK(S_ISDIR(st.st_mode) && (st.st_nlink == 0) == gone, "links: got %lu",
		(unsigned long)st.st_nlink);
	CHECK(gone || access("here", F_OK) == 0, "here: %s", strerror(errno));
	return 0;
}
