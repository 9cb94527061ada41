/*
 * load.c - a program of a given size to dump and restore: load KIND N READYFILE
 *
 * KIND is mem or zero (N MiB of anonymous memory, random, or written with zeros only), threads (N in
 * all), vmas (N mappings that cannot merge) or fds (N open files). It creates READYFILE when it
 * stands, and at SIGUSR1 checks what it holds: exit code 0 if all is there, 1 if not.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define SEED 0x9e3779b97f4a7c15ULL

static volatile sig_atomic_t asked;
static volatile int stop;
static unsigned long alive;

static void on_usr1(int sig)
{
	(void)sig;
	asked = 1;
}

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static uint64_t *map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

static void *sleeper(void *arg)
{
	while (!stop) {
		pthread_mutex_lock(arg);
		pthread_mutex_unlock(arg);
	}
	__atomic_add_fetch(&alive, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static pthread_t *threads_start(unsigned long n)
{
	pthread_t *t = calloc(n, sizeof(*t));
	pthread_attr_t attr;

	if (!t)
		die("calloc");
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * 1024);
	pthread_mutex_lock(&gate);
	for (unsigned long i = 1; i < n; i++) {
		errno = pthread_create(&t[i], &attr, sleeper, &gate);
		if (errno)
			die("pthread_create");
	}
	return t;
}

static int threads_check(pthread_t *t, unsigned long n)
{
	stop = 1;
	pthread_mutex_unlock(&gate);
	for (unsigned long i = 1; i < n; i++)
		pthread_join(t[i], NULL);
	return alive == n - 1;
}

/* Every other page read-only, so that neighbours stay apart; each holds its number. */
static char *vmas_make(unsigned long n)
{
	char *p = (char *)map(n * 4096);

	for (unsigned long i = 0; i < n; i++) {
		memcpy(p + i * 4096, &i, sizeof(i));
		if (i % 2 && mprotect(p + i * 4096, 4096, PROT_READ))
			die("mprotect");
	}
	return p;
}

static int vmas_check(const char *p, unsigned long n)
{
	for (unsigned long i = 0; i < n; i++)
		if (memcmp(p + i * 4096, &i, sizeof(i)))
			return 0;
	return 1;
}

static void fds_open(unsigned long n)
{
	struct rlimit lim;

	getrlimit(RLIMIT_NOFILE, &lim);
	lim.rlim_cur = lim.rlim_max;
	setrlimit(RLIMIT_NOFILE, &lim);
	for (unsigned long i = 0; i < n; i++)
		if (open("/proc/self/exe", O_RDONLY | O_CLOEXEC) < 0)
			die("open");
}

static int fds_check(unsigned long n)
{
	unsigned long have = 0;

	for (unsigned long i = 3; i < n + 64; i++)
		have += fcntl((int)i, F_GETFD) == FD_CLOEXEC;
	return have == n;
}

/* Random words; without a seed pages that hold only zeros. */
static uint64_t *mem_fill(size_t words, uint64_t state)
{
	uint64_t *p = map(words * sizeof(*p));

	for (size_t i = 0; i < words; i += state ? 1 : 512)
		p[i] = state ? next(&state) : 0;
	return p;
}

static int mem_check(const uint64_t *p, size_t words, uint64_t state)
{
	for (size_t i = 0; i < words; i++)
		if (p[i] != (state ? next(&state) : 0))
			return 0;
	return 1;
}

int main(int argc, char **argv)
{
	struct sigaction act = {.sa_handler = on_usr1};
	unsigned long n = argc == 4 ? strtoul(argv[2], NULL, 10) : 0;
	size_t words = (n << 20) / sizeof(uint64_t);
	uint64_t *mem = NULL;
	pthread_t *t = NULL;
	char *vmas = NULL;
	sigset_t usr1, old;

	if (!n)
		return 2;
	sigaction(SIGUSR1, &act, NULL);
	if (!strcmp(argv[1], "mem") || !strcmp(argv[1], "zero"))
		mem = mem_fill(words, *argv[1] == 'm' ? SEED : 0);
	else if (!strcmp(argv[1], "threads"))
		t = threads_start(n);
	else if (!strcmp(argv[1], "vmas"))
		vmas = vmas_make(n);
	else if (!strcmp(argv[1], "fds"))
		fds_open(n);
	else
		return 2;
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, &old);
	if (creat(argv[3], 0600) < 0)
		die(argv[3]);
	while (!asked)
		sigsuspend(&old);
	if (mem)
		return !mem_check(mem, words, *argv[1] == 'm' ? SEED : 0);
	if (t)
		return !threads_check(t, n);
	return vmas ? !vmas_check(vmas, n) : !fds_check(n);
}
