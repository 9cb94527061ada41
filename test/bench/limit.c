/*
 * limit.c - what this machine can do with the same bytes: limit MIB DIR
 *
 * Two plain writers put MIB of random anonymous memory into two new files in DIR, two plain readers
 * read them into fresh memory, and the same with one of each. Prints microseconds: write2 read2
 * write1 read1. Two files, because a file's inode lock serialises its writers.
 *
 * Without DIR it only touches MIB of memory and gives it back. A virtual machine's free memory may be
 * with its host, and costs ten times as much to take as memory that was just freed; before anything
 * is measured, as much as it will take is touched, here and by run.py, so that all meet the same.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define CHUNK ((size_t)1 << 20)

struct job {
	char *mem;
	size_t bytes;
	char path[4096];
	int reads;
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void *run(void *arg)
{
	struct job *j = arg;
	int fd = j->reads ? open(j->path, O_RDONLY)
			  : open(j->path, O_CREAT | O_TRUNC | O_WRONLY, 0600);

	if (fd < 0)
		die(j->path);
	for (size_t at = 0; at < j->bytes;) {
		size_t want = j->bytes - at < CHUNK ? j->bytes - at : CHUNK;
		ssize_t n = j->reads ? read(fd, j->mem + at, want) : write(fd, j->mem + at, want);

		if (n <= 0)
			die(j->path);
		at += (size_t)n;
	}
	close(fd);
	return NULL;
}

static char *map(size_t bytes)
{
	char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

static void touch(size_t bytes)
{
	char *p = map(bytes);

	for (size_t i = 0; i < bytes; i += 4096)
		p[i] = 1;
	munmap(p, bytes);
}

static long measure(char *mem, size_t bytes, const char *dir, int workers, int reads)
{
	struct job jobs[2];
	pthread_t t[2];
	struct timespec a, b;

	touch(bytes + bytes / 8);
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (int i = 0; i < workers; i++) {
		jobs[i].mem = mem + bytes / (size_t)workers * (size_t)i;
		jobs[i].bytes = bytes / (size_t)workers;
		jobs[i].reads = reads;
		snprintf(jobs[i].path, sizeof(jobs[i].path), "%s/limit.%d.%d", dir, workers, i);
		pthread_create(&t[i], NULL, run, &jobs[i]);
	}
	for (int i = 0; i < workers; i++)
		pthread_join(t[i], NULL);
	clock_gettime(CLOCK_MONOTONIC, &b);
	if (reads)
		for (int i = 0; i < workers; i++)
			unlink(jobs[i].path);
	return (b.tv_sec - a.tv_sec) * 1000000L + (b.tv_nsec - a.tv_nsec) / 1000;
}

int main(int argc, char **argv)
{
	size_t bytes = argc >= 2 ? (size_t)strtoul(argv[1], NULL, 10) << 20 : 0;
	uint64_t x = 88172645463325252ULL;
	char *src;

	if (!bytes)
		return 2;
	if (argc == 2) {
		touch(bytes);
		return 0;
	}
	src = map(bytes);
	for (size_t i = 0; i < bytes / sizeof(x); i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		((uint64_t *)src)[i] = x;
	}
	for (int workers = 2; workers >= 1; workers--) {
		char *fresh = map(bytes);
		long w = measure(src, bytes, argv[2], workers, 0);
		long r = measure(fresh, bytes, argv[2], workers, 1);

		munmap(fresh, bytes);
		printf("%ld %ld ", w, r);
	}
	printf("\n");
	return 0;
}
