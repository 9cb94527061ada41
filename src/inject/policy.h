/*
 * policy.h - which system calls a thread's seccomp state lets it make.
 *
 * A call that a filter forbids kills the thread, or the process, as surely when it is injected as
 * when the program makes it. So the filters are fetched and run on every call that is intended; what
 * they don't allow is not made.
 */
#ifndef CKPT_INJECT_POLICY_H
#define CKPT_INJECT_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/filter.h>

struct tracees;

struct policy_filter {
	struct sock_filter *v;
	size_t n;
};

struct policy {
	enum { POLICY_NONE, POLICY_STRICT, POLICY_FILTERS, POLICY_UNKNOWN } kind;
	struct policy_filter *filters; /* owned */
	size_t n;
	char *status; /* owned: the text of /proc/PID/task/TID/status that told it, as of the stop */
};

/**
 * policy_load() - learn the seccomp state of all threads, which are held, into their policy
 * Filters that can't be read (no CAP_SYS_ADMIN) make it POLICY_UNKNOWN, which allows nothing.
 * Return: 0; -ENOMEM; -errno of reading /proc
 * Source: PTRACE_SECCOMP_GET_FILTER, Linux >= 4.4.
 */
int policy_load(struct tracees *tr);

void policy_done(struct policy *p);

/** policy_allows() - whether the thread may make a call; @ip: of the instruction behind it */
bool policy_allows(const struct policy *p, uint64_t ip, long nr, const uint64_t args[6]);

#endif
