/*
 * Holds: eventfds: zero; a count beyond 32 bits; a semaphore; the largest count, not blocking; one
 *        that two numbers share; one in a read of which a thread waits.
 * Shows: a runtime's wake-up counters come back.
 */
#include "fds.h"
#include <sys/eventfd.h>

#define BIG 0x123456789abcdefULL

static int waited;

static uint64_t take(int fd)
{
	uint64_t v = 0;

	CHECK(read(fd, &v, sizeof(v)) == sizeof(v), "read: %s", strerror(errno));
	return v;
}

static void put(int fd, uint64_t v)
{
	CHECK(write(fd, &v, sizeof(v)) == sizeof(v), "write: %s", strerror(errno));
}

static void *waiter(void *arg)
{
	(void)arg;
	CHECK(take(waited) == 77, "the waiter got something else");
	return NULL;
}

int main(int argc, char **argv)
{
	int zero, big, sem, full, shared;
	struct fds_view was[4];
	uint64_t v;
	pthread_t t;

	victim_init(argc, argv);
	zero = MUST(eventfd(0, EFD_NONBLOCK));
	big = MUST(eventfd(0, EFD_CLOEXEC));
	put(big, BIG);
	sem = MUST(eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK));
	full = MUST(eventfd(0, EFD_NONBLOCK));
	put(full, UINT64_MAX - 1);
	shared = MUST(dup(big));
	waited = MUST(eventfd(0, 0));
	t = victim_thread(waiter, NULL);
	fds_view(zero, &was[0]);
	fds_view(big, &was[1]);
	fds_view(sem, &was[2]);
	fds_view(full, &was[3]);
	victim_ready();
	victim_wait();
	fds_expect(zero, &was[0], false, "zero");
	fds_expect(big, &was[1], false, "big");
	fds_expect(sem, &was[2], false, "semaphore");
	fds_expect(full, &was[3], false, "full");
	CHECK(read(zero, &v, sizeof(v)) == -1 && errno == EAGAIN, "zero is not zero");
	CHECK(fds_same(big, shared), "the two numbers have become two eventfds");
	v = take(shared);
	CHECK(v == BIG, "big: expected %llx, got %llx", (long long)BIG, (long long)v);
	for (int i = 0; i < 3; i++)
		CHECK(take(sem) == 1, "it is no semaphore any more");
	CHECK(read(sem, &v, sizeof(v)) == -1 && errno == EAGAIN, "the semaphore had more than 3");
	v = 1;
	CHECK(write(full, &v, sizeof(v)) == -1 && errno == EAGAIN, "full is not full");
	CHECK(take(full) == UINT64_MAX - 1, "full had another count");
	put(waited, 77);
	pthread_join(t, NULL);
	return 0;
}
