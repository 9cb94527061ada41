/*
 * Holds: a current directory: an ordinary one, one with odd characters in its name, one that has been deleted,
 * one like that which a tree of processes shares.
 * Shows: Process: "cwd".
 * e2e: args: plain odd deleted shared
 */
#include "victim.h"

#include <sys/stat.h>
#include <sys/wait.h>

static void cwd_link(char *ret, size_t size)
{
	ssize_t n = readlink("/proc/self/cwd", ret, size - 1);

	CHECK(n > 0, "readlink: %s", strerror(errno));
	ret[n] = 0;
}

#define CHILDREN 5

/* Each looks when its pipe ends: it is in the same deleted directory. */
static void child(int end)
{
	struct stat own, parent;
	char byte, path[64];

	if (read(end, &byte, 1) != 0)
		_exit(1);
	snprintf(path, sizeof(path), "/proc/%d/cwd", getppid());
	_exit(stat(".", &own) < 0 || stat(path, &parent) < 0 || own.st_nlink ||
		own.st_ino != parent.st_ino);
}

static void begin(pid_t pids[CHILDREN], int ends[2])
{
	MUST(pipe(ends));
	for (int i = 0; i < CHILDREN; i++) {
		pids[i] = MUST(fork());
		if (!pids[i]) {
			close(ends[1]);
			child(ends[0]);
		}
	}
}

static void end(const pid_t pids[CHILDREN], const int ends[2])
{
	int status;

	close(ends[1]);
	for (int i = 0; i < CHILDREN; i++) {
		MUST(waitpid(pids[i], &status, 0));
		CHECK(status == 0, "child %d: it is elsewhere (status %#x)", i, status);
	}
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "plain";
	const char *name = strcmp(how, "odd") == 0 ? "a b\n(deleted) \\040" : "sub";
	int shared = strcmp(how, "shared") == 0, gone = shared || strcmp(how, "deleted") == 0;
	pid_t pids[CHILDREN];
	int ends[2];
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
	if (shared)
		begin(pids, ends);
	victim_ready();
	victim_wait();
	cwd_link(after, sizeof(after));
	CHECK(strcmp(before, after) == 0, "expected '%s', got '%s'", before, after);
	MUST(stat(".", &st));
	CHECK(S_ISDIR(st.st_mode) && (st.st_nlink == 0) == gone, "links: got %lu",
		(unsigned long)st.st_nlink);
	if (shared)
		end(pids, ends);
	CHECK(gone || access("here", F_OK) == 0, "here: %s", strerror(errno));
	return 0;
}
