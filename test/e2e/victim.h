/*
 * What every end-to-end victim shares: the handshake with test/e2e/run.py.
 *
 * A victim sets up its state, calls victim_ready() (the file `ready` appears in the current
 * directory, which is the test's own), waits in victim_wait() for the driver's go (SIGRTMAX-1, blocked
 * in every thread from victim_init() on), verifies itself, and exits 0 (ok), 1 (failed; says what was
 * expected and what was found) or 77 (skipped; says why). A victim whose main thread has to be blocked
 * somewhere else waits for the go in another thread.
 *
 * Markers in a victim's source that the driver reads:
 *   e2e: args: A B C              one test for each word, which is the program's argument
 *   e2e: no MODE: reason          this mode is not run; several modes by comma
 *   e2e: no MODE for A,B: reason  only for these arguments
 *   e2e: refuse: WORD, WORD       a dump is refused with these in the message; also "refuse for A: WORD"
 *   e2e: leave refused: WORD      "dump -R" is refused with WORD, a dump that ends it is not
 *   e2e: dump: may fail           what it does may make a dump fail, with a message and no image
 *   e2e: needs: FEATURE           of "ckpt check"; without it no mode is run that ends it: skipped, with what it says
 *   e2e: settle: SECONDS          to wait between ready and the dump (0.05)
 *   e2e: timeout: SECONDS         for the whole test (60)
 *   e2e: isa: ISA                 for machines of this kind only (uname -m)
 *   e2e: cflags: FLAGS            more flags for the compiler
 *   e2e: session: inherit         started in the driver's session, not as a session's leader
 *   e2e: options: WORDS           more for every "ckpt dump"; @NAME is what the file NAME holds
 *   e2e: gone: yes                when it is dead, and before a restore, it is run with `gone` as argument
 *   e2e: devpts: own              its terminals are in ./pts, so that no other program takes their numbers
 *   e2e: stopped: yes             it stops itself when ready; the go comes with a SIGCONT
 *   e2e: exec: yes                its pids matter: also run in the modes exec (see victim_now()) and pidns
 */
#ifndef TEST_E2E_VICTIM_H
#define TEST_E2E_VICTIM_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define VICTIM_GO   (SIGRTMAX - 1)
#define VICTIM_FAIL 1
#define VICTIM_SKIP 77

/* One line on stdout by one write, so that nothing is in a stdio buffer when the dump comes. */
__attribute__((format(printf, 1, 2))) static inline void victim_say(const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	if (write(STDOUT_FILENO, line, n) < 0)
		_exit(VICTIM_FAIL);
}

/* CHECK(condition, "%s: expected %d, got %d", ...): ends the victim as failed. */
#define CHECK(cond, ...)                                                                           \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			victim_say("%s:%d: CHECK(%s)", __FILE__, __LINE__, #cond);                 \
			victim_say("  " __VA_ARGS__);                                              \
			_exit(VICTIM_FAIL);                                                        \
		}                                                                                  \
	} while (0)

/* SKIP("reason"): ends the victim as skipped. */
#define SKIP(...)                                                                                  \
	do {                                                                                       \
		victim_say("SKIP: " __VA_ARGS__);                                                  \
		_exit(VICTIM_SKIP);                                                                \
	} while (0)

/* For a call that only fails if the test itself is broken: returns the call's result. */
#define MUST(call)                                                                                 \
	({                                                                                         \
		long must_ = (long)(call);                                                         \
		CHECK(must_ != -1, "%s: %s", #call, strerror(errno));                              \
		must_;                                                                             \
	})

/* The test's directory; a victim that changes its root says what it is called from there. */
static char victim_home[1024];

static inline int victim_open(const char *name, int flags)
{
	char path[1200];

	snprintf(path, sizeof(path), "%s/%s", victim_home, name);
	return open(path, flags | O_CLOEXEC, 0644);
}

static inline void victim_init(int argc, char **argv)
{
	sigset_t go;

	(void)argc;
	(void)argv;
	CHECK(getcwd(victim_home, sizeof(victim_home)), "getcwd: %s", strerror(errno));
	sigemptyset(&go);
	sigaddset(&go, VICTIM_GO);
	CHECK(pthread_sigmask(SIG_BLOCK, &go, NULL) == 0, "cannot block the go signal");
}

static inline void victim_ready(void)
{
	int fd = victim_open("ready", O_WRONLY | O_CREAT);

	CHECK(fd >= 0, "ready: %s", strerror(errno));
	close(fd);
}

/* Returns at the driver's go; may be called by any one thread. */
static inline void victim_wait(void)
{
	sigset_t go;
	int n;

	sigemptyset(&go);
	sigaddset(&go, VICTIM_GO);
	do
		n = sigwaitinfo(&go, NULL);
	while (n < 0 && errno == EINTR);
	CHECK(n == VICTIM_GO, "sigwaitinfo: expected %d, got %d (%s)", VICTIM_GO, n,
		strerror(errno));
}

static inline double victim_clock_s(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* After the go: the seconds between the dumps and the restores, in which this program did not run. */
static inline double victim_dead_s(void)
{
	char buf[64] = "";
	int fd = victim_open("dead", O_RDONLY);

	CHECK(fd >= 0, "dead: %s", strerror(errno));
	CHECK(read(fd, buf, sizeof(buf) - 1) > 0, "the file `dead` is empty");
	close(fd);
	return strtod(buf, NULL);
}

/*
 * A pid, or the number of a session or process group, as it is now. In the mode exec the root is another
 * process than it was, and the file `renumbered` says which.
 */
static inline pid_t victim_now(pid_t was)
{
	char buf[64] = "", *end;
	int fd = victim_open("renumbered", O_RDONLY);

	if (fd < 0)
		return was;
	CHECK(read(fd, buf, sizeof(buf) - 1) > 0, "the file `renumbered` is empty");
	close(fd);
	return strtol(buf, &end, 10) == was ? (pid_t)strtol(end, NULL, 10) : was;
}

/* Of an object of the kernel's that may be the old one, which says of its user what it did, or a new one. */
static inline bool victim_was_or_is(pid_t said, pid_t was)
{
	return said == was || said == victim_now(was);
}

/* Memory that is still shared after a fork. */
static inline void *victim_shared(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED, "mmap: %s", strerror(errno));
	return p;
}

static inline pthread_t victim_thread(void *(*fn)(void *), void *arg)
{
	pthread_attr_t attr;
	pthread_t t;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 128 * 1024);
	err = pthread_create(&t, &attr, fn, arg);
	CHECK(err == 0, "pthread_create: %s", strerror(err));
	pthread_attr_destroy(&attr);
	return t;
}

/* For a plain file whose text is compared before and after; returns its length, NUL-terminated. */
static inline size_t victim_slurp(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t have = 0;
	ssize_t n;

	CHECK(fd >= 0, "%s: %s", path, strerror(errno));
	while (have < size - 1 && (n = read(fd, buf + have, size - 1 - have)) > 0)
		have += n;
	buf[have] = 0;
	close(fd);
	return have;
}

/* One case of a victim that has several: the argument that chooses it. */
struct victim_case {
	const char *name;
	void (*fn)(void);
};

/* main() of such a victim. */
static inline int victim_cases(int argc, char **argv, const struct victim_case *cases, size_t n)
{
	victim_init(argc, argv);
	for (size_t i = 0; argc == 2 && i < n; i++)
		if (!strcmp(argv[1], cases[i].name)) {
			cases[i].fn();
			return 0;
		}
	CHECK(0, "no such case");
	return 1;
}

#endif
