/*
 * renumber.c - see renumber.h.
 *
 * Facts: a clockid_t of CPU time is ~pid << 3 with three bits of its kind (linux/posix-timers.h). siginfo_t
 * has the sender's pid behind its first 16 bytes for signals of kill(2), tgkill(2), sigqueue(3), message queues,
 * and of children. F_SETOWN_EX has a thread, a process or a group, by its type (fcntl(2)).
 */
#include "restore/renumber.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/reflect.h"
#include "proto/core.pb-c.h"
#include "proto/creds.pb-c.h"
#include "proto/ctty.pb-c.h"
#include "proto/epoll.pb-c.h"
#include "proto/fdtable.pb-c.h"
#include "proto/lock.pb-c.h"
#include "proto/pending.pb-c.h"
#include "proto/pidfd.pb-c.h"
#include "proto/posixtimers.pb-c.h"
#include "proto/procfd.pb-c.h"
#include "proto/sched.pb-c.h"
#include "proto/seccomp.pb-c.h"
#include "proto/sysvmsg.pb-c.h"
#include "proto/sysvsem.pb-c.h"
#include "proto/sysvshm.pb-c.h"
#include "proto/task.pb-c.h"
#include "proto/unixsock.pb-c.h"
#include "proto/userfaultfd.pb-c.h"
#include "res/task/task.h"
#include "util/vec.h"

#define OUTSIDE 0 /* as a session or group: that of who restores */

struct numbers {
	pid_t was, now;
	pid_t was_group, group; /* was_group 0: none that is to become ours */
	pid_t was_session;
	bool oom;
};

/* ------------------------------------------------------------------ one value */

static void change_id(struct numbers *n, void *value)
{
	if (*(int32_t *)value == n->was)
		*(int32_t *)value = n->now;
}

static void change_group(struct numbers *n, void *value)
{
	if (n->was_group && *(int32_t *)value == n->was_group)
		*(int32_t *)value = OUTSIDE;
}

static void change_clock(struct numbers *n, void *value)
{
	int32_t *clock = value;

	if (*clock < 0 && (pid_t)(~(uint32_t)*clock >> 3) == n->was)
		*clock = (int32_t)(~(uint32_t)n->now << 3 | ((uint32_t)*clock & 7));
}

static void change_siginfo(struct numbers *n, void *value)
{
	ProtobufCBinaryData *info = value;
	siginfo_t si;

	if (info->len != sizeof(si))
		return;
	memcpy(&si, info->data, sizeof(si));
	if (si.si_code != SI_USER && si.si_code != SI_TKILL && si.si_code != SI_QUEUE &&
		si.si_code != SI_MESGQ && !(si.si_signo == SIGCHLD && si.si_code > 0))
		return;
	if (si.si_pid == n->was)
		si.si_pid = n->now;
	memcpy(info->data, &si, sizeof(si));
}

/* "12/maps" and "12/task/12/stat" */
static void change_path(struct numbers *n, void *value)
{
	char **path = value, was[16], thread[32], *rest, *made = NULL;
	int len = snprintf(was, sizeof(was), "%d", n->was);
	int thread_len = snprintf(thread, sizeof(thread), "/task/%d", n->was);

	if (strncmp(*path, was, (size_t)len) != 0 || ((*path)[len] && (*path)[len] != '/'))
		return;
	rest = *path + len;
	if (strncmp(rest, thread, (size_t)thread_len) == 0 &&
		(!rest[thread_len] || rest[thread_len] == '/'))
		len = asprintf(&made, "%d/task/%d%s", n->now, n->now, rest + thread_len);
	else
		len = asprintf(&made, "%d%s", n->now, rest);
	if (len < 0) {
		n->oom = true;
		return;
	}
	free(*path);
	*path = made;
}

/* ------------------------------------------------------------------ where they are */

typedef void change_fn(struct numbers *n, void *value);

/* Sessions and groups of tasks: see change_task(). Owners of descriptions: change_owner(). */
static const struct {
	const ProtobufCMessageDescriptor *of;
	const char *field;
	change_fn *change;
} fields[] = {
	{&ckpt__task__descriptor, "pid", change_id},
	{&ckpt__task__descriptor, "ppid", change_id},
	{&ckpt__task__descriptor, "tids", change_id},
	{&ckpt__task__descriptor, "vm_of", change_id},
	{&ckpt__task__descriptor, "files_of", change_id},
	{&ckpt__task__descriptor, "fs_of", change_id},
	{&ckpt__task__descriptor, "sighand_of", change_id},
	{&ckpt__task__descriptor, "io_of", change_id},
	{&ckpt__page_run__descriptor, "of", change_id},
	{&ckpt__creds__descriptor, "like", change_id},
	{&ckpt__sched__descriptor, "like", change_id},
	{&ckpt__seccomp__descriptor, "like", change_id},
	{&ckpt__ctty__descriptor, "foreground", change_group},
	{&ckpt__epoll_item__descriptor, "pid", change_id},
	{&ckpt__lock__descriptor, "pid", change_id},
	{&ckpt__pending_signal__descriptor, "info", change_siginfo},
	{&ckpt__pidfd__descriptor, "pid", change_id},
	{&ckpt__posix_timer__descriptor, "clock", change_clock},
	{&ckpt__posix_timer__descriptor, "target", change_id},
	{&ckpt__proc_fd__descriptor, "pid", change_id},
	{&ckpt__proc_fd__descriptor, "path", change_path},
	{&ckpt__sysv_queue__descriptor, "sender_pid", change_id},
	{&ckpt__sysv_queue__descriptor, "receiver_pid", change_id},
	{&ckpt__sysv_sem_set__descriptor, "pids", change_id},
	{&ckpt__sysv_sem_set__descriptor, "undone_pid", change_id},
	{&ckpt__sysv_shm__descriptor, "creator_pid", change_id},
	{&ckpt__unix_cred__descriptor, "pid", change_id},
	{&ckpt__userfaultfd__descriptor, "pid", change_id},
};

static change_fn *find_change(const ProtobufCMessageDescriptor *of, const char *field)
{
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (fields[i].of == of && strcmp(fields[i].field, field) == 0)
			return fields[i].change;
	return NULL;
}

bool renumber_knows(const ProtobufCMessageDescriptor *of, const char *field)
{
	return find_change(of, field) != NULL;
}

static bool holds_any(const ProtobufCMessageDescriptor *of)
{
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (fields[i].of == of)
			return true;
	return false;
}

static void change_owner(struct numbers *n, Ckpt__File *f)
{
	if (f->owner_type != F_OWNER_PGRP)
		change_id(n, &f->owner_pid);
	else if (n->was_group && f->owner_pid == n->was_group)
		f->owner_pid = n->group;
}

static void change_msg(struct numbers *n, ProtobufCMessage *msg)
{
	bool any = holds_any(msg->descriptor);

	if (msg->descriptor == &ckpt__file__descriptor)
		change_owner(n, (Ckpt__File *)msg);
	for (unsigned k = 0; k < msg->descriptor->n_fields; k++) {
		const ProtobufCFieldDescriptor *f = &msg->descriptor->fields[k];
		bool within = f->type == PROTOBUF_C_TYPE_MESSAGE;
		change_fn *change = any ? find_change(msg->descriptor, f->name) : NULL;
		size_t count = within || change ? reflect_count(msg, f) : 0;

		for (size_t i = 0; i < count; i++) {
			/* the model is ours, and it is loaded to be changed */
			void *value = (void *)reflect_at(msg, f, i);

			if (within)
				change_msg(n, (ProtobufCMessage *)reflect_msg(value));
			else
				change(n, value);
		}
	}
}

/* ------------------------------------------------------------------ the tree */

static bool is_task(const struct model *m, pid_t pid)
{
	return model_get(m, &res_task.type, (uint64_t)pid) != NULL;
}

/* A group that another task leads stays that task's. */
static pid_t group_of(const struct model *m, const Ckpt__Task *root)
{
	return root->pgid == root->pid || !is_task(m, root->pgid) ? root->pgid : 0;
}

static int by_number(const void *a, const void *b)
{
	const int32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void change_task(const struct numbers *n, bool is_root, Ckpt__Task *t)
{
	if (is_root || (n->was_group && t->pgid == n->was_group))
		t->pgid = OUTSIDE;
	if (t->sid == n->was_session)
		t->sid = OUTSIDE;
	if (t->n_tids)
		qsort(t->tids, t->n_tids, sizeof(*t->tids), by_number);
}

static int fail_conflict(struct ckpt_op *op, pid_t now, const Ckpt__Task *t, const char *what)
{
	return op_fail(op, CKPT_E_CONFLICT, EEXIST, NULL,
		"run it again: it has another pid then, most likely",
		"this command has pid %d, which is the number of %s of the image, pid %d (%s)", now,
		what, t->pid, t->comm);
}

/* Nobody else has the number, also none that is dead and whose session or group is left. */
static int check_free(struct ckpt_op *op, const struct model *m, const struct numbers *n)
{
	const struct model_rec *rec;
	size_t pos = 0;

	while (n->now != n->was && (rec = model_next(m, &res_task.type, &pos))) {
		const Ckpt__Task *t = (const void *)rec->msg;

		if (t->pid == n->now)
			return fail_conflict(op, n->now, t, "a task");
		for (size_t i = 0; i < t->n_tids; i++)
			if (t->tids[i] == n->now)
				return fail_conflict(op, n->now, t, "a thread");
		if ((t->pgid == n->now && t->pgid != n->was_group) ||
			(t->sid == n->now && t->sid != n->was_session))
			return fail_conflict(op, n->now, t, "the process group or session");
	}
	return 0;
}

/* The records by their new owners; messages stay where they are. */
static int index_again(struct ckpt_op *op, struct model *m, const struct numbers *n)
{
	struct model again;
	int r = 0;

	model_init(&again);
	for (size_t i = 0; i < m->n; i++) {
		struct model_rec *rec = &m->recs[i];
		bool by_id = rec->type->scope == SCOPE_TASK || rec->type->scope == SCOPE_THREAD;
		uint64_t owner =
			by_id && rec->owner == (uint64_t)n->was ? (uint64_t)n->now : rec->owner;

		if (r == 0)
			r = model_add_take(&again, rec->type, owner, rec->msg);
		else
			protobuf_c_message_free_unpacked(rec->msg, NULL);
		rec->msg = NULL;
	}
	model_done(m);
	*m = again;
	if (r == -EEXIST)
		return op_fail(op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"something is there twice for pid %d", n->now);
	return r < 0 ? op_fail(op, CKPT_E_SPACE, -r, NULL, NULL, "the tasks of the image") : 0;
}

int renumber_root(struct ckpt_op *op, struct model *m, pid_t now, pid_t group, pid_t *ret_was)
{
	size_t pos = 0;
	const struct model_rec *first = model_next(m, &res_task.type, &pos), *rec;
	const Ckpt__Task *root = (const void *)first->msg;
	struct numbers n = {.was = root->pid, .now = now, .group = group, .was_session = root->sid};
	int r;

	*ret_was = n.was;
	if ((uint64_t)n.was != first->owner)
		return op_fail(op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"pid %d (%s): the task has not the number of its record", root->pid,
			root->comm);
	if (n.was_session == n.was && ctty_inside(m, n.was))
		return op_fail(op, CKPT_E_REFUSED, 0, NULL, "restore it without --exec",
			"pid %d (%s) led the session of a terminal that is of the tree itself: in the "
			"session of this command it can't",
			root->pid, root->comm);
	n.was_group = group_of(m, root);
	r = check_free(op, m, &n);
	if (r < 0)
		return r;
	for (size_t i = 0; i < m->n && !n.oom; i++)
		change_msg(&n, m->recs[i].msg);
	pos = 0;
	while ((rec = model_next(m, &res_task.type, &pos)))
		change_task(&n, rec == first, (Ckpt__Task *)rec->msg);
	if (n.oom)
		return op_fail(op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "the tasks of the image");
	return index_again(op, m, &n);
}
