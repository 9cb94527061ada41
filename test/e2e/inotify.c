/*
 * Holds: an inotify list that watches a directory and a file, with a number left out; a thread that
 *        waits in a read of another.
 * Shows: watches come back with their numbers and masks, and the restore itself is no event.
 */
#include "fds.h"
#include <sys/inotify.h>

static int waited;

/* The next event, which is this one. */
static void expect(int fd, int wd, uint32_t mask, const char *name)
{
	char buf[sizeof(struct inotify_event) + 256];
	struct inotify_event *ev = (struct inotify_event *)buf;
	ssize_t n = read(fd, buf, sizeof(struct inotify_event) + (name ? 16 : 0));

	CHECK(n >= (ssize_t)sizeof(*ev), "no event where %#x of %d was expected: %s", mask, wd,
		strerror(errno));
	CHECK(ev->wd == wd && ev->mask == mask && !strcmp(ev->len ? ev->name : "", name ?: ""),
		"expected %#x of %d (%s), got %#x of %d (%s)", mask, wd, name ?: "", ev->mask,
		ev->wd, ev->len ? ev->name : "");
}

static void expect_none(int fd)
{
	char buf[512];
	struct inotify_event *ev = (struct inotify_event *)buf;
	ssize_t n = read(fd, buf, sizeof(buf));

	CHECK(n == -1 && errno == EAGAIN, "an event too many: %#x of %d", ev->mask, ev->wd);
}

static void *waiter(void *arg)
{
	(void)arg;
	expect(waited, 1, IN_CREATE | IN_ISDIR, "late");
	return NULL;
}

int main(int argc, char **argv)
{
	struct fds_view was;
	int fd, dir, gone, file, out;
	pthread_t t;

	victim_init(argc, argv);
	MUST(mkdir("d", 0755));
	MUST(mkdir("e", 0755));
	MUST(mkdir("x", 0755));
	out = fds_file("d/file", 0, 1, 10);
	fd = MUST(inotify_init1(IN_NONBLOCK));
	gone = MUST(inotify_add_watch(fd, "x", IN_CREATE));
	dir = MUST(inotify_add_watch(fd, "d", IN_CREATE | IN_DELETE | IN_OPEN | IN_ONLYDIR));
	file = MUST(inotify_add_watch(fd, "d/file", IN_MODIFY | IN_ONESHOT));
	MUST(inotify_rm_watch(fd, gone));
	expect(fd, gone, IN_IGNORED, NULL);
	waited = MUST(inotify_init1(IN_CLOEXEC));
	MUST(inotify_add_watch(waited, "e", IN_CREATE));
	t = victim_thread(waiter, NULL);
	usleep(20000);
	fds_view(fd, &was);
	victim_ready();
	victim_wait();
	fds_expect(fd, &was, false, "list");
	expect_none(fd);
	close(MUST(open("d/new", O_CREAT | O_WRONLY, 0600)));
	expect(fd, dir, IN_CREATE, "new");
	expect(fd, dir, IN_OPEN, "new");
	MUST(unlink("d/new"));
	expect(fd, dir, IN_DELETE, "new");
	fds_put(out, 1, 10, 5);
	expect(fd, file, IN_MODIFY, NULL);
	expect(fd, file, IN_IGNORED, NULL);
	fds_put(out, 1, 15, 5);
	expect_none(fd);
	CHECK(inotify_add_watch(fd, "x", IN_CREATE) > file, "a number was given twice");
	MUST(mkdir("e/late", 0755));
	pthread_join(t, NULL);
	return 0;
}
