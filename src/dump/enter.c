/*
 * enter.c - see enter.h.
 *
 * Order of events, O the command, T a thread of it, K a keeper, C who does the work:
 *   T  enters the namespaces (setns(2): of pids for what it forks, of mounts itself)
 *   T  forks K, by a process that ends at once, so that K is a child of the namespace's init: that ends when
 *      the tree and all its children have ended, and everything with it, so it has to wait for us
 *   T  forks C, which dies with T, and T with O
 *   C  does it, and ends; K hears that by the end of a pipe, and ends
 */
#include "dump/enter.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/own_thread.h"
#include "kernel/pidfd.h"
#include "kernel/pidns.h"
#include "kernel/proc.h"
#include "kernel/proc_status.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/str.h"
#include "util/vec.h"

struct entry {
	struct enter *e;
	struct proxy proxy;
	int target;  /* pidfd of the namespace's init */
	pid_t pid;   /* inside */
	int keep[2]; /* a pipe: [1] is open as long as C is there */
	char *cwd;
	struct stat root,
		path; /* path: the part of it that exists; st_ino 0: there is none to compare */
	char *known;  /* the name of that part */
	sigset_t mask;
	sem_t begun;      /* C is there, or it has failed */
	const char *call; /* what has failed */
	int r;
};

/* ------------------------------------------------------------------ whether */

static bool same_ns(int a, int b, const char *name)
{
	struct stat x, y;

	return fstatat(a, name, &x, 0) == 0 && fstatat(b, name, &y, 0) == 0 &&
	       x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

/* Return: the first process of such a namespace; 0: it is another one, or ours */
static pid_t init_of(pid_t pid)
{
	static const char *const ours[] = {"ns/user", "ns/net", "ns/ipc", "ns/uts", "ns/cgroup"};
	_cleanup_close_ int self = proc_open(0), theirs = pid > 0 ? proc_open(pid) : -EBADF;
	_cleanup_close_ int first = -EBADF;
	_cleanup_free_ char *comm = NULL;
	pid_t init;

	if (self < 0 || theirs < 0 || same_ns(self, theirs, "ns/pid"))
		return 0;
	init = pidns_init_of(pid);
	first = init ? proc_open(init) : -EBADF;
	if (first < 0 || file_read_at(first, "comm", &comm, NULL) < 0 ||
		!str_eq(comm, PIDNS_INIT_NAME "\n"))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		if (faccessat(self, ours[i], F_OK, 0) == 0 && !same_ns(self, first, ours[i]))
			return 0;
	return init;
}

bool enter_wanted(pid_t pid)
{
	return init_of(pid) != 0;
}

static int look_inside(struct entry *n)
{
	_cleanup_close_ int proc = proc_open(n->e->pid);
	pid_t init = init_of(n->e->pid);
	struct proc_status st;

	if (proc < 0 || proc_status_read(proc, 0, &st) < 0 || st.ns_tgid.n < 2)
		return op_fail(n->e->op, CKPT_E_TARGET, ESRCH, NULL, NULL, "pid %d", n->e->pid);
	n->pid = (pid_t)st.ns_tgid.v[st.ns_tgid.n - 1];
	proc_status_done(&st);
	/* the first thread of the target may have ended, and is in no namespace then */
	n->target = init ? pidfd_of(init) : -ESRCH;
	if (n->target < 0)
		return op_fail(n->e->op, CKPT_E_TARGET, -n->target, "pidfd_open", NULL,
			"the init of the pid namespace of pid %d", n->e->pid);
	op_info(n->e->op, "pid %d is %d in its pid namespace, where this is done", n->e->pid,
		n->pid);
	return 0;
}

/* ------------------------------------------------------------------ the same paths */

/* The longest part of a path that exists, by which the rest is found. */
static int look_path(struct entry *n)
{
	const char *path = n->e->path;
	char *end;

	if (!path)
		return 0;
	n->known = *path == '/' ? strdup(path) : NULL;
	if (!n->known && asprintf(&n->known, "%s/%s", n->cwd, path) < 0)
		n->known = NULL;
	if (!n->known)
		return -ENOMEM;
	while (stat(n->known, &n->path) < 0 && (end = strrchr(n->known, '/')) && end > n->known)
		*end = 0;
	return 0;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev;
}

/* In C. Return: 0; negative after op_fail() */
static int check_paths(struct entry *n)
{
	struct stat st;

	if (stat("/", &st) < 0 || !same_file(&st, &n->root))
		return op_fail(n->e->op, CKPT_E_REFUSED, 0, NULL,
			"run ckpt in it: nsenter -t PID --pid --mount ckpt ...",
			"pid %d: its root directory is not ours", n->e->pid);
	if (chdir(n->cwd) < 0)
		return op_fail(n->e->op, CKPT_E_CONFLICT, errno, "chdir",
			"run ckpt in a directory that is there too", "%s, in the mounts of pid %d",
			n->cwd, n->e->pid);
	if (n->path.st_ino && (stat(n->known, &st) < 0 || !same_file(&st, &n->path)))
		return op_fail(n->e->op, CKPT_E_CONFLICT, 0, NULL, "give another directory with -D",
			"%s is another directory in the mounts of pid %d", n->known, n->e->pid);
	return 0;
}

/* ------------------------------------------------------------------ T, K, C */

static void keeper_main(const struct entry *n) __attribute__((noreturn));
static void keeper_main(const struct entry *n)
{
	char byte;

	prctl(PR_SET_NAME, "ckpt-keeper");
	setsid();
	dup2(n->keep[0], 0);
	close_range(1, ~0U, 0);
	while (read(0, &byte, 1) < 0 && errno == EINTR)
		;
	_exit(0);
}

static int start_keeper(struct entry *n)
{
	pid_t maker;

	n->call = "pipe2";
	if (pipe2(n->keep, O_CLOEXEC) < 0)
		return -errno;
	n->call = "fork";
	maker = fork();
	if (maker == 0) {
		pid_t keeper = fork();

		if (keeper == 0)
			keeper_main(n);
		_exit(keeper < 0);
	}
	n->keep[0] = fd_close(n->keep[0]);
	if (maker < 0)
		return -errno;
	while (waitpid(maker, NULL, 0) < 0 && errno == EINTR)
		;
	return 0;
}

static void worker_main(struct entry *n) __attribute__((noreturn));
static void worker_main(struct entry *n)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pthread_sigmask(SIG_SETMASK, &n->mask, NULL);
	proxy_inside(&n->proxy);
	n->e->op->pid_asked = n->e->pid;
	if (check_paths(n) == 0)
		n->e->inside(n->e->arg, &n->proxy, n->pid);
	proxy_end(&n->proxy, NULL, 0, NULL);
}

static int start_worker(struct entry *n)
{
	pid_t pid;

	n->call = "fork";
	pid = fork();
	if (pid == 0)
		worker_main(n);
	if (pid < 0)
		return -errno;
	n->keep[1] = fd_close(n->keep[1]);
	n->call = "pidfd_open";
	return proxy_started(&n->proxy, pid);
}

static int begin(struct entry *n)
{
	int r;

	n->call = "setns";
	if (unshare(CLONE_FS) < 0 || setns(n->target, CLONE_NEWPID | CLONE_NEWNS) < 0)
		return -errno;
	r = start_keeper(n);
	return r < 0 ? r : start_worker(n);
}

/* As long as C does, which would die with it. */
static void *enter(void *arg)
{
	struct entry *n = arg;
	siginfo_t si;
	int r = begin(n);
	pid_t child = n->proxy.child;

	n->r = r;
	sem_post(&n->begun);
	while (r == 0 && waitid(P_PID, (id_t)child, &si, WEXITED | WNOWAIT) < 0 && errno == EINTR)
		;
	return NULL;
}

/* ------------------------------------------------------------------ O */

static int fail_enter(struct entry *n, int err)
{
	return op_fail(n->e->op, err == EPERM ? CKPT_E_PRIVILEGE : CKPT_E_SYSTEM, err, n->call,
		err == EPERM ? "run as root: it takes CAP_SYS_ADMIN and CAP_SYS_CHROOT" : NULL,
		"the namespaces of pid %d", n->e->pid);
}

static int run(struct entry *n)
{
	pthread_t t;
	int r;

	n->call = "pthread_create";
	r = own_thread_start(&t, enter, n, &n->mask);
	if (r < 0)
		return fail_enter(n, -r);
	while (sem_wait(&n->begun) < 0)
		;
	r = n->r < 0 ? fail_enter(n, -n->r) : proxy_hear(&n->proxy, n->e->take, n->e->arg);
	if (r < 0 && n->proxy.child_fd >= 0)
		pidfd_signal(n->proxy.child_fd, SIGKILL, NULL);
	pthread_join(t, NULL);
	return r;
}

static int prepare(struct entry *n)
{
	int r = look_inside(n);

	if (r < 0)
		return r;
	n->cwd = getcwd(NULL, 0);
	r = n->cwd ? look_path(n) : -errno;
	if (r == 0 && stat("/", &n->root) < 0)
		r = -errno;
	if (r == 0)
		r = proxy_new(&n->proxy, n->e->op);
	return r < 0 ? op_fail_errno(n->e->op, -r, NULL, "the namespaces of pid %d", n->e->pid) : 0;
}

int enter_run(struct enter *e)
{
	struct entry n = {.e = e,
		.target = -EBADF,
		.keep = {-EBADF, -EBADF},
		.proxy = {.wire = {-EBADF, -EBADF}, .child_fd = -EBADF}};
	int r;

	sem_init(&n.begun, 0, 0);
	r = prepare(&n);
	if (r == 0)
		r = run(&n);
	proxy_done(&n.proxy);
	fd_close(n.keep[0]);
	fd_close(n.keep[1]);
	fd_close(n.target);
	free(n.cwd);
	free(n.known);
	sem_destroy(&n.begun);
	return r;
}
