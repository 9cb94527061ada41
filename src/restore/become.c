/*
 * become.c - see become.h.
 *
 * Order of events, P the calling process, C the coordinator:
 *   P  blocks all signals: what is sent to it waits for the program, as over an execve
 *   P  makes, by a child that ends at once, C: a copy of itself, and waits for it
 *   C  seizes P, with EXITKILL, and says so; from here on neither lives longer than the other
 *   P  enters the time namespace, forgets what a new process would not have, says so, and is the agent
 *   C  goes on as after spawn_task(), and ends
 * If C dies before it has seized P, or can't, P goes back to its caller with an error.
 *
 * Facts: over clone(2) a new process loses handlers, timers, its rseq area, the alternate signal stack, the
 * list of robust futexes, the word to be cleared at its end, locks on memory, and being a subreaper. What a
 * process has pending it keeps, here as over execve(2). A fork of which the exit signal is 0 is waited for
 * with __WALL only, and its parent is told nothing.
 */
#include "restore/become.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arch/arch.h"
#include "isa/raw_syscall.h"
#include "kernel/fork_raw.h"
#include "kernel/proc.h"
#include "kernel/proc_children.h"
#include "kernel/proc_timers.h"
#include "kernel/ptrace.h"
#include "proto/sigaction.pb-c.h"
#include "proto/userptrs.pb-c.h"
#include "res/file/fdpolicy.h"
#include "res/task/task.h"
#include "res/thread/thread.h"
#include "restore/renumber.h"
#include "restore/run.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/vec.h"

/* ------------------------------------------------------------------ before anything is made */

static int check_caller(struct ckpt_op *op)
{
	_cleanup_close_ int proc_fd = proc_open(0);
	_cleanup_free_ pid_t *tids = NULL;
	size_t n = 0;
	int r = proc_fd < 0 ? proc_fd : proc_tasks(proc_fd, &tids, &n);

	if (r < 0)
		return op_fail_errno(op, -r, "read", "/proc/self/task");
	if (n > 1)
		return op_fail(op, CKPT_E_CONFLICT, 0, NULL, "do it in a process with one thread",
			"the calling process has %zu threads: it can't become another program", n);
	if (proc_children_any())
		return op_fail(op, CKPT_E_CONFLICT, 0, NULL,
			"wait for them first, or start this command in a process of its own",
			"the calling process has children, which the restored program would get");
	return 0;
}

static bool is_ignored(int sig)
{
	struct sigaction act;

	return sigaction(sig, NULL, &act) == 0 && !(act.sa_flags & SA_SIGINFO) &&
	       act.sa_handler == SIG_IGN;
}

static Ckpt__SigAction *find_action(const Ckpt__SigActions *m, uint32_t sig)
{
	for (size_t i = 0; i < m->n_actions; i++)
		if (m->actions[i]->signo == sig)
			return m->actions[i];
	return NULL;
}

static int add_action(Ckpt__SigActions *m, uint32_t sig)
{
	Ckpt__SigAction *a = msg_new(Ckpt__SigAction, CKPT__SIG_ACTION__INIT);
	Ckpt__SigAction **grown = realloc(m->actions, (m->n_actions + 1) * sizeof(*grown));

	if (grown)
		m->actions = grown;
	if (!a || !grown) {
		free(a);
		return -ENOMEM;
	}
	a->signo = sig;
	grown[m->n_actions++] = a;
	return 0;
}

/*
 * By these a shell or nohup(1) keeps a program of its own making from what a terminal sends: what the caller
 * ignores is ignored where the program does nothing else about it, as over an execve.
 */
static int keep_ignored(struct ckpt_op *op, const struct model *m, pid_t root)
{
	static const uint32_t signals[] = {SIGHUP, SIGINT, SIGQUIT};
	Ckpt__SigActions *actions = model_get(m, &res_sigaction.type, (uint64_t)root);
	int r = 0;

	for (size_t i = 0; actions && r == 0 && i < ARRAY_SIZE(signals); i++) {
		if (!is_ignored((int)signals[i]))
			continue;
		if (!find_action(actions, signals[i]))
			r = add_action(actions, signals[i]);
		if (r == 0 && !find_action(actions, signals[i])->handler)
			find_action(actions, signals[i])->handler = (uintptr_t)SIG_IGN;
	}
	return r < 0 ? op_fail(op, CKPT_E_SPACE, -r, NULL, NULL, "signal handlers") : 0;
}

int become_prepare(struct ckpt_op *op, struct become *b, struct model *m, struct fdpolicy *policy,
	pid_t *ret_was)
{
	pid_t was = 0;
	int r = b ? check_caller(op) : 0;

	if (r == 0)
		r = renumber_root(op, m, getpid(), getpgrp(), &was);
	if (r == 0)
		r = keep_ignored(op, m, getpid());
	/* what is said of the program's descriptors is said with the numbers of the image */
	for (size_t i = 0; r == 0 && i < policy->n; i++)
		if (policy->v[i].is.pid == was)
			policy->v[i].is.pid = getpid();
	*ret_was = was;
	if (r == 0)
		op_info(op, "pid %d of the image becomes this process, pid %d", was, getpid());
	return r;
}

/* ------------------------------------------------------------------ the caller */

static void forget_timers(void)
{
	static const int which[] = {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF};
	_cleanup_close_ int proc_fd = proc_open(0);
	_cleanup_free_ struct proc_timer *v = NULL;
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(which); i++)
		setitimer(which[i], &(struct itimerval){0}, NULL);
	if (proc_fd >= 0 && proc_timers_read(proc_fd, &v, &n) == 0)
		for (size_t i = 0; i < n; i++)
			syscall(SYS_timer_delete, v[i].id);
}

/* What a new process would not have. Signals are blocked. */
static void forget_process(void)
{
	const uint64_t none[4] = {0}; /* struct sigaction, as the kernel has it */

	for (int sig = 1; sig < NSIG; sig++)
		syscall(SYS_rt_sigaction, sig, none, NULL, sizeof(uint64_t));
	forget_timers();
	munlockall();
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	syscall(SYS_set_tid_address, NULL);
	syscall(SYS_set_robust_list, NULL, 3 * sizeof(void *));
}

static bool hear(int fd, int *ret)
{
	return read(fd, ret, sizeof(*ret)) == sizeof(*ret);
}

static bool say(int fd, int what)
{
	return send(fd, &what, sizeof(what), MSG_NOSIGNAL) == sizeof(what);
}

/* Until the coordinator has ended, which takes nothing along. Return: -errno; it does not come back otherwise */
static int give_up(const struct spawn *s, int fd, const char **ret_call)
{
	int r, nothing;

	*ret_call = "fork"; /* what it says where it says nothing */
	if (!hear(fd, &r))
		return -ECHILD;
	*ret_call = "ptrace(PTRACE_SEIZE)";
	if (r == 0 && s->time) {
		*ret_call = "setns(CLONE_NEWTIME)";
		r = timens_join(s->time);
	}
	if (r == 0)
		forget_process();
	say(fd, r);
	if (r == 0) {
		close(fd);
		spawn_self(s);
	}
	hear(fd, &nothing);
	return r;
}

/* ------------------------------------------------------------------ the coordinator */

static int fail_root_dead(struct run *r)
{
	return op_fail(r->op, CKPT_E_TARGET, 0, NULL, NULL,
		"pid %d, which was to become the root, was killed", r->tasks[0].pid);
}

/* The caller has not been given up: it says itself what was wrong. */
static void leave(struct run *r)
{
	struct wait_status w;

	if (ptrace_interrupt(r->tasks[0].pid) == 0 && ptrace_wait(r->tasks[0].pid, 0, &w) == 0)
		ptrace_detach(r->tasks[0].pid, 0);
	_exit(0);
}

static int coordinate(struct run *r, int fd)
{
	int said = 0, ret = run_seize(r, &r->tasks[0], 0);
	bool told = say(fd, ret), heard;

	if (ret < 0 && ret != -ESRCH && told)
		_exit(0);
	heard = ret == 0 && hear(fd, &said);
	close(fd);
	if (!heard)
		return fail_root_dead(r);
	if (said < 0)
		leave(r);
	return 0;
}

/* ------------------------------------------------------------------ both */

int become_root(struct run *r, const struct spawn *s)
{
	const char *call = "fork";
	pid_t between, caller = getpid();
	int ends[2], status = 0, ret = 0;
	sigset_t all, mask;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return op_fail_errno(r->op, errno, "socketpair", "pid %d", caller);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &mask);
	/* where only an ancestor may trace (Yama), whoever may otherwise; the plan takes it back */
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	between = fork_raw(0);
	if (between == 0) {
		pid_t made = fork();

		if (made)
			_exit(made < 0 ? errno : 0);
		close(ends[0]);
		r->become->coordinator = true;
		r->become->root = caller;
		r->become->syscall_insn = r->area.syscall_insn;
		r->tasks[0].pid = caller;
		return coordinate(r, ends[1]);
	}
	close(ends[1]);
	if (between < 0)
		ret = -errno;
	else if (waitpid(between, &status, __WALL) == between && WEXITSTATUS(status))
		ret = -WEXITSTATUS(status);
	if (ret == 0)
		ret = give_up(s, ends[0], &call);
	close(ends[0]);
	prctl(PR_SET_PTRACER, 0, 0, 0, 0);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	return op_fail(r->op, ret == -EPERM ? CKPT_E_PRIVILEGE : CKPT_E_SYSTEM, -ret, call,
		ret == -EPERM ? "run as root, and not under strace or gdb" : NULL,
		"pid %d: becoming the root of the tree", caller);
}

/* The agent's instruction is there until the last switch has taken the agent away. */
static bool has_agent(const struct become *b)
{
	size_t len;
	const uint8_t *insn = arch_syscall_insn(&len);
	uint64_t word;

	return ptrace_peek(b->root, b->syscall_insn, &word) == 0 && memcmp(&word, insn, len) == 0;
}

void become_failed(struct run *r)
{
	const struct ckpt_restore_req *req = r->plan->req;
	struct run_task *root = &r->tasks[0];
	struct wait_status w;

	if (req->failed)
		req->failed(req->failed_arg, &r->op->first);
	r->become->held = root->traced && ptrace_interrupt(root->pid) == 0 &&
			  run_wait(root, root->pid, &w) == 0 && !wait_is_dead(&w);
	__atomic_store_n(&r->area.ctl->status, (uint32_t)r->op->first.kind, __ATOMIC_SEQ_CST);
}

int become_tell(struct run *r)
{
	pid_t tid = r->tasks[0].pid, was;
	const Ckpt__UserPtrs *m =
		model_get(r->plan->model, &res_userptrs.type, (uint64_t)r->become->root);
	_cleanup_close_ int proc_fd = -EBADF, mem = -EBADF;
	int ret = 0;

	if (!m || !m->clear_child_tid)
		return 0;
	proc_fd = proc_open(tid);
	mem = proc_fd < 0 ? proc_fd : openat(proc_fd, "mem", O_RDWR | O_CLOEXEC);
	if (mem < 0)
		return op_fail_errno(r->op, errno, "open", "/proc/%d/mem", tid);
	/* it may be an address of nothing */
	if (pread_full(mem, &was, sizeof(was), (off_t)m->clear_child_tid) < 0 ||
		was != r->plan->root_was)
		return 0;
	ret = pwrite_full(mem, &tid, sizeof(tid), (off_t)m->clear_child_tid);
	return ret < 0 ? op_fail_errno(r->op, -ret, "write", "pid %d: its number at %llx", tid,
				 (unsigned long long)m->clear_child_tid)
		       : 0;
}

void become_foreground(const struct run *r)
{
	pid_t group = ctty_foreground(r->plan->model, r->tasks[0].pid);
	_cleanup_close_ int tty = group ? open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY) : -EBADF;

	/* SIGTTOU is blocked */
	if (tty >= 0 && tcgetpgrp(tty) == getpgrp())
		tcsetpgrp(tty, group);
}

void become_end(const struct become *b, int status)
{
	struct arch_regs regs;
	int r = b->held ? arch_regs_get(b->root, &regs) : -ESRCH;

	if (r == 0 && has_agent(b)) {
		arch_regs_call(&regs, b->syscall_insn, SYS_exit_group,
			(const uint64_t[6]){(uint64_t)status});
		r = arch_regs_set(b->root, &regs);
		if (r == 0)
			r = ptrace_setsigmask(b->root, UINT64_MAX);
		if (r == 0)
			r = ptrace_detach(b->root, 0);
	} else if (r == 0) {
		r = -ENOEXEC;
	}
	if (r < 0 && b->held)
		kill(b->root, SIGKILL);
	_exit(status);
}
