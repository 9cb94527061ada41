/*
 * e2e: args: v2 v1 threaded
 *
 * Holds: a tree in control groups other than those of the driver: the root in one, a child in another, one
 *        back in that of the driver, one in the root's with a thread elsewhere (v1, and the threaded groups
 *        of v2).
 * Shows: "cgroups v1 and v2: membership of every task and thread (threaded mode too), put back where the
 *        group still is".
 * e2e: no exec: the tree stays in the control groups of who becomes its root
 */
#include "tree.h"

#define TEXT_MAX 2048

static char base[1500], before[1500]; /* directories: of our groups; of the driver's */
static bool v1, threaded;
static int up[2], gate[2]; /* for the thread */

static void put(const char *dir, const char *name, const char *text)
{
	char path[2048];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	CHECK(fd >= 0, "%s: %s", path, strerror(errno));
	CHECK(write(fd, text, strlen(text)) > 0, "%s into %s: %s", text, path, strerror(errno));
	close(fd);
}

static void put_id(const char *dir, const char *name, long id)
{
	char text[16];

	snprintf(text, sizeof(text), "%ld", id);
	put(dir, name, text);
}

static void make(const char *name)
{
	char path[2048];

	snprintf(path, sizeof(path), "%s%s", base, name);
	if (mkdir(path, 0755) < 0)
		SKIP("no group can be made in %s: %s", path, strerror(errno));
}

static const char *in(const char *name)
{
	static char path[2048];

	snprintf(path, sizeof(path), "%s%s", base, name);
	return path;
}

/* Where the hierarchy is mounted: v2, or the pids of v1. */
static void find_mount(char *ret, size_t size)
{
	char line[4096], *dash;
	FILE *f = fopen("/proc/self/mountinfo", "re");

	*ret = 0;
	while (f && fgets(line, sizeof(line), f)) {
		char root[1024], point[1024];

		dash = strstr(line, v1 ? " - cgroup " : " - cgroup2 ");
		if (!dash || (v1 && !strstr(dash, "pids")) ||
			sscanf(line, "%*d %*d %*s %1023s %1023s", root, point) != 2 ||
			strcmp(root, "/"))
			continue;
		snprintf(ret, size, "%s", point);
	}
	if (f)
		fclose(f);
	if (!*ret)
		SKIP("the hierarchy is not mounted");
}

static void find_groups(void)
{
	char point[1024], text[TEXT_MAX], *line, *rest = text;

	find_mount(point, sizeof(point));
	victim_slurp("/proc/self/cgroup", text, sizeof(text));
	while ((line = strsep(&rest, "\n"))) {
		char *path = strchr(line, ':');

		if (!path || (v1 ? !strstr(line, "pids") : strncmp(path, "::", 2)))
			continue;
		path = strchr(path + 1, ':') + 1;
		snprintf(before, sizeof(before), "%.1000s%.400s", point, path);
		snprintf(base, sizeof(base), "%.1000s%.400s/ckpt-e2e-%d", point, path, getpid());
	}
	CHECK(*base, "no group in /proc/self/cgroup:\n%s", text);
}

static void text_of(long tid, char *text)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/task/%ld/cgroup", tid);
	victim_slurp(path, text, TEXT_MAX);
}

static void same(const char *was, long tid, const char *what)
{
	char now[TEXT_MAX];

	text_of(tid, now);
	CHECK(!strcmp(was, now), "%s: expected\n%sgot\n%s", what, was, now);
}

/* A child that goes to a group by itself. */
static int moved(int where)
{
	char was[TEXT_MAX];

	if (where == 1)
		put_id(in("/b"), "cgroup.procs", getpid());
	if (where == 2)
		put_id(before, "cgroup.procs", getpid());
	text_of(getpid(), was);
	tree_report();
	tree_pass();
	same(was, getpid(), "a child");
	return 40 + where;
}

static void *elsewhere(void *arg)
{
	char was[TEXT_MAX], c = 0;

	(void)arg;
	put_id(in("/b"), v1 ? "tasks" : "cgroup.threads", gettid());
	text_of(gettid(), was);
	MUST(write(up[1], &c, 1));
	MUST(read(gate[0], &c, 1));
	same(was, gettid(), "a thread");
	return NULL;
}

static int with_thread(int arg)
{
	char was[TEXT_MAX], c;
	pthread_t t;

	(void)arg;
	if (threaded)
		put_id(in("/a"), "cgroup.threads", getpid());
	MUST(pipe(up));
	MUST(pipe(gate));
	t = victim_thread(elsewhere, NULL);
	MUST(read(up[0], &c, 1));
	text_of(getpid(), was);
	tree_report();
	tree_pass();
	same(was, getpid(), "the first thread");
	MUST(write(gate[1], "g", 1));
	pthread_join(t, NULL);
	return 50;
}

static void set_up(void)
{
	find_groups();
	make("");
	make("/a");
	make("/b");
	if (threaded) {
		put(in("/a"), "cgroup.type", "threaded");
		put(in("/b"), "cgroup.type", "threaded");
	}
	put_id(threaded ? base : in("/a"), "cgroup.procs", getpid());
}

/* Groups of children that have ended may be busy for a moment. */
static void clean_up(void)
{
	static const char *const names[] = {"/a", "/b", ""};

	put_id(before, "cgroup.procs", getpid());
	for (int i = 0; i < 3; i++)
		for (int k = 0; k < 1000 && rmdir(in(names[i])) < 0 && errno == EBUSY; k++)
			usleep(1000);
}

int main(int argc, char **argv)
{
	char was[TEXT_MAX];
	pid_t pids[3];
	int n = 0;

	victim_init(argc, argv);
	CHECK(argc == 2, "no such case");
	v1 = !strcmp(argv[1], "v1");
	threaded = !strcmp(argv[1], "threaded");
	tree_init();
	set_up();
	if (v1 || threaded)
		pids[n++] = tree_fork(with_thread, 0);
	if (!threaded) {
		pids[n++] = tree_fork(moved, 1);
		pids[n++] = tree_fork(moved, 2);
	}
	tree_expect(n);
	text_of(getpid(), was);
	victim_ready();
	victim_wait();
	same(was, getpid(), "the root");
	tree_open(n);
	n = 0;
	if (v1 || threaded)
		tree_ends(pids[n++], 50 << 8, "the one with a thread");
	if (!threaded) {
		tree_ends(pids[n++], 41 << 8, "the one in another group");
		tree_ends(pids[n++], 42 << 8, "the one in the driver's group");
	}
	clean_up();
	return 0;
}
