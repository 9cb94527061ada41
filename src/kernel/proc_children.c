/*
 * The lists of children, and the way around them: see the header.
 */
#include "kernel/proc_children.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/proc.h"
#include "kernel/proc_stat.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/parallel.h"
#include "util/str.h"
#include "util/vec.h"

static int add(struct proc_children *c, pid_t pid)
{
	if (vec_reserve(&c->v, &c->cap, c->n + 1, sizeof(*c->v)) < 0)
		return -ENOMEM;
	c->v[c->n++] = pid;
	return 0;
}

int proc_children_of(int procfd, pid_t tid, struct proc_children *ret)
{
	_cleanup_free_ char *text = NULL;
	int r = file_read_at(procfd, proc_task_path(tid, "children").s, &text, NULL);
	const char *p = text;
	uint32_t child;

	if (r == -ESRCH)
		return 0;
	if (r == -ENOENT && faccessat(procfd, proc_task_path(tid, "stat").s, F_OK, 0) < 0)
		return 0;
	while (r == 0 && str_u32(&p, 10, &child) == 0) {
		r = add(ret, (pid_t)child);
		str_skip_blanks(&p);
	}
	return r;
}

struct reading {
	int procfd;
	const pid_t *tids;
	struct one {
		struct proc_children found;
		int err;
	} * v; /* per thread */
};

static void read_one(void *arg, size_t i)
{
	const struct reading *rd = arg;

	rd->v[i].err = proc_children_of(rd->procfd, rd->tids[i], &rd->v[i].found);
}

int proc_children_of_all(int procfd, const pid_t *tids, size_t n, struct proc_children *ret)
{
	_cleanup_free_ struct one *v = calloc(n + 1, sizeof(*v));
	int r = 0;

	if (!v)
		return -ENOMEM;
	parallel_each(n, read_one, &(struct reading){procfd, tids, v});
	for (size_t i = 0; i < n; i++) {
		r = r < 0 ? r : v[i].err;
		for (size_t k = 0; r == 0 && k < v[i].found.n; k++)
			r = add(ret, v[i].found.v[k]);
		proc_children_done(&v[i].found);
	}
	return r;
}

int proc_children_scan(pid_t pid, struct proc_children *ret)
{
	_cleanup_free_ int *all = NULL;
	size_t n = 0;
	int r = proc_numbers(AT_FDCWD, "/proc", &all, &n);

	for (size_t i = 0; r == 0 && i < n; i++) {
		_cleanup_close_ int procfd = proc_open(all[i]);
		struct proc_stat st;

		if (procfd >= 0 && proc_stat_read(procfd, 0, &st) == 0 && st.ppid == pid)
			r = add(ret, all[i]);
	}
	return r;
}

void proc_children_done(struct proc_children *c)
{
	free(c->v);
	*c = (struct proc_children){};
}

bool proc_children_any(void)
{
	siginfo_t si;

	return waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0;
}
