/*
 * Holds: /dev/null, zero, full, random and urandom, for reading, writing and both.
 * Shows: Files: "character devices": each behaves as itself, with its flags.
 */
#include "fds.h"

static const struct {
	const char *name;
	int flags;
} devices[] = {
	{"/dev/null", O_RDWR},
	{"/dev/null", O_WRONLY | O_APPEND},
	{"/dev/zero", O_RDONLY | O_CLOEXEC},
	{"/dev/full", O_RDWR | O_NONBLOCK},
	{"/dev/random", O_RDONLY},
	{"/dev/urandom", O_RDONLY | O_CLOEXEC},
};
#define DEVICES (int)(sizeof(devices) / sizeof(devices[0]))

int main(int argc, char **argv)
{
	struct fds_view was[DEVICES];
	char a[32], b[32];
	int fd[DEVICES];

	victim_init(argc, argv);
	for (int i = 0; i < DEVICES; i++) {
		fd[i] = MUST(open(devices[i].name, devices[i].flags));
		fds_view(fd[i], &was[i]);
	}
	victim_ready();
	victim_wait();
	for (int i = 0; i < DEVICES; i++)
		fds_expect(fd[i], &was[i], true, devices[i].name);
	CHECK(read(fd[0], a, sizeof(a)) == 0, "/dev/null gives data");
	CHECK(write(fd[1], a, sizeof(a)) == sizeof(a), "/dev/null: %s", strerror(errno));
	CHECK(read(fd[2], a, sizeof(a)) == sizeof(a) && !a[0] && !memcmp(a, a + 1, sizeof(a) - 1),
		"/dev/zero gives no zeros");
	CHECK(write(fd[3], a, 1) == -1 && errno == ENOSPC, "/dev/full takes data");
	for (int i = 4; i < 6; i++)
		CHECK(read(fd[i], a, sizeof(a)) == sizeof(a) &&
				read(fd[i], b, sizeof(b)) == sizeof(b) && memcmp(a, b, sizeof(a)),
			"%s is not random", devices[i].name);
	return 0;
}
