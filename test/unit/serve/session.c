/*
 * session.c - the seeds of the fuzzer (test/fuzz/session), and some thousand of their neighbours, against a session.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>

#include "../../fuzz/session_input.h"
#include "util/clock.h"

#define NEIGHBOURS_NS 300000000ULL

static uint8_t input[INPUT_LONGEST];
static uint32_t state = 1;

/* Of Marsaglia's generators the simplest: the same inputs in every run. */
static uint32_t next(void)
{
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

static size_t read_seed(const char *name)
{
	char path[300];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "test/fuzz/session/%s", name);
	f = fopen(path, "re");
	cr_assert(f, "%s: %m", path);
	n = fread(input, 1, sizeof(input), f);
	fclose(f);
	return n;
}

/* How many are left with something to do: who waits for a process that is there, or for nobody. */
Test(session, seeds)
{
	static const struct {
		const char *name;
		size_t left;
	} seeds[] = {{"local", 0}, {"batch", 0}, {"restore", 0}, {"restore_lost", 0}, {"error", 0},
		{"header", 0}, {"command", 0}, {"all", 0}, {"nested", 0}, {"wrong", 0}};

	for (size_t i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++) {
		size_t n = read_seed(seeds[i].name);

		cr_expect_eq(session_input(input, n), seeds[i].left, "%s", seeds[i].name);
	}
}

Test(session, neighbours_of_the_seeds, .timeout = 60)
{
	uint64_t until = now_ns() + NEIGHBOURS_NS;
	DIR *d = opendir("test/fuzz/session");
	struct dirent *e;

	cr_assert(d);
	while (now_ns() < until) {
		size_t n;

		e = readdir(d);
		if (!e) {
			rewinddir(d);
			continue;
		}
		if (*e->d_name == '.')
			continue;
		n = read_seed(e->d_name);
		for (uint32_t k = next() % 8 + 1; n && k > 0; k--)
			input[next() % n] = (uint8_t)next();
		session_input(input, n);
	}
	closedir(d);
}
