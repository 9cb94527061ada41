/*
 * Holds: an open file description that a parent, a child and a grandchild have inherited, at different
 *        numbers; a file that two of them have opened each for itself; a description that two children
 *        share and their parent has closed; locks of the description and of one process.
 * Shows: "with sharing between tasks exactly as it was".
 */
#include "tree.h"
#include <sys/file.h>

#define SIZE 1000

static int shared, moved, apart, orphaned, locked, turn[2], back[2];

static int file(const char *name)
{
	char text[SIZE];
	int fd = MUST(open(name, O_RDWR | O_CREAT | O_TRUNC, 0644));

	for (int i = 0; i < SIZE; i++)
		text[i] = (char)('a' + i % 26);
	CHECK(write(fd, text, SIZE) == SIZE, "%s: %s", name, strerror(errno));
	MUST(lseek(fd, 0, SEEK_SET));
	return fd;
}

static void expect_at(int fd, off_t want, const char *what)
{
	off_t at = lseek(fd, 0, SEEK_CUR);

	CHECK(at == want, "%s: expected position %lld, got %lld", what, (long long)want,
		(long long)at);
}

static void take(int fd, int n)
{
	char text[SIZE];

	CHECK(read(fd, text, n) == n, "read: %s", strerror(errno));
}

/* One step after another, whoever's it is: the root says whose turn it is. */
static void step(int who)
{
	char c = 0;

	CHECK(write(turn[1], &(char){(char)who}, 1) == 1, "turn");
	CHECK(read(back[0], &c, 1) == 1 && c == (char)who, "the step of %d was done by %d", who, c);
}

static int grandchild(int arg)
{
	char c;

	(void)arg;
	expect_at(shared, 30, "in the grandchild");
	take(shared, 10);
	expect_at(orphaned, 7, "closed by the parent, in the grandchild");
	take(orphaned, 1);
	c = 2;
	MUST(write(back[1], &c, 1));
	return 0;
}

static int child(int arg)
{
	struct flock own = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 5};
	pid_t pid;
	char c;

	(void)arg;
	apart = MUST(open("apart", O_RDWR));
	MUST(lseek(apart, 500, SEEK_SET));
	moved = MUST(fcntl(shared, F_DUPFD_CLOEXEC, 100));
	close(shared);
	shared = moved;
	MUST(fcntl(locked, F_SETLK, &own));
	tree_report();
	MUST(read(turn[0], &c, 1));
	expect_at(shared, 20, "in the child");
	take(shared, 10);
	expect_at(apart, 500, "opened by the child");
	take(apart, 100);
	CHECK(fcntl(shared, F_GETFL) & O_NONBLOCK, "O_NONBLOCK of the description is gone");
	CHECK(fcntl(shared, F_GETFD) == FD_CLOEXEC, "close-on-exec of the descriptor is gone");
	take(orphaned, 7);
	CHECK(c == 1, "turn %d", c);
	MUST(write(back[1], &c, 1));
	MUST(read(turn[0], &c, 1));
	pid = tree_fork(grandchild, 0);
	tree_ends(pid, 0, "the grandchild");
	tree_pass();
	return 0;
}

static int sibling(int arg)
{
	(void)arg;
	tree_report();
	tree_pass();
	expect_at(orphaned, 8, "closed by the parent, in the sibling");
	return 0;
}

/* Who holds a lock that is in the way of ours: 0 nobody, -1 a description. */
static pid_t holder(off_t at)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = 1};

	MUST(fcntl(locked, F_GETLK, &l));
	return l.l_type == F_UNLCK ? 0 : l.l_pid;
}

int main(int argc, char **argv)
{
	struct flock own = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 5};
	int again;
	pid_t pid, other;

	victim_init(argc, argv);
	tree_init();
	MUST(pipe(turn));
	MUST(pipe(back));
	shared = file("shared");
	orphaned = file("orphaned");
	locked = file("locked");
	close(file("apart"));
	MUST(flock(locked, LOCK_EX));
	pid = tree_fork(child, 0);
	other = tree_fork(sibling, 0);
	apart = MUST(open("apart", O_RDWR));
	close(orphaned);
	MUST(fcntl(locked, F_SETLK, &own));
	tree_expect(2);
	take(shared, 20);
	MUST(fcntl(shared, F_SETFL, O_NONBLOCK));
	victim_ready();
	victim_wait();
	CHECK(holder(10) == pid, "the child's lock: expected holder %d, got %d", pid, holder(10));
	CHECK(holder(100) == 0, "our own lock is in our way: holder %d", holder(100));
	again = MUST(open("locked", O_RDWR));
	CHECK(flock(again, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK, "flock is gone");
	MUST(flock(locked, LOCK_UN)); /* it is one description: of whomever */
	CHECK(flock(again, LOCK_EX | LOCK_NB) == 0, "the child holds the flock by itself");
	expect_at(shared, 20, "in the parent");
	step(1);
	expect_at(shared, 30, "in the parent, after the child's read");
	expect_at(apart, 0, "opened by the parent");
	step(2);
	expect_at(shared, 40, "in the parent, after the grandchild's read");
	tree_open(2);
	tree_ends(pid, 0, "the child");
	tree_ends(other, 0, "the sibling");
	tree_no_more();
	return 0;
}
