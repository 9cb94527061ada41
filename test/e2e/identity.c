/*
 * Holds: what /proc says of the program itself: command line, environment, auxiliary vector, exe, pid,
 * thread ids, parent's session and group. The second variant has written over its argv, as daemons do
 * that show a status there.
 * Shows: Memory: "exe link, argv, environ, auxv, brk bounds (PR_SET_MM_MAP)".
 * e2e: args: plain title
 * e2e: exec: yes
 */
#include "victim.h"

struct identity {
	char cmdline[1024], environ[4096], auxv[1024], exe[1024], mm[512];
	size_t cmdline_len, environ_len, auxv_len;
	pid_t pid, tid, sid, pgid;
};

/* Fields 26..28 and 45..51 of stat: code, stack, data, brk, argument and environment bounds. */
static void identity_mm(char *ret, size_t size)
{
	char text[2048], *at, *save = NULL;
	int field = 3;

	victim_slurp("/proc/self/stat", text, sizeof(text));
	at = strtok_r(strrchr(text, ')') + 2, " \n", &save);
	for (ret[0] = 0; at; at = strtok_r(NULL, " \n", &save), field++)
		if ((field >= 26 && field <= 28) || (field >= 45 && field <= 51))
			snprintf(ret + strlen(ret), size - strlen(ret), "%d=%s ", field, at);
}

static void identity_get(struct identity *ret)
{
	ssize_t n;

	memset(ret, 0, sizeof(*ret));
	ret->cmdline_len = victim_slurp("/proc/self/cmdline", ret->cmdline, sizeof(ret->cmdline));
	ret->environ_len = victim_slurp("/proc/self/environ", ret->environ, sizeof(ret->environ));
	ret->auxv_len = victim_slurp("/proc/self/auxv", ret->auxv, sizeof(ret->auxv));
	n = readlink("/proc/self/exe", ret->exe, sizeof(ret->exe) - 1);
	CHECK(n > 0, "exe: %s", strerror(errno));
	identity_mm(ret->mm, sizeof(ret->mm));
	ret->pid = getpid();
	ret->tid = syscall(SYS_gettid);
	ret->sid = getsid(0);
	ret->pgid = getpgrp();
}

static void identity_check(const struct identity *a, const struct identity *b)
{
	CHECK(a->cmdline_len == b->cmdline_len && !memcmp(a->cmdline, b->cmdline, a->cmdline_len),
		"cmdline: expected '%s' (%zu), got '%s' (%zu)", a->cmdline, a->cmdline_len,
		b->cmdline, b->cmdline_len);
	CHECK(a->environ_len == b->environ_len && !memcmp(a->environ, b->environ, a->environ_len),
		"environ: expected '%s' (%zu), got '%s' (%zu)", a->environ, a->environ_len,
		b->environ, b->environ_len);
	CHECK(a->auxv_len == b->auxv_len && !memcmp(a->auxv, b->auxv, a->auxv_len),
		"auxv: %zu bytes differ from %zu bytes", a->auxv_len, b->auxv_len);
	CHECK(strcmp(a->exe, b->exe) == 0, "exe: expected %s, got %s", a->exe, b->exe);
	CHECK(strcmp(a->mm, b->mm) == 0, "bounds: expected %s, got %s", a->mm, b->mm);
	CHECK(victim_now(a->pid) == b->pid && victim_now(a->tid) == b->tid,
		"pid: expected %d %d, got %d %d", a->pid, a->tid, b->pid, b->tid);
	CHECK(victim_now(a->sid) == b->sid && victim_now(a->pgid) == b->pgid,
		"session and group: expected %d %d, got %d %d", a->sid, a->pgid, b->sid, b->pgid);
}

int main(int argc, char **argv)
{
	static struct identity before, after;

	victim_init(argc, argv);
	if (argc > 1 && strcmp(argv[1], "title") == 0) {
		size_t len = strlen(argv[0]);

		snprintf(argv[0], len + 1, "%-*s", (int)len, "worker");
	}
	identity_get(&before);
	victim_ready();
	victim_wait();
	identity_get(&after);
	identity_check(&before, &after);
	return 0;
}
