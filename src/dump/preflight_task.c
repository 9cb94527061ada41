/*
 * preflight_task.c - a process as a whole: its state, its threads, its children, its namespaces.
 */
#include "dump/preflight_look.h"

#include <errno.h>
#include <linux/kcmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dump/notify_page.h"
#include "dump/vfork.h"
#include "kernel/cgroup.h"
#include "kernel/pidfd.h"
#include "kernel/proc.h"
#include "kernel/proc_children.h"
#include "kernel/proc_stat.h"
#include "kernel/proc_status.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/parallel.h"
#include "util/str.h"
#include "util/vec.h"

static const struct look_kind kind_process = {"process", CKPT_SAVED, NULL, NULL};
static const struct look_kind kind_zombie = {
	"process", CKPT_REFUSED, "it has ended, only its exit status is left", NULL};
static const struct look_kind kind_dead_child = {
	"process", CKPT_SAVED, "it has ended: its exit status is saved", NULL};
static const struct look_kind kind_dead_leader = {"process", CKPT_REFUSED,
	"its first thread has ended: its files are out of reach before Linux 6.9", NULL};
static const struct look_kind kind_kthread = {
	"process", CKPT_REFUSED, "it is a kernel thread", NULL};
static const struct look_kind kind_self = {"process", CKPT_REFUSED, "it is ckpt itself", NULL};
static const struct look_kind kind_traced = {"tracer", CKPT_REFUSED,
	"a process can have one tracer only", "end the tracer, or let it detach"};
static const struct look_kind kind_blocked = {
	"thread", CKPT_WARNED, "in an uninterruptible sleep: a dump waits until it ends", NULL};
static const struct look_kind kind_vfork = {"thread", CKPT_WARNED,
	"in vfork(2): a dump waits some seconds for its child to call execve(2) or to end, then is refused",
	NULL};
static const struct look_kind kind_session = {"session", CKPT_WARNED,
	"its leader is outside: at restore it joins the session of the restore command", NULL};
static const struct look_kind kind_threads = {"threads", CKPT_SAVED, NULL, NULL};
static const struct look_kind kind_own_files = {"thread", CKPT_REFUSED,
	"it has a descriptor table of its own (unshare), which is not saved yet", NULL};
static const struct look_kind kind_own_fs = {"thread", CKPT_REFUSED,
	"it has a working directory of its own (unshare), which is not saved yet", NULL};
static const struct look_kind kind_frozen = {"cgroup", CKPT_REFUSED,
	"it is frozen: nothing in it can be stopped, nor run",
	"thaw it: 0 into its cgroup.freeze, or THAWED into its freezer.state"};

/* The name of another process, for the text only: "?" when it is gone. */
static void comm_of(pid_t pid, char *comm, size_t len)
{
	_cleanup_close_ int procfd = proc_open(pid);
	struct proc_stat st;
	bool known = procfd >= 0 && proc_stat_read(procfd, 0, &st) == 0;

	snprintf(comm, len, "%s", known ? st.comm : "?");
}

static int found_tracer(struct look *l, pid_t tid, pid_t tracer)
{
	char comm[64];

	comm_of(tracer, comm, sizeof(comm));
	return look_found(l, &kind_traced, "tid %d: traced by pid %d (%s)", tid, tracer, comm);
}

/* Return: 0 go on, 1 there is nothing more to look at, or after op_fail(). */
static int look_state(struct look *l, const struct proc_stat *st)
{
	const struct look_kind *kind = NULL;

	if (st->flags & PROC_PF_KTHREAD)
		kind = &kind_kthread;
	else if (l->pid == getpid())
		kind = &kind_self;
	else if (st->state == 'Z' || st->state == 'X')
		kind = l->parent ? &kind_dead_child : &kind_zombie;
	if (!kind)
		return 0;
	return look_found(l, kind, "pid %d (%s)", l->pid, l->comm) < 0 ? -EINVAL : 1;
}

/*
 * Open files are had by a pidfd. That of a process leads to its first thread, which has none any more
 * when it has ended, and one of another thread (PIDFD_THREAD) is EINVAL before Linux 6.9.
 */
static bool files_reachable(const struct look *l)
{
	_cleanup_close_ int pidfd = l->tid == l->pid ? -EBADF : pidfd_of_thread(l->tid);

	return pidfd != -EINVAL;
}

int look_task(struct look *l)
{
	struct proc_stat st;
	struct proc_status status;
	int r = proc_stat_read(l->procfd, 0, &st);

	if (r < 0)
		return look_fail(l, r, "read /proc/PID/stat");
	/* one that has got another parent meanwhile is looked at as a child of that, or not at all */
	if (l->parent && st.ppid != l->parent)
		return look_fail(l, ESRCH, "read /proc/PID/stat");
	snprintf(l->comm, sizeof(l->comm), "%s", st.comm);
	if (!l->parent && !(l->report->r.comm = strdup(st.comm)))
		return look_fail(l, ENOMEM, "preflight");
	l->report->r.tasks++;
	l->report->r.threads += st.num_threads;
	r = look_state(l, &st);
	if (r != 0)
		return r;
	r = proc_status_read(l->procfd, 0, &status);
	if (r < 0)
		return look_fail(l, r, "read /proc/PID/status");
	r = 0;
	l->marked = status.sig_caught & 1ULL << (NOTIFY_MARK - 1);
	if (status.tgid != l->pid)
		r = op_fail(l->op, CKPT_E_TARGET, 0, NULL, "name the process, not a thread",
			"%d (%s) is a thread of process %d", l->pid, l->comm, status.tgid);
	else if (status.tracer_pid)
		r = found_tracer(l, l->pid, status.tracer_pid);
	proc_status_done(&status);
	if (!r)
		r = look_found(l, files_reachable(l) ? &kind_process : &kind_dead_leader,
			"pid %d (%s)", l->pid, l->comm);
	/* that of a descendant is the root's, or was made by one of them */
	if (!r && !l->parent && st.session != l->pid)
		r = look_found(l, &kind_session, "session %d", st.session);
	return r;
}

/* What threads of one group share unless one of them has called unshare(2). */
struct sharing {
	const struct look *l;
	const pid_t *tids;
	const struct look_kind **own; /* per thread: what it has of its own, NULL: nothing */
};

static void compare(void *arg, size_t i)
{
	const struct sharing *s = arg;
	pid_t tid = s->tids[i];

	if (tid == s->l->pid)
		return;
	if (syscall(SYS_kcmp, s->l->tid, tid, KCMP_FILES, 0, 0) > 0)
		s->own[i] = &kind_own_files;
	else if (syscall(SYS_kcmp, s->l->tid, tid, KCMP_FS, 0, 0) > 0)
		s->own[i] = &kind_own_fs;
}

static int look_shared(struct look *l, const pid_t *tids, size_t n)
{
	_cleanup_free_ const struct look_kind **own = calloc(n + 1, sizeof(*own));
	int r = own ? 0 : look_fail(l, ENOMEM, "preflight");

	if (own)
		parallel_each(n, compare, &(struct sharing){l, tids, own});
	for (size_t i = 0; i < n && r == 0; i++)
		if (own[i])
			r = look_found(l, own[i], "tid %d", tids[i]);
	return r;
}

static int add_children(struct look *l, const struct proc_children *c)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->n; i++)
		r = look_add(l, l->pid, c->v[i]);
	return r;
}

static int look_children(struct look *l, const pid_t *tids, size_t n)
{
	struct proc_children found = {};
	int r = proc_children_of_all(l->procfd, tids, n, &found);

	if (r == -ENOENT)
		r = proc_children_scan(l->pid, &found);
	r = r < 0 ? look_fail(l, r, "read /proc/PID/task/TID/children") : add_children(l, &found);
	proc_children_done(&found);
	return r;
}

static int look_deep_thread(struct look *l, pid_t tid)
{
	struct proc_stat st;
	struct proc_status status;
	pid_t tracer;

	if (proc_stat_read(l->procfd, tid, &st) == 0 && st.state == 'D' &&
		look_found(l, vfork_is_waiting(l->procfd, tid) ? &kind_vfork : &kind_blocked,
			"tid %d (%s)", tid, st.comm) < 0)
		return -ENOMEM;
	if (tid == l->pid || proc_status_read(l->procfd, tid, &status) < 0)
		return 0;
	tracer = status.tracer_pid;
	proc_status_done(&status);
	return tracer ? found_tracer(l, tid, tracer) : 0;
}

/* A thread of libckpt, which is never the first one, has a name that says where its page is. */
static int look_listener(struct look *l, pid_t tid)
{
	struct preflight_report *p = l->report;
	_cleanup_free_ char *name = NULL;
	const char *text;
	uint64_t page;

	if (tid == l->pid ||
		file_read_at(l->procfd, proc_task_path(tid, "comm").s, &name, NULL) < 0)
		return 0;
	text = str_startswith(name, NOTIFY_THREAD);
	if (!text || str_u64(&text, 16, &page) < 0 || *text != '\n')
		return 0;
	if (vec_reserve(&p->listeners, &p->cap_listeners, p->n_listeners + 1,
		    sizeof(*p->listeners)) < 0)
		return look_fail(l, ENOMEM, "preflight");
	p->listeners[p->n_listeners++] =
		(struct preflight_listener){l->pid, tid, page << NOTIFY_PAGE_BITS};
	return 0;
}

int look_threads(struct look *l)
{
	_cleanup_free_ pid_t *tids = NULL;
	size_t n = 0;
	int r = proc_tasks(l->procfd, &tids, &n);

	if (r < 0)
		return look_fail(l, r, "read /proc/PID/task");
	r = look_children(l, tids, n);
	if (r >= 0)
		r = look_shared(l, tids, n);
	for (size_t i = 0; i < n && r >= 0 && l->report->deep; i++)
		r = look_deep_thread(l, tids[i]);
	for (size_t i = 0; i < n && r >= 0 && l->marked; i++)
		r = look_listener(l, tids[i]);
	if (r < 0)
		return r;
	return look_found(l, &kind_threads, "%zu thread%s", n, n == 1 ? "" : "s");
}

#define OTHER_NS      "other namespaces than those of ckpt are not saved yet"
#define NSENTER(flag) "run ckpt in it: nsenter -t PID --" flag " ckpt ..."

/* ns: the link of the target; own: the link of ours that it must equal; NULL: its own ns/time, above. */
static const struct {
	const char *ns, *own;
	struct look_kind kind;
} namespaces[] = {
	{"ns/user", "ns/user", {"namespace", CKPT_REFUSED, OTHER_NS, NSENTER("user")}},
	{"ns/mnt", "ns/mnt", {"namespace", CKPT_REFUSED, OTHER_NS, NSENTER("mount")}},
	{"ns/pid", "ns/pid", {"namespace", CKPT_REFUSED, OTHER_NS, NSENTER("pid --mount")}},
	{"ns/pid_for_children", "ns/pid", {"namespace", CKPT_REFUSED, OTHER_NS, NULL}},
	{"ns/net", "ns/net", {"namespace", CKPT_REFUSED, OTHER_NS, NSENTER("net")}},
	{"ns/ipc", "ns/ipc", {"namespace", CKPT_REFUSED, OTHER_NS, NSENTER("ipc")}},
	{"ns/uts", "ns/uts", {"namespace", CKPT_REFUSED, OTHER_NS, NSENTER("uts")}},
	{"ns/cgroup", "ns/cgroup", {"namespace", CKPT_REFUSED, OTHER_NS, NSENTER("cgroup")}},
	{"ns/time", "ns/time", {"timens", CKPT_SAVED, NULL, NULL}},
	{"ns/time_for_children", NULL, {"namespace", CKPT_REFUSED, OTHER_NS, NULL}},
};

/* A kind that this kernel lacks stays 0. */
int look_own_namespaces(struct look *l)
{
	struct look_tree *t = l->tree;
	_cleanup_close_ int self = proc_open(0);

	if (self < 0)
		return look_fail(l, self, "open /proc/self");
	t->own_ns = calloc(ARRAY_SIZE(namespaces), sizeof(*t->own_ns));
	if (!t->own_ns)
		return look_fail(l, ENOMEM, "preflight");
	for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++)
		if (namespaces[i].own)
			fstatat(self, namespaces[i].own, &t->own_ns[i], 0);
	return 0;
}

int look_namespaces(struct look *l)
{
	struct stat time = {0};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(namespaces); i++) {
		const struct stat *ours = namespaces[i].own ? &l->tree->own_ns[i] : &time;
		_cleanup_free_ char *name = NULL;
		struct stat theirs;

		if (!ours->st_ino)
			continue;
		if (fstatat(l->procfd, namespaces[i].ns, &theirs, 0) < 0) {
			if (errno == ENOENT)
				continue;
			return look_fail(l, errno, namespaces[i].ns);
		}
		if (str_eq(namespaces[i].ns, "ns/time"))
			time = theirs;
		if (theirs.st_ino == ours->st_ino && theirs.st_dev == ours->st_dev)
			continue;
		if (link_read_at(l->procfd, namespaces[i].ns, &name) < 0)
			name = NULL;
		if (look_found(l, &namespaces[i].kind, "%s %s", namespaces[i].ns,
			    name ? name : "") < 0)
			return -ENOMEM;
	}
	return r;
}

/* Only version 2 and the freezer of version 1 can freeze; the root group never is. */
static bool is_frozen(const struct look_tree *t, const struct cgroup_at *at)
{
	_cleanup_close_ int fd = -EBADF;

	if ((*at->hierarchy && !strstr(at->hierarchy, "freezer")) || !at->path[1])
		return false;
	fd = cgroup_open(&t->mounts, at->hierarchy, at->path);
	return fd >= 0 && cgroup_is_frozen(fd);
}

/* Whether it is that of a process before. */
static bool is_known(const struct look_tree *t, const char *text)
{
	for (; t; t = t->outer)
		if (t->cgroup && str_eq(t->cgroup, text))
			return true;
	return false;
}

int look_cgroup(struct look *l)
{
	_cleanup_cgroups_ struct cgroup_list list = {0};
	_cleanup_free_ char *text = NULL;
	int r = 0;

	if (file_read_at(l->procfd, "cgroup", &text, NULL) < 0)
		return 0; /* a kernel without cgroups */
	if (is_known(l->tree, text))
		return 0; /* told already */
	if (cgroup_parse(text, &list) < 0)
		return 0;
	free(l->tree->cgroup);
	l->tree->cgroup = TAKE_PTR(text);
	for (size_t i = 0; i < list.n && r == 0; i++)
		if (is_frozen(l->tree, &list.v[i]))
			r = look_found(l, &kind_frozen, "cgroup %s", list.v[i].path);
	return r;
}
