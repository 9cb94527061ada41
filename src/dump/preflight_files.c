/*
 * preflight_files.c - the kinds of descriptors, and which of them can't be saved yet.
 *
 * A descriptor is known by the name of its link in /proc/PID/fd, by the type that stat tells of
 * what it leads to, and by the device number. The name is the kernel's own for everything but
 * files, so it decides first: an anonymous inode has no type, a pidfd and a namespace seem to be
 * regular files.
 */
#include "dump/preflight_look.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "kernel/proc.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/str.h"
#include "util/vec.h"

#define MQUEUE_MAGIC 0x19800202 /* ipc/mqueue.c; in no header of the uapi before 5.14 */

#define NOT_YET(what) what " are not saved yet"
#define CLOSE_IT      "let the program close it"
#define OUTSIDE       "it leads outside: at restore it is the restore command's own of that number"
#define FD_SAYS       "'ckpt restore --fd N=...' connects it elsewhere"

struct file_kind {
	const char *link;                  /* beginning of the link's name, or NULL */
	mode_t type;                       /* S_IFMT bits, or 0 */
	unsigned major, minor, minor_last; /* of a device, or 0 */
	struct look_kind kind;
};

#define ANON(name, resource, reason)                                                               \
	{                                                                                          \
		.link = "anon_inode:" name, .kind = { resource, CKPT_REFUSED, reason, CLOSE_IT }   \
	}
#define NAMESPACE(name)                                                                            \
	{                                                                                          \
		.link = name ":[", .kind = {                                                       \
			"namespace",                                                               \
			CKPT_REFUSED,                                                              \
			NOT_YET("open namespaces"),                                                \
			CLOSE_IT                                                                   \
		}                                                                                  \
	}
#define DEVICE(maj, min, last, resource, verdict, reason, advice)                                  \
	{                                                                                          \
		.type = S_IFCHR, .major = maj, .minor = min, .minor_last = last, .kind = {         \
			resource,                                                                  \
			verdict,                                                                   \
			reason,                                                                    \
			advice                                                                     \
		}                                                                                  \
	}

/* One row per kind; the first row that fits. */
static const struct file_kind kinds[] = {
	{.type = S_IFSOCK, .kind = {"socket", CKPT_REFUSED, NOT_YET("sockets"), CLOSE_IT}},
	{.link = "pipe:[", .kind = {"pipe", CKPT_SAVED, NULL, NULL}},
	ANON("[eventfd]", "eventfd", NOT_YET("eventfds")),
	ANON("[eventpoll]", "epoll", NOT_YET("epoll sets")),
	ANON("[timerfd]", "timerfd", NOT_YET("timerfds")),
	ANON("[signalfd]", "signalfd", NOT_YET("signalfds")),
	ANON("inotify", "inotify", NOT_YET("inotify watches")),
	ANON("[fanotify]", "fanotify", NOT_YET("fanotify groups")),
	ANON("[io_uring]", "io_uring", NOT_YET("io_uring rings")),
	ANON("[userfaultfd]", "userfaultfd", NOT_YET("userfaultfds")),
	ANON("[perf_event]", "perf", NOT_YET("perf events")),
	ANON("[pidfd]", "pidfd", NOT_YET("pidfds")),
	ANON("bpf", "bpf", NOT_YET("BPF objects")),
	ANON("kvm", "kvm", "virtual machines of KVM can't be saved from outside"),
	ANON("[fscontext]", "mount", NOT_YET("mounts in the making")),
	ANON("[landlock-ruleset]", "landlock", NOT_YET("landlock rulesets in the making")),
	ANON("seccomp notify", "seccomp", NOT_YET("seccomp listeners")),
	ANON("", "anonymous inode", NOT_YET("descriptors of this kind")),
	{.link = "pidfd:", .kind = {"pidfd", CKPT_REFUSED, NOT_YET("pidfds"), CLOSE_IT}},
	{.link = "/memfd:", .kind = {"shmem", CKPT_SAVED, NULL, NULL}},
	{.link = "/secretmem",
		.kind = {"secretmem", CKPT_REFUSED, NOT_YET("descriptors of memfd_secret(2)"),
			CLOSE_IT}},
	{.link = "/dmabuf:", .kind = {"device", CKPT_REFUSED, "it belongs to a device", CLOSE_IT}},
	DEVICE(1, 3, 3, "null", CKPT_SAVED, NULL, NULL),
	DEVICE(1, 5, 5, "zero", CKPT_SAVED, NULL, NULL),
	DEVICE(1, 7, 7, "full", CKPT_SAVED, NULL, NULL),
	DEVICE(1, 8, 9, "random", CKPT_SAVED, NULL, NULL),
	DEVICE(1, 11, 11, "kmsg", CKPT_SAVED, NULL, NULL),
	DEVICE(5, 0, 0, "terminal", CKPT_SAVED, NULL, NULL),
	DEVICE(5, 2, 2, "pty", CKPT_REFUSED, NOT_YET("pseudo terminals' masters"), CLOSE_IT),
	DEVICE(136, 0, UINT32_MAX, "terminal", CKPT_WARNED, OUTSIDE, FD_SAYS),
	DEVICE(4, 0, UINT32_MAX, "terminal", CKPT_WARNED, OUTSIDE, FD_SAYS),
	DEVICE(5, 1, 1, "terminal", CKPT_WARNED, OUTSIDE, FD_SAYS),
	DEVICE(0, 0, UINT32_MAX, "device", CKPT_REFUSED, "the state of a device can't be saved",
		CLOSE_IT),
	{.type = S_IFBLK, .kind = {"device", CKPT_REFUSED, NOT_YET("block devices"), CLOSE_IT}},
	{.type = S_IFIFO, .kind = {"fifo", CKPT_REFUSED, NOT_YET("named pipes"), CLOSE_IT}},
	{.link = "/", .type = S_IFDIR, .kind = {"directory", CKPT_SAVED, NULL, NULL}},
	{.link = "/", .type = S_IFREG, .kind = {"file", CKPT_SAVED, NULL, NULL}},
	{.link = "/", .type = S_IFLNK, .kind = {"path", CKPT_SAVED, NULL, NULL}},
	NAMESPACE("cgroup"),
	NAMESPACE("ipc"),
	NAMESPACE("mnt"),
	NAMESPACE("net"),
	NAMESPACE("pid"),
	NAMESPACE("time"),
	NAMESPACE("user"),
	NAMESPACE("uts"),
	{.kind = {"file", CKPT_REFUSED, NOT_YET("descriptors of this kind"), CLOSE_IT}},
};

static const struct look_kind kind_path = {"path", CKPT_SAVED, NULL, NULL};
static const struct look_kind kind_deleted = {
	"file", CKPT_SAVED, "deleted: saved with its contents", NULL};
static const struct look_kind kind_deleted_dir = {
	"directory", CKPT_REFUSED, NOT_YET("deleted directories"), CLOSE_IT};
static const struct look_kind kind_mqueue = {
	"mqueue", CKPT_REFUSED, NOT_YET("POSIX message queues"), CLOSE_IT};
static const struct look_kind kind_lock = {"lock", CKPT_REFUSED, NOT_YET("file locks and leases"),
	"let the program give the lock back"};
static const struct look_kind kind_pipe = {"pipe", CKPT_SAVED, NULL, NULL};
static const struct look_kind kind_pipe_outside = {"pipe", CKPT_WARNED, OUTSIDE, FD_SAYS};

/* One end of a pipe in the process. */
struct pipe_end {
	uint64_t ino;
	int fd;
	bool reads, writes;
};

struct files_look {
	struct look *l;
	struct pipe_end *pipes;
	size_t n_pipes, cap_pipes;
	dev_t plain_dev; /* the last device whose file system was found to be an ordinary one */
};

/* What is known of one descriptor. */
struct file_look {
	int fd;
	char path[32]; /* "fd/N" */
	char *link;    /* owned by the caller */
	struct stat st;
};

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
static int add_pipe(struct files_look *fl, const struct file_look *f)
{
	struct stat link;

	if (vec_reserve(&fl->pipes, &fl->cap_pipes, fl->n_pipes + 1, sizeof(*fl->pipes)) < 0)
		return look_fail(fl->l, ENOMEM, "preflight");
	/* The link's own mode says how the description was opened. */
	if (fstatat(fl->l->procfd, f->path, &link, AT_SYMLINK_NOFOLLOW) < 0)
		return 0; /* closed meanwhile */
	fl->pipes[fl->n_pipes++] = (struct pipe_end){
		.ino = f->st.st_ino,
		.fd = f->fd,
		.reads = link.st_mode & S_IRUSR,
		.writes = link.st_mode & S_IWUSR,
	};
	return 0;
}

static bool is_mqueue(struct files_look *fl, const struct file_look *f)
{
	struct statfs fs;
	char path[64];

	/* A block device's number is no mqueue; statfs(2) of a network file system may be slow. */
	if (!S_ISREG(f->st.st_mode) || major(f->st.st_dev) || f->st.st_dev == fl->plain_dev)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/%s", fl->l->pid, f->path);
	if (statfs(path, &fs) < 0)
		return false;
	if (fs.f_type == MQUEUE_MAGIC)
		return true;
	fl->plain_dev = f->st.st_dev;
	return false;
}

/* Whether it was opened with O_PATH, and every lock that is held through it. */
static int look_fdinfo(struct files_look *fl, const struct file_look *f, bool *ret_path)
{
	_cleanup_free_ char *text = NULL;
	char path[32];
	const char *p;
	uint64_t flags;

	*ret_path = false;
	snprintf(path, sizeof(path), "fdinfo/%d", f->fd);
	if (file_read_at(fl->l->procfd, path, &text, NULL) < 0)
		return 0; /* closed meanwhile */
	for (p = text; *p; str_skip_line(&p)) {
		const char *value = str_startswith(p, "flags:");

		if (value) {
			str_skip_blanks(&value);
			*ret_path = str_u64(&value, 8, &flags) == 0 && (flags & O_PATH);
		}
		value = str_startswith(p, "lock:");
		if (!value)
			continue;
		str_skip_blanks(&value);
		if (look_found(fl->l, &kind_lock, "fd %d %s: lock %.*s", f->fd, f->link,
			    (int)strcspn(value, "\n"), value) < 0)
			return -1;
	}
	return 0;
}

static int judge(struct files_look *fl, const struct file_look *f)
{
	const struct file_kind *k = kinds;
	const struct look_kind *kind;
	char socket[160] = "";
	bool is_path = false;

	if (*f->link == '/' && look_fdinfo(fl, f, &is_path) < 0)
		return -1;
	while (!fits(k, f)) /* the last row fits all */
		k++;
	kind = &k->kind;
	if (is_path)
		kind = &kind_path;
	else if (str_startswith(f->link, "pipe:["))
		return add_pipe(fl, f);
	else if (is_mqueue(fl, f))
		kind = &kind_mqueue;
	else if (S_ISREG(f->st.st_mode) && !f->st.st_nlink && str_eq(kind->resource, "file"))
		kind = &kind_deleted;
	else if (S_ISDIR(f->st.st_mode) && !f->st.st_nlink)
		kind = &kind_deleted_dir;
	if (S_ISSOCK(f->st.st_mode))
		look_socket(fl->l, f->fd, socket, sizeof(socket));
	return look_found(fl->l, kind, "fd %d %s%s%s%s", f->fd, f->link, *socket ? " (" : "",
		socket, *socket ? ")" : "");
}

static int look_file(struct files_look *fl, int fd)
{
	_cleanup_free_ char *link = NULL;
	struct file_look f = {.fd = fd};
	int r;

	snprintf(f.path, sizeof(f.path), "fd/%d", fd);
	r = link_read_at(fl->l->procfd, f.path, &link);
	if (r == -ENOENT)
		return 0; /* closed meanwhile */
	if (r < 0)
		return look_fail(fl->l, r, "read /proc/PID/fd");
	f.link = link;
	if (fstatat(fl->l->procfd, f.path, &f.st, 0) < 0 && errno == ENOENT)
		return 0;
	return judge(fl, &f);
}

static int by_ino(const void *a, const void *b)
{
	const struct pipe_end *x = a, *y = b;

	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return x->fd - y->fd;
}

static int look_pipes(struct files_look *fl)
{
	size_t first = 0, end;

	if (fl->n_pipes)
		qsort(fl->pipes, fl->n_pipes, sizeof(*fl->pipes), by_ino);
	for (; first < fl->n_pipes; first = end) {
		bool reads = false, writes = false;

		for (end = first; end < fl->n_pipes && fl->pipes[end].ino == fl->pipes[first].ino;
			end++) {
			reads |= fl->pipes[end].reads;
			writes |= fl->pipes[end].writes;
		}
		for (size_t i = first; i < end; i++)
			if (look_found(fl->l, reads && writes ? &kind_pipe : &kind_pipe_outside,
				    "fd %d pipe:[%llu]", fl->pipes[i].fd,
				    (unsigned long long)fl->pipes[i].ino) < 0)
				return -1;
	}
	return 0;
}

int look_files(struct look *l)
{
	_cleanup_free_ int *fds = NULL;
	struct files_look fl = {.l = l};
	size_t n = 0;
	int r = proc_numbers(l->procfd, "fd", &fds, &n);

	if (r < 0)
		return look_fail(l, r, "read /proc/PID/fd");
	for (size_t i = 0; i < n && !r; i++)
		r = look_file(&fl, fds[i]);
	if (!r)
		r = look_pipes(&fl);
	free(fl.pipes);
	return r;
}
