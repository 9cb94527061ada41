/*
 * The parser of limits: a row per limit, found by the name that the kernel prints.
 */
#include "kernel/proc_limits.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include "kernel/proc.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/str.h"

struct limit_name {
	const char *text, *name;
};

#define LIMIT(resource, text) [RLIMIT_##resource] = {text, "RLIMIT_" #resource}

static const struct limit_name names[PROC_LIMITS] = {
	LIMIT(CPU, "Max cpu time"),
	LIMIT(FSIZE, "Max file size"),
	LIMIT(DATA, "Max data size"),
	LIMIT(STACK, "Max stack size"),
	LIMIT(CORE, "Max core file size"),
	LIMIT(RSS, "Max resident set"),
	LIMIT(NPROC, "Max processes"),
	LIMIT(NOFILE, "Max open files"),
	LIMIT(MEMLOCK, "Max locked memory"),
	LIMIT(AS, "Max address space"),
	LIMIT(LOCKS, "Max file locks"),
	LIMIT(SIGPENDING, "Max pending signals"),
	LIMIT(MSGQUEUE, "Max msgqueue size"),
	LIMIT(NICE, "Max nice priority"),
	LIMIT(RTPRIO, "Max realtime priority"),
	LIMIT(RTTIME, "Max realtime timeout"),
};

const char *proc_limits_name(unsigned int resource)
{
	return resource < PROC_LIMITS ? names[resource].name : NULL;
}

static int scan_limit(const char **p, uint64_t *ret)
{
	const char *rest;

	str_skip_blanks(p);
	rest = str_startswith(*p, "unlimited");
	if (!rest)
		return str_u64(p, 10, ret);
	*p = rest;
	*ret = UINT64_MAX;
	return 0;
}

/* The limit of the line at @p, or -1; *p moves behind the name. */
static int limit_find(const char **p)
{
	int i;

	for (i = 0; i < PROC_LIMITS; i++) {
		const char *rest = str_startswith(*p, names[i].text);

		/* The columns are apart by two blanks at least, a longer name has one. */
		if (rest && rest[0] == ' ' && rest[1] == ' ') {
			*p = rest;
			return i;
		}
	}
	return -1;
}

int proc_limits_parse(const char *text, struct proc_limits *ret)
{
	struct proc_limits limits = {};
	uint32_t seen = 0;

	for (; *text; str_skip_line(&text)) {
		const char *p = text;
		int i = limit_find(&p);

		if (i < 0)
			continue;
		if (scan_limit(&p, &limits.v[i].soft) < 0 || scan_limit(&p, &limits.v[i].hard) < 0)
			return -EBADMSG;
		seen |= 1U << i;
	}
	if (seen != (1U << PROC_LIMITS) - 1)
		return -EBADMSG;
	*ret = limits;
	return 0;
}

int proc_limits_read(int procfd, struct proc_limits *ret)
{
	_cleanup_free_ char *text = NULL;
	int r = file_read_at(procfd, "limits", &text, NULL);

	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	return proc_limits_parse(text, ret);
}
