/*
 * clocks.c - see clocks.h.
 */
#include "restore/clocks.h"

#include <stdlib.h>
#include <string.h>

#include "kernel/boot_id.h"
#include "kernel/probe.h"
#include "kernel/proc.h"
#include "proto/timens.pb-c.h"
#include "res/task/task.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/units.h"

#define SAME_ENOUGH 1000000LL /* ns; less is not worth a namespace */

struct timens_offsets clocks_offsets(
	const Ckpt__Manifest *m, const struct timens_offsets *was, const struct clocks_now *now)
{
	if (strcmp(m->boot_id, now->boot_id) == 0)
		return *was;
	return (struct timens_offsets){
		.monotonic_ns =
			(int64_t)m->monotonic_ns + was->monotonic_ns - now->machine.monotonic_ns,
		.boottime_ns =
			(int64_t)m->boottime_ns + was->boottime_ns - now->machine.boottime_ns};
}

/* Our own clocks, without our own time namespace. */
static struct timens_offsets own_offsets(void)
{
	_cleanup_close_ int fd = proc_open(0);
	struct timens_offsets o = {0};

	if (fd < 0 || timens_read(fd, &o) < 0)
		return (struct timens_offsets){0};
	return o;
}

uint64_t clocks_away_ns(const Ckpt__Manifest *m)
{
	int64_t then = (int64_t)m->created_ns, now = (int64_t)clock_ns(CLOCK_REALTIME);
	char boot_id[BOOT_ID_LEN];

	boot_id_read(boot_id);
	if (*boot_id && strcmp(m->boot_id, boot_id) == 0) {
		then = (int64_t)m->boottime_ns;
		now = (int64_t)clock_ns(CLOCK_BOOTTIME) - own_offsets().boottime_ns;
	}
	return now > then ? (uint64_t)(now - then) : 0;
}

static void warn(const struct plan *p, const struct timens_offsets *o)
{
	char text[UNITS_LEN];
	int64_t by = o->monotonic_ns;

	op_warn(p->op,
		"CLOCK_MONOTONIC jumps %s by %s, and absolute deadlines with it: a time namespace would "
		"help, which takes Linux 5.6, CAP_SYS_ADMIN and CAP_SYS_TIME",
		by > 0 ? "backwards" : "forwards", time_text((uint64_t)(by > 0 ? by : -by), text));
}

static bool is_near(int64_t a, int64_t b)
{
	return llabs(a - b) < SAME_ENOUGH;
}

int clocks_plan(
	const struct plan *p, const Ckpt__Manifest *m, pid_t pid, struct timens_offsets *ret)
{
	const Ckpt__TimeNs *rec = model_get(p->model, &res_timens.type, pid);
	struct timens_offsets own = own_offsets(), was = {0}, o;
	char boot_id[BOOT_ID_LEN];
	struct clocks_now now = {.machine = {(int64_t)clock_ns(CLOCK_MONOTONIC) - own.monotonic_ns,
					 (int64_t)clock_ns(CLOCK_BOOTTIME) - own.boottime_ns}};

	boot_id_read(boot_id);
	if (!*boot_id)
		return 0;
	now.boot_id = boot_id;
	if (rec)
		was = (struct timens_offsets){rec->monotonic_ns, rec->boottime_ns};
	o = clocks_offsets(m, &was, &now);
	if (is_near(o.monotonic_ns, own.monotonic_ns) && is_near(o.boottime_ns, own.boottime_ns))
		return 0;
	if (!kernel_has(FEATURE_TIME_NAMESPACE)) {
		o.monotonic_ns -= own.monotonic_ns;
		warn(p, &o);
		return 0;
	}
	op_info(p->op, "pid %d gets a time namespace: its clocks go on %s", pid,
		strcmp(m->boot_id, now.boot_id) == 0 ? "with the offsets that they had"
						     : "from the dump, which was of another boot");
	*ret = o;
	return 1;
}
