/*
 * store.c - checkpoint ids, and the directory where images go that were given no other.
 */
#include "image/image.h"

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/clock.h"

#define CRID_RANDOM_BITS 10

/*
 * Nanoseconds since 1970 fit into 63 bits until the year 2262. The low bits are random instead, so
 * that two runs in the same microsecond differ; within this process every id is larger than the
 * last one, also where the clock was set back.
 */
uint64_t image_crid_new(void)
{
	static _Atomic uint64_t last;
	uint64_t mask = (1 << CRID_RANDOM_BITS) - 1, id, prev;
	uint16_t random = 0;

	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
		random = (uint16_t)getpid();
	id = clock_ns(CLOCK_REALTIME);
	id = ((id & ~mask) | (random & mask)) & INT64_MAX;
	prev = atomic_load(&last);
	do {
		if (id <= prev)
			id = prev + 1;
	} while (!atomic_compare_exchange_weak(&last, &prev, id));
	return id;
}

/* Return: 0 and the user's home directory, caller frees; -errno. */
static int home_dir(char **ret)
{
	const char *home = secure_getenv("HOME");
	struct passwd pw, *found = NULL;
	char buf[4096];

	if (!home || *home != '/') {
		if (getpwuid_r(geteuid(), &pw, buf, sizeof(buf), &found) != 0 || !found)
			return -ENOENT;
		home = pw.pw_dir;
	}
	*ret = strdup(home);
	return *ret ? 0 : -ENOMEM;
}

int image_store_dir(struct ckpt_op *op, uint64_t crid, char **ret)
{
	const char *state = secure_getenv("XDG_STATE_HOME");
	_cleanup_free_ char *home = NULL;
	int n, r;

	if (geteuid() == 0) {
		n = asprintf(ret, "/var/lib/ckpt/%" PRIu64, crid);
	} else if (state && *state == '/') {
		n = asprintf(ret, "%s/ckpt/%" PRIu64, state, crid);
	} else {
		r = home_dir(&home);
		if (r < 0)
			return op_fail(op, CKPT_E_USAGE, -r, NULL,
				"set XDG_STATE_HOME or HOME, or give a directory with -D",
				"the store: the user %d has no home directory", (int)geteuid());
		n = asprintf(ret, "%s/.local/state/ckpt/%" PRIu64, home, crid);
	}
	return n < 0 ? op_fail_errno(op, ENOMEM, NULL, "the store") : 0;
}
