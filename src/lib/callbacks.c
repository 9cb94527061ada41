/*
 * callbacks.c - see callbacks.h. The lists and locks of a whole program: the one part of the library that is not per
 * operation.
 */
#include "lib/callbacks.h"

#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "ckpt.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/vec.h"

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t sections = PTHREAD_RWLOCK_INITIALIZER;
static pthread_once_t forks = PTHREAD_ONCE_INIT;
static struct ckpt_hooks *hooks;
static size_t n_hooks, cap_hooks;
static __thread bool
	entered; /* by this thread, which may call what it likes from a function of its own */

/* In a child: the threads that held them are not there. */
static void locks_anew(void)
{
	pthread_mutex_init(&one_at_a_time, NULL);
	pthread_rwlock_init(&sections, NULL);
	entered = false;
}

static void watch_forks(void)
{
	pthread_atfork(NULL, NULL, locks_anew);
}

/* ------------------------------------------------------------------ one at a time */

static struct timespec ms_from_now(unsigned ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += ms % 1000 * 1000000L;
	if (t.tv_nsec >= 1000000000L) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000L;
	}
	return t;
}

int callbacks_enter(unsigned ms)
{
	struct timespec until = ms_from_now(ms);
	int r = -(ms ? pthread_mutex_clocklock(&one_at_a_time, CLOCK_MONOTONIC, &until)
		     : pthread_mutex_lock(&one_at_a_time));

	if (r < 0)
		return r;
	until = ms_from_now(ms);
	r = -(ms ? pthread_rwlock_clockwrlock(&sections, CLOCK_MONOTONIC, &until)
		 : pthread_rwlock_wrlock(&sections));
	if (r < 0)
		pthread_mutex_unlock(&one_at_a_time);
	entered = r == 0;
	return r;
}

void callbacks_leave(void)
{
	entered = false;
	pthread_rwlock_unlock(&sections);
	pthread_mutex_unlock(&one_at_a_time);
}

/* A program without such a thread has sections all the same: its own checkpoints wait. */
void ckpt_disable(void)
{
	if (entered)
		return;
	pthread_once(&forks, watch_forks);
	listen_begin();
	pthread_rwlock_rdlock(&sections);
}

void ckpt_enable(void)
{
	if (!entered)
		pthread_rwlock_unlock(&sections);
}

/* ------------------------------------------------------------------ who is told */

int ckpt_hooks_add(const struct ckpt_hooks *h)
{
	int r;

	pthread_once(&forks, watch_forks);
	r = listen_begin();
	if (r < 0)
		return r;
	pthread_mutex_lock(&one_at_a_time);
	r = vec_reserve(&hooks, &cap_hooks, n_hooks + 1, sizeof(*hooks));
	if (r == 0)
		hooks[n_hooks++] = *h;
	pthread_mutex_unlock(&one_at_a_time);
	return r;
}

/* Those that were told are told of a failure, too. */
int callbacks_before(void)
{
	for (size_t i = 0; i < n_hooks; i++) {
		int r = hooks[i].before ? hooks[i].before(hooks[i].arg) : 0;

		if (r == 0)
			continue;
		while (i-- > 0)
			if (hooks[i].after)
				hooks[i].after(hooks[i].arg, r < 0 ? r : -EAGAIN);
		return r < 0 ? r : -EAGAIN;
	}
	return 0;
}

/* The last one first, as they may build on each other. */
void callbacks_after(int64_t result)
{
	for (size_t i = n_hooks; i-- > 0;)
		if (hooks[i].after)
			hooks[i].after(hooks[i].arg, result);
}

void callbacks_restarted(const struct place *then, uint64_t crid)
{
	struct ckpt_restart r = {.crid = crid};
	struct place now;

	place_read(&now);
	r.gone_ns = (now.at.tv_sec - then->at.tv_sec) * 1000000000LL +
		    (now.at.tv_nsec - then->at.tv_nsec);
	r.host_changed = strcmp(now.host.nodename, then->host.nodename) != 0;
	r.boot_changed = strcmp(now.boot_id, then->boot_id) != 0;
	r.pid_changed = now.pid != then->pid;
	r.addresses_changed = now.addresses != then->addresses;
	for (size_t i = n_hooks; i-- > 0;)
		if (hooks[i].restarted)
			hooks[i].restarted(hooks[i].arg, &r);
}

/* ------------------------------------------------------------------ where we are */

/* FNV-1a of one address. */
static uint64_t address_hash(const void *address, size_t len)
{
	const uint8_t *p = address;
	uint64_t h = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 0x100000001b3ULL;
	return h;
}

/* A sum, as their order means nothing. */
static uint64_t addresses_sum(void)
{
	struct ifaddrs *all = NULL;
	uint64_t sum = 0;

	if (getifaddrs(&all) < 0)
		return 0;
	for (const struct ifaddrs *a = all; a; a = a->ifa_next) {
		const struct sockaddr *s = a->ifa_addr;

		if (!s || a->ifa_flags & IFF_LOOPBACK)
			continue;
		if (s->sa_family == AF_INET)
			sum += address_hash(
				&((const struct sockaddr_in *)s)->sin_addr, sizeof(struct in_addr));
		else if (s->sa_family == AF_INET6)
			sum += address_hash(&((const struct sockaddr_in6 *)s)->sin6_addr,
				sizeof(struct in6_addr));
	}
	freeifaddrs(all);
	return sum;
}

void place_read(struct place *p)
{
	*p = (struct place){.pid = getpid(), .addresses = addresses_sum()};
	clock_gettime(CLOCK_REALTIME, &p->at);
	uname(&p->host);
	boot_id_read(p->boot_id);
}
