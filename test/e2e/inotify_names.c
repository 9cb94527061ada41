/*
 * e2e: args: renamed deleted overlay lost
 * e2e: refuse for lost: no name
 *
 * Holds: inotify watches on what has not the name any more by which it was watched: renamed, and with a
 *        name with blanks; deleted, but open; of an overlay, whose files can't be found by a handle; lost:
 *        deleted, and only mapped.
 * Shows: Files: "inotify (watches on renamed and deleted files, on overlayfs)".
 */
#include "fds.h"
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>

static int list;

/* The next event, which is this one. */
static void expect(int wd, uint32_t mask, const char *name)
{
	char buf[sizeof(struct inotify_event) + 256];
	struct inotify_event *ev = (struct inotify_event *)buf;
	ssize_t n = read(list, buf, sizeof(struct inotify_event) + (name ? 16 : 0));

	CHECK(n >= (ssize_t)sizeof(*ev), "no event where %#x of %d was expected: %s", mask, wd,
		strerror(errno));
	CHECK(ev->wd == wd && ev->mask == mask && !strcmp(ev->len ? ev->name : "", name ?: ""),
		"expected %#x of %d (%s), got %#x of %d (%s)", mask, wd, name ?: "", ev->mask,
		ev->wd, ev->len ? ev->name : "");
}

static void expect_none(void)
{
	char buf[512];
	struct inotify_event *ev = (struct inotify_event *)buf;
	ssize_t n = read(list, buf, sizeof(buf));

	CHECK(n == -1 && errno == EAGAIN, "an event too many: %#x of %d", ev->mask, ev->wd);
}

static void handshake(void)
{
	victim_ready();
	victim_wait();
	expect_none();
}

static void renamed(void)
{
	int dir, file, out;

	MUST(mkdir("d", 0755));
	out = fds_file("d/file", 0, 1, 10);
	dir = MUST(inotify_add_watch(list, "d", IN_CREATE));
	file = MUST(inotify_add_watch(list, "d/file", IN_MODIFY));
	MUST(rename("d/file", "d/new name"));
	MUST(rename("d", "a b\tc"));
	handshake();
	fds_put(out, 1, 10, 5);
	expect(file, IN_MODIFY, NULL);
	close(MUST(open("a b\tc/made", O_CREAT | O_WRONLY, 0600)));
	expect(dir, IN_CREATE, "made");
}

static void deleted(void)
{
	int fd = fds_file("gone", 0, 1, 10), wd;

	wd = MUST(inotify_add_watch(list, "gone", IN_MODIFY | IN_DELETE_SELF));
	MUST(unlink("gone"));
	handshake();
	fds_put(fd, 1, 10, 5);
	expect(wd, IN_MODIFY, NULL);
	close(fd);
	expect(wd, IN_DELETE_SELF, NULL);
	expect(wd, IN_IGNORED, NULL);
}

static void overlay(void)
{
	int dir, low, up;

	MUST(mkdir("lower", 0755));
	MUST(mkdir("lower/sub", 0755));
	close(fds_file("lower/sub/file", 0, 1, 10));
	MUST(mkdir("upper", 0755));
	MUST(mkdir("work", 0755));
	MUST(mkdir("merged", 0755));
	if (mount("overlay", "merged", "overlay", 0, "lowerdir=lower,upperdir=upper,workdir=work") <
		0)
		SKIP("no overlay here: %s", strerror(errno));
	close(fds_file("merged/up", 0, 1, 10));
	dir = MUST(inotify_add_watch(list, "merged/sub", IN_CREATE));
	low = MUST(inotify_add_watch(list, "merged/sub/file", IN_OPEN));
	up = MUST(inotify_add_watch(list, "merged/up", IN_ATTRIB));
	handshake();
	close(MUST(open("merged/sub/made", O_CREAT | O_WRONLY, 0600)));
	expect(dir, IN_CREATE, "made");
	close(MUST(open("merged/sub/file", O_RDONLY)));
	expect(low, IN_OPEN, NULL);
	MUST(chmod("merged/up", 0600));
	expect(up, IN_ATTRIB, NULL);
	close(list);
	MUST(umount2("merged", MNT_DETACH));
}

static void lost(void)
{
	int fd = fds_file("gone", 0, 1, 4096);

	MUST(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0));
	MUST(inotify_add_watch(list, "gone", IN_MODIFY));
	MUST(unlink("gone"));
	close(fd);
	victim_ready();
	victim_wait();
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*fn)(void);
	} cases[] = {
		{"renamed", renamed}, {"deleted", deleted}, {"overlay", overlay}, {"lost", lost}};

	victim_init(argc, argv);
	list = MUST(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
	for (size_t i = 0; argc == 2 && i < sizeof(cases) / sizeof(cases[0]); i++)
		if (!strcmp(argv[1], cases[i].name)) {
			cases[i].fn();
			return 0;
		}
	CHECK(0, "no such case");
	return 1;
}
