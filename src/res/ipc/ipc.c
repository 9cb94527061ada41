/*
 * ipc.c - see ipc.h.
 */
#include "res/ipc/ipc.h"

#include <errno.h>
#include <mqueue.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <unistd.h>

#include "util/vec.h"

#define MODE_BITS 0777

struct ipc_made {
	enum sysvipc_kind kind;
	int id;
	char *name; /* owned; of a POSIX message queue, else NULL */
};

static const char *const removers[] = {
	[SYSVIPC_SHM] = "ipcrm -m ID removes it, if nobody needs it",
	[SYSVIPC_SEM] = "ipcrm -s ID removes it, if nobody needs it",
	[SYSVIPC_MSG] = "ipcrm -q ID removes it, if nobody needs it",
};

Ckpt__IpcPerm *ipc_perm(int id, const struct ipc_perm *perm)
{
	Ckpt__IpcPerm *m = msg_new(Ckpt__IpcPerm, CKPT__IPC_PERM__INIT);

	if (!m)
		return NULL;
	m->id = id;
	m->key = perm->__key;
	m->mode = perm->mode & MODE_BITS;
	m->uid = perm->uid;
	m->gid = perm->gid;
	m->cuid = perm->cuid;
	m->cgid = perm->cgid;
	return m;
}

bool ipc_perm_put(const Ckpt__IpcPerm *m, struct ipc_perm *perm)
{
	bool differ = perm->uid != m->uid || perm->gid != m->gid ||
		      (perm->mode & MODE_BITS) != (m->mode & MODE_BITS);

	perm->uid = m->uid;
	perm->gid = m->gid;
	perm->mode = (perm->mode & ~MODE_BITS) | (m->mode & MODE_BITS);
	return differ;
}

int ipc_taken(struct plan *p, enum sysvipc_kind kind, const char *what, const Ckpt__IpcPerm *m)
{
	return op_fail(p->op, CKPT_E_CONFLICT, 0, NULL, removers[kind],
		"%s: its id %d belongs to another one now", what, m->id);
}

static int room_for_one(struct plan *p)
{
	return vec_reserve(&p->ipc_made, &p->cap_ipc_made, p->n_ipc_made + 1, sizeof(*p->ipc_made));
}

int ipc_made_queue(struct plan *p, const char *name)
{
	char *copy = strdup(name);

	if (!copy || room_for_one(p) < 0) {
		mq_unlink(name);
		free(copy);
		return -ENOMEM;
	}
	p->ipc_made[p->n_ipc_made++] = (struct ipc_made){.name = copy};
	return 0;
}

int ipc_make(struct plan *p, enum sysvipc_kind kind, const char *what, const Ckpt__IpcPerm *m,
	pid_t creator, int (*get)(const void *arg), const void *arg)
{
	struct sysvipc_actor who = {creator, m->cuid, m->cgid};
	int r;

	if (m->id < 0)
		return op_fail(p->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"%s: there is no id %d", what, m->id);
	if (room_for_one(p) < 0)
		return op_fail(p->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "%s %d", what, m->id);
	r = sysvipc_make(&who, kind, m->id, get, arg);
	if (r == 0) {
		p->ipc_made[p->n_ipc_made++] = (struct ipc_made){kind, m->id, NULL};
		return 0;
	}
	if (r == -EADDRINUSE)
		return ipc_taken(p, kind, what, m);
	if (r == -EEXIST)
		return op_fail(p->op, CKPT_E_CONFLICT, EEXIST, NULL, removers[kind],
			"%s %d: its key 0x%08x belongs to another one now", what, m->id,
			(unsigned)m->key);
	if (r == -ENOENT)
		return op_fail(p->op, CKPT_E_SYSTEM, ENOENT, "open",
			"it needs a kernel with CONFIG_CHECKPOINT_RESTORE",
			"%s %d: it is gone, and ids can't be chosen here", what, m->id);
	if (r == -ENOMEM || r == -ENOSPC || r == -EINVAL)
		return op_fail(p->op, CKPT_E_SPACE, -r, NULL,
			"see the limits in /proc/sys/kernel (sysvipc(7))", "%s %d", what, m->id);
	return op_fail_errno(p->op, -r, NULL, "%s %d: making it again", what, m->id);
}

/* Where the root has another number, the kernel knows it by that which it had. */
pid_t ipc_user_now(const struct plan *p, pid_t pid)
{
	return pid && pid == p->root_was ? getpid() : pid;
}

bool ipc_user_alive(pid_t pid)
{
	return pid > 0 && pid != getpid() && (kill(pid, 0) == 0 || errno == EPERM);
}

bool ipc_user_unseen(const struct plan *p, pid_t was, pid_t now)
{
	return p->req->pidns && was && !now;
}

bool ipc_user_inside(const struct collect *c, pid_t pid)
{
	for (size_t i = 0; pid && i < c->tree->n_tasks; i++)
		if (c->tree->tasks[i].pid == pid)
			return true;
	return false;
}

bool ipc_user_outside(const struct collect *c, pid_t pid)
{
	return !ipc_user_inside(c, pid) && ipc_user_alive(pid);
}

bool ipc_asks(const struct collect *c)
{
	const struct collect *first = c->tree->tasks;

	while (first < c && !first->tr)
		first++;
	return c->tree->sysvipc && first == c;
}

static void take_away(const struct ipc_made *m)
{
	if (m->name)
		mq_unlink(m->name);
	else if (m->kind == SYSVIPC_SHM)
		shmctl(m->id, IPC_RMID, NULL);
	else if (m->kind == SYSVIPC_SEM)
		semctl(m->id, 0, IPC_RMID);
	else
		msgctl(m->id, IPC_RMID, NULL);
}

void ipc_made_done(struct plan *p, bool failed)
{
	for (size_t i = p->n_ipc_made; i-- > 0;) {
		if (failed)
			take_away(&p->ipc_made[i]);
		free(p->ipc_made[i].name);
	}
	free(p->ipc_made);
	p->ipc_made = NULL;
	p->n_ipc_made = p->cap_ipc_made = 0;
}
