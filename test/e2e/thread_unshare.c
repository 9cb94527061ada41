/*
 * Holds: a thread that has left what threads share: its own current directory and umask
 * (unshare(CLONE_FS)), or its own table of files (unshare(CLONE_FILES)).
 * Shows: Threads and process: who shares what is refused by name while it is not kept.
 * e2e: args: fs files
 * e2e: refuse for fs: working directory
 * e2e: refuse for files: descriptor table
 */
#include "victim.h"

#include <sched.h>
#include <sys/stat.h>

static volatile int unshare_up, unshare_go;

static void unshare_fs(void)
{
	mode_t mask;
	char cwd[256];

	mask = umask(0177);
	CHECK(mask == 0177, "thread: umask: expected 0177, got %#o", mask);
	CHECK(getcwd(cwd, sizeof(cwd)) && strcmp(cwd, "/") == 0, "thread: cwd: expected /, got %s",
		cwd);
}

static void *unshare_thread(void *arg)
{
	int files = arg != NULL, fd = -1;

	if (files) {
		MUST(unshare(CLONE_FILES));
		fd = MUST(dup2(1, 77));
	} else {
		MUST(unshare(CLONE_FS));
		MUST(chdir("/"));
		umask(0177);
	}
	unshare_up = 1;
	while (!unshare_go)
		usleep(1000);
	if (files)
		CHECK(fcntl(fd, F_GETFD) >= 0, "thread: its own fd %d: %s", fd, strerror(errno));
	else
		unshare_fs();
	return NULL;
}

int main(int argc, char **argv)
{
	int files = argc > 1 && strcmp(argv[1], "files") == 0;
	char cwd[1024];
	pthread_t t;
	mode_t mask;

	victim_init(argc, argv);
	umask(022);
	t = victim_thread(unshare_thread, files ? (void *)1 : NULL);
	while (!unshare_up)
		usleep(1000);
	victim_ready();
	victim_wait();
	mask = umask(022);
	CHECK(mask == 022, "main: umask: expected 022, got %#o", mask);
	CHECK(getcwd(cwd, sizeof(cwd)) && strcmp(cwd, victim_home) == 0,
		"main: cwd: expected %s, got %s", victim_home, cwd);
	CHECK(fcntl(77, F_GETFD) == -1 && errno == EBADF, "main: the thread's fd is here as well");
	unshare_go = 1;
	pthread_join(t, NULL);
	return 0;
}
