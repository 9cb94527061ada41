/*
 * real: build: musl-gcc -O2 -static -pthread -o {build}/musl_static {source}
 * real: run: {build}/musl_static
 * real: threads: fixed
 *
 * A static program of another libc: eight threads, a mutex, a condition variable with a time limit,
 * and memory from malloc that grows by realloc.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define WORKERS 8

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
static uint64_t x, *rows;
static size_t count;

static uint64_t chain(uint64_t value, uint64_t row)
{
	return value * 6364136223846793005u + 1442695040888963407u + row;
}

static void *work(void *arg)
{
	struct timespec until;

	for (int step = 0; access("stop", F_OK); step++) {
		pthread_mutex_lock(&lock);
		x = chain(x, count);
		rows = realloc(rows, (count + 1) * sizeof(*rows));
		if (!rows)
			abort();
		rows[count] = x;
		printf("%zu %d %d %016llx\n", count++, (int)(intptr_t)arg, step,
			(unsigned long long)x);
		fflush(stdout);
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += 20000000;
		if (until.tv_nsec >= 1000000000) {
			until.tv_nsec -= 1000000000;
			until.tv_sec++;
		}
		pthread_cond_timedwait(&never, &lock, &until);
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[WORKERS];
	uint64_t y = 0;

	for (int i = 0; i < WORKERS; i++)
		if (pthread_create(&threads[i], NULL, work, (void *)(intptr_t)i))
			return 1;
	for (int i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	for (size_t row = 0; row < count; row++) {
		y = chain(y, row);
		if (rows[row] != y) {
			printf("row %zu is damaged\n", row);
			return 1;
		}
	}
	printf("end %zu %016llx\n", count, (unsigned long long)x);
	return 0;
}
