/*
 * load.c - a program of a given size to dump and restore: load KIND[:MIB] N READYFILE
 *
 * KIND is mem or zero (N MiB of anonymous memory, random, or written with zeros only), threads (N in
 * all), vmas (N mappings that cannot merge), fds (N open files), tree (N processes with MIB MiB of
 * random memory each), cow (N processes that share the MIB MiB of their parent but for a few pages) or
 * tcp (N connections, each with bytes that are not read yet), unix (N unix sockets, in pairs, likewise).
 * It creates READYFILE when it stands, and at SIGUSR1 checks what it holds: exit code 0 if all is
 * there, 1 if not. A parent has its children check what they hold, too. The other ends of connections
 * are with a process that is no child any more; its number is in READYFILE.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEED      0x9e3779b97f4a7c15ULL
#define MIB_WORDS ((1UL << 20) / sizeof(uint64_t))
#define OWN_WORDS (MIB_WORDS / 16) /* of a process that shares all else */

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

static void *threads_start(unsigned long n)
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

static int threads_check(void *held, unsigned long n)
{
	pthread_t *t = held;

	stop = 1;
	pthread_mutex_unlock(&gate);
	for (unsigned long i = 1; i < n; i++)
		pthread_join(t[i], NULL);
	return alive == n - 1;
}

/* Every other page read-only, so that neighbours stay apart; each holds its number. */
static void *vmas_make(unsigned long n)
{
	char *p = (char *)map(n * 4096);

	for (unsigned long i = 0; i < n; i++) {
		memcpy(p + i * 4096, &i, sizeof(i));
		if (i % 2 && mprotect(p + i * 4096, 4096, PROT_READ))
			die("mprotect");
	}
	return p;
}

static int vmas_check(void *held, unsigned long n)
{
	const char *p = held;

	for (unsigned long i = 0; i < n; i++)
		if (memcmp(p + i * 4096, &i, sizeof(i)))
			return 0;
	return 1;
}

static void many_files(void)
{
	struct rlimit lim;

	getrlimit(RLIMIT_NOFILE, &lim);
	lim.rlim_cur = lim.rlim_max;
	setrlimit(RLIMIT_NOFILE, &lim);
}

static void *fds_open(unsigned long n)
{
	many_files();
	for (unsigned long i = 0; i < n; i++)
		if (open("/proc/self/exe", O_RDONLY | O_CLOEXEC) < 0)
			die("open");
	return NULL;
}

static int fds_check(void *held, unsigned long n)
{
	(void)held;
	unsigned long have = 0;

	for (unsigned long i = 3; i < n + 64; i++)
		have += fcntl((int)i, F_GETFD) == FD_CLOEXEC;
	return have == n;
}

/* Random words; without a seed pages that hold only zeros. */
static void fill(uint64_t *p, size_t words, uint64_t state)
{
	for (size_t i = 0; i < words; i += state ? 1 : 512)
		p[i] = state ? next(&state) : 0;
}

static uint64_t *mem_fill(size_t words, uint64_t state)
{
	uint64_t *p = map(words * sizeof(*p));

	fill(p, words, state);
	return p;
}

static int mem_check(const uint64_t *p, size_t words, uint64_t state)
{
	for (size_t i = 0; i < words; i++)
		if (p[i] != (state ? next(&state) : 0))
			return 0;
	return 1;
}

/* ------------------------------------------------------------------ several processes */

/* What a child of the tree does: it holds what it will hold when it closes ready. Return: its exit code. */
typedef int child_main(unsigned long i, int ready);

static unsigned long mib; /* of each process, or of what all share */
static uint64_t *common;

static void wait_asked(void)
{
	sigset_t usr1, old;

	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, &old);
	while (!asked)
		sigsuspend(&old);
}

static int tree_child(unsigned long i, int ready)
{
	uint64_t *p = mem_fill(mib * MIB_WORDS, SEED + i);

	close(ready);
	wait_asked();
	return !mem_check(p, mib * MIB_WORDS, SEED + i);
}

/* The seed of a MiB of common memory; behind those of all children. */
static uint64_t common_seed(unsigned long at)
{
	return SEED + (at + 1) * 0x100000;
}

static void common_make(void)
{
	common = map(mib << 20);
	for (unsigned long i = 0; i < mib; i++)
		fill(common + i * MIB_WORDS, MIB_WORDS, common_seed(i));
}

static int cow_child(unsigned long i, int ready)
{
	uint64_t *own = common + i % mib * MIB_WORDS;
	unsigned long other = (i + 1) % mib;

	fill(own, OWN_WORDS, SEED + i);
	close(ready);
	wait_asked();
	return !mem_check(own, OWN_WORDS, SEED + i) ||
	       !mem_check(common + other * MIB_WORDS, MIB_WORDS, common_seed(other));
}

/* Return: the children, who die with us. */
static pid_t *children_make(unsigned long n, child_main *child)
{
	pid_t *v = calloc(n, sizeof(*v));
	int ready[2];
	char c;

	if (!v || pipe(ready))
		die("children");
	for (unsigned long i = 0; i < n; i++) {
		v[i] = fork();
		if (v[i] < 0)
			die("fork");
		if (v[i] == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			close(ready[0]);
			_exit(child(i, ready[1]));
		}
	}
	close(ready[1]);
	while (read(ready[0], &c, 1) > 0)
		;
	close(ready[0]);
	return v;
}

static int children_check(const pid_t *v, unsigned long n)
{
	unsigned long good = 0;
	int status;

	for (unsigned long i = 0; i < n; i++)
		kill(v[i], SIGUSR1);
	for (unsigned long i = 0; i < n; i++)
		good += waitpid(v[i], &status, 0) == v[i] && status == 0;
	return good == n;
}

static int common_check(void)
{
	int good = 1;

	for (unsigned long i = 0; i < mib; i++)
		good &= mem_check(common + i * MIB_WORDS, MIB_WORDS, common_seed(i));
	return good;
}

/* ------------------------------------------------------------------ connections */

static pid_t outside; /* has the other ends */

/* Of each connection its number, and afterwards what it has to answer to one. */
static void peer_main(struct sockaddr_in *to, unsigned long n)
{
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event e = {.events = EPOLLIN};
	uint64_t x;

	for (unsigned long i = 0; i < n; i++) {
		e.data.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		x = i;
		if (connect(e.data.fd, (struct sockaddr *)to, sizeof(*to)) ||
			epoll_ctl(ep, EPOLL_CTL_ADD, e.data.fd, &e) ||
			send(e.data.fd, &x, sizeof(x), 0) != sizeof(x))
			die("peer");
	}
	while (n) {
		if (epoll_wait(ep, &e, 1, -1) < 0)
			die("epoll_wait");
		if (recv(e.data.fd, &x, sizeof(x), MSG_WAITALL) == sizeof(x)) {
			x += SEED;
			send(e.data.fd, &x, sizeof(x), MSG_NOSIGNAL);
			continue;
		}
		close(e.data.fd);
		n--;
	}
	_exit(0);
}

/* By way of a child that ends at once, so that it is not of our tree. */
static pid_t peer_start(int listener, struct sockaddr_in *to, unsigned long n)
{
	pid_t pid, child;
	int p[2];

	if (pipe(p))
		die("pipe");
	child = fork();
	if (child == 0) {
		pid = fork();
		if (pid == 0) {
			setsid();
			close(listener);
			peer_main(to, n);
		}
		_exit(pid < 0 || write(p[1], &pid, sizeof(pid)) != sizeof(pid));
	}
	if (child < 0 || waitpid(child, NULL, 0) < 0 ||
		read(p[0], &pid, sizeof(pid)) != sizeof(pid))
		die("peer");
	close(p[0]);
	close(p[1]);
	return pid;
}

struct connection {
	int fd;
	uint64_t number; /* not read yet */
};

static void *tcp_make(unsigned long n)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct connection *v = calloc(n, sizeof(*v));
	socklen_t len = sizeof(at);

	many_files();
	if (!v || bind(listener, (struct sockaddr *)&at, len) || listen(listener, 1024) ||
		getsockname(listener, (struct sockaddr *)&at, &len))
		die("listener");
	outside = peer_start(listener, &at, n);
	for (unsigned long i = 0; i < n; i++) {
		v[i].fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (v[i].fd < 0 || recv(v[i].fd, &v[i].number, sizeof(v[i].number),
					   MSG_PEEK | MSG_WAITALL) < 8)
			die("accept");
	}
	return v;
}

/* All at once, so that what is asked of one does not wait for the answer of another. */
static int tcp_check(void *held, unsigned long n)
{
	struct connection *v = held;
	unsigned long good = 0;
	uint64_t x;

	for (unsigned long i = 0; i < n; i++)
		good += recv(v[i].fd, &x, sizeof(x), MSG_WAITALL) == sizeof(x) &&
			x == v[i].number && send(v[i].fd, &x, sizeof(x), MSG_NOSIGNAL) == sizeof(x);
	for (unsigned long i = 0; i < n; i++)
		good += recv(v[i].fd, &x, sizeof(x), MSG_WAITALL) == sizeof(x) &&
			x == v[i].number + SEED;
	return good == 2 * n;
}

/* ------------------------------------------------------------------ pairs of unix sockets */

/* Each end of a pair has the number of the other to read. */
static void *unix_make(unsigned long n)
{
	int *v = calloc(n + 1, sizeof(*v));

	many_files();
	for (unsigned long i = 0; v && i < n; i += 2) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, v + i))
			die("socketpair");
		for (int k = 0; k < 2; k++)
			if (send(v[i + k], &(uint64_t){i + k}, 8, 0) != 8)
				die("send");
	}
	return v;
}

static int unix_check(void *held, unsigned long n)
{
	int *v = held;
	uint64_t x;

	for (unsigned long i = 0; i + 1 < n; i++)
		if (recv(v[i], &x, sizeof(x), MSG_DONTWAIT) != sizeof(x) || x != (i ^ 1))
			return 0;
	return 1;
}

/* ------------------------------------------------------------------ what there is */

static void *mem_make(unsigned long n)
{
	return mem_fill(n * MIB_WORDS, SEED);
}

static int mem_is_good(void *held, unsigned long n)
{
	return mem_check(held, n * MIB_WORDS, SEED);
}

static void *zero_make(unsigned long n)
{
	return mem_fill(n * MIB_WORDS, 0);
}

static int zero_is_good(void *held, unsigned long n)
{
	return mem_check(held, n * MIB_WORDS, 0);
}

/* N with the parent, which holds as much as they. */
static void *tree_make(unsigned long n)
{
	pid_t *v = children_make(n - 1, tree_child);

	common_make();
	return v;
}

static void *cow_make(unsigned long n)
{
	common_make();
	return children_make(n - 1, cow_child);
}

static int tree_is_good(void *held, unsigned long n)
{
	return common_check() & children_check(held, n - 1);
}

static const struct {
	const char *name;
	void *(*make)(unsigned long n);
	int (*is_good)(void *held, unsigned long n);
} kinds[] = {
	{"mem", mem_make, mem_is_good},
	{"zero", zero_make, zero_is_good},
	{"threads", threads_start, threads_check},
	{"vmas", vmas_make, vmas_check},
	{"fds", fds_open, fds_check},
	{"tree", tree_make, tree_is_good},
	{"cow", cow_make, tree_is_good},
	{"tcp", tcp_make, tcp_check},
	{"unix", unix_make, unix_check},
};

static void say_ready(const char *path)
{
	int fd = creat(path, 0600);

	if (fd < 0 || (outside && dprintf(fd, "%d\n", outside) < 0))
		die(path);
}

int main(int argc, char **argv)
{
	struct sigaction act = {.sa_handler = on_usr1};
	unsigned long n = argc == 4 ? strtoul(argv[2], NULL, 10) : 0;
	char *name = argc == 4 ? strtok(argv[1], ":") : NULL, *size = strtok(NULL, ":");

	mib = size ? strtoul(size, NULL, 10) : 1;
	sigaction(SIGUSR1, &act, NULL);
	for (size_t i = 0; n && mib && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		void *held;

		if (strcmp(name, kinds[i].name))
			continue;
		held = kinds[i].make(n);
		say_ready(argv[3]);
		wait_asked();
		return !kinds[i].is_good(held, n);
	}
	return 2;
}
