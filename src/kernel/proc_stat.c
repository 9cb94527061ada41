/*
 * The parser of stat: all numbers into one array by their field number in proc(5), then by name.
 */
#include "kernel/proc_stat.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernel/proc.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/fd.h"
#include "util/str.h"

#define FIELDS 52 /* numbered from 1; "exit_code" is the last that we use */

/* A field may be negative or above INT64_MAX: both are kept as the same 64 bits. */
static int scan_field(const char **p, uint64_t *ret)
{
	int64_t negative;
	int r;

	if (**p != '-')
		return str_u64(p, 10, ret);
	r = str_s64(p, &negative);
	if (r == 0)
		*ret = (uint64_t)negative;
	return r;
}

static void fill(struct proc_stat *s, const uint64_t *f)
{
	s->ppid = (pid_t)f[4];
	s->pgrp = (pid_t)f[5];
	s->session = (pid_t)f[6];
	s->tty_nr = (int)f[7];
	s->tpgid = (pid_t)f[8];
	s->flags = (uint32_t)f[9];
	s->utime_ticks = f[14];
	s->stime_ticks = f[15];
	s->nice = (int)f[19];
	s->num_threads = (uint32_t)f[20];
	s->starttime_ticks = f[22];
	s->vsize_bytes = f[23];
	s->start_code = f[26];
	s->end_code = f[27];
	s->start_stack = f[28];
	s->exit_signal = (int)f[38];
	s->processor = (int)f[39];
	s->rt_priority = (uint32_t)f[40];
	s->policy = (uint32_t)f[41];
	s->start_data = f[45];
	s->end_data = f[46];
	s->start_brk = f[47];
	s->arg_start = f[48];
	s->arg_end = f[49];
	s->env_start = f[50];
	s->env_end = f[51];
	s->exit_code = (int)f[52];
}

int proc_stat_parse(const char *text, struct proc_stat *ret)
{
	const char *p = text, *comm, *end = strrchr(text, ')');
	uint64_t fields[FIELDS + 1] = {};
	struct proc_stat s = {};
	int i;

	if (str_int(&p, &s.pid) < 0 || p[0] != ' ' || p[1] != '(')
		return -EBADMSG;
	comm = p + 2;
	if (!end || end < comm || (size_t)(end - comm) >= sizeof(s.comm))
		return -EBADMSG;
	memcpy(s.comm, comm, (size_t)(end - comm));
	if (end[1] != ' ' || end[2] == '\0')
		return -EBADMSG;
	s.state = end[2];
	p = end + 3;
	for (i = 4; i <= FIELDS; i++) {
		if (*p++ != ' ' || scan_field(&p, &fields[i]) < 0)
			return -EBADMSG;
	}
	fill(&s, fields);
	*ret = s;
	return 0;
}

int proc_stat_read(int procfd, pid_t tid, struct proc_stat *ret)
{
	_cleanup_free_ char *text = NULL;
	int r = file_read_at(procfd, proc_task_path(tid, "stat").s, &text, NULL);

	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	return proc_stat_parse(text, ret);
}

int proc_stat_of(pid_t pid, struct proc_stat *ret)
{
	_cleanup_close_ int procfd = proc_open(pid);

	return procfd < 0 ? procfd : proc_stat_read(procfd, 0, ret);
}

/* Return: whether some thread of it runs, or is about to. */
static bool some_runs(int procfd)
{
	_cleanup_free_ pid_t *tids = NULL;
	bool runs = false;
	size_t n = 0;

	if (procfd < 0 || proc_tasks(procfd, &tids, &n) < 0)
		return false;
	for (size_t i = 0; i < n && !runs; i++) {
		struct proc_stat st;

		runs = proc_stat_read(procfd, tids[i], &st) == 0 && !strchr("TZX", st.state) &&
		       !(st.flags & PROC_PF_IO_WORKER);
	}
	return runs;
}

int proc_stat_until_stopped(pid_t pid, uint64_t deadline_ns)
{
	const struct timespec doze = {.tv_nsec = 50000};
	_cleanup_close_ int procfd = proc_open(pid);

	while (some_runs(procfd)) {
		if (now_ns() > deadline_ns)
			return -ETIMEDOUT;
		nanosleep(&doze, NULL);
	}
	return 0;
}
