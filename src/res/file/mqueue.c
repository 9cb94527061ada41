/*
 * mqueue.c - POSIX message queues that are open.
 *
 * A queue with a name outlives who made it, as a file does: it stays in the kernel with its messages,
 * and is opened again by its name. If it is gone, it is made anew, empty. One without a name goes with
 * the last descriptor, so its messages are in the image: they are received and sent again during the
 * stop, by a child that ends this even if we are killed (kernel/mqueue.h). While somebody is to be told
 * of the next message that can't be done, as he would be told: such a queue is refused.
 *
 * mq_open sets close-on-exec by itself; given O_CLOEXEC, it keeps that among the flags of the description,
 * which is shown of every descriptor then.
 *
 * Who is told of the next message (mq_notify) the queue's file says, but not what value the signal
 * carries: it carries 0 afterwards.
 */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "kernel/mqueue.h"
#include "proto/fdtable.pb-c.h"
#include "proto/mqnotify.pb-c.h"
#include "proto/mqueue.pb-c.h"
#include "res/file/files.h"
#include "res/ipc/ipc.h"
#include "res/task/task.h"
#include "util/cleanup.h"
#include "util/str.h"
#include "util/vec.h"

#define NAME_LEN 255

static bool match(const struct file_look *l)
{
	struct statfs fs;

	return l->fd >= 0 && S_ISREG(l->st.st_mode) && *l->link == '/' &&
	       !strchr(l->link + 1, '/') && fstatfs(l->fd, &fs) == 0 && fs.f_type == MQUEUE_MAGIC;
}

/* ---- dump ---- */

static int failed(struct collect *c, const struct file_look *l, int r, const char *call)
{
	return op_fail_errno(c->op, -r, call, "pid %d (%s): fd %d: message queue %s", c->pid,
		c->tr->comm, l->target_fd, l->link);
}

static int refused(
	struct collect *c, const struct file_look *l, const char *why, const char *advice)
{
	return op_fail(c->op, CKPT_E_REFUSED, 0, NULL, advice,
		"pid %d (%s): fd %d: message queue %s: %s", c->pid, c->tr->comm, l->target_fd,
		l->link, why);
}

/* A description of ours: the status of the program's is its own. */
static int own_fd(int fd, int flags)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* What has a name must be what we find under it, else it is of another IPC namespace. */
static bool is_ours(const struct file_look *l)
{
	_cleanup_close_ int fd = mq_open(l->link, O_RDONLY);
	struct stat st;

	if (fd < 0)
		return errno == EACCES; /* there it is, and it keeps us off */
	return fstat(fd, &st) == 0 && st.st_ino == l->st.st_ino && st.st_dev == l->st.st_dev;
}

static int collect_messages(struct collect *c, const struct file_look *l, Ckpt__MQueue *m)
{
	_cleanup_close_ int fd = own_fd(l->fd, O_RDWR);
	struct mqueue_messages copy = {0};
	int r = fd < 0 ? fd : mqueue_copy(fd, m->held, m->message_bytes_max, &copy);

	if (r == -EBUSY || r == -E2BIG)
		return refused(c, l,
			r == -EBUSY ? "others send to it or receive from it"
				    : "it holds more than can be saved",
			"let the program receive its messages first");
	if (r < 0)
		return failed(c, l, r, "mq_receive");
	m->messages = calloc(copy.n, sizeof(*m->messages));
	for (size_t i = 0; r == 0 && i < copy.n; i++) {
		const struct mqueue_message *from = mqueue_message(&copy, i);
		Ckpt__MqMessage *x =
			m->messages ? msg_new(Ckpt__MqMessage, CKPT__MQ_MESSAGE__INIT) : NULL;

		if (!x) {
			r = collect_oom(c);
			break;
		}
		m->messages[m->n_messages++] = x;
		x->priority = from->priority;
		x->text = msg_bytes(from->text, from->len);
		if (from->len && !x->text.data)
			r = collect_oom(c);
	}
	mqueue_messages_done(&copy);
	return r;
}

/* A record of the task that is to be told; it may have several. */
static int add_notification(
	struct collect *c, const struct file_look *l, uint64_t id, const struct mqueue_notify *n)
{
	Ckpt__MqNotify *m = model_get(c->model, &res_mqnotify.type, n->pid);
	Ckpt__MqNotification *x, **v;

	if (n->how != SIGEV_SIGNAL && n->how != SIGEV_NONE)
		return refused(c, l, "a thread is to be started for the next message",
			"let the program call mq_notify(fd, NULL)");
	if (n->how == SIGEV_SIGNAL)
		op_warn(c->op,
			"pid %d (%s): fd %d: message queue %s: the value of the signal for the "
			"next message can't be read: after a restore it is 0",
			c->pid, c->tr->comm, l->target_fd, l->link);
	if (!m) {
		m = msg_new(Ckpt__MqNotify, CKPT__MQ_NOTIFY__INIT);
		if (!m || collect_add_take(c, &res_mqnotify.type, n->pid, m) < 0)
			return collect_oom(c);
	}
	v = realloc(m->queues, (m->n_queues + 1) * sizeof(*v));
	x = v ? msg_new(Ckpt__MqNotification, CKPT__MQ_NOTIFICATION__INIT) : NULL;
	m->queues = v ? v : m->queues;
	if (!x)
		return collect_oom(c);
	m->queues[m->n_queues++] = x;
	x->file = id;
	x->how = n->how;
	x->signal = n->signal;
	return 0;
}

static int collect_state(struct collect *c, uint64_t id, const struct file_look *l, Ckpt__MQueue *m)
{
	_cleanup_close_ int fd = own_fd(l->fd, O_RDONLY | O_NONBLOCK);
	struct mqueue_notify notify = {0};
	struct mq_attr attr;
	int r = fd < 0 ? fd : mqueue_notify_read(fd, &notify);

	if (r < 0)
		return failed(c, l, r, "read");
	if (mq_getattr(fd, &attr) < 0)
		return failed(c, l, -errno, "mq_getattr");
	m->messages_max = attr.mq_maxmsg;
	m->message_bytes_max = attr.mq_msgsize;
	m->held = attr.mq_curmsgs;
	if (m->held && m->unlinked && notify.pid)
		return refused(c, l,
			"it holds messages, has no name, and a process is to be told "
			"of the next one",
			"let the program receive its messages first");
	if (m->held && m->unlinked)
		r = collect_messages(c, l, m);
	if (r == 0 && notify.pid && ipc_user_inside(c, notify.pid))
		r = add_notification(c, l, id, &notify);
	return r;
}

static int collect(struct collect *c, uint64_t id, const struct file_look *l)
{
	Ckpt__MQueue *m;
	int r;

	if (!l->deleted && !is_ours(l))
		return refused(c, l, "it is of another IPC namespace", "let the program close it");
	m = msg_new(Ckpt__MQueue, CKPT__MQUEUE__INIT);
	if (!m)
		return collect_oom(c);
	m->name = msg_bytes(l->link, strlen(l->link));
	m->unlinked = l->deleted;
	m->mode = l->st.st_mode & 07777;
	m->uid = l->st.st_uid;
	m->gid = l->st.st_gid;
	m->ino = l->st.st_ino;
	m->same_queue_as = l->first_id;
	r = m->name.data ? 0 : collect_oom(c);
	if (r == 0 && !m->same_queue_as)
		r = collect_state(c, id, l, m);
	if (r < 0) {
		protobuf_c_message_free_unpacked(&m->base, NULL);
		return r;
	}
	return collect_add_take(c, &res_mqueue.type, id, m);
}

/* ---- restore ---- */

static int no_queue(struct open_ctx *o, const char *name, int err, const char *call)
{
	if (err == EMFILE || err == ENOSPC || err == EINVAL || err == ENOMEM)
		return op_fail(o->op, CKPT_E_SPACE, err, call,
			"see the limits in /proc/sys/fs/mqueue, and RLIMIT_MSGQUEUE (ulimit -q)",
			"message queue %s", name);
	return op_fail_errno(o->op, err, call, "message queue %s", name);
}

static int send_all(struct open_ctx *o, const char *name, const Ckpt__MQueue *m, int fd)
{
	_cleanup_close_ int own = own_fd(fd, O_WRONLY | O_NONBLOCK);

	for (size_t i = 0; own >= 0 && i < m->n_messages; i++) {
		const Ckpt__MqMessage *x = m->messages[i];

		if (mq_send(own, (const char *)x->text.data, x->text.len, x->priority) < 0)
			return no_queue(o, name, errno, "mq_send");
	}
	return own < 0 ? no_queue(o, name, -own, "open") : 0;
}

/* A queue that is being opened. */
struct opening {
	struct open_ctx *o;
	const Ckpt__MQueue *m;
	char name[NAME_LEN + 2]; /* under which it is there now */
	int fd;                  /* any description of it */
	bool made;
};

/* Nobody but us may open it until it has its owner, or has lost its name. */
static int make_queue(struct opening *q)
{
	const Ckpt__MQueue *m = q->m;
	struct mq_attr attr = {
		.mq_maxmsg = (long)m->messages_max, .mq_msgsize = (long)m->message_bytes_max};
	int flags = O_RDWR | O_CREAT | O_EXCL;

	q->made = true;
	q->fd = mq_open(q->name, flags, 0600, &attr);
	if (q->fd < 0 && errno == EEXIST && m->unlinked) {
		/* its name is another's now; it has none anyway */
		snprintf(q->name, sizeof(q->name), "/ckpt.%d", getpid());
		q->fd = mq_open(q->name, flags, 0600, &attr);
	}
	if (q->fd < 0)
		return no_queue(q->o, q->name, errno, "mq_open");
	if (ipc_made_queue(q->o->plan, q->name) < 0)
		return no_queue(q->o, q->name, ENOMEM, "mq_open");
	if (m->held > m->n_messages)
		op_warn(q->o->op, "message queue %s: it is gone, and the %llu messages in it",
			q->name, (unsigned long long)m->held);
	return send_all(q->o, q->name, m, q->fd);
}

static int find_queue(struct opening *q)
{
	const Ckpt__MQueue *m = q->m;
	struct mq_attr attr;

	if (!m->unlinked) {
		q->fd = mq_open(q->name, O_RDONLY);
		if (q->fd < 0 && errno != ENOENT)
			return no_queue(q->o, q->name, errno, "mq_open");
	}
	if (q->fd < 0)
		return make_queue(q);
	if (mq_getattr(q->fd, &attr) < 0 || (uint64_t)attr.mq_maxmsg != m->messages_max ||
		(uint64_t)attr.mq_msgsize != m->message_bytes_max)
		return op_fail(q->o->op, CKPT_E_CONFLICT, 0, NULL, "remove it, if nobody needs it",
			"message queue %s: there is another one of that name, of another size",
			q->name);
	return 0;
}

/*
 * A description as it was: by mq_open, or, where that gives other flags, by the name of a descriptor,
 * which adds O_LARGEFILE.
 */
static int open_description(struct opening *q, uint64_t id)
{
	const Ckpt__File *f = model_get(q->o->model, &res_file.type, id);
	int flags = f ? (int)f->flags : O_RDONLY;
	int fd = mq_open(q->name, flags);

	if (fd >= 0 && f && fcntl(fd, F_GETFL) != flags) {
		fd_close(fd);
		fd = own_fd(q->fd, flags);
		errno = fd < 0 ? -fd : 0;
	}
	if (fd < 0)
		return no_queue(q->o, q->name, errno, "mq_open");
	if (f && f->pos)
		lseek(fd, (off_t)f->pos, SEEK_SET);
	return fd;
}

/* All other descriptions of the queue, while it has a name. */
static int open_others(struct opening *q, uint64_t head)
{
	const struct model_rec *rec;
	size_t pos = 0;
	int r = 0;

	while (r == 0 && (rec = model_next(q->o->model, &res_mqueue.type, &pos))) {
		if (((const Ckpt__MQueue *)rec->msg)->same_queue_as != head)
			continue;
		r = open_description(q, rec->owner);
		if (r >= 0)
			r = q->o->also(q->o, rec->owner, r);
	}
	return r;
}

static void settle(struct opening *q)
{
	if (!q->made)
		return;
	if (q->m->unlinked)
		mq_unlink(q->name);
	if (fchown(q->fd, q->m->uid, q->m->gid) < 0 || fchmod(q->fd, q->m->mode & 07777) < 0)
		op_warn(q->o->op, "message queue %s: owner and mode: %m", q->name);
}

static int open_queue(
	struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record)
{
	const Ckpt__MQueue *m = (const void *)rec->msg;
	struct opening q = {.o = o, .m = m, .fd = -EBADF};
	int r, fd = -EBADF;

	if (!file_record || m->same_queue_as || m->name.len < 2 || m->name.len > NAME_LEN ||
		m->name.data[0] != '/')
		return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"mqueue %llu: it has no name, or is not open", (unsigned long long)id);
	memcpy(q.name, m->name.data, m->name.len);
	r = find_queue(&q);
	if (r == 0)
		r = fd = open_description(&q, id);
	if (r >= 0)
		r = open_others(&q, id);
	if (r >= 0)
		settle(&q);
	fd_close(q.fd);
	if (r < 0)
		fd_close(fd);
	return r < 0 ? r : fd;
}

static const struct file_ops ops = {.match = match, .collect = collect, .open = open_queue};
static const char *const volatile_fields[] = {"ino", NULL};

const struct res res_mqueue = {
	.type = {"mqueue", SCOPE_FILE, &ckpt__mqueue__descriptor, volatile_fields},
	.file = &ops,
};
