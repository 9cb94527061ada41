/*
 * e2e: args: self task dir outside global net sys devices fuse ended
 * e2e: refuse for fuse: fuse, mounted again
 * e2e: refuse for ended: has ended
 * e2e: no pidns for outside: who is outside is not there
 * e2e: no pidns for global: /proc is another one there
 *
 * Holds: self: /proc/self/maps, half read, twice by one description, and /proc/self/status with O_PATH;
 *        task: a file of another thread; dir: /proc/self and /proc/self/fd, half read; outside: a file of
 *        the process that started it; global: /proc/meminfo, half read, and a setting; net: a file
 *        of /proc/net, half read, which the kernel has forgotten the name of; sys: a file of
 *        sysfs; devices: those without a state; fuse: one with a state; ended: a file of a process that
 *        has ended.
 * Shows: Files: "/proc files (self, other task, maps half read), /sys files, /dev entries".
 * e2e: exec: yes
 */
#include "fds.h"
#include <sys/stat.h>
#include <sys/wait.h>

static struct fds_table table;

static void handshake(void)
{
	fds_table(&table);
	victim_ready();
	victim_wait();
	fds_expect_table(&table);
}

static void read_some(int fd, size_t len)
{
	char buf[4096];

	CHECK(read(fd, buf, len) == (ssize_t)len, "the test is broken: %s", strerror(errno));
}

static size_t read_rest(int fd, char *buf, size_t size)
{
	size_t have = 0;
	ssize_t n;

	while (have < size - 1 && (n = read(fd, buf + have, size - 1 - have)) > 0)
		have += n;
	buf[have] = 0;
	return have;
}

static void of_self(void)
{
	static char whole[65536], rest[65536];
	int fd = MUST(open("/proc/self/maps", O_RDONLY | O_CLOEXEC)), copy = MUST(dup(fd));
	int path = MUST(open("/proc/self/status", O_PATH));
	struct fds_view was, was_path;

	read_some(fd, 300);
	fds_view(fd, &was);
	fds_view(path, &was_path);
	handshake();
	fds_expect(fd, &was, false, "maps");
	fds_expect(path, &was_path, false, "status");
	CHECK(fds_same(fd, copy), "they are two descriptions");
	CHECK(!(fcntl(copy, F_GETFD) & FD_CLOEXEC), "close-on-exec");
	victim_slurp("/proc/self/maps", whole, sizeof(whole));
	read_rest(copy, rest, sizeof(rest));
	CHECK(!strcmp(whole + 300, rest), "expected '%.200s', got '%.200s'", whole + 300, rest);
}

static pid_t tid;

static void *sleeper(void *arg)
{
	tid = (pid_t)syscall(SYS_gettid);
	MUST(read(*(int *)arg, &(char){0}, 1));
	return NULL;
}

static void of_task(void)
{
	char path[64], text[64] = "";
	int p[2], fd;
	pthread_t t;

	MUST(pipe(p));
	t = victim_thread(sleeper, &p[0]);
	while (!*(volatile pid_t *)&tid)
		usleep(1000);
	snprintf(path, sizeof(path), "/proc/self/task/%d/comm", tid);
	fd = MUST(open(path, O_RDWR));
	handshake();
	MUST(write(fd, "renamed", 7));
	MUST(pread(fd, text, sizeof(text) - 1, 0));
	CHECK(!strcmp(text, "renamed\n"), "its name: '%s'", text);
	MUST(write(p[1], "x", 1));
	pthread_join(t, NULL);
}

static void of_dir(void)
{
	int self = MUST(open("/proc/self", O_RDONLY | O_DIRECTORY)), fd;
	char text[256] = "", want[64];
	struct dirent *e;
	int n = 0;
	DIR *d;

	d = fdopendir(MUST(open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
	CHECK(d, "fdopendir: %s", strerror(errno));
	handshake();
	fd = MUST(openat(self, "stat", O_RDONLY));
	read_rest(fd, text, sizeof(text));
	snprintf(want, sizeof(want), "%d (", getpid());
	CHECK(!strncmp(text, want, strlen(want)), "it is of '%s'", text);
	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	CHECK(n == table.n + 1, "expected %d descriptors, got %d", table.n + 1, n);
}

static void of_outside(void)
{
	char path[64], text[256] = "", want[64];
	pid_t parent = getppid();
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", parent);
	fd = MUST(open(path, O_RDONLY));
	handshake();
	MUST(lseek(fd, 0, SEEK_SET));
	read_rest(fd, text, sizeof(text));
	snprintf(want, sizeof(want), "%d (", parent);
	CHECK(!strncmp(text, want, strlen(want)), "it is of '%s'", text);
}

static void of_global(void)
{
	int fd = MUST(open("/proc/meminfo", O_RDONLY)), setting;
	struct fds_view was;
	char text[8192];

	setting = MUST(open("/proc/sys/kernel/hostname", O_RDONLY));
	read_some(fd, 100);
	fds_view(fd, &was);
	handshake();
	fds_expect(fd, &was, true, "meminfo");
	read_rest(fd, text, sizeof(text));
	CHECK(strstr(text, "SwapTotal:") && !strstr(text, "MemTotal:"), "the rest: '%.100s'", text);
	CHECK(read_rest(setting, text, sizeof(text)) > 0, "the setting");
}

static void of_sys(void)
{
	int fd = open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY);
	struct fds_view was;
	char text[256];

	if (fd < 0)
		SKIP("no such file: %s", strerror(errno));
	read_some(fd, 3);
	fds_view(fd, &was);
	handshake();
	fds_expect(fd, &was, true, "sysfs");
	CHECK(read_rest(fd, text, sizeof(text)) > 3, "the rest");
}

/* Each look-up of a name of /proc/net makes a new entry of the kernel's cache, and drops the old one. */
static void of_net(void)
{
	int fd = MUST(open("/proc/net/unix", O_RDONLY));
	char link[256], path[64], text[1 << 16];
	ssize_t n;

	read_some(fd, 20);
	close(MUST(open("/proc/net/unix", O_RDONLY)));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = MUST(readlink(path, link, sizeof(link)));
	CHECK(n > 10 && !memcmp(link + n - 10, " (deleted)", 10), "the test is broken: %.*s",
		(int)n, link);
	handshake();
	CHECK(lseek(fd, 0, SEEK_CUR) == 20, "position: %ld", (long)lseek(fd, 0, SEEK_CUR));
	read_rest(fd, text, sizeof(text));
	CHECK(strstr(text, "\n") && !strstr(text, "RefCount"), "the rest: '%.60s'", text);
}

/* Reads the kernel's log to its end. Return: the number of the last record, or @last: there is none */
static long log_read(int fd, long last)
{
	char text[8192];
	long number = last;
	ssize_t n;

	while ((n = read(fd, text, sizeof(text) - 1)) > 0 || (n < 0 && errno == EPIPE)) {
		text[n > 0 ? n : 0] = 0;
		if (n > 0)
			CHECK(sscanf(text, "%*d,%ld", &number) == 1 && number > last,
				"the kernel's log: record %ld after %ld: %.80s", number, last,
				text);
		last = number;
	}
	CHECK(errno == EAGAIN, "/dev/kmsg: %s", strerror(errno));
	return last;
}

static void of_devices(void)
{
	static const char *const names[] = {"null", "zero", "full", "random", "urandom", "kmsg",
		"loop-control", "hwrng", "loop0"};
	struct fds_view was[9];
	int fd[9], log;
	long last;

	for (int i = 0; i < 9; i++) {
		char path[64];

		snprintf(path, sizeof(path), "/dev/%s", names[i]);
		fd[i] = open(path, O_RDONLY | O_NONBLOCK);
		if (fd[i] >= 0)
			fds_view(fd[i], &was[i]);
		else
			CHECK(i > 4, "%s: %s", path, strerror(errno));
	}
	log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	last = log < 0 ? 0 : log_read(log, -1);
	handshake();
	for (int i = 0; i < 9; i++)
		if (fd[i] >= 0)
			fds_expect(fd[i], &was[i], true, names[i]);
	if (log >= 0)
		log_read(log, last);
	read_some(fd[1], 4096);
	read_some(fd[4], 16);
}

static void of_fuse(void)
{
	if (open("/dev/fuse", O_RDWR) < 0)
		SKIP("no /dev/fuse: %s", strerror(errno));
	victim_ready();
	victim_wait();
}

static void of_ended(void)
{
	pid_t pid = MUST(fork());
	char path[64];

	if (pid == 0) {
		pause();
		_exit(0);
	}
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	MUST(open(path, O_RDONLY));
	MUST(kill(pid, SIGKILL));
	MUST(waitpid(pid, NULL, 0));
	victim_ready();
	victim_wait();
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*fn)(void);
	} cases[] = {{"self", of_self}, {"task", of_task}, {"dir", of_dir}, {"outside", of_outside},
		{"global", of_global}, {"net", of_net}, {"sys", of_sys}, {"devices", of_devices},
		{"fuse", of_fuse}, {"ended", of_ended}};

	victim_init(argc, argv);
	for (size_t i = 0; argc == 2 && i < sizeof(cases) / sizeof(cases[0]); i++)
		if (!strcmp(argv[1], cases[i].name)) {
			cases[i].fn();
			return 0;
		}
	CHECK(0, "no such case");
	return 1;
}
