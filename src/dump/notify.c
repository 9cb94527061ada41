/*
 * notify.c - see notify.h.
 *
 * A program answers CKPT by ignoring that signal. That can be seen in /proc, so it takes no right to send us
 * anything, no knowledge of who asks, and every language can do it; and the kernel drops what is pending of a
 * signal that is ignored. Not to answer is "not now": who has taken the signal and not answered is asked
 * again. A program that ignores CKPT and takes THAW may be ready since a checkpoint of which it was never told
 * the end: it is told that there is none, and is then given a moment to take CKPT again.
 *
 * The thread of libckpt answers in its page, see notify_page.h.
 */
#include "dump/notify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "dump/notify_guard.h"
#include "dump/notify_page.h"
#include "kernel/pidfd.h"
#include "kernel/proc.h"
#include "kernel/proc_stat.h"
#include "kernel/proc_status.h"
#include "kernel/sig_fate.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/fd.h"
#include "util/vec.h"

#define WAIT_MS_DEFAULT 10000
#define DOZE_NS         20000ULL /* between looks: at first, then twice as long each time */
#define DOZE_MAX_NS     (2 * NS_PER_MS)
#define AGAIN_NS        (50 * NS_PER_MS) /* after a "not now" of libckpt; then twice as long each time */
#define AGAIN_DOUBLINGS 3
#define AGAIN_MAX_NS    (400 * NS_PER_MS)
#define SILENT_NS       (1000 * NS_PER_MS) /* after no answer by signals */
#define THAW_NS         (200 * NS_PER_MS)  /* to wait for THAW again */
#define LOST_NS         (500 * NS_PER_MS)
#define HEAR_NS         (100 * NS_PER_MS)
#define REST_NS         (5 * NS_PER_MS)
#define REARM_NS        (200 * NS_PER_MS) /* to take CKPT again */

struct notified {
	pid_t pid, tid; /* tid: of libckpt's thread; 0: told by the two signals */
	int proc_fd, pidfd;
	char comm[64];
	uintptr_t page;
	int signo;  /* of libckpt's thread */
	bool ready; /* or gone: nothing has to be waited for */
	bool gone;  /* it has ended, or is another program now */
	bool told;  /* so it is to be told what came of it */
	bool thaws; /* it took THAW before */
	unsigned asked;
	int said; /* errno of its last "not now"; 0: nothing */
	enum notify_doing doing;
	uint64_t again_ns; /* when it is asked next */
	uint64_t rest_ns;  /* until when it may come to rest, when it has answered; 0: it has not */
	uint64_t
		lost_ns; /* when it will have been seen not to take CKPT for long; 0: it takes it */
	uint64_t rearm_ns; /* until when it may take CKPT again; 0: it takes it */
};

/* ------------------------------------------------------------------ who */

/* It takes no part, or no longer. */
static void forget(struct notified *e)
{
	e->gone = e->ready = true;
}

static struct notified *add(struct notify *n, pid_t pid)
{
	struct notified *e;
	struct proc_stat st;
	int proc_fd = proc_open(pid);

	if (proc_fd < 0 || vec_reserve(&n->v, &n->cap, n->n + 1, sizeof(*n->v)) < 0)
		return NULL;
	e = &n->v[n->n];
	*e = (struct notified){.pid = pid, .proc_fd = proc_fd, .pidfd = pidfd_of(pid)};
	if (e->pidfd < 0 || proc_stat_read(proc_fd, 0, &st) < 0) {
		fd_close(e->pidfd);
		fd_close(proc_fd);
		return NULL;
	}
	memcpy(e->comm, st.comm, sizeof(e->comm));
	n->n++;
	if (strchr("TtZX", st.state)) /* it could neither answer nor be told before it goes on */
		forget(e);
	if (st.state == 'T')
		op_info(n->op, "pid %d (%s) is stopped: it is not told", pid, e->comm);
	return e;
}

/* Return: 0; -ESRCH; -EFAULT; -EBADMSG it is no such page */
static int page_read(const struct notified *e, struct notify_page *ret)
{
	struct iovec local = {ret, sizeof(*ret)}, remote = {(void *)e->page, sizeof(*ret)};
	ssize_t n = process_vm_readv(e->pid, &local, 1, &remote, 1, 0);

	if (n < 0)
		return -errno;
	return (size_t)n == sizeof(*ret) && ret->magic == NOTIFY_MAGIC &&
			       ret->version == NOTIFY_VERSION && ret->signo >= 1 &&
			       ret->signo < NSIG
		       ? 0
		       : -EBADMSG;
}

/* With libckpt; not if it takes this very checkpoint of itself, as it is told within. */
static void add_listener(struct notify *n, const struct preflight_listener *l)
{
	struct notified *e = add(n, l->pid);
	struct notify_page page;

	if (!e)
		return;
	e->page = l->page;
	e->tid = l->tid;
	if (page_read(e, &page) < 0) { /* its name says so by chance */
		fd_close(e->pidfd);
		fd_close(e->proc_fd);
		n->n--;
	} else if (page.self_crid == n->crid) {
		forget(e);
	} else {
		e->signo = page.signo;
	}
}

static bool is_known(const struct notify *n, pid_t pid)
{
	for (size_t i = 0; i < n->n; i++)
		if (n->v[i].pid == pid)
			return true;
	return false;
}

/* Whether it takes part: by signals only who takes CKPT, or might have answered it already. */
static void join(struct notify *n, struct notified *e)
{
	int ckpt = sig_fate_read(e->proc_fd, n->ckpt);

	if (e->gone || ckpt == SIG_FATE_TAKEN)
		return;
	if (ckpt == SIG_FATE_IGNORED && sig_fate_read(e->proc_fd, n->thaw) == SIG_FATE_TAKEN) {
		e->rearm_ns = now_ns() + REARM_NS;
		return;
	}
	forget(e);
	op_info(n->op, "pid %d (%s) is not told: %s", e->pid, e->comm,
		ckpt == SIG_FATE_IGNORED ? "it ignores the signal"
					 : "the signal would have its default effect");
}

int notify_find(struct notify *n, const struct preflight_report *report)
{
	enum ckpt_notify how = n->req->notify;

	if (!notify_signals(n->req->notify_signals, &n->ckpt, &n->thaw))
		return op_fail(n->op, CKPT_E_USAGE, 0, NULL,
			notify_signals_wrong(n->req->notify_signals), "signals '%s' can't be read",
			n->req->notify_signals);
	for (size_t i = 0; how != CKPT_NOTIFY_NONE && i < report->n_listeners; i++)
		add_listener(n, &report->listeners[i]);
	for (size_t i = 0;
		(how == CKPT_NOTIFY_ASK || how == CKPT_NOTIFY_TELL) && i < report->n_pids; i++) {
		struct notified *e = is_known(n, report->pids[i]) ? NULL : add(n, report->pids[i]);

		if (e)
			join(n, e);
	}
	return 0;
}

/* ------------------------------------------------------------------ telling */

/* Return: 0; -ESRCH it is gone; -errno */
static int tell(const struct notified *e, int signo, int what, uint64_t crid)
{
	siginfo_t si = notify_info(e->tid ? e->signo : signo, what, crid);

	if (!e->tid)
		return pidfd_signal(e->pidfd, signo, &si);
	return syscall(SYS_rt_tgsigqueueinfo, e->pid, e->tid, e->signo, &si) < 0 ? -errno : 0;
}

static int ask(struct notify *n, struct notified *e)
{
	int r = 0;

	/* what it does may have changed: it may have executed another program */
	if (!e->tid && e->asked && sig_fate_read(e->proc_fd, n->ckpt) != SIG_FATE_TAKEN)
		return 0;
	e->asked++;
	r = tell(e, n->ckpt, e->tid ? NOTIFY_ASK(e->asked) : 0, n->crid);
	if (r == -EAGAIN) { /* its queue of signals is full */
		e->again_ns = now_ns() + AGAIN_NS;
		return 0;
	}
	if (r == -ESRCH) {
		forget(e);
		return 0;
	}
	if (r < 0)
		return op_fail_errno(n->op, -r, "rt_sigqueueinfo", "pid %d (%s)", e->pid, e->comm);
	e->told = true;
	e->again_ns = e->tid ? UINT64_MAX : now_ns() + SILENT_NS;
	return 0;
}

/* ------------------------------------------------------------------ answers */

static void look_page(struct notify *n, struct notified *e)
{
	struct notify_page page;
	int r = page_read(e, &page);

	if (r < 0) {
		forget(e);
		return;
	}
	e->doing = page.doing;
	if (page.answer_crid != n->crid || page.answer_ask != e->asked || e->again_ns != UINT64_MAX)
		return;
	if (page.answer == 0) {
		e->ready = true;
		return;
	}
	e->said = page.answer;
	e->again_ns =
		now_ns() + (e->asked > AGAIN_DOUBLINGS ? AGAIN_MAX_NS : AGAIN_NS << (e->asked - 1));
	op_info(n->op, "pid %d (%s) says: not now: %s", e->pid, e->comm, strerror(e->said));
}

/*
 * Who has answered may still be on the way back to where it waits. An interpreter that runs handlers between its own
 * instructions would then be about to sleep, and would hear of THAW only when it wakes.
 */
static void come_to_rest(struct notified *e, char state)
{
	uint64_t now = now_ns();

	if (!e->rest_ns)
		e->rest_ns = now + REST_NS;
	e->ready = state != 'R' || now >= e->rest_ns;
	e->again_ns = UINT64_MAX;
}

/* It seems not to take CKPT any more: as if it began to wait for it, or it is another program by now. */
static void look_lost(struct notify *n, struct notified *e)
{
	uint64_t now = now_ns();

	if (sig_fate_read(e->proc_fd, n->ckpt) != SIG_FATE_DEFAULT)
		e->lost_ns = 0;
	else if (!e->lost_ns)
		e->lost_ns = now + LOST_NS;
	else
		e->ready = now >= e->lost_ns;
}

static void look_signals(struct notify *n, struct notified *e)
{
	uint64_t bit = 1ULL << (n->ckpt - 1);
	struct proc_status st;

	if (proc_status_read(e->proc_fd, 0, &st) < 0) {
		forget(e);
		return;
	}
	if (st.state == 'Z' || st.state == 'X')
		forget(e);
	else if (st.sig_ignored & bit)
		come_to_rest(e, st.state);
	else if (st.shd_pending & bit)
		e->again_ns = now_ns() + SILENT_NS; /* it has not heard us yet */
	else if (!(st.sig_caught & bit))
		look_lost(n, e);
	proc_status_done(&st);
}

/* Return: whether it can be asked */
static bool rearmed(struct notify *n, struct notified *e)
{
	if (sig_fate_read(e->proc_fd, n->ckpt) == SIG_FATE_TAKEN) {
		e->rearm_ns = 0;
		return true;
	}
	if (now_ns() > e->rearm_ns) {
		forget(e);
		op_info(n->op, "pid %d (%s) is not told: it ignores the signal", e->pid, e->comm);
	}
	return false;
}

/* Return: how many are not ready; negative after op_fail() */
static int round_of_all(struct notify *n)
{
	int waiting = 0;

	for (size_t i = 0; i < n->n; i++) {
		struct notified *e = &n->v[i];

		if (e->ready)
			continue;
		if (e->rearm_ns && !rearmed(n, e)) {
			waiting += !e->ready;
			continue;
		}
		if (e->tid)
			look_page(n, e);
		else if (e->told)
			look_signals(n, e);
		if (!e->ready && now_ns() >= e->again_ns && ask(n, e) < 0)
			return -EIO;
		waiting += !e->ready;
	}
	return waiting;
}

static const char *why(const struct notified *e)
{
	if (e->doing == NOTIFY_WAITS)
		return "it is in a section without a checkpoint (ckpt_disable)";
	if (e->doing == NOTIFY_CALLS)
		return "its function that is called before a checkpoint has not returned";
	if (e->tid && e->said)
		return strerror(e->said);
	return e->tid ? "its thread of libckpt has not answered"
		      : "it was told, and has not answered by ignoring the signal";
}

static int too_late(struct notify *n, uint64_t wait_ms)
{
	const struct notified *first = NULL;
	size_t more = 0;

	for (size_t i = 0; i < n->n; i++) {
		const struct notified *e = &n->v[i];

		if (e->ready)
			continue;
		if (n->req->notify == CKPT_NOTIFY_TELL)
			op_warn(n->op, "pid %d (%s) is not ready for a checkpoint: %s", e->pid,
				e->comm, why(e));
		more += first != NULL;
		first = first ? first : e;
	}
	if (!first || n->req->notify == CKPT_NOTIFY_TELL)
		return 0;
	op_target(n->op, CKPT_TARGET_RUNNING);
	return op_fail(n->op, CKPT_E_TARGET, first->said && !first->doing ? first->said : ETIMEDOUT,
		NULL, "--notify-wait waits longer, --notify=tell does not insist",
		"pid %d (%s)%s is not ready for a checkpoint after %llu ms: %s", first->pid,
		first->comm, more ? " and others" : "", (unsigned long long)wait_ms, why(first));
}

/* Those by signals; libckpt's thread notices our death by itself. */
static void guard(struct notify *n)
{
	_cleanup_free_ int *pidfds = calloc(n->n + 1, sizeof(*pidfds));
	siginfo_t si = notify_info(n->thaw, ECANCELED, n->crid);
	size_t m = 0;

	for (size_t i = 0; pidfds && i < n->n; i++) {
		struct notified *e = &n->v[i];

		e->thaws =
			!e->tid && !e->gone && sig_fate_read(e->proc_fd, n->thaw) == SIG_FATE_TAKEN;
		if (e->thaws)
			pidfds[m++] = e->pidfd;
	}
	if (m)
		n->guard = guard_begin(pidfds, m, &si);
	if (m && !n->guard)
		op_warn(n->op, "who is told of the checkpoint would not be told of our death: %s",
			strerror(errno));
}

static int note_told(struct notify *n)
{
	n->told = calloc(n->n + 1, sizeof(*n->told));
	if (!n->told)
		return op_fail(n->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "%zu processes", n->n);
	for (size_t i = 0; i < n->n; i++) {
		const struct notified *e = &n->v[i];

		if (e->told && !e->gone)
			n->told[n->n_told++] = (struct notify_told){.pid = e->pid,
				.tid = e->tid,
				.signo = e->tid ? e->signo : n->thaw,
				.crid = n->crid};
	}
	return 0;
}

int notify_before(struct notify *n)
{
	uint64_t wait_ms = n->req->notify_wait_ms ? n->req->notify_wait_ms : WAIT_MS_DEFAULT;
	uint64_t deadline = now_ns() + wait_ms * NS_PER_MS, doze = DOZE_NS;
	int r;

	if (!n->n)
		return 0;
	guard(n);
	for (size_t i = 0; i < n->n; i++)
		if (n->v[i].rearm_ns)
			tell(&n->v[i], n->thaw, ECANCELED, 0);
	while ((r = round_of_all(n)) > 0 && now_ns() < deadline) {
		const struct timespec ts = {.tv_nsec = (long)doze};

		nanosleep(&ts, NULL);
		doze = MIN(doze * 2, DOZE_MAX_NS);
		if (op_cancelled(n->op) < 0)
			return -ECANCELED;
	}
	if (r > 0)
		r = too_late(n, wait_ms);
	return r < 0 ? r : note_told(n);
}

/* Of two signals that are there together a program may run the handler of THAW first: let it hear of CKPT. */
static void let_hear(const struct notify *n, const struct notified *e)
{
	const struct timespec doze = {.tv_nsec = DOZE_MAX_NS};
	uint64_t deadline = now_ns() + HEAR_NS;
	bool pending = true;

	while (pending && now_ns() < deadline) {
		struct proc_status st;

		if (proc_status_read(e->proc_fd, 0, &st) < 0)
			return;
		pending = st.shd_pending & 1ULL << (n->ckpt - 1) && st.state != 'T';
		proc_status_done(&st);
		if (pending)
			nanosleep(&doze, NULL);
	}
}

/* One that takes THAW by waiting for it is seen not to for the moments in which it runs to do so. */
static bool takes_thaw(const struct notify *n, const struct notified *e)
{
	const struct timespec doze = {.tv_nsec = DOZE_MAX_NS};
	uint64_t deadline = now_ns() + (e->thaws ? THAW_NS : 0);
	int fate;

	while ((fate = sig_fate_read(e->proc_fd, n->thaw)) == SIG_FATE_DEFAULT &&
		now_ns() < deadline)
		nanosleep(&doze, NULL);
	return fate == SIG_FATE_TAKEN;
}

void notify_after(struct notify *n, int err)
{
	for (size_t i = 0; i < n->n; i++) {
		struct notified *e = &n->v[i];
		int r = -ESRCH;

		if (!e->told || e->gone)
			continue;
		e->told = false;
		if (err && !e->tid)
			let_hear(n, e);
		if (e->tid || takes_thaw(n, e))
			r = tell(e, n->thaw, err, n->crid);
		else
			op_info(n->op,
				"pid %d (%s) is not told that it goes on: nothing in it takes "
				"the signal",
				e->pid, e->comm);
		if (r < 0 && r != -ESRCH)
			op_warn(n->op, "pid %d (%s) is not told that it goes on: %s", e->pid,
				e->comm, strerror(-r));
	}
	guard_end(n->guard);
	n->guard = NULL;
}

void notify_done(struct notify *n)
{
	guard_end(n->guard);
	for (size_t i = 0; i < n->n; i++) {
		fd_close(n->v[i].proc_fd);
		fd_close(n->v[i].pidfd);
	}
	free(n->v);
	free(n->told);
	*n = (struct notify){};
}
