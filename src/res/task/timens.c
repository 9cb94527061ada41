/*
 * timens.c - the time namespace of a process: by how much its CLOCK_MONOTONIC and CLOCK_BOOTTIME
 * differ from the machine's. It has one of its own in a container, or since a restore after a
 * reboot. The namespace is made before the task is (restore/clocks.c).
 *
 * Source: time_namespaces(7), /proc/PID/timens_offsets, Linux >= 5.6.
 */
#include <errno.h>
#include <stdlib.h>

#include "kernel/timens.h"
#include "proto/timens.pb-c.h"
#include "res/task/task.h"

static int collect(struct collect *c, struct tracee *t, const struct answer *a)
{
	struct timens_offsets o = {0};
	Ckpt__TimeNs *m;
	int r = timens_read(c->proc_fd, &o);

	if (r < 0 && r != -ENOENT)
		return op_fail(
			c->op, CKPT_E_TARGET, -r, "read", NULL, "/proc/%d/timens_offsets", c->pid);
	if (!o.monotonic_ns && !o.boottime_ns)
		return 0;
	m = msg_new(Ckpt__TimeNs, CKPT__TIME_NS__INIT);
	if (!m)
		return collect_oom(c);
	m->monotonic_ns = o.monotonic_ns;
	m->boottime_ns = o.boottime_ns;
	return collect_add_take(c, &res_timens.type, c->pid, m);
}

static const char *const volatile_fields[] = {"monotonic_ns", "boottime_ns", NULL};

const struct res res_timens = {
	.type = {"timens", SCOPE_TASK, &ckpt__time_ns__descriptor, volatile_fields},
	.collect = collect,
};
