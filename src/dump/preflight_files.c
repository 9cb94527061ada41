/*
 * preflight_files.c - the kinds of descriptors, and which of them can't be saved yet.
 *
 * Which kinds can be saved the registry of resources says; here are the names of the others, and
 * the reasons. A descriptor is known by the name of its link in /proc/PID/fd, by the type that stat
 * tells of what it leads to, and by the device number. The name is the kernel's own for everything
 * but files, so it decides first: an anonymous inode has no type, a pidfd and a namespace seem to
 * be regular files.
 */
#include "dump/preflight_look.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "kernel/fdinfo.h"
#include "kernel/mqueue.h"
#include "kernel/pidfd.h"
#include "kernel/proc.h"
#include "kernel/sock.h"
#include "res/file/files.h"
#include "res/file/fdpolicy.h"
#include "res/registry.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/str.h"
#include "util/vec.h"

#define CHANGED 1  /* it is something else than a moment ago */
#define LOOKS   20 /* at one number */

#define NOT_YET(what) what " are not saved yet"
#define DEVICE_STATE  "the state of a device can't be saved"
#define CLOSE_IT      "let the program close it"
#define OUTSIDE       "it leads outside: at restore it is the restore command's own of that number"
#define ASKED         "it leads outside: a restore has to be told what it becomes"
#define FD_TELLS      "with 'ckpt restore --fd N=null' and the like"
#define FD_SAYS       "'ckpt restore --fd N=...' connects it elsewhere"

/*
 * A row says how a kind of descriptor is called and why it can't be saved. Whether it can is not
 * said here: a resource of the registry claims it, or none does.
 */
struct file_kind {
	const char *link;                  /* beginning of the link's name, or NULL */
	mode_t type;                       /* S_IFMT bits, or 0 */
	unsigned major, minor, minor_last; /* of a device, or 0 */
	const char *resource;
	const char *reason; /* why it is refused when no resource claims it */
	bool outside;       /* its other side is not in the process */
	bool never;         /* a file to look at, but none that opening its name gives again */
};

#define DEVICE(maj, min, last) .type = S_IFCHR, .major = maj, .minor = min, .minor_last = last

/* The first row that fits. */
static const struct file_kind kinds[] = {
	{.type = S_IFSOCK, .resource = "socket"}, /* for the reason see look_socket_kind() */
	{FILES_LONG_NAME, .resource = "file", .reason = "the kernel does not tell so long a name"},
	{"pipe:[", .resource = "pipe", .reason = NOT_YET("pipes")},
	{"anon_inode:[eventfd]", .resource = "eventfd", .reason = NOT_YET("eventfds")},
	{"anon_inode:[eventpoll]", .resource = "epoll", .reason = NOT_YET("epoll sets")},
	{"anon_inode:[timerfd]", .resource = "timerfd", .reason = NOT_YET("timerfds")},
	{"anon_inode:[signalfd]", .resource = "signalfd", .reason = NOT_YET("signalfds")},
	{"anon_inode:inotify", .resource = "inotify", .reason = NOT_YET("inotify watches")},
	{"anon_inode:[fanotify]", .resource = "fanotify", .reason = NOT_YET("fanotify groups")},
	{"anon_inode:[io_uring]", .resource = "io_uring", .reason = NOT_YET("io_uring rings")},
	{"anon_inode:[userfaultfd]", .resource = "userfaultfd", .reason = NOT_YET("userfaultfds")},
	{"anon_inode:[perf_event]", .resource = "perf",
		.reason = "the kernel does not tell what it counts"},
	{"anon_inode:[pidfd]", .resource = "pidfd", .reason = NOT_YET("pidfds")},
	{"anon_inode:bpf", .resource = "bpf", .reason = NOT_YET("BPF objects of this kind")},
	{"anon_inode:kvm", .resource = "kvm",
		.reason = "the state of a virtual machine can't be saved"},
	{"anon_inode:[fscontext]", .resource = "mount",
		.reason = "the kernel does not tell how far the mount is configured"},
	{"anon_inode:[landlock-ruleset]", .resource = "landlock",
		.reason = "the kernel does not tell the rules that are in it"},
	{"anon_inode:seccomp notify", .resource = "seccomp",
		.reason = NOT_YET("seccomp listeners")},
	{"anon_inode:", .resource = "anon inode", .reason = NOT_YET("descriptors of this kind")},
	{"pidfd:", .resource = "pidfd", .reason = NOT_YET("pidfds")},
	{"/memfd:", .resource = "memfd", .reason = NOT_YET("memfds of this kind")},
	{"/secretmem", .resource = "secretmem", .reason = NOT_YET("memfds of memfd_secret(2)")},
	{"/dmabuf:", .resource = "device", .reason = DEVICE_STATE, .never = true},
	{DEVICE(4, 0, UINT32_MAX), .resource = "terminal", .reason = NOT_YET("terminals"),
		.outside = true},
	{DEVICE(5, 1, 1), .resource = "terminal", .reason = NOT_YET("terminals"), .outside = true},
	{DEVICE(10, 229, 229), .resource = "fuse",
		.reason = "the file system that it serves can't be mounted again"},
	{DEVICE(10, 200, 200), .resource = "tun",
		.reason = "the network interface that it makes can't be saved"},
	{DEVICE(10, 130, 130), .resource = "watchdog",
		.reason = "the machine would be reset before it is fed again"},
	{DEVICE(226, 0, UINT32_MAX), .resource = "device",
		.reason = "the state of a GPU can't be saved"},
	{.type = S_IFCHR, .minor_last = UINT32_MAX, .resource = "device", .reason = DEVICE_STATE},
	{.type = S_IFBLK, .resource = "device", .reason = NOT_YET("block devices")},
	{.type = S_IFIFO, .resource = "fifo", .reason = NOT_YET("named pipes")},
	{.link = "/",
		.type = S_IFDIR,
		.resource = "directory",
		.reason = NOT_YET("deleted directories")},
	{"cgroup:[", .resource = "namespace", .reason = NOT_YET("open namespaces")},
	{"ipc:[", .resource = "namespace", .reason = NOT_YET("open namespaces")},
	{"mnt:[", .resource = "namespace", .reason = NOT_YET("open namespaces")},
	{"net:[", .resource = "namespace", .reason = NOT_YET("open namespaces")},
	{"pid:[", .resource = "namespace", .reason = NOT_YET("open namespaces")},
	{"time:[", .resource = "namespace", .reason = NOT_YET("open namespaces")},
	{"user:[", .resource = "namespace", .reason = NOT_YET("open namespaces")},
	{"uts:[", .resource = "namespace", .reason = NOT_YET("open namespaces")},
	{.resource = "file", .reason = NOT_YET("descriptors of this kind")},
};

static const struct look_kind kind_mqueue = {"mqueue", CKPT_SAVED, NULL, NULL};
static const struct look_kind kind_again = {"file", CKPT_SAVED, NULL, NULL};
static const struct look_kind kind_lock = {"lock", CKPT_SAVED, NULL, NULL};
static const struct look_kind kind_broken_lease = {"lock", CKPT_REFUSED,
	"a lease that is being broken can't be saved", "let the program give the lease back"};

static bool fits(const struct file_kind *k, const struct file_look *f)
{
	unsigned min = minor(f->st.st_rdev);

	if (k->link && !str_startswith(f->link, k->link))
		return false;
	if (k->type && (f->st.st_mode & S_IFMT) != k->type)
		return false;
	if (k->major && major(f->st.st_rdev) != k->major)
		return false;
	return k->type != S_IFCHR || (min >= k->minor && min <= k->minor_last);
}

/* Ends are judged when all are known: both in the process, or one of them outside. */
static int add_pipe(struct look *l, const struct file_look *f)
{
	struct stat link;

	if (vec_reserve(&l->tree->pipes, &l->tree->cap_pipes, l->tree->n_pipes + 1,
		    sizeof(*l->tree->pipes)) < 0)
		return look_fail(l, ENOMEM, "preflight");
	/* The link's own mode says how the description was opened. */
	if (fstatat(l->procfd, f->at, &link, AT_SYMLINK_NOFOLLOW) < 0)
		return 0; /* closed meanwhile */
	l->tree->pipes[l->tree->n_pipes++] = (struct pipe_end){
		.ino = f->st.st_ino,
		.pid = l->pid,
		.fd = f->target_fd,
		.reads = link.st_mode & S_IRUSR,
		.writes = link.st_mode & S_IWUSR,
	};
	return 0;
}

static bool is_mqueue(struct look *l, const struct file_look *f)
{
	struct statfs fs;
	char path[64];

	/* A block device's number is no mqueue; statfs(2) of a network file system may be slow. */
	if (!S_ISREG(f->st.st_mode) || major(f->st.st_dev) || f->st.st_dev == l->tree->plain_dev)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/%s", l->pid, f->at);
	if (statfs(path, &fs) < 0)
		return false;
	if (fs.f_type == MQUEUE_MAGIC)
		return true;
	l->tree->plain_dev = f->st.st_dev;
	return false;
}

struct lock_look {
	struct look *l;
	const struct file_look *f;
	int r; /* of look_found() */
};

static int look_lock(char *key, char *value, void *arg)
{
	struct lock_look *k = arg;
	bool broken = strstr(value, "BREAK");

	if (!str_eq(key, "lock"))
		return 0;
	k->r = look_found(k->l, broken ? &kind_broken_lease : &kind_lock, "fd %d %s: lock %s",
		k->f->target_fd, k->f->link, value);
	return k->r;
}

/*
 * Whether it was not opened by O_PATH: then the link's own mode says what may be done with it, and that is
 * a third of the cost of fdinfo. Nothing is said by that of who was opened for ioctl(2) alone.
 */
static bool may_read_or_write(struct look *l, struct file_look *f)
{
	struct stat link;

	if (fstatat(l->procfd, f->at, &link, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	f->flags = link.st_mode & S_IRUSR ? O_RDONLY : O_WRONLY;
	if ((link.st_mode & (S_IRUSR | S_IWUSR)) == (S_IRUSR | S_IWUSR))
		f->flags = O_RDWR;
	return link.st_mode & (S_IRUSR | S_IWUSR);
}

/* The flags that it was opened with, and every lock that is held through it where that matters. */
static int look_fdinfo(struct look *l, struct file_look *f)
{
	struct lock_look k = {l, f, 0};
	struct fdinfo info;

	if (!l->report->deep && !l->tree->breaking && may_read_or_write(l, f))
		return 0;
	/* else it was closed meanwhile */
	if (fdinfo_read(l->procfd, f->target_fd, &info, look_lock, &k) == 0)
		f->flags = info.flags;
	return k.r;
}

/* The resource that saves descriptors of this kind; NULL: none does. */
static const struct res *claimed_by(const struct file_look *f)
{
	for (const struct res *const *r = registry(); *r; r++)
		if ((*r)->file && (*r)->file->match(f))
			return *r;
	return NULL;
}

static struct look_kind kind_of(struct look *l, const struct file_look *f)
{
	const struct file_kind *row = kinds;
	const struct res *res = claimed_by(f);

	if (is_mqueue(l, f))
		return kind_mqueue;
	while (!fits(row, f)) /* the last row fits all */
		row++;
	if (!res && S_ISSOCK(f->st.st_mode))
		return look_socket_kind(f->sock);
	if (!res || (row->never && !major(f->st.st_dev)))
		return (struct look_kind){row->resource, CKPT_REFUSED, row->reason, CLOSE_IT};
	if (row->outside && !(f->flags & O_PATH))
		return (struct look_kind){row->resource, CKPT_WARNED, OUTSIDE, FD_SAYS};
	if (res->file->verdict) {
		struct file_verdict v = res->file->verdict(l->procfd, f);

		if (v.verdict != CKPT_SAVED)
			return (struct look_kind){res->type.name, v.verdict, v.reason, v.advice};
	}
	return (struct look_kind){res->type.name, CKPT_SAVED,
		f->deleted ? "deleted: saved with its contents" : NULL, NULL};
}

const char *preflight_refused(const struct collect *c, const struct file_look *f)
{
	struct look_tree tree = {0};
	struct look l = {
		.op = c->op, .tree = &tree, .pid = c->pid, .tid = c->alive, .procfd = c->proc_fd};
	struct look_kind kind = kind_of(&l, f);

	if (kind.verdict != CKPT_REFUSED && f->sock && look_unix_outside(c, f))
		return kind.resource;
	return kind.verdict == CKPT_REFUSED ? kind.resource : NULL;
}

static int found_wish(struct look *l, const struct file_look *f, struct look_kind kind,
	const struct fdpolicy_entry *wish)
{
	kind = (struct look_kind){kind.resource, CKPT_WARNED, fdpolicy_becomes(wish), NULL};
	return look_found(l, &kind, "fd %d %s", f->target_fd, f->link);
}

static void note_plain(struct look *l, const struct file_look *f)
{
	mode_t type = f->st.st_mode & S_IFMT;
	size_t at = f->st.st_ino % ARRAY_SIZE(l->tree->plain.v);

	if (*f->link != '/' || f->deleted || f->flags & O_PATH ||
		(type != S_IFREG && type != S_IFDIR && type != S_IFCHR))
		return;
	l->tree->plain.v[at].dev = f->st.st_dev;
	l->tree->plain.v[at].ino = f->st.st_ino;
}

/* Whether a number leads still to what it has led to, by both of what was asked one after the other. */
static bool still_there(const struct look *l, const struct file_look *f)
{
	_cleanup_free_ char *link = NULL;
	struct stat st;

	return fstatat(l->procfd, f->at, &st, 0) == 0 && st.st_ino == f->st.st_ino &&
	       st.st_dev == f->st.st_dev && files_link(l->procfd, f->at, &link) == 0 &&
	       str_startswith(link, f->link);
}

/* Return: 0; CHANGED, and nothing was said of it; negative after look_fail() */
static int judge(struct look *l, struct file_look *f)
{
	struct fdpolicy *policy = l->tree->policy;
	const struct fdpolicy_entry *wish = fdpolicy_of_fd(policy, l->pid, f->target_fd);
	struct look_kind kind;
	char socket[160] = "";

	if (wish)
		return found_wish(l, f, kind_of(l, f), wish);
	if (*f->link == '/' && look_fdinfo(l, f) < 0)
		return -1;
	if (res_pty.file->match(f))
		return look_terminal(l, f);
	kind = kind_of(l, f);
	if (kind.verdict == CKPT_REFUSED && !still_there(l, f))
		return CHANGED;
	wish = kind.verdict == CKPT_REFUSED ? fdpolicy_of_kind(policy, kind.resource) : NULL;
	if (wish)
		return found_wish(l, f, kind, wish);
	if (kind.verdict == CKPT_SAVED && str_startswith(f->link, "pipe:["))
		return add_pipe(l, f);
	if (kind.verdict == CKPT_SAVED && f->sock && f->sock->family == AF_UNIX)
		return look_unix_sock(l, f);
	if (kind.verdict == CKPT_SAVED && look_is_connection(l, f))
		return look_connection(l, f);
	if (kind.verdict == CKPT_SAVED)
		note_plain(l, f);
	if (S_ISSOCK(f->st.st_mode) && (l->report->deep || kind.verdict != CKPT_SAVED))
		look_socket(l, f->target_fd, socket, sizeof(socket));
	return look_found(l, &kind, "fd %d %s%s%s%s", f->target_fd, f->link, *socket ? " (" : "",
		socket, *socket ? ")" : "");
}

/* " (deleted)" is cut off where the file has no name any more. */
static void cut_deleted(struct file_look *f, char *link)
{
	static const char mark[] = " (deleted)";
	size_t len = strlen(link);

	f->link = link;
	f->deleted = !f->st.st_nlink && len >= sizeof(mark) &&
		     str_eq(link + len - (sizeof(mark) - 1), mark);
	if (f->deleted)
		link[len - (sizeof(mark) - 1)] = '\0';
}

/*
 * A file of which another descriptor was found to be saved before. It may be had by another name, which does
 * not lead to it; the dump itself says so then.
 */
static bool is_plain(const struct look *l, const struct stat *st)
{
	const struct look_tree *t = l->tree;
	size_t at = st->st_ino % ARRAY_SIZE(t->plain.v);

	return !l->report->deep && !t->breaking && !(t->policy && t->policy->n) && st->st_nlink &&
	       t->plain.v[at].ino == st->st_ino && t->plain.v[at].dev == st->st_dev;
}

static int look_once(struct look *l, int fd)
{
	_cleanup_free_ char *link = NULL;
	struct sock_look sock;
	char at[32];
	/* There is no duplicate: the resources tell their own from the rest. */
	struct file_look f = {.fd = -EBADF, .target_fd = fd, .at = at, .mounts = &l->tree->mounts};
	int r;

	snprintf(at, sizeof(at), "fd/%d", fd);
	if (fstatat(l->procfd, at, &f.st, 0) < 0)
		return errno == ENOENT ? 0 : look_fail(l, errno, "stat /proc/PID/fd/N");
	if (is_plain(l, &f.st))
		return look_found(l, &kind_again, "fd %d", fd);
	r = files_link(l->procfd, at, &link);
	if (r == -ENOENT)
		return 0; /* closed meanwhile */
	if (r < 0)
		return look_fail(l, r, "read /proc/PID/fd");
	cut_deleted(&f, link);
	if (S_ISSOCK(f.st.st_mode) && look_sock(l, fd, &sock))
		f.sock = &sock;
	else if (S_ISSOCK(f.st.st_mode) && !still_there(l, &f))
		return CHANGED;
	return judge(l, &f);
}

/* The program runs: what never stays long enough to be told what it is, the dump itself will find. */
static int look_file(struct look *l, int fd)
{
	int r = CHANGED;

	for (int i = 0; i < LOOKS && r == CHANGED; i++)
		r = look_once(l, fd);
	return r == CHANGED ? 0 : r;
}

static int by_ino(const void *a, const void *b)
{
	const struct pipe_end *x = a, *y = b;

	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	return x->fd - y->fd;
}

/* Nobody has the other end of a pipe: seen through a copy, which the target can't see. */
static bool other_end_closed(const struct pipe_end *end)
{
	_cleanup_close_ int pidfd = pidfd_of(end->pid);
	_cleanup_close_ int fd = pidfd < 0 ? -EBADF : pidfd_take(pidfd, end->fd);
	struct pollfd p = {.fd = fd, .events = end->reads ? POLLIN : POLLOUT};

	return fd >= 0 && poll(&p, 1, 0) > 0 && p.revents & (end->reads ? POLLHUP : POLLERR);
}

/* The ends of one pipe. */
static int look_pipe(struct look *l, const struct pipe_end *v, size_t n)
{
	static const struct look_kind inside = {"pipe", CKPT_SAVED, NULL, NULL};
	static const struct look_kind outside = {"pipe", CKPT_WARNED, OUTSIDE, FD_SAYS};
	static const struct look_kind asked = {"pipe", CKPT_WARNED, ASKED, FD_TELLS};
	bool reads = false, writes = false, stdio = false;
	const struct look_kind *kind;

	for (size_t i = 0; i < n; i++) {
		reads |= v[i].reads;
		writes |= v[i].writes;
		stdio |= v[i].fd <= STDERR_FILENO;
	}
	if ((reads && writes) || other_end_closed(v))
		kind = &inside;
	else
		kind = stdio ? &outside : &asked;
	for (size_t i = 0; i < n; i++) {
		l->pid = v[i].pid;
		if (look_found(l, kind, "fd %d pipe:[%llu]", v[i].fd,
			    (unsigned long long)v[i].ino) < 0)
			return -1;
	}
	return 0;
}

int look_pipes(struct look *l)
{
	const struct look_tree *t = l->tree;
	size_t first = 0, end;
	int r = 0;

	if (t->n_pipes)
		qsort(t->pipes, t->n_pipes, sizeof(*t->pipes), by_ino);
	for (; r == 0 && first < t->n_pipes; first = end) {
		end = first + 1;
		while (end < t->n_pipes && t->pipes[end].ino == t->pipes[first].ino)
			end++;
		r = look_pipe(l, t->pipes + first, end - first);
	}
	return r;
}

int look_files(struct look *l)
{
	_cleanup_free_ int *fds = NULL;
	size_t n = 0;
	int r = proc_numbers(l->procfd, "fd", &fds, &n);

	if (r < 0)
		return look_fail(l, r, "read /proc/PID/fd");
	for (size_t i = 0; i < n && !r; i++) {
		l->fd = fds[i];
		r = look_file(l, fds[i]);
	}
	l->fd = -1;
	return r;
}
