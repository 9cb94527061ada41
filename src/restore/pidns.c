/*
 * pidns.c - see pidns.h.
 *
 * Order of events, O the command, T a thread of it, I pid 1, C the coordinator:
 *   T  own mounts; forks I by a process that ends at once, so that I is no child of O
 *   I  mounts /proc; waits, also for the end of O
 *   T  enters the pid namespace for its children; forks C, and ends: it takes both kinds of namespace with it
 *   C  the stages of a restore; when all tasks are made and stopped: says who they are
 *   O  gives the terminal away; tells I the root: from here on I stays when O ends; tells C to go on
 *   C  lets the tasks go; tells the result; ends
 * If C fails or dies, O kills I, and with it ends all that is in the namespace; so it does if O dies.
 * unshare(2) and setns(2) of a pid namespace are for what the calling thread forks later.
 */
#include "restore/pidns.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/own_thread.h"
#include "kernel/pidfd.h"
#include "kernel/pidns.h"
#include "kernel/proc.h"
#include "kernel/proc_children.h"
#include "res/task/task.h"
#include "restore/pidns_numbers.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/str.h"
#include "util/vec.h"

/* What the coordinator says, and hears, beside what every proxy does. */
enum {
	SAY_TASK = WIRE_OWN, /* n: its number inside; pid: outside */
	SAY_FOREGROUND,      /* pid: the process group that is to have the terminal */
	SAY_READY, /* all is made and nothing runs; fd: the master of a new terminal, or none */
	SAY_GO     /* the answer; n: the root's number outside */
};

#define PID_MAX_DEFAULT 32768
#define END_MS          10000

/* ------------------------------------------------------------------ what fails */

static int fail_enter(struct pidns *ns, const char *call, int err)
{
	if (err == EPERM)
		return op_fail(ns->op, CKPT_E_PRIVILEGE, err, call,
			"run as root: --pidns takes CAP_SYS_ADMIN", "a pid namespace for the tree");
	if (err == ENOSPC)
		return op_fail(ns->op, CKPT_E_SPACE, err, call,
			str_eq(call, "unshare(CLONE_NEWNS)")
				? "raise the sysctl user.max_mnt_namespaces"
				: "raise the sysctl user.max_pid_namespaces; deeper than 32 they "
				  "can't be nested",
			"a pid namespace for the tree");
	if (err == EINVAL && str_eq(call, "mount(MS_SLAVE)"))
		return op_fail(ns->op, CKPT_E_CONFLICT, err, call,
			"run ckpt where / is a mount point: mount --bind DIR DIR; chroot DIR",
			"the root directory, for mounts of the tree's own");
	return op_fail(ns->op, CKPT_E_SYSTEM, err, call,
		err == EINVAL ? "this kernel has no pid namespaces (CONFIG_PID_NS)" : NULL,
		"a pid namespace for the tree");
}

static int note(struct pidns *ns, const char *call, int err)
{
	ns->shared->call = call;
	ns->shared->err = err;
	return -err;
}

/* ------------------------------------------------------------------ T */

static pid_t pid_max(void)
{
	_cleanup_free_ char *text = NULL;
	const char *p;
	int max;

	if (file_read_at(AT_FDCWD, "/proc/sys/kernel/pid_max", &text, NULL) < 0)
		return PID_MAX_DEFAULT;
	p = text;
	return str_int(&p, &max) < 0 ? PID_MAX_DEFAULT : max;
}

/* In the process that makes I. */
static void make_init(struct pidns *ns, const struct pidns_init *init)
{
	pid_t pid;

	if (unshare(CLONE_NEWPID) < 0) {
		note(ns, "unshare(CLONE_NEWPID)", errno);
		_exit(1);
	}
	pid = fork();
	if (pid == 0)
		pidns_init_main(init);
	if (pid < 0)
		note(ns, "fork", errno);
	else
		ns->shared->init = pid;
	_exit(pid < 0);
}

static int hear_init(struct pidns *ns)
{
	char said = 0;

	while (recv(ns->init_wire, &said, 1, 0) < 0 && errno == EINTR)
		;
	if (said == PIDNS_INIT_READY)
		return 0;
	return ns->shared->err ? -ns->shared->err : note(ns, "its init", ECHILD);
}

static int start_init(struct pidns *ns)
{
	_cleanup_close_ int command = pidfd_of(getpid());
	int ends[2];
	pid_t maker;

	if (command < 0)
		return note(ns, "pidfd_open", -command);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return note(ns, "socketpair", errno);
	ns->init_wire = ends[0];
	maker = fork();
	if (maker == 0) {
		/*
		 * Locks on connections have the coordinator's number in their names (tcp_lock_try()), and
		 * restores at the same time may have one network: each begins where it is outside.
		 */
		pid_t next = pidns_number_free(ns->model, gettid(), pid_max());

		make_init(ns, &(struct pidns_init){ns->shared, ends[1], command, next});
	}
	close(ends[1]);
	if (maker < 0)
		return note(ns, "fork", errno);
	while (waitpid(maker, NULL, 0) < 0 && errno == EINTR)
		;
	ns->init = ns->shared->init;
	if (!ns->init)
		return ns->shared->err ? -ns->shared->err : note(ns, "its init", ECHILD);
	ns->init_fd = pidfd_of(ns->init);
	if (ns->init_fd < 0)
		return note(ns, "its init", -ns->init_fd);
	return hear_init(ns);
}

static void coordinator_main(struct pidns *ns) __attribute__((noreturn));

static int start_coordinator(struct pidns *ns)
{
	pid_t pid;
	int r;

	if (setns(ns->init_fd, CLONE_NEWPID) < 0)
		return note(ns, "setns", errno);
	pid = fork();
	if (pid == 0)
		coordinator_main(ns);
	if (pid < 0)
		return note(ns, "fork", errno);
	r = proxy_started(&ns->proxy, pid);
	return r < 0 ? note(ns, "pidfd_open", -r) : 0;
}

static void *enter(void *arg)
{
	struct pidns *ns = arg;
	const char *call;
	int r = pidns_own_mounts(&call);

	if (r < 0)
		note(ns, call, -r);
	if (r == 0)
		r = start_init(ns);
	if (r == 0)
		r = start_coordinator(ns);
	return (void *)(intptr_t)r;
}

/* By a thread, as what is its own now can't be taken back. */
static int start(struct pidns *ns)
{
	pthread_t t;
	void *ret;
	int r = own_thread_start(&t, enter, ns, &ns->mask);

	if (r < 0)
		return fail_enter(ns, "pthread_create", -r);
	pthread_join(t, &ret);
	return (intptr_t)ret < 0 ? fail_enter(ns, ns->shared->call, ns->shared->err) : 0;
}

/* ------------------------------------------------------------------ C */

static void coordinator_main(struct pidns *ns)
{
	fd_close(ns->init_wire);
	ns->shared->coordinator = getpid();
	pthread_sigmask(SIG_SETMASK, &ns->mask, NULL);
	proxy_inside(&ns->proxy);
	if (task_in_tree(ns->model, getpid()))
		op_fail(ns->op, CKPT_E_CONFLICT, EEXIST, "fork",
			"the kernel lacks CONFIG_CHECKPOINT_RESTORE, or restore without --pidns",
			"pid %d of the tree, in its namespace: it is that of the coordinator",
			getpid());
	else
		ns->inside(ns->arg);
	proxy_end(&ns->proxy, ns->ret, sizeof(*ns->ret), NULL);
}

static int fail_alone(struct pidns *ns, int err)
{
	return op_fail(ns->op, CKPT_E_CANCELLED, err ? err : EPIPE, NULL, NULL,
		"the command that started this restore has ended");
}

int pidns_ready(struct pidns *ns, const struct run *r, pid_t foreground)
{
	struct wire_msg m = {.head = {.kind = SAY_FOREGROUND}, .pid = foreground, .fd = -EBADF};
	int wire = ns->proxy.wire[1], ret = foreground ? wire_send(wire, &m, NULL, 0) : 0;

	for (size_t i = 0; ret == 0 && i < r->tree.tree.n; i++) {
		const struct birth *b = &r->tree.tree.v[i];

		if (!b->task)
			continue;
		m.head.kind = SAY_TASK;
		m.head.n = m.pid = b->pid;
		ret = wire_send(wire, &m, NULL, 0);
		if (ret < 0 && ret != -EPIPE)
			return op_fail(ns->op, CKPT_E_SYSTEM, -ret, "sendmsg(SCM_CREDENTIALS)",
				NULL, "pid %d: its pid outside", b->pid);
	}
	m = (struct wire_msg){.head = {.kind = SAY_READY}, .fd = ns->relay->end.master};
	if (ret == 0)
		ret = wire_send(wire, &m, NULL, 0);
	if (ret == 0)
		ret = wire_recv(wire, &m);
	if (ret <= 0 || m.head.kind != SAY_GO)
		return fail_alone(ns, -ret);
	ns->root_outside = m.head.n;
	return 0;
}

/* ------------------------------------------------------------------ O */

static int add_task(struct pidns *ns, const struct wire_msg *m)
{
	struct ckpt_restore_result *ret = ns->ret;

	if (vec_reserve(&ret->pids, &ns->cap_pids, ret->n_pids + 1, sizeof(*ret->pids)) < 0)
		return op_fail(ns->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "the pids outside");
	ret->pids[ret->n_pids++] = (struct ckpt_outer_pid){m->head.n, m->pid};
	if (m->head.n == ns->root)
		ns->root_outside = m->pid;
	op_info(ns->op, "pid %d is %d outside", m->head.n, m->pid);
	return 0;
}

/* All is made: what is done before any of it runs. */
static int take_over(struct pidns *ns, const struct wire_msg *m)
{
	struct wire_msg go = {.head = {.kind = SAY_GO, .n = ns->root_outside}, .fd = -EBADF};
	int r;

	if (ns->relay->on)
		ns->relay->end.master = m->fd;
	else
		fd_close(m->fd);
	r = ns->ready(ns->arg);
	if (r < 0)
		return r;
	if (ns->front)
		front_root(ns->front, ns->root_outside, ns->foreground);
	if (send(ns->init_wire, &ns->root, sizeof(ns->root), MSG_NOSIGNAL) < 0)
		return proxy_fail(&ns->proxy, "its init", errno);
	r = hear_init(ns);
	if (r < 0)
		return proxy_fail(&ns->proxy, "its init", -r);
	r = wire_send(ns->proxy.wire[0], &go, NULL, 0);
	return r < 0 ? proxy_fail(&ns->proxy, "the coordinator", -r) : 0;
}

static int take_result(struct pidns *ns, const struct wire_msg *m)
{
	struct ckpt_restore_result *ret = ns->ret, got;
	const char *none[WIRE_STRINGS];

	if (wire_record(m, &got, sizeof(got), none) < 0)
		return proxy_fail(&ns->proxy, "the coordinator", EBADMSG);
	got.pid = ns->root_outside;
	got.pids = ret->pids;
	got.n_pids = ret->n_pids;
	*ret = got;
	return 0;
}

static int take(void *arg, const struct wire_msg *m)
{
	struct pidns *ns = arg;

	switch (m->head.kind) {
	case SAY_TASK:
		return add_task(ns, m);
	case SAY_FOREGROUND:
		ns->foreground = m->pid;
		return 0;
	case SAY_READY:
		return take_over(ns, m);
	case WIRE_DONE:
		return take_result(ns, m);
	default:
		return proxy_fail(&ns->proxy, "the coordinator", EBADMSG);
	}
}

/* ------------------------------------------------------------------ the end of it */

static void reap(pid_t pid)
{
	while (pid > 0 && waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
}

/* A root that the coordinator has not told of: init waits, in its end, until we have waited for it. */
static void reap_children(const struct pidns *ns)
{
	_cleanup_close_ int proc = proc_open(0);
	struct proc_children c = {0};
	_cleanup_free_ pid_t *tids = NULL;
	size_t n = 0;

	if (proc < 0 || proc_tasks(proc, &tids, &n) < 0)
		return;
	if (proc_children_of_all(proc, tids, n, &c) == -ENOENT)
		proc_children_scan(getpid(), &c);
	for (size_t i = 0; i < c.n; i++)
		if (pidns_is_inside(c.v[i], ns->init))
			reap(c.v[i]);
	proc_children_done(&c);
}

static void end_all(struct pidns *ns)
{
	struct pollfd p = {.fd = ns->init_fd, .events = POLLIN};

	if (ns->init_fd >= 0)
		pidfd_signal(ns->init_fd, SIGKILL, NULL);
	proxy_done(&ns->proxy);
	if (ns->init_fd < 0)
		return;
	reap_children(ns);
	poll(&p, 1, END_MS);
}

static int check(struct pidns *ns)
{
	if (!task_in_tree(ns->model, 1))
		return 0;
	return op_fail(ns->op, CKPT_E_REFUSED, 0, NULL, "restore without --pidns",
		"pid 1 is of the tree: in a pid namespace of its own that is the number of its init");
}

int pidns_run(struct pidns *ns)
{
	int r = check(ns), err;

	if (r < 0)
		return r;
	ns->init_wire = ns->init_fd = -EBADF;
	ns->shared = mmap(NULL, sizeof(*ns->shared), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (ns->shared == MAP_FAILED)
		return fail_enter(ns, "mmap", errno);
	err = proxy_new(&ns->proxy, ns->op);
	r = err < 0 ? fail_enter(ns, "socketpair", -err) : start(ns);
	if (r == 0)
		r = proxy_hear(&ns->proxy, take, ns);
	if (r < 0)
		end_all(ns);
	proxy_done(&ns->proxy);
	fd_close(ns->init_wire);
	fd_close(ns->init_fd);
	munmap(ns->shared, sizeof(*ns->shared));
	return r;
}
