/*
 * e2e: args: notify names content deleted
 *
 * Holds: fanotify groups: notify: marks on a directory with its children, on a file that is ignored, and
 *        on a mount and on a file system of its own; names: a group that reports names; content: one that
 *        gives permission, by a thread; deleted: a mark on a deleted file that is open.
 * Shows: Files: "inotify and fanotify". Marks come back, and the restore itself is no event.
 */
#include "fds.h"
#include <sys/fanotify.h>
#include <sys/mount.h>
#include <sys/wait.h>

#ifndef FAN_REPORT_DFID_NAME
#define FAN_REPORT_DFID_NAME 0xc00
#endif

static int group(unsigned flags, unsigned event_flags)
{
	int fd = fanotify_init(flags, event_flags);

	if (fd < 0)
		SKIP("no fanotify here: %s", strerror(errno));
	return fd;
}

static void mark(int fd, unsigned flags, uint64_t mask, const char *path)
{
	if (fanotify_mark(fd, FAN_MARK_ADD | flags, mask, AT_FDCWD, path) < 0)
		SKIP("no such mark here: %s", strerror(errno));
}

/* The next event: its mask, and what its descriptor leads to, if it has one. */
static void expect(int fd, uint64_t mask, const char *name)
{
	char buf[4096], path[64], link[512] = "";
	struct fanotify_event_metadata *ev = (struct fanotify_event_metadata *)buf;
	ssize_t n = read(fd, buf, FAN_EVENT_METADATA_LEN);

	CHECK(n >= (ssize_t)FAN_EVENT_METADATA_LEN, "no event where %#lx was expected: %s",
		(long)mask, strerror(errno));
	CHECK(ev->mask == mask, "expected %#lx, got %#lx", (long)mask, (long)ev->mask);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", ev->fd);
	MUST(readlink(path, link, sizeof(link) - 1));
	CHECK(strlen(link) >= strlen(name) && !strcmp(link + strlen(link) - strlen(name), name),
		"expected %s, got %s", name, link);
	close(ev->fd);
}

static void expect_none(int fd)
{
	char buf[4096];
	struct fanotify_event_metadata *ev = (struct fanotify_event_metadata *)buf;
	ssize_t n = read(fd, buf, sizeof(buf));

	CHECK(n == -1 && errno == EAGAIN, "an event too many: %zd, mask %#lx", n, (long)ev->mask);
}

static void handshake(int fd)
{
	struct fds_view was;

	fds_view(fd, &was);
	victim_ready();
	victim_wait();
	fds_expect(fd, &was, false, "group");
	expect_none(fd);
}

static void notify(void)
{
	int fd = group(FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_CLOEXEC, O_RDONLY | O_CLOEXEC), out;

	MUST(mkdir("d", 0755));
	MUST(mkdir("m", 0755));
	MUST(mkdir("f", 0755));
	out = fds_file("d/file", 0, 1, 10);
	close(fds_file("d/ignored", 0, 1, 10));
	if (mount("none", "m", "tmpfs", 0, NULL) < 0 || mount("none", "f", "tmpfs", 0, NULL) < 0)
		SKIP("mount: %s", strerror(errno));
	mark(fd, 0, FAN_OPEN | FAN_EVENT_ON_CHILD, "d");
	mark(fd, FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY, FAN_OPEN, "d/ignored");
	mark(fd, 0, FAN_MODIFY, "d/file");
	mark(fd, FAN_MARK_MOUNT, FAN_OPEN, "m");
	mark(fd, FAN_MARK_FILESYSTEM, FAN_OPEN, "f");
	handshake(fd);
	fds_put(out, 1, 10, 1);
	expect(fd, FAN_MODIFY, "/d/file");
	close(MUST(open("d/ignored", O_RDONLY)));
	expect_none(fd);
	close(MUST(open("d/file", O_RDONLY)));
	expect(fd, FAN_OPEN, "/d/file");
	close(MUST(open("m/new", O_RDWR | O_CREAT, 0600)));
	expect(fd, FAN_OPEN, "/m/new");
	close(MUST(open("f/new", O_RDWR | O_CREAT, 0600)));
	expect(fd, FAN_OPEN, "/f/new");
	expect_none(fd);
	close(fd);
	MUST(umount2("m", MNT_DETACH));
	MUST(umount2("f", MNT_DETACH));
}

static void names(void)
{
	int fd = group(FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_REPORT_DFID_NAME, 0);
	struct fanotify_event_metadata *ev;
	char buf[4096];
	ssize_t n;

	MUST(mkdir("d", 0755));
	mark(fd, 0, FAN_CREATE | FAN_DELETE | FAN_ONDIR, "d");
	handshake(fd);
	MUST(mkdir("d/made", 0755));
	n = read(fd, buf, sizeof(buf));
	ev = (struct fanotify_event_metadata *)buf;
	CHECK(n > 0 && ev->mask == (FAN_CREATE | FAN_ONDIR), "event: %zd, %#lx", n, (long)ev->mask);
	CHECK(memmem(buf, n, "made", 5), "its name");
	expect_none(fd);
}

static void content(void)
{
	int fd = group(FAN_CLASS_CONTENT | FAN_NONBLOCK, O_RDONLY);
	struct fanotify_event_metadata ev;
	struct fanotify_response answer;
	pid_t pid;
	int status, n;

	close(fds_file("asked", 0, 1, 10));
	mark(fd, 0, FAN_OPEN_PERM, "asked");
	handshake(fd);
	pid = MUST(fork());
	if (pid == 0)
		_exit(open("asked", O_RDONLY) == -1 && errno == EPERM ? 0 : 1);
	for (n = 0; n < 500 && read(fd, &ev, sizeof(ev)) != sizeof(ev); n++)
		usleep(10000);
	CHECK(n < 500 && ev.mask == FAN_OPEN_PERM, "no question: %#lx", (long)ev.mask);
	answer = (struct fanotify_response){.fd = ev.fd, .response = FAN_DENY};
	MUST(write(fd, &answer, sizeof(answer)));
	MUST(waitpid(pid, &status, 0));
	CHECK(status == 0, "the other was not refused: status %#x", status);
}

static void deleted(void)
{
	int fd = group(FAN_CLASS_NOTIF | FAN_NONBLOCK, O_RDONLY), out = fds_file("gone", 0, 1, 10);

	mark(fd, 0, FAN_MODIFY, "gone");
	MUST(unlink("gone"));
	handshake(fd);
	fds_put(out, 1, 10, 1);
	expect(fd, FAN_MODIFY, "/gone (deleted)");
	expect_none(fd);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*fn)(void);
	} cases[] = {
		{"notify", notify}, {"names", names}, {"content", content}, {"deleted", deleted}};

	victim_init(argc, argv);
	for (size_t i = 0; argc == 2 && i < sizeof(cases) / sizeof(cases[0]); i++)
		if (!strcmp(argv[1], cases[i].name)) {
			cases[i].fn();
			return 0;
		}
	CHECK(0, "no such case");
	return 1;
}
