/*
 * proc_syscall.c - see proc_syscall.h.
 */
#include "kernel/proc_syscall.h"

#include <errno.h>

#include "kernel/proc.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/str.h"

static int scan_hex(const char **p, uint64_t *ret)
{
	str_skip_blanks(p);
	if ((*p)[0] != '0' || (*p)[1] != 'x')
		return -EBADMSG;
	*p += 2;
	return str_u64(p, 16, ret) < 0 ? -EBADMSG : 0;
}

int proc_syscall_parse(const char *text, struct proc_syscall *ret)
{
	struct proc_syscall call = {.nr = -1};
	const char *p = text;
	uint64_t nr;

	if (str_startswith(text, "running") || str_startswith(text, "-1 ")) {
		*ret = call;
		return 0;
	}
	if (str_u64(&p, 10, &nr) < 0 || nr > INT32_MAX)
		return -EBADMSG;
	call.nr = (long)nr;
	for (int i = 0; i < 6; i++) {
		int r = scan_hex(&p, &call.args[i]);

		if (r < 0)
			return r;
	}
	*ret = call;
	return 0;
}

int proc_syscall_read(int procfd, pid_t tid, struct proc_syscall *ret)
{
	_cleanup_free_ char *text = NULL;
	int r = file_read_at(procfd, proc_task_path(tid, "syscall").s, &text, NULL);

	return r < 0 ? r : proc_syscall_parse(text, ret);
}
