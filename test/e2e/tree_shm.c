/*
 * Holds: shared memory that tasks have in common: anonymous, /dev/zero, a memfd that only mappings hold,
 *        a POSIX shm file without a name; a child that waits on a semaphore in it, one with a mutex.
 * Shows: "Shared anonymous memory, /dev/zero mappings, memfd, POSIX shm files (also unlinked)" across
 *        tasks.
 */
#include "tree.h"
#include <semaphore.h>

#define PAGE  4096
#define KINDS 4
#define N     3

struct common {
	sem_t up, down;
	pthread_mutex_t lock;
	int counter;
};

static unsigned char *map[KINDS];
static struct common *common;

static unsigned char *mapped(int fd, int flags)
{
	void *p;

	if (fd >= 0 && !(flags & MAP_ANONYMOUS) && flags != MAP_PRIVATE)
		(void)!ftruncate(fd, 4 * PAGE);
	p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);
	CHECK(p != MAP_FAILED, "mmap: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	return p;
}

static void make(void)
{
	pthread_mutexattr_t attr;
	char name[64];

	map[0] = mapped(-1, MAP_SHARED | MAP_ANONYMOUS);
	map[1] = mapped(MUST(open("/dev/zero", O_RDWR)), MAP_SHARED);
	map[2] = mapped(MUST(memfd_create("common", 0)), MAP_SHARED);
	snprintf(name, sizeof(name), "/ckpt-e2e-%d", getpid());
	map[3] = mapped(MUST(shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600)), MAP_SHARED);
	shm_unlink(name);
	common = victim_shared(sizeof(*common));
	MUST(sem_init(&common->up, 1, 0));
	MUST(sem_init(&common->down, 1, 0));
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&common->lock, &attr);
}

static int child(int i)
{
	for (int k = 0; k < KINDS; k++)
		map[k][i * PAGE] = (unsigned char)(10 * k + i);
	tree_report();
	while (sem_wait(&common->down) < 0)
		CHECK(errno == EINTR, "sem_wait: %s", strerror(errno));
	for (int n = 0; n < 1000; n++) {
		pthread_mutex_lock(&common->lock);
		common->counter++;
		pthread_mutex_unlock(&common->lock);
	}
	for (int k = 0; k < KINDS; k++) {
		for (int other = 0; other < N; other++)
			CHECK(map[k][other * PAGE] == 10 * k + other,
				"kind %d: what child %d wrote before: %d", k, other,
				map[k][other * PAGE]);
		CHECK(map[k][3 * PAGE] == 200 + k, "kind %d: what the root has just written: %d", k,
			map[k][3 * PAGE]);
		map[k][i * PAGE + 1] = (unsigned char)(100 + i);
	}
	MUST(sem_post(&common->up));
	return 0;
}

int main(int argc, char **argv)
{
	pid_t pid[N];

	victim_init(argc, argv);
	tree_init();
	make();
	for (int i = 0; i < N; i++)
		pid[i] = tree_fork(child, i);
	tree_expect(N);
	victim_ready();
	victim_wait();
	for (int k = 0; k < KINDS; k++)
		map[k][3 * PAGE] = (unsigned char)(200 + k);
	for (int i = 0; i < N; i++)
		MUST(sem_post(&common->down));
	for (int i = 0; i < N; i++)
		tree_ends(pid[i], 0, "a child");
	for (int i = 0; i < N; i++)
		MUST(sem_trywait(&common->up));
	CHECK(common->counter == 1000 * N, "counter: expected %d, got %d", 1000 * N,
		common->counter);
	for (int k = 0; k < KINDS; k++)
		for (int i = 0; i < N; i++)
			CHECK(map[k][i * PAGE + 1] == 100 + i,
				"kind %d: what child %d has just written", k, i);
	tree_no_more();
	return 0;
}
