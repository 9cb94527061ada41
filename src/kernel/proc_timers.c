/*
 * The parser of timers: four lines per timer, of which "ID:" begins one.
 */
#include "kernel/proc_timers.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

#include "kernel/proc.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/str.h"
#include "util/vec.h"

/* "14/0000000000000000", signal and value */
static int scan_signal(const char *p, struct proc_timer *t)
{
	if (str_int(&p, &t->sigev_signo) < 0 || *p++ != '/')
		return -EBADMSG;
	/* The kernel prints a null pointer as "(null)" where pointers are hidden. */
	if (str_startswith(p, "(null)"))
		return 0;
	return str_u64(&p, 16, &t->sigev_value);
}

/* "signal/pid.865", "thread/pid.865", "none/pid.865", "signal/tid.866" */
static int scan_notify(const char *p, struct proc_timer *t)
{
	static const struct {
		const char *text;
		int notify;
	} kinds[] = {
		{"signal/", SIGEV_SIGNAL},
		{"none/", SIGEV_NONE},
		{"thread/", SIGEV_THREAD},
	};
	const char *rest = NULL, *target;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds) && !rest; i++) {
		rest = str_startswith(p, kinds[i].text);
		t->sigev_notify = kinds[i].notify;
	}
	if (!rest)
		return -EBADMSG;
	target = str_startswith(rest, "pid.");
	if (!target) {
		target = str_startswith(rest, "tid.");
		t->sigev_notify |= SIGEV_THREAD_ID;
	}
	return target ? str_int(&target, &t->target) : -EBADMSG;
}

/* One line; unknown ones are skipped. @seen has a bit per line of the timer. */
static int scan_line(const char *line, struct proc_timer *t, unsigned int *seen)
{
	const char *p;

	p = str_startswith(line, "signal: ");
	if (p) {
		*seen |= 1;
		return scan_signal(p, t);
	}
	p = str_startswith(line, "notify: ");
	if (p) {
		*seen |= 2;
		return scan_notify(p, t);
	}
	p = str_startswith(line, "ClockID: ");
	if (p) {
		*seen |= 4;
		return str_int(&p, &t->clock);
	}
	return 0;
}

static int id_compare(const void *a, const void *b)
{
	const struct proc_timer *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

int proc_timers_parse(const char *text, struct proc_timer **ret, size_t *ret_n)
{
	_cleanup_free_ struct proc_timer *v = NULL;
	size_t n = 0, cap = 0;
	unsigned int seen = 7;

	for (; *text; str_skip_line(&text)) {
		const char *p = str_startswith(text, "ID: ");

		if (p) {
			if (seen != 7)
				return -EBADMSG;
			if (vec_reserve(&v, &cap, n + 1, sizeof(*v)) < 0)
				return -ENOMEM;
			v[n] = (struct proc_timer){};
			if (str_int(&p, &v[n++].id) < 0)
				return -EBADMSG;
			seen = 0;
		} else if (n == 0 || scan_line(text, &v[n - 1], &seen) < 0) {
			return -EBADMSG;
		}
	}
	if (seen != 7)
		return -EBADMSG;
	if (n > 0)
		qsort(v, n, sizeof(*v), id_compare);
	*ret = TAKE_PTR(v);
	*ret_n = n;
	return 0;
}

int proc_timers_read(int procfd, struct proc_timer **ret, size_t *ret_n)
{
	_cleanup_free_ char *text = NULL;
	int r = file_read_at(procfd, "timers", &text, NULL);

	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	return proc_timers_parse(text, ret, ret_n);
}
