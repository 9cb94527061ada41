/*
 * e2e: args: flock posix ofd lease dup
 *
 * Holds: locks on files: flock, shared and exclusive; POSIX, of ranges, one up to the end; OFD; a
 *        lease to read; a flock that two descriptors of one description share.
 * Shows: nobody else gets what the program has locked, and it can give it back.
 * e2e: exec: yes
 */
#include "fds.h"
#include <sys/file.h>
#include <sys/wait.h>

/* Runs in a process of its own: what somebody else sees. */
static int elsewhere(int (*fn)(void))
{
	pid_t pid = MUST(fork());
	int status;

	if (!pid)
		_exit(fn());
	MUST(waitpid(pid, &status, 0));
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int other_flock(const char *name, int op)
{
	int fd = open(name, O_RDWR), r;

	r = flock(fd, op | LOCK_NB) == 0 ? 0 : errno == EWOULDBLOCK ? 1 : 2;
	close(fd);
	return r;
}

/* The type of the lock that is in the way of a write lock there; F_UNLCK: none. */
static const char *range_name;
static off_t range_at;

static int other_range(void)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = range_at, .l_len = 1};
	int fd = open(range_name, O_RDWR);

	return fcntl(fd, F_GETLK, &l) == 0 ? l.l_type : 99;
}

static void expect_range(const char *name, off_t at, int type)
{
	int got;

	range_name = name;
	range_at = at;
	got = elsewhere(other_range);
	CHECK(got == type, "%s at %lld: expected lock type %d, got %d", name, (long long)at, type,
		got);
}

static void set(int fd, int cmd, int type, off_t start, off_t len)
{
	struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};

	MUST(fcntl(fd, cmd, &l));
}

static void flocks(void)
{
	int ex = fds_file("ex", 0, 1, 10), sh = fds_file("sh", 0, 2, 10);

	MUST(flock(ex, LOCK_EX));
	MUST(flock(sh, LOCK_SH));
	victim_ready();
	victim_wait();
	CHECK(other_flock("ex", LOCK_SH) == 1, "the exclusive lock is gone");
	CHECK(other_flock("sh", LOCK_SH) == 0, "the shared lock shuts out readers");
	CHECK(other_flock("sh", LOCK_EX) == 1, "the shared lock is gone");
	MUST(flock(ex, LOCK_UN));
	CHECK(other_flock("ex", LOCK_EX) == 0, "the exclusive lock cannot be given back");
}

static void dups(void)
{
	int fd = fds_file("ex", 0, 1, 10), other = MUST(dup(fd));

	MUST(flock(fd, LOCK_EX));
	victim_ready();
	victim_wait();
	close(fd);
	CHECK(other_flock("ex", LOCK_EX) == 1, "the lock went with one of its descriptors");
	close(other);
	CHECK(other_flock("ex", LOCK_EX) == 0, "somebody else holds the lock");
}

static void ranges(int cmd)
{
	int fd = fds_file("data", 0, 3, 1000);

	set(fd, cmd, F_WRLCK, 0, 10);
	set(fd, cmd, F_RDLCK, 100, 50);
	set(fd, cmd, F_WRLCK, 500, 0);
	victim_ready();
	victim_wait();
	expect_range("data", 0, F_WRLCK);
	expect_range("data", 9, F_WRLCK);
	expect_range("data", 10, F_UNLCK);
	expect_range("data", 99, F_UNLCK);
	expect_range("data", 100, F_RDLCK);
	expect_range("data", 149, F_RDLCK);
	expect_range("data", 150, F_UNLCK);
	expect_range("data", 499, F_UNLCK);
	expect_range("data", 500, F_WRLCK);
	expect_range("data", 1ll << 40, F_WRLCK);
	set(fd, cmd, F_UNLCK, 0, 10);
	expect_range("data", 5, F_UNLCK);
}

static volatile int broken;

static void on_break(int sig)
{
	(void)sig;
	broken++;
}

static int writer(void)
{
	return open("data", O_WRONLY | O_NONBLOCK) < 0 && errno == EWOULDBLOCK ? 0 : 1;
}

static void lease(void)
{
	int fd;

	close(fds_file("data", 0, 4, 10));
	fd = MUST(open("data", O_RDONLY));
	signal(SIGIO, on_break);
	if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0)
		SKIP("no leases here: %s", strerror(errno));
	victim_ready();
	victim_wait();
	CHECK(fcntl(fd, F_GETLEASE) == F_RDLCK, "the lease is gone");
	CHECK(!broken, "the lease was broken");
	CHECK(elsewhere(writer) == 0, "a writer was let through");
	CHECK(broken == 1, "expected to be told of the writer once, not %d times", broken);
	MUST(fcntl(fd, F_SETLEASE, F_UNLCK));
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";

	victim_init(argc, argv);
	if (!strcmp(how, "flock"))
		flocks();
	else if (!strcmp(how, "dup"))
		dups();
	else if (!strcmp(how, "lease"))
		lease();
	else
		ranges(!strcmp(how, "ofd") ? F_OFD_SETLK : F_SETLK);
	return 0;
}
