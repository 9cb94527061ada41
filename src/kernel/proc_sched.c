/*
 * The one line of sched that we use: "se.exec_start   :   1230695.959014", milliseconds with the
 * nanoseconds as six digits.
 */
#include "kernel/proc_sched.h"

#include <errno.h>

#include "kernel/proc.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/fd.h"
#include "util/str.h"

static int scan_ms(const char *p, uint64_t *ret)
{
	const char *fraction;
	uint64_t ms, ns;

	str_skip_blanks(&p);
	if (*p++ != ':')
		return -EBADMSG;
	str_skip_blanks(&p);
	if (str_u64(&p, 10, &ms) < 0 || *p++ != '.')
		return -EBADMSG;
	fraction = p;
	if (str_u64(&p, 10, &ns) < 0 || p - fraction != 6)
		return -EBADMSG;
	if (__builtin_mul_overflow(ms, NS_PER_MS, &ms) || __builtin_add_overflow(ms, ns, ret))
		return -EBADMSG;
	return 0;
}

int proc_sched_parse(const char *text, uint64_t *ret_exec_start_ns)
{
	/* The first line is the program's name, which is not escaped and may hold a newline: a line
	 * that does not scan may be the rest of it. Its 15 characters cannot hold a number. */
	str_skip_line(&text);
	for (; *text; str_skip_line(&text)) {
		const char *p = str_startswith(text, "se.exec_start");
		uint64_t ns;

		if (!p || scan_ms(p, &ns) < 0)
			continue;
		*ret_exec_start_ns = ns;
		return 0;
	}
	return -EBADMSG;
}

int proc_sched_switches(const char *text, uint64_t *ret)
{
	str_skip_line(&text);
	for (; *text; str_skip_line(&text)) {
		const char *p = str_startswith(text, "nr_voluntary_switches");

		if (!p)
			continue;
		str_skip_blanks(&p);
		if (*p++ != ':')
			continue;
		str_skip_blanks(&p);
		if (str_u64(&p, 10, ret) == 0 && *p == '\n')
			return 0;
	}
	return -EBADMSG;
}

int proc_sched_read(int procfd, pid_t tid, uint64_t *ret_exec_start_ns)
{
	_cleanup_free_ char *text = NULL;
	int r = file_read_at(procfd, proc_task_path(tid, "sched").s, &text, NULL);

	return r < 0 ? r : proc_sched_parse(text, ret_exec_start_ns);
}
