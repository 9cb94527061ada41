/*
 * fanotify.c - groups of marks on files, mounts and file systems.
 *
 * fdinfo tells how a group was made and what its marks are (Linux >= 3.8): an inode by a handle, see
 * watched.c, a mount by its number, a file system by its device. The first task that has the group puts
 * the marks on again, when nearly all else is done: what is opened after that is an event, and would
 * wait for an answer if the program is one that gives permission. Events that nobody has read can't be
 * put back; the user is told.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "kernel/fdinfo.h"
#include "kernel/mountinfo.h"
#include "proto/fanotify.pb-c.h"
#include "proto/fdtable.pb-c.h"
#include "res/file/seen.h"
#include "res/file/watched.h"
#include "util/cleanup.h"
#include "util/str.h"
#include "util/vec.h"

#ifndef FAN_MARK_EVICTABLE
#define FAN_MARK_EVICTABLE 0x200 /* 5.19 */
#endif
#ifndef FAN_MARK_IGNORE
#define FAN_MARK_IGNORE 0x400 /* 6.0 */
#endif

#define LOST_REASON "what it marks has no name that can be found, nor a descriptor in the process"
#define ROOT_REASON "marks of a process with a root directory of its own can't be saved yet"
#define ROOT_ADVICE "let the program close it"

static bool match(const struct file_look *l)
{
	return strcmp(l->link, "anon_inode:[fanotify]") == 0;
}

struct reading {
	int procfd;
	Ckpt__Fanotify *m;
	size_t cap;
	unsigned budget;
	struct mount_list mounts;
	bool look; /* only whether all can be found */
	bool lost;
};

/* ---- marks ---- */

static bool is_mount(const char *path, int id)
{
	struct statx stx;

	return statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_MNT_ID, &stx) ==
		       0 &&
	       stx.stx_mask & STATX_MNT_ID && (int)stx.stx_mnt_id == id;
}

static char *mount_path(const struct mount_list *l, int id)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].id == id && is_mount(l->v[i].point, id))
			return strdup(l->v[i].point);
	return NULL;
}

static char *filesystem_path(const struct mount_list *l, dev_t dev)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].dev_major == major(dev) && l->v[i].dev_minor == minor(dev) &&
			is_mount(l->v[i].point, l->v[i].id))
			return strdup(l->v[i].point);
	return NULL;
}

/* "ino:9e7e sdev:800013 mflags:0 mask:.. ignored_mask:.. fhandle-..", "mnt_id:1e ..", "sdev:16 .." */
static int parse_mark(struct reading *rd, const char *value, Ckpt__FanotifyMark *mark)
{
	const char *rest = strstr(value, "mflags:");
	struct watched w = {0};
	unsigned long long mask, ignored;
	unsigned id, flags;

	if (!rest ||
		sscanf(rest, "mflags:%x mask:%llx ignored_mask:%llx", &flags, &mask, &ignored) != 3)
		return -EBADMSG;
	mark->flags = flags;
	mark->mask = mask;
	mark->ignored = ignored;
	if (sscanf(value, "mnt_id:%x", &id) == 1) {
		mark->kind = CKPT__FANOTIFY_MARK__KIND__MOUNT;
		mark->path = mount_path(&rd->mounts, (int)id);
	} else if (sscanf(value, "sdev:%x", &id) == 1) {
		mark->kind = CKPT__FANOTIFY_MARK__KIND__FILESYSTEM;
		mark->path = filesystem_path(&rd->mounts, watched_dev(id));
	} else if (watched_parse(value, &w) == 0) {
		if (watched_find(rd->procfd, &w, &rd->budget, &mark->path) < 0) {
			mark->dev = w.dev;
			mark->ino = w.ino;
			mark->path =
				rd->look && !watched_is_open(rd->procfd, &w) ? NULL : strdup("");
		}
	}
	rd->lost |= !mark->path;
	if (!mark->path)
		mark->path = strdup("");
	return mark->path ? 0 : -ENOMEM;
}

static int line(char *key, char *value, void *arg)
{
	struct reading *rd = arg;
	Ckpt__Fanotify *m = rd->m;
	Ckpt__FanotifyMark *mark;

	if (strcmp(key, "fanotify") != 0)
		return 0;
	if (str_startswith(value, "flags:"))
		return sscanf(value, "flags:%x event-flags:%x", &m->init_flags, &m->event_flags) ==
				       2
			       ? 0
			       : -EBADMSG;
	mark = msg_new(Ckpt__FanotifyMark, CKPT__FANOTIFY_MARK__INIT);
	if (!mark || vec_reserve(&m->marks, &rd->cap, m->n_marks + 1, sizeof(mark)) < 0) {
		free(mark);
		return -ENOMEM;
	}
	mark->path = NULL;
	m->marks[m->n_marks++] = mark;
	return parse_mark(rd, value, mark);
}

static int read_group(struct reading *rd, int target_fd)
{
	struct fdinfo info;
	int r = mountinfo_read(&rd->mounts);

	if (r == 0)
		r = fdinfo_read(rd->procfd, target_fd, &info, line, rd);
	mount_list_done(&rd->mounts);
	return r;
}

static bool own_root(int procfd)
{
	struct stat own, its;

	return stat("/", &own) == 0 && fstatat(procfd, "root", &its, 0) == 0 &&
	       own.st_dev == its.st_dev && own.st_ino == its.st_ino;
}

/* ---- dump ---- */

static void group_free(Ckpt__Fanotify *m)
{
	for (size_t i = 0; m && i < m->n_marks; i++)
		if (!m->marks[i]->path)
			m->marks[i]->path = (char *)protobuf_c_empty_string;
	if (m)
		protobuf_c_message_free_unpacked(&m->base, NULL);
}

static struct file_verdict verdict(int procfd, const struct file_look *l)
{
	Ckpt__Fanotify *m = msg_new(Ckpt__Fanotify, CKPT__FANOTIFY__INIT);
	struct reading rd = {.procfd = procfd, .m = m, .budget = WATCHED_BUDGET, .look = true};
	struct file_verdict v = {CKPT_SAVED, NULL, NULL};

	if (m && read_group(&rd, l->target_fd) == 0 && rd.lost)
		v = (struct file_verdict){CKPT_REFUSED, LOST_REASON, WATCHED_ADVICE};
	if (!own_root(procfd))
		v = (struct file_verdict){CKPT_REFUSED, ROOT_REASON, ROOT_ADVICE};
	group_free(m);
	return v;
}

static int refuse(struct collect *c, int fd, const char *reason, const char *advice)
{
	return op_fail(c->op, CKPT_E_REFUSED, 0, NULL, advice, "pid %d (%s): fanotify fd %d: %s",
		c->pid, c->tr->comm, fd, reason);
}

static int collect(struct collect *c, uint64_t id, const struct file_look *l)
{
	Ckpt__Fanotify *m = msg_new(Ckpt__Fanotify, CKPT__FANOTIFY__INIT);
	struct reading rd = {.procfd = c->proc_fd, .m = m, .budget = WATCHED_BUDGET};
	int r, unread = 0;

	if (!m)
		return collect_oom(c);
	r = read_group(&rd, l->target_fd);
	if (r < 0)
		r = op_fail(c->op, CKPT_E_SYSTEM, -r, "read", NULL, "/proc/%d/fdinfo/%d", c->pid,
			l->target_fd);
	else if (rd.lost)
		r = refuse(c, l->target_fd, LOST_REASON, WATCHED_ADVICE);
	else if (!own_root(c->proc_fd))
		r = refuse(c, l->target_fd, ROOT_REASON, ROOT_ADVICE);
	if (r < 0) {
		group_free(m);
		return r;
	}
	if (ioctl(l->fd, FIONREAD, &unread) == 0 && unread)
		op_warn(c->op,
			"pid %d (%s): fanotify fd %d: %d bytes of events that nobody has read are "
			"not saved",
			c->pid, c->tr->comm, l->target_fd, unread);
	return collect_add_take(c, &res_fanotify.type, id, m);
}

/* The kernel lists them by their age or the other way round. */
static int by_path(const void *a, const void *b)
{
	const Ckpt__FanotifyMark *const *x = a, *const *y = b;
	int r = strcmp((*x)->path, (*y)->path);

	if (r)
		return r;
	return (*x)->kind != (*y)->kind ? (int)(*x)->kind - (int)(*y)->kind
					: ((*x)->file > (*y)->file) - ((*x)->file < (*y)->file);
}

static int finish(struct collect_tree *t)
{
	const struct model_rec *rec;
	size_t pos = 0;

	while ((rec = model_next(t->model, &res_fanotify.type, &pos))) {
		Ckpt__Fanotify *m = (void *)rec->msg;
		const struct collect_file *f = &t->files[rec->owner - 1];

		for (size_t i = 0; i < m->n_marks; i++) {
			Ckpt__FanotifyMark *mark = m->marks[i];

			if (mark->path[0])
				continue;
			mark->file = watched_file(t->model, mark->dev, mark->ino);
			if (!mark->file)
				return refuse(f->of, f->target_fd, LOST_REASON, WATCHED_ADVICE);
		}
		if (m->n_marks)
			qsort(m->marks, m->n_marks, sizeof(*m->marks), by_path);
	}
	return 0;
}

/* ---- restore ---- */

static int open_group(
	struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record)
{
	const Ckpt__Fanotify *m = (const void *)rec->msg;
	const Ckpt__File *f = file_record;
	int fd = fanotify_init(
		m->init_flags, m->event_flags); /* the flags are kept: FAN_CLOEXEC, too */

	(void)id;
	if (fd < 0)
		return op_fail(o->op, errno == EPERM ? CKPT_E_PRIVILEGE : CKPT_E_SYSTEM, errno,
			"fanotify_init", errno == EPERM ? "needs CAP_SYS_ADMIN" : NULL,
			"a fanotify group");
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	if (f)
		fcntl(fd, F_SETFL, (int)f->flags & O_NONBLOCK);
	return fd;
}

/* The two calls that a mark may be: what is told, and what is not. */
struct mark_call {
	uint32_t flags;
	uint64_t mask;
};

static size_t mark_calls(const Ckpt__FanotifyMark *mark, struct mark_call ret[2])
{
	static const uint32_t kinds[] = {0, FAN_MARK_MOUNT, FAN_MARK_FILESYSTEM};
	uint32_t flags = FAN_MARK_ADD | (mark->flags & FAN_MARK_EVICTABLE);
	uint32_t ignore = mark->flags & FAN_MARK_IGNORE ? FAN_MARK_IGNORE : FAN_MARK_IGNORED_MASK;
	size_t n = 0;

	if ((unsigned)mark->kind < ARRAY_SIZE(kinds))
		flags |= kinds[mark->kind];
	if (mark->mask)
		ret[n++] = (struct mark_call){flags, mark->mask};
	if (mark->ignored)
		ret[n++] = (struct mark_call){
			flags | ignore | (mark->flags & FAN_MARK_IGNORED_SURV_MODIFY),
			mark->ignored};
	return n;
}

/* What has no name is reached by our descriptor of it. */
static int opened_all(struct open_ctx *o, const struct model_rec *rec, int fd)
{
	const Ckpt__Fanotify *m = (const void *)rec->msg;

	for (size_t i = 0; i < m->n_marks; i++) {
		struct mark_call calls[2];
		char room[48];
		size_t n = m->marks[i]->file ? mark_calls(m->marks[i], calls) : 0;

		for (size_t k = 0; k < n; k++)
			if (fanotify_mark(fd, calls[k].flags, calls[k].mask, AT_FDCWD,
				    watched_path(o, "", m->marks[i]->file, room)) < 0)
				return op_fail(o->op, CKPT_E_CONFLICT, errno, "fanotify_mark", NULL,
					"a mark on a deleted file");
	}
	return 0;
}

static void plan(struct plan *p, enum plan_phase phase, const struct model_rec *rec, int fd,
	struct prog *prog)
{
	const Ckpt__Fanotify *m = (const void *)rec->msg;

	(void)p;
	for (size_t i = 0; phase == PLAN_LATE && i < m->n_marks; i++) {
		const Ckpt__FanotifyMark *mark = m->marks[i];
		struct mark_call calls[2];
		size_t n = mark->file ? 0 : mark_calls(mark, calls);

		for (size_t k = 0; k < n; k++) {
			PROG_CALL(prog, "fanotify: mark", SYS_fanotify_mark, IMM(fd),
				IMM(calls[k].flags), IMM(calls[k].mask), IMM(AT_FDCWD),
				DATA(prog_data(prog, mark->path, strlen(mark->path) + 1)));
			prog_object(prog, "%s", mark->path);
		}
	}
}

static const struct file_ops ops = {
	.match = match,
	.verdict = verdict,
	.collect = collect,
	.finish = finish,
	.open = open_group,
	.opened_all = opened_all,
	.plan = plan,
};
static const char *const volatile_fields[] = {"marks.dev", "marks.ino", NULL};

const struct res res_fanotify = {
	.type = {"fanotify", SCOPE_FILE, &ckpt__fanotify__descriptor, volatile_fields},
	.file = &ops,
};
