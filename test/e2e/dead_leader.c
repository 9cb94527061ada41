/*
 * Holds: a process whose main thread has ended while three others live on (the leader is a zombie
 * until they end). The last one to end gives the process's exit status.
 * Shows: Threads: "a thread group whose leader has exited but whose threads live".
 * e2e: exec: yes
 */
#include "victim.h"

static pthread_mutex_t leader_lock = PTHREAD_MUTEX_INITIALIZER;
static int leader_count;

static char leader_state(void)
{
	char text[512], path[64], *at;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", getpid());
	victim_slurp(path, text, sizeof(text));
	at = strrchr(text, ')');
	return at ? at[2] : '?';
}

static void *leader_worker(void *arg)
{
	for (;;) {
		pthread_mutex_lock(&leader_lock);
		leader_count++;
		pthread_mutex_unlock(&leader_lock);
		usleep(1000);
	}
	return arg;
}

static void *leader_last(void *arg)
{
	int before, after;

	(void)arg;
	while (leader_state() != 'Z')
		usleep(1000);
	victim_ready();
	victim_wait();
	CHECK(leader_state() == 'Z', "leader: expected state Z, got %c", leader_state());
	CHECK(syscall(SYS_gettid) != getpid(), "this is the leader: %d", getpid());
	pthread_mutex_lock(&leader_lock);
	before = leader_count;
	pthread_mutex_unlock(&leader_lock);
	usleep(100000);
	pthread_mutex_lock(&leader_lock);
	after = leader_count;
	pthread_mutex_unlock(&leader_lock);
	CHECK(after > before, "the other threads stand still at %d", after);
	exit(0);
}

int main(int argc, char **argv)
{
	int pidfd;

	victim_init(argc, argv);
	pidfd = (int)syscall(SYS_pidfd_open, getpid(), O_EXCL /* PIDFD_THREAD */);
	if (pidfd < 0 && errno == EINVAL)
		SKIP("before Linux 6.9 it is refused: its files are out of reach");
	close(pidfd);
	victim_thread(leader_worker, NULL);
	victim_thread(leader_worker, NULL);
	victim_thread(leader_last, NULL);
	syscall(SYS_exit, 3); /* the thread alone; libc would wait for nobody either, but flush */
	return 1;
}
