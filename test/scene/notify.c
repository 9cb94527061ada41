/*
 * A program written against libckpt that is checkpointed from outside: writes down what it is told.
 *
 *	notify LOG NOT_NOW SECTION_MS
 *
 * "Not now" so many times; first a section without a checkpoint of so many ms. Four threads have short sections
 * all the time, and none of them may be in one between what is told before a checkpoint and after it.
 */
#include <ckpt.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define THREADS 4

static int log_fd, not_now;
static atomic_int in_section, under_way;

__attribute__((format(printf, 1, 2))) static void say(const char *fmt, ...)
{
	char line[256];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (write(log_fd, line, (size_t)n) != n)
		abort();
}

static int before(void *arg)
{
	if (in_section)
		say("in a section\n");
	if (not_now > 0) {
		not_now--;
		say("not now\n");
		return -EAGAIN;
	}
	ckpt_disable(); /* it may call what others call */
	ckpt_enable();
	under_way = 1;
	say("before\n");
	return 0;
}

static void after(void *arg, int64_t result)
{
	under_way = 0;
	say("after %" PRId64 "\n", result);
}

static void restarted(void *arg, const struct ckpt_restart *r)
{
	under_way = 0;
	say("restarted %" PRIu64 " %d %d%d%d%d\n", r->crid, r->gone_ns > 0, r->host_changed,
		r->boot_changed, r->pid_changed, r->addresses_changed);
}

static void *work(void *arg)
{
	for (;;) {
		ckpt_disable();
		in_section++;
		if (under_way)
			say("told in a section\n");
		usleep(100);
		if (under_way)
			say("told in a section\n");
		in_section--;
		ckpt_enable();
		usleep(500);
	}
	return arg;
}

int main(int argc, char **argv)
{
	const struct ckpt_hooks h = {before, after, restarted, NULL};
	pthread_t t;

	if (argc != 4)
		return 3;
	log_fd = open(argv[1], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	not_now = atoi(argv[2]);
	if (log_fd < 0 || ckpt_hooks_add(&h) < 0)
		return 4;
	if (atoi(argv[3]))
		ckpt_disable();
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&t, NULL, work, NULL))
			return 5;
	say("ready\n");
	if (atoi(argv[3])) {
		usleep(1000 * (useconds_t)atoi(argv[3]));
		say("enabled\n");
		ckpt_enable();
	}
	for (;;)
		pause();
}
