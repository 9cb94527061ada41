/*
 * sysvmsg.c - System V message queues, where the caller asks for them (--sysvipc).
 *
 * Messages are read without being taken: MSG_COPY (Linux >= 3.8, CONFIG_CHECKPOINT_RESTORE) reads the
 * n-th and changes nothing. As with semaphores, nothing ties a queue to a process but the pids of
 * who last sent and received. At a restore it is there still or not:
 *  - it is there, holding what it held: it stays as it is; else, if nobody else alive has used
 *    it, it gets the messages of the image;
 *  - it is gone: it is made anew, with its id, key, mode, owner, size and messages, sent by who sent last,
 *    and with an empty message received by who received last.
 * It is the same one if the key is, and either the time of the last change or a user.
 *
 * Times are the kernel's and can't be set.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/msg.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/sysvmsg.pb-c.h"
#include "res/ipc/ipc.h"
#include "res/ipc/wish.h"
#include "util/cleanup.h"
#include "util/vec.h"

#define WHAT "System V message queue"

#ifndef MSG_COPY
#define MSG_COPY 040000
#endif

/* A message as the calls have it. */
struct message {
	long type;
	char text[];
};

/* ---- what the kernel says ---- */

static int message_add(Ckpt__SysvQueue *q, size_t *cap, const struct message *m, size_t len)
{
	Ckpt__SysvMessage *x;

	if (vec_reserve(&q->messages, cap, q->n_messages + 1, sizeof(*q->messages)) < 0)
		return -ENOMEM;
	x = msg_new(Ckpt__SysvMessage, CKPT__SYSV_MESSAGE__INIT);
	if (!x)
		return -ENOMEM;
	q->messages[q->n_messages++] = x;
	x->type = m->type;
	x->text = msg_bytes(m->text, len);
	return len && !x->text.data ? -ENOMEM : 0;
}

static int messages_read(Ckpt__SysvQueue *q, size_t bytes)
{
	_cleanup_free_ struct message *buf = malloc(sizeof(*buf) + bytes);
	size_t cap = 0;
	int r = buf ? 0 : -ENOMEM;

	for (long i = 0; r == 0; i++) {
		ssize_t n = msgrcv(q->perm->id, buf, bytes, i, MSG_COPY | IPC_NOWAIT);

		if (n < 0)
			return errno == ENOMSG ? 0 : -errno;
		r = message_add(q, &cap, buf, (size_t)n);
	}
	return r;
}

/* A queue as it is now. Return: 0; -errno, -EINVAL there is none. */
static int queue_look(int id, Ckpt__SysvQueue **ret)
{
	struct msqid_ds ds;
	Ckpt__SysvQueue *q;
	int r = -ENOMEM;

	if (msgctl(id, IPC_STAT, &ds) < 0)
		return errno == EIDRM ? -EINVAL : -errno;
	q = msg_new(Ckpt__SysvQueue, CKPT__SYSV_QUEUE__INIT);
	if (!q)
		return -ENOMEM;
	q->perm = ipc_perm(id, &ds.msg_perm);
	q->qbytes = ds.msg_qbytes;
	q->sender_pid = ds.msg_lspid;
	q->receiver_pid = ds.msg_lrpid;
	q->ctime_s = ds.msg_ctime;
	if (q->perm)
		r = messages_read(q, ds.__msg_cbytes);
	if (r < 0)
		protobuf_c_message_free_unpacked(&q->base, NULL);
	else
		*ret = q;
	return r;
}

/* ---- dump ---- */

static bool is_wished(const struct collect *c, int id, const struct msqid_ds *ds)
{
	return wish_names(c->tree->sysvipc, "msg", id, ds->msg_perm.__key) ||
	       (wish_tree(c->tree->sysvipc) &&
		       (ipc_user_inside(c, ds->msg_lspid) || ipc_user_inside(c, ds->msg_lrpid)));
}

static int add_queue(
	struct collect *c, Ckpt__SysvMsg *m, size_t *cap, int id, const struct msqid_ds *ds)
{
	pid_t other = ipc_user_outside(c, ds->msg_lspid)   ? ds->msg_lspid
		      : ipc_user_outside(c, ds->msg_lrpid) ? ds->msg_lrpid
							   : 0;
	Ckpt__SysvQueue *q = NULL;
	int r;

	if (other)
		return op_fail(c->op, CKPT_E_REFUSED, 0, NULL,
			"name in --sysvipc=LIST only those that nobody else uses",
			"pid %d (%s): " WHAT " %d: pid %d uses it too", c->pid, c->tr->comm, id,
			other);
	if (vec_reserve(&m->queues, cap, m->n_queues + 1, sizeof(*m->queues)) < 0)
		return collect_oom(c);
	r = queue_look(id, &q);
	if (r == -ENOSYS)
		return op_fail(c->op, CKPT_E_REFUSED, ENOSYS, "msgrcv",
			"it needs a kernel with CONFIG_CHECKPOINT_RESTORE", WHAT " %d", id);
	if (r < 0)
		return op_fail_errno(c->op, -r, "msgrcv", WHAT " %d", id);
	m->queues[m->n_queues++] = q;
	return 0;
}

static int collect_queues(struct collect *c, Ckpt__SysvMsg *m)
{
	size_t cap = 0;
	int place = 0, id, r = 0;

	while (r == 0 && (id = sysvipc_next(SYSVIPC_MSG, &place)) >= 0) {
		struct msqid_ds ds;

		if (msgctl(id, IPC_STAT, &ds) == 0 && is_wished(c, id, &ds))
			r = add_queue(c, m, &cap, id, &ds);
	}
	return r;
}

static int collect(struct collect *c, struct tracee *t, const struct answer *a)
{
	Ckpt__SysvMsg *m;
	int r;

	(void)t;
	(void)a;
	if (!ipc_asks(c))
		return 0;
	m = msg_new(Ckpt__SysvMsg, CKPT__SYSV_MSG__INIT);
	if (!m)
		return collect_oom(c);
	r = collect_queues(c, m);
	if (r < 0 || !m->n_queues) {
		protobuf_c_message_free_unpacked(&m->base, NULL);
		return r;
	}
	return collect_add_take(c, &res_sysvmsg.type, c->pid, m);
}

/* ---- restore ---- */

static int get_queue(const void *arg)
{
	const Ckpt__SysvQueue *q = arg;

	return msgget(q->perm->key, IPC_CREAT | IPC_EXCL | (int)(q->perm->mode & 0777));
}

static int send_all(void *arg)
{
	const Ckpt__SysvQueue *q = arg;

	for (size_t i = 0; i < q->n_messages; i++) {
		const Ckpt__SysvMessage *m = q->messages[i];
		_cleanup_free_ struct message *buf = malloc(sizeof(*buf) + m->text.len);

		if (!buf)
			return -ENOMEM;
		buf->type = m->type;
		if (m->text.len)
			memcpy(buf->text, m->text.data, m->text.len);
		if (msgsnd(q->perm->id, buf, m->text.len, IPC_NOWAIT) < 0)
			return -errno;
	}
	return 0;
}

static int put_owner(struct plan *p, const Ckpt__SysvQueue *q)
{
	struct msqid_ds ds;
	int r = msgctl(q->perm->id, IPC_STAT, &ds);
	bool differs = r == 0 && ipc_perm_put(q->perm, &ds.msg_perm);

	if (r == 0 && (differs || ds.msg_qbytes != q->qbytes)) {
		ds.msg_qbytes = q->qbytes;
		r = msgctl(q->perm->id, IPC_SET, &ds);
	}
	if (r < 0)
		return op_fail_errno(
			p->op, errno, "msgctl", WHAT " %d: owner, mode and size", q->perm->id);
	return 0;
}

static int send_nothing(void *arg)
{
	const Ckpt__SysvQueue *q = arg;

	return msgsnd(q->perm->id, &(struct message){1}, 0, IPC_NOWAIT) < 0 ? -errno : 0;
}

static int receive(void *arg)
{
	const Ckpt__SysvQueue *q = arg;
	struct message m;

	return msgrcv(q->perm->id, &m, 0, 0, IPC_NOWAIT) < 0 ? -errno : 0;
}

/* Into an empty queue. */
static int put_messages(struct plan *p, Ckpt__SysvQueue *q)
{
	struct sysvipc_actor sender = {q->sender_pid, geteuid(), getegid()},
			     receiver = {q->receiver_pid, geteuid(), getegid()};
	int r = put_owner(p, q);

	if (r < 0)
		return r;
	if (q->receiver_pid) {
		r = sysvipc_as(&sender, send_nothing, q);
		if (r == 0)
			r = sysvipc_as(&receiver, receive, q);
	}
	if (r == 0 && q->n_messages)
		r = sysvipc_as(&sender, send_all, q);
	if (r < 0)
		return op_fail_errno(p->op, -r, "msgsnd", WHAT " %d", q->perm->id);
	return 0;
}

static bool same_user(const Ckpt__SysvQueue *q, pid_t pid)
{
	return pid && (pid == q->sender_pid || pid == q->receiver_pid);
}

static bool is_same(const Ckpt__SysvQueue *q, const Ckpt__SysvQueue *now)
{
	return q->perm->key == now->perm->key &&
	       (q->ctime_s == now->ctime_s || same_user(q, now->sender_pid) ||
		       same_user(q, now->receiver_pid));
}

static bool equal(const Ckpt__SysvQueue *a, const Ckpt__SysvQueue *b)
{
	if (a->n_messages != b->n_messages)
		return false;
	for (size_t i = 0; i < a->n_messages; i++) {
		const Ckpt__SysvMessage *x = a->messages[i], *y = b->messages[i];

		if (x->type != y->type || x->text.len != y->text.len ||
			(x->text.len && memcmp(x->text.data, y->text.data, x->text.len) != 0))
			return false;
	}
	return true;
}

static int drain(struct plan *p, const Ckpt__SysvQueue *now)
{
	struct message none;

	for (;;) {
		if (msgrcv(now->perm->id, &none, 0, 0, IPC_NOWAIT | MSG_NOERROR) >= 0)
			continue;
		if (errno == ENOMSG)
			return 0;
		return op_fail_errno(p->op, errno, "msgrcv", WHAT " %d", now->perm->id);
	}
}

static int take_queue(struct plan *p, Ckpt__SysvQueue *q, const Ckpt__SysvQueue *now)
{
	pid_t other = ipc_user_alive(now->sender_pid)     ? now->sender_pid
		      : ipc_user_alive(now->receiver_pid) ? now->receiver_pid
							  : 0;
	int r;

	if (!is_same(q, now))
		return ipc_taken(p, SYSVIPC_MSG, WHAT, q->perm);
	if (equal(q, now))
		return put_owner(p, q);
	if (ipc_user_unseen(p, q->sender_pid, now->sender_pid) ||
		ipc_user_unseen(p, q->receiver_pid, now->receiver_pid)) {
		op_warn(p->op,
			WHAT " %d: who uses it outside of the pid namespace can't be seen: its "
			     "messages stay as they are",
			q->perm->id);
		return 0;
	}
	if (other) {
		op_warn(p->op, WHAT " %d: pid %d uses it: its messages stay as they are",
			q->perm->id, other);
		return 0;
	}
	r = drain(p, now);
	return r < 0 ? r : put_messages(p, q);
}

static int make_queue(struct plan *p, uint64_t owner, Ckpt__SysvQueue *q)
{
	Ckpt__SysvQueue *now = NULL;
	int r;

	if (!q->perm)
		return op_fail(p->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"sysvmsg %llu: a queue without owner", (unsigned long long)owner);
	r = queue_look(q->perm->id, &now);
	if (r == 0) {
		now->sender_pid = ipc_user_now(p, now->sender_pid);
		now->receiver_pid = ipc_user_now(p, now->receiver_pid);
		r = take_queue(p, q, now);
		protobuf_c_message_free_unpacked(&now->base, NULL);
		return r;
	}
	if (r != -EINVAL)
		return op_fail_errno(p->op, -r, "msgctl", WHAT " %d", q->perm->id);
	r = ipc_make(p, SYSVIPC_MSG, WHAT, q->perm, 0, get_queue, q);
	return r < 0 ? r : put_messages(p, q);
}

static int make(struct plan *p, const struct model_rec *rec)
{
	Ckpt__SysvMsg *m = (void *)rec->msg;
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->n_queues; i++)
		r = make_queue(p, rec->owner, m->queues[i]);
	return r;
}

static const char *const volatile_fields[] = {"queues.ctime_s", NULL};

const struct res res_sysvmsg = {
	.type = {"sysvmsg", SCOPE_TASK, &ckpt__sysv_msg__descriptor, volatile_fields},
	.collect = collect,
	.make = make,
};
