/*
 * timerfd.c - timers that are files.
 *
 * timerfd_gettime on a duplicate tells what is left and, as it does for any caller, counts the
 * expirations of a periodic timer that were not yet counted; then fdinfo tells the unread ones
 * (Linux >= 3.17). A timer that was armed with a relative time goes on with what was left; one that
 * was armed with an absolute time expires at that time. It is armed last, by the task itself, so
 * that the restore does not eat up what is left.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "kernel/fdinfo.h"
#include "proto/fdtable.pb-c.h"
#include "proto/timerfd.pb-c.h"
#include "res/file/files.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/str.h"

#define DUE_WAIT_NS 200000L
#define DUE_TRIES   50

#ifndef TFD_IOC_SET_TICKS
#define TFD_IOC_SET_TICKS _IOW('T', 0, uint64_t) /* 3.17; in <linux/timerfd.h> */
#endif

static bool match(const struct file_look *l)
{
	return strcmp(l->link, "anon_inode:[timerfd]") == 0;
}

static int line(char *key, char *value, void *arg)
{
	Ckpt__TimerFd *m = arg;
	const char *p = value;

	if (strcmp(key, "clockid") == 0)
		return str_int(&p, &m->clock);
	if (strcmp(key, "ticks") == 0)
		return str_u64(&p, 10, &m->ticks);
	if (strcmp(key, "settime flags") == 0)
		return str_u32(&p, 8, &m->settime_flags);
	return 0;
}

static uint64_t to_ns(const struct timespec *ts)
{
	return (uint64_t)ts->tv_sec * NS_PER_S + (uint64_t)ts->tv_nsec;
}

/* Alarm clocks run as those without the alarm do, which anybody can read. */
static clockid_t base_clock(int clock)
{
	if (clock == CLOCK_REALTIME_ALARM)
		return CLOCK_REALTIME;
	return clock == CLOCK_BOOTTIME_ALARM ? CLOCK_BOOTTIME : clock;
}

/*
 * A periodic timer that is due, but whose interrupt has not come yet, shows nothing left, as one does
 * that is off. The interrupt comes in a moment, and then the next period is shown.
 */
static int get(int fd, struct itimerspec *ret)
{
	const struct timespec moment = {.tv_nsec = DUE_WAIT_NS};

	for (int tries = 0;; tries++) {
		if (timerfd_gettime(fd, ret) < 0)
			return -errno;
		if (to_ns(&ret->it_value) || !to_ns(&ret->it_interval) || tries == DUE_TRIES)
			return 0;
		nanosleep(&moment, NULL);
	}
}

static int collect(struct collect *c, uint64_t id, const struct file_look *l)
{
	Ckpt__TimerFd *m = msg_new(Ckpt__TimerFd, CKPT__TIMER_FD__INIT);
	struct itimerspec it;
	struct timespec now = {0};
	struct fdinfo info;
	int r;

	if (!m)
		return collect_oom(c);
	r = get(l->fd, &it);
	if (r == 0)
		r = fdinfo_read(c->proc_fd, l->target_fd, &info, line, m);
	if (r < 0) {
		free(m);
		return op_fail(c->op, CKPT_E_SYSTEM, -r, "timerfd_gettime", NULL,
			"pid %d (%s): fd %d", c->pid, c->tr->comm, l->target_fd);
	}
	m->value_ns = to_ns(&it.it_value);
	m->interval_ns = to_ns(&it.it_interval);
	if (m->value_ns && m->settime_flags & TFD_TIMER_ABSTIME) {
		clock_gettime(base_clock(m->clock), &now);
		m->expires_ns = to_ns(&now) + m->value_ns;
	}
	return collect_add_take(c, &res_timerfd.type, id, m);
}

static int open_timerfd(
	struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record)
{
	const Ckpt__TimerFd *m = (const void *)rec->msg;
	const Ckpt__File *f = file_record;
	int fd = timerfd_create(
		m->clock, TFD_CLOEXEC | (f && f->flags & O_NONBLOCK ? TFD_NONBLOCK : 0));

	(void)id;
	if (fd < 0)
		return op_fail(o->op, errno == EPERM ? CKPT_E_PRIVILEGE : CKPT_E_SYSTEM, errno,
			"timerfd_create", errno == EPERM ? "needs CAP_WAKE_ALARM" : NULL,
			"a timerfd of clock %d", m->clock);
	return fd;
}

static struct timespec from_ns(uint64_t ns)
{
	return (struct timespec){
		.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
}

static void plan(struct plan *p, enum plan_phase phase, const struct model_rec *rec, int fd,
	struct prog *prog)
{
	const Ckpt__TimerFd *m = (const void *)rec->msg;
	bool absolute = m->settime_flags & TFD_TIMER_ABSTIME && m->expires_ns;
	struct itimerspec it = {.it_value = from_ns(absolute ? m->expires_ns : m->value_ns),
		.it_interval = from_ns(m->interval_ns)};
	uint32_t flags =
		absolute || !m->value_ns ? m->settime_flags : m->settime_flags & ~TFD_TIMER_ABSTIME;

	(void)p;
	if (phase != PLAN_LATE)
		return;
	/* before the ticks: arming forgets them */
	if (m->value_ns || flags) {
		PROG_CALL(prog, "timerfd: arm", SYS_timerfd_settime, IMM(fd), IMM(flags),
			DATA(prog_data(prog, &it, sizeof(it))), IMM(0));
		prog_object(prog, "fd %d", fd);
	}
	if (m->ticks) {
		PROG_CALL(prog, "timerfd: unread expirations", SYS_ioctl, IMM(fd),
			IMM(TFD_IOC_SET_TICKS), DATA(prog_data(prog, &m->ticks, sizeof(m->ticks))));
		prog_object(prog, "fd %d", fd);
	}
}

static const struct file_ops ops = {
	.match = match, .collect = collect, .open = open_timerfd, .plan = plan};
static const char *const volatile_fields[] = {"value_ns", "ticks", "expires_ns", NULL};

const struct res res_timerfd = {
	.type = {"timerfd", SCOPE_FILE, &ckpt__timer_fd__descriptor, volatile_fields},
	.file = &ops,
};
