/*
 * pidfd.h - what a victim that holds pidfds looks at.
 */
#ifndef PIDFD_H
#define PIDFD_H

#include <poll.h>

#include "victim.h"

/* The process that a pidfd leads to, as fdinfo tells it. */
static inline int pid_of(int fd)
{
	char path[64], text[1024], *at;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	victim_slurp(path, text, sizeof(text));
	at = strstr(text, "Pid:");
	CHECK(at, "fdinfo: %s", text);
	return atoi(at + 4);
}

/* A pidfd is, when its process has ended. */
static inline int readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return MUST(poll(&p, 1, 0)) && p.revents & POLLIN;
}

#endif
