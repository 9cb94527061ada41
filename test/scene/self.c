/*
 * A program written against libckpt: eight threads compute, the main thread checkpoints all of it now and then,
 * and writes down the newest crid. Says at the end what came out, and how often it was restarted.
 *
 *	self DIR COMMAND UNITS INTERVAL_MS
 */
#include <ckpt.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS 8

static atomic_uint_fast64_t sums[THREADS];
static atomic_uint running = THREADS;
static unsigned long units;
static unsigned restarts, told_before, told_restart;

static void *compute(void *arg)
{
	uintptr_t who = (uintptr_t)arg;
	uint64_t x = who + 1;

	for (unsigned long i = 0; i < units; i++) {
		for (int k = 0; k < 1000; k++)
			x = x * 6364136223846793005ULL + 1442695040888963407ULL;
		sums[who] += x >> 33;
	}
	running--;
	return NULL;
}

static int before(void *arg)
{
	return ++told_before % 7 == 0 ? -EAGAIN : 0; /* now and then it does not suit */
}

static void restarted(void *arg, const struct ckpt_restart *r)
{
	told_restart++;
	if (!r->crid || r->gone_ns <= 0 || r->host_changed || r->boot_changed || r->pid_changed)
		abort();
}

/* By a rename, so that whoever kills us finds the one before or this one. */
static void write_down(const char *dir, const char *image, int64_t crid)
{
	char tmp[512], path[512];
	FILE *f;

	snprintf(tmp, sizeof(tmp), "%s/newest.tmp", dir);
	snprintf(path, sizeof(path), "%s/newest", dir);
	f = fopen(tmp, "w");
	if (!f || fprintf(f, "%s %" PRId64 "\n", image, crid) < 0 || fclose(f) || rename(tmp, path))
		abort();
}

/* Into two directories in turns: the last one stays until the next is whole. */
static void checkpoint(const char *dir, const char *command)
{
	static unsigned number;
	char image[512], *error = NULL;
	struct ckpt_self self = {
		.command = command, .ret_error = &error, .dir = image, .force = true};
	int64_t crid;

	snprintf(image, sizeof(image), "%s/image-%u", dir, number++ % 2);
	crid = ckpt_checkpoint(&self);
	if (crid > 0)
		write_down(dir, image, crid);
	else if (crid == 0)
		restarts++;
	else if (crid == -EAGAIN)
		number--;
	else {
		fprintf(stderr, "ckpt_checkpoint: %s: %s\n", strerror((int)-crid),
			error ? error : "");
		exit(2);
	}
	free(error);
}

int main(int argc, char **argv)
{
	const struct ckpt_hooks h = {.before = before, .restarted = restarted};
	pthread_t t[THREADS];
	uint64_t sum = 0;

	if (argc != 5)
		return 3;
	units = strtoul(argv[3], NULL, 10);
	if (ckpt_hooks_add(&h) < 0)
		return 4;
	for (uintptr_t i = 0; i < THREADS; i++)
		if (pthread_create(&t[i], NULL, compute, (void *)i))
			return 5;
	while (running) {
		for (unsigned long ms = strtoul(argv[4], NULL, 10); running && ms; ms--)
			usleep(1000);
		if (running)
			checkpoint(argv[1], argv[2]);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(t[i], NULL);
		sum += sums[i];
	}
	if (told_restart != restarts)
		return 6;
	printf("%" PRIu64 " %u\n", sum, restarts);
	return 0;
}
