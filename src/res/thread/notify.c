/*
 * notify.c - who was told of a checkpoint is told of the restart.
 *
 * At a restore the task sends the signal to itself, like those that were pending, so that it is there
 * before the program runs. The kernel delivers pending signals one upon the other: of several with
 * handlers the one with the highest number runs first.
 *
 * It is sent only to whoever takes it: there is a handler, or every thread blocks it.
 */
#include "res/thread/notify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/notify.pb-c.h"
#include "proto/regs.pb-c.h"
#include "proto/sigaction.pb-c.h"
#include "proto/task.pb-c.h"
#include "res/task/task.h"
#include "res/thread/thread.h"
#include "util/str.h"

#define CKPT_BEHIND_MAX 2 /* SIGRTMAX-2 */
#define THAW_BEHIND_MAX 1
#define SIG_LAST        64
#define SIG_LIBC_FIRST  32 /* those of the C library's threads */
#define SIG_LIBC_LAST   33
#define HANDLER_FIRST   2 /* 0 is SIG_DFL, 1 SIG_IGN */

/* ------------------------------------------------------------------ the signals */

static bool one_signal(const char **p, int *ret)
{
	const char *rest = str_startswith(*p, "SIG");
	uint64_t n = 0;
	int base = 0, sign = 1;

	rest = rest ? rest : *p;
	if (str_startswith(rest, "RTMAX")) {
		base = SIGRTMAX;
		sign = -1;
	} else if (str_startswith(rest, "RTMIN")) {
		base = SIGRTMIN;
	}
	if (base) {
		rest += strlen("RTMAX");
		if (*rest == (sign < 0 ? '-' : '+'))
			rest++;
		else if (*rest && *rest != ',')
			return false;
		else
			rest = NULL; /* no more than the name */
	}
	if (rest && str_u64(&rest, 10, &n) < 0)
		return false;
	if (n > (uint64_t)(base ? SIGRTMAX - SIGRTMIN : SIG_LAST))
		return false;
	*ret = base ? base + sign * (int)n : (int)n;
	*p = rest ? rest : *p + strcspn(*p, ",");
	return *ret >= 1 && *ret <= SIG_LAST && *ret != SIGKILL && *ret != SIGSTOP &&
	       !(*ret >= SIG_LIBC_FIRST && *ret <= SIG_LIBC_LAST);
}

bool notify_signals(const char *text, int *ret_ckpt, int *ret_thaw)
{
	int ckpt = SIGRTMAX - CKPT_BEHIND_MAX, thaw = SIGRTMAX - THAW_BEHIND_MAX;

	if (text && (!one_signal(&text, &ckpt) || *text++ != ',' || !one_signal(&text, &thaw) ||
			    *text || ckpt == thaw))
		return false;
	*ret_ckpt = ckpt;
	*ret_thaw = thaw;
	return true;
}

const char *notify_signals_wrong(const char *text)
{
	int ckpt, thaw;

	return notify_signals(text, &ckpt, &thaw)
		       ? NULL
		       : "two different signals, such as 62,63 or RTMAX-2,RTMAX-1";
}

siginfo_t notify_info(int signo, int what, uint64_t crid)
{
	siginfo_t si;

	memset(&si, 0, sizeof(si));
	si.si_signo = signo;
	si.si_errno = what;
	si.si_code = SI_QUEUE;
	si.si_pid = getpid();
	si.si_uid = getuid();
	si.si_value.sival_ptr = (void *)(uintptr_t)crid;
	return si;
}

/* ------------------------------------------------------------------ dump */

static int collect(struct collect *c, struct tracee *t, const struct answer *a)
{
	for (size_t i = 0; i < c->tree->n_told; i++) {
		const struct notify_told *told = &c->tree->told[i];
		Ckpt__Notify *m;

		if (told->pid != c->pid || t->tid != (told->tid ? told->tid : c->alive))
			continue;
		m = msg_new(Ckpt__Notify, CKPT__NOTIFY__INIT);
		if (!m)
			return collect_oom(c);
		m->signo = (uint32_t)told->signo;
		m->process = !told->tid;
		m->crid = told->crid;
		return collect_add_take(c, &res_notify.type, t->tid, m);
	}
	return 0;
}

/* ------------------------------------------------------------------ restore */

static const Ckpt__Task *task_of(const struct model *m, uint64_t tid)
{
	const struct model_rec *rec;
	size_t pos = 0;

	while ((rec = model_next(m, &res_task.type, &pos))) {
		const Ckpt__Task *t = (const void *)rec->msg;

		for (size_t i = 0; i < t->n_tids; i++)
			if ((uint64_t)t->tids[i] == tid)
				return t;
	}
	return NULL;
}

/* Whether the process takes the signal: it has a handler, or blocks it in all its threads. */
static bool takes(const struct model *m, const Ckpt__Task *task, uint32_t signo)
{
	const Ckpt__SigActions *all = model_get(m, &res_sigaction.type,
		(uint64_t)(task->sighand_of ? task->sighand_of : task->pid));

	for (size_t i = 0; all && i < all->n_actions; i++)
		if (all->actions[i]->signo == signo && all->actions[i]->handler)
			return all->actions[i]->handler >= HANDLER_FIRST;
	for (size_t i = 0; i < task->n_tids; i++) {
		const Ckpt__Regs *regs = model_get(m, &res_regs.type, (uint64_t)task->tids[i]);

		if (!regs || !(regs->sigmask & 1ULL << (signo - 1)))
			return false;
	}
	return task->n_tids;
}

static void plan(
	struct plan *p, enum plan_phase phase, const struct model_rec *rec, struct prog *prog)
{
	const Ckpt__Notify *m = (const void *)rec->msg;
	const Ckpt__Task *task;
	siginfo_t si;
	size_t pid, tid;

	if (phase != PLAN_LATE)
		return;
	task = task_of(p->model, rec->owner);
	if (!task || m->signo < 1 || m->signo > SIG_LAST) {
		prog->err = op_fail(p->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"notify of %llu: signal %u", (unsigned long long)rec->owner, m->signo);
		return;
	}
	if (m->process && !takes(p->model, task, m->signo)) {
		op_info(p->op,
			"pid %d (%s) is not told that it is back: nothing in it takes signal %u",
			task->pid, task->comm, m->signo);
		return;
	}
	si = notify_info((int)m->signo, ERESTART, m->crid);
	pid = PROG_CALL(prog, "notify: own process", SYS_getpid);
	if (m->process) {
		PROG_CALL(prog, "notify: tell the process that it is back", SYS_rt_sigqueueinfo,
			RES(pid), IMM(m->signo), DATA(prog_data(prog, &si, sizeof(si))));
	} else {
		tid = PROG_CALL(prog, "notify: own thread", SYS_gettid);
		PROG_CALL(prog, "notify: tell the thread that it is back", SYS_rt_tgsigqueueinfo,
			RES(pid), RES(tid), IMM(m->signo), DATA(prog_data(prog, &si, sizeof(si))));
	}
	prog_object(prog, "signal %u", m->signo);
}

static bool is_told(const struct model *m, const Ckpt__Task *t)
{
	for (size_t i = 0; i < t->n_tids; i++)
		if (model_get(m, &res_notify.type, (uint64_t)t->tids[i]))
			return true;
	return false;
}

int notify_all(
	struct ckpt_op *op, const struct ckpt_restore_req *req, struct model *m, uint64_t crid)
{
	const struct model_rec *rec;
	int ckpt, thaw = 0;
	size_t pos = 0;

	if (!req->notify)
		return 0;
	if (!notify_signals(req->notify_signals, &ckpt, &thaw))
		return op_fail(op, CKPT_E_USAGE, 0, NULL, notify_signals_wrong(req->notify_signals),
			"signals '%s' can't be read", req->notify_signals);
	while ((rec = model_next(m, &res_task.type, &pos))) {
		const Ckpt__Task *t = (const void *)rec->msg;
		Ckpt__Notify *n;

		if (t->zombie || !t->n_tids || is_told(m, t) || !takes(m, t, (uint32_t)thaw))
			continue;
		n = msg_new(Ckpt__Notify, CKPT__NOTIFY__INIT);
		if (n) {
			n->signo = (uint32_t)thaw;
			n->process = true;
			n->crid = crid;
		}
		if (!n || model_add_take(m, &res_notify.type, (uint64_t)t->tids[0], &n->base) < 0)
			return op_fail(op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "pid %d", t->pid);
	}
	return 0;
}

static const char *const volatile_fields[] = {"crid", NULL};

const struct res res_notify = {
	.type = {"notify", SCOPE_THREAD, &ckpt__notify__descriptor, volatile_fields},
	.collect = collect,
	.plan = plan,
};
