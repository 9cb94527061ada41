/*
 * Holds: an inotify list with two events that nobody has read.
 * Shows: Files: "inotify (queued events)": who goes on finds them; who is restored is told that events
 *        were lost, by one IN_Q_OVERFLOW and nothing else, and gets all that come later.
 */
#include "fds.h"
#include <sys/inotify.h>
#include <sys/ioctl.h>

static unsigned long long started(void)
{
	char text[1024], *at;
	unsigned long long ticks;

	victim_slurp("/proc/self/stat", text, sizeof(text));
	at = strrchr(text, ')');
	CHECK(at && sscanf(at + 2,
			    "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d "
			    "%*d %*d %*d %*d %llu",
			    &ticks) == 1,
		"stat: %s", text);
	return ticks;
}

static void expect(int fd, int wd, uint32_t mask, const char *name)
{
	char buf[sizeof(struct inotify_event) + 256];
	struct inotify_event *ev = (struct inotify_event *)buf;
	ssize_t n = read(fd, buf, sizeof(struct inotify_event) + (*name ? 16 : 0));

	CHECK(n >= (ssize_t)sizeof(*ev), "no event where %#x of %d was expected: %s", mask, wd,
		strerror(errno));
	CHECK(ev->wd == wd && ev->mask == mask && !strcmp(ev->len ? ev->name : "", name),
		"expected %#x of %d (%s), got %#x of %d (%s)", mask, wd, name, ev->mask, ev->wd,
		ev->len ? ev->name : "");
}

int main(int argc, char **argv)
{
	unsigned long long birth;
	int fd, wd, left;

	victim_init(argc, argv);
	MUST(mkdir("d", 0755));
	fd = MUST(inotify_init1(IN_NONBLOCK));
	wd = MUST(inotify_add_watch(fd, "d", IN_CREATE | IN_DELETE));
	close(MUST(open("d/one", O_CREAT | O_WRONLY, 0600)));
	MUST(unlink("d/one"));
	birth = started();
	victim_ready();
	victim_wait();
	if (started() == birth) {
		expect(fd, wd, IN_CREATE, "one");
		expect(fd, wd, IN_DELETE, "one");
	} else {
		expect(fd, -1, IN_Q_OVERFLOW, "");
	}
	MUST(ioctl(fd, FIONREAD, &left));
	CHECK(left == 0, "there are %d bytes more", left);
	close(MUST(open("d/two", O_CREAT | O_WRONLY, 0600)));
	expect(fd, wd, IN_CREATE, "two");
	return 0;
}
