/*
 * sockopt.h - what the victims of socket options share: options at values that new sockets have not, held by
 * sockets, and looked at again.
 */
#ifndef TEST_E2E_SOCKOPT_H
#define TEST_E2E_SOCKOPT_H

#include "inet.h"
#include <sys/time.h>

/* One option: what is set, and what is told of it, which is not always the same. */
struct opt {
	const char *name;
	int level, opt;
	size_t len;
	const void *value;
	int told; /* of an int; 0: what was set */
	int only; /* a type of socket; 0: any */
};

#define INT(level, opt, n)                                                                         \
	{                                                                                          \
#opt, level, opt, 4, &(const int){n }, 0, 0                                        \
	}
#define TOLD(level, opt, n, told)                                                                  \
	{                                                                                          \
#opt, level, opt, 4, &(const int){n }, told, 0                                     \
	}
#define ANY(level, opt, type, ...)                                                                 \
	{                                                                                          \
#opt, level, opt, sizeof(type), &(const type)__VA_ARGS__, 0, 0                     \
	}
#define TEXT(level, opt, text)                                                                     \
	{                                                                                          \
#opt, level, opt, sizeof(text), text, 0, 0                                         \
	}

struct bytes8 {
	unsigned char b[8];
};

#define SOCKETS_MAX 400

struct value {
	socklen_t len;
	unsigned char bytes[256];
};

static struct {
	int fd;
	const struct opt *opt;
	struct value was;
} held[SOCKETS_MAX];
static int n_held;

static inline struct value told(int fd, const struct opt *o)
{
	struct value v = {.len = sizeof(v.bytes)};

	CHECK(getsockopt(fd, o->level, o->opt, v.bytes, &v.len) == 0, "%s: %s", o->name,
		strerror(errno));
	return v;
}

/* The kernel has understood what was meant. */
static inline void hold(int fd, const struct opt *o)
{
	int n;

	CHECK(n_held < SOCKETS_MAX, "too many sockets");
	held[n_held].fd = fd;
	held[n_held].opt = o;
	held[n_held].was = told(fd, o);
	memcpy(&n, held[n_held].was.bytes, sizeof(n));
	if (o->len == 4 && held[n_held].was.len == 4 && o->told)
		CHECK(n == (o->told < 0 ? 0 : o->told), "%s: set to %d, told %d", o->name,
			*(const int *)o->value, n);
	else
		CHECK(!memcmp(held[n_held].was.bytes, o->value, o->len), "%s is not what was set",
			o->name);
	n_held++;
}

/* Older kernels take some options that they do not tell. */
static inline bool readable(int fd, const struct opt *o)
{
	struct value v = {.len = sizeof(v.bytes)};

	return getsockopt(fd, o->level, o->opt, v.bytes, &v.len) == 0 || errno != ENOPROTOOPT;
}

/* Each in a socket of its own, where this kernel and this kind of socket have it. Return: how many. */
static inline int hold_each(const struct opt *opts, size_t n, int family, int type, int protocol)
{
	int some = 0;

	for (size_t i = 0; i < n; i++) {
		int fd = socket(family, type, protocol);

		if (fd < 0)
			return 0;
		if (setsockopt(fd, opts[i].level, opts[i].opt, opts[i].value, opts[i].len) < 0) {
			CHECK(errno == ENOPROTOOPT || errno == EOPNOTSUPP || errno == EINVAL,
				"%s: %s", opts[i].name, strerror(errno));
			close(fd);
			continue;
		}
		if (!readable(fd, &opts[i])) {
			close(fd);
			continue;
		}
		hold(fd, &opts[i]);
		some++;
	}
	return some;
}

/* All of them in a socket that is there. Return: how many. */
static inline int hold_in(int fd, const struct opt *opts, size_t n)
{
	bool set[64] = {false};
	int some = 0;

	for (size_t i = 0; i < n; i++)
		set[i] =
			setsockopt(fd, opts[i].level, opts[i].opt, opts[i].value, opts[i].len) == 0;
	for (size_t i = 0; i < n; i++) {
		if (!set[i] || !readable(fd, &opts[i]))
			continue;
		hold(fd, &opts[i]);
		some++;
	}
	return some;
}

/* All of them in a new one. */
static inline void hold_all(const struct opt *opts, size_t n, int family, int type, int protocol)
{
	hold_in(MUST(socket(family, type, protocol)), opts, n);
}

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static inline void wait_and_look(void)
{
	victim_ready();
	victim_wait();
	for (int i = 0; i < n_held; i++) {
		struct value now = told(held[i].fd, held[i].opt);

		CHECK(now.len == held[i].was.len && !memcmp(now.bytes, held[i].was.bytes, now.len),
			"socket %d: %s: %u bytes %02x%02x%02x%02x, were %u bytes %02x%02x%02x%02x",
			held[i].fd, held[i].opt->name, now.len, now.bytes[0], now.bytes[1],
			now.bytes[2], now.bytes[3], held[i].was.len, held[i].was.bytes[0],
			held[i].was.bytes[1], held[i].was.bytes[2], held[i].was.bytes[3]);
	}
}

/* Of SOL_SOCKET; the last is for who can be bound to a device. */
static const struct opt sock_opts[] = {
	INT(SOL_SOCKET, SO_DEBUG, 1),
	INT(SOL_SOCKET, SO_REUSEADDR, 1),
	INT(SOL_SOCKET, SO_REUSEPORT, 1),
	INT(SOL_SOCKET, SO_DONTROUTE, 1),
	INT(SOL_SOCKET, SO_BROADCAST, 1),
	INT(SOL_SOCKET, SO_KEEPALIVE, 1),
	INT(SOL_SOCKET, SO_OOBINLINE, 1),
	INT(SOL_SOCKET, SO_NO_CHECK, 1),
	INT(SOL_SOCKET, SO_PRIORITY, 5),
	INT(SOL_SOCKET, SO_RCVLOWAT, 7),
	INT(SOL_SOCKET, SO_MARK, 0x77),
	INT(SOL_SOCKET, SO_RXQ_OVFL, 1),
	INT(SOL_SOCKET, SO_PEEK_OFF, 0x10),
	INT(SOL_SOCKET, SO_NOFCS, 1),
	INT(SOL_SOCKET, SO_SELECT_ERR_QUEUE, 1),
	INT(SOL_SOCKET, SO_BUSY_POLL, 50),
	INT(SOL_SOCKET, 69 /* SO_PREFER_BUSY_POLL */, 1),
	INT(SOL_SOCKET, SO_INCOMING_CPU, 1),
	INT(SOL_SOCKET, SO_WIFI_STATUS, 1),
	TOLD(SOL_SOCKET, 74 /* SO_TXREHASH */, 0, -1),
	INT(SOL_SOCKET, SO_ZEROCOPY, 1),
	INT(SOL_SOCKET, 75 /* SO_RCVMARK */, 1),
	INT(SOL_SOCKET, 82 /* SO_RCVPRIORITY */, 1),
	ANY(SOL_SOCKET, SO_LINGER, struct linger, {1, 9}),
	ANY(SOL_SOCKET, SO_RCVTIMEO, struct timeval, {2, 500000}),
	ANY(SOL_SOCKET, SO_SNDTIMEO, struct timeval, {3, 500000}),
	ANY(SOL_SOCKET, SO_MAX_PACING_RATE, unsigned long, {10000000000}),
	ANY(SOL_SOCKET, SO_TXTIME, struct bytes8, {{11, 0, 0, 0, 1, 0, 0, 0}}), /* CLOCK_TAI */
	TEXT(SOL_SOCKET, SO_BINDTODEVICE, "lo"),
};

#endif
