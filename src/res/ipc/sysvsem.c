/*
 * sysvsem.c - System V semaphores, where the caller asks for them (--sysvipc).
 *
 * A set outlives its users, and nothing ties it to a process but the pid of who last changed each
 * semaphore. At a restore it is there still or not:
 *  - it is there, and nobody else alive has used it: it gets the values of the image;
 *  - it is gone: it is made anew, with its id, key, mode, owner, values, and who changed them last.
 * It is the same one if key and number are, and either the time of the last change or a user.
 *
 * What is to be undone when a task ends (SEM_UNDO) can't be read anywhere. But the end of a task that a
 * dump has killed has undone it: if the set is still there, and this task was the last to change a
 * value, the difference is what was to be undone, and the task does it again. This needs that only
 * one task of the image has such a list (kcmp), else the sum tells nothing of the parts. Threads have one
 * from the start, be it empty.
 *
 * The time of the last operation is the kernel's and can't be set.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel/kcmp.h"
#include "proto/sysvsem.pb-c.h"
#include "res/ipc/ipc.h"
#include "res/ipc/wish.h"
#include "util/cleanup.h"
#include "util/vec.h"

#define WHAT    "System V semaphores"
#define SEM_MAX 65536 /* in a set; SEMMSL may be raised to this */

union semun {
	int val;
	struct semid_ds *buf;
	unsigned short *array;
};

/* ---- what the kernel says ---- */

static Ckpt__SysvSemSet *set_new(int id, const struct semid_ds *ds)
{
	Ckpt__SysvSemSet *m = msg_new(Ckpt__SysvSemSet, CKPT__SYSV_SEM_SET__INIT);
	size_t n = ds->sem_nsems;

	if (!m)
		return NULL;
	m->perm = ipc_perm(id, &ds->sem_perm);
	m->values = calloc(n, sizeof(*m->values));
	m->pids = calloc(n, sizeof(*m->pids));
	m->ctime_s = ds->sem_ctime;
	m->otime_s = ds->sem_otime;
	if (m->perm && m->values && m->pids) {
		m->n_values = m->n_pids = n;
		return m;
	}
	protobuf_c_message_free_unpacked(&m->base, NULL);
	return NULL;
}

static int set_read(Ckpt__SysvSemSet *m)
{
	_cleanup_free_ unsigned short *values = calloc(m->n_values, sizeof(*values));

	if (!values)
		return -ENOMEM;
	if (semctl(m->perm->id, 0, GETALL, (union semun){.array = values}) < 0)
		return -errno;
	for (size_t i = 0; i < m->n_values; i++) {
		m->values[i] = values[i];
		m->pids[i] = semctl(m->perm->id, (int)i, GETPID);
		if (m->pids[i] < 0)
			return -errno;
	}
	return 0;
}

/* A set as it is now. Return: 0; -errno, -EINVAL there is none. */
static int set_look(int id, Ckpt__SysvSemSet **ret)
{
	struct semid_ds ds;
	int r;

	if (semctl(id, 0, IPC_STAT, (union semun){.buf = &ds}) < 0)
		return errno == EIDRM ? -EINVAL : -errno;
	*ret = set_new(id, &ds);
	r = *ret ? set_read(*ret) : -ENOMEM;
	if (r < 0 && *ret) {
		protobuf_c_message_free_unpacked(&(*ret)->base, NULL);
		*ret = NULL;
	}
	return r;
}

/* ---- dump ---- */

static bool is_wished(const struct collect *c, const Ckpt__SysvSemSet *s)
{
	if (wish_names(c->tree->sysvipc, "sem", s->perm->id, s->perm->key))
		return true;
	for (size_t i = 0; wish_tree(c->tree->sysvipc) && i < s->n_pids; i++)
		if (ipc_user_inside(c, s->pids[i]))
			return true;
	return false;
}

/* Takes the set. */
static int add_set(struct collect *c, Ckpt__SysvSem *m, size_t *cap, Ckpt__SysvSemSet *s)
{
	for (size_t i = 0; i < s->n_pids; i++) {
		pid_t pid = s->pids[i];
		int id = s->perm->id;

		if (!ipc_user_outside(c, pid))
			continue;
		protobuf_c_message_free_unpacked(&s->base, NULL);
		return op_fail(c->op, CKPT_E_REFUSED, 0, NULL,
			"name in --sysvipc=LIST only those that nobody else uses",
			"pid %d (%s): " WHAT " %d: pid %d uses them too", c->pid, c->tr->comm, id,
			pid);
	}
	if (vec_reserve(&m->sets, cap, m->n_sets + 1, sizeof(*m->sets)) < 0) {
		protobuf_c_message_free_unpacked(&s->base, NULL);
		return collect_oom(c);
	}
	m->sets[m->n_sets++] = s;
	return 0;
}

static int collect_sets(struct collect *c, Ckpt__SysvSem *m)
{
	size_t cap = 0;
	int place = 0, id, r = 0;

	while (r == 0 && (id = sysvipc_next(SYSVIPC_SEM, &place)) >= 0) {
		Ckpt__SysvSemSet *s = NULL;

		if (set_look(id, &s) < 0)
			continue; /* gone meanwhile */
		if (is_wished(c, s))
			r = add_set(c, m, &cap, s);
		else
			protobuf_c_message_free_unpacked(&s->base, NULL);
	}
	return r;
}

static int collect(struct collect *c, struct tracee *t, const struct answer *a)
{
	Ckpt__SysvSem *m;
	int r;

	(void)t;
	(void)a;
	if (!c->tree->sysvipc)
		return 0;
	m = msg_new(Ckpt__SysvSem, CKPT__SYSV_SEM__INIT);
	if (!m)
		return collect_oom(c);
	r = ipc_asks(c) ? collect_sets(c, m) : 0;
	/* a task that never used SEM_UNDO has no list, as we have none; threads have one from the start */
	m->undo = syscall(SYS_kcmp, c->pid, getpid(), KCMP_SYSVSEM, 0, 0) != KCMP_EQUAL;
	m->dies = c->tr->dies;
	if (r < 0 || (!m->n_sets && !m->undo)) {
		protobuf_c_message_free_unpacked(&m->base, NULL);
		return r;
	}
	return collect_add_take(c, &res_sysvsem.type, c->pid, m);
}

/* ---- restore ---- */

static int get_set(const void *arg)
{
	const Ckpt__SysvSemSet *s = arg;

	return semget(
		s->perm->key, (int)s->n_values, IPC_CREAT | IPC_EXCL | (int)(s->perm->mode & 0777));
}

/* The values that one process has set, set by it. */
struct setting {
	const Ckpt__SysvSemSet *set;
	pid_t pid;
};

static int set_values(void *arg)
{
	const struct setting *x = arg;
	const Ckpt__SysvSemSet *s = x->set;

	for (size_t i = 0; i < s->n_values; i++)
		if (s->pids[i] == x->pid && semctl(s->perm->id, (int)i, SETVAL,
						    (union semun){.val = (int)s->values[i]}) < 0)
			return -errno;
	return 0;
}

/* A value that nobody has ever changed is 0, unless it was not so at the restore. */
static int put_values(struct plan *p, const Ckpt__SysvSemSet *s)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->n_values; i++) {
		struct setting x = {s, s->pids[i]};
		struct sysvipc_actor who = {s->pids[i], geteuid(), getegid()};
		size_t before = 0;

		while (s->pids[before] != s->pids[i])
			before++;
		if (before == i)
			r = s->pids[i] ? sysvipc_as(&who, set_values, &x) : 0;
	}
	if (r < 0)
		return op_fail_errno(p->op, -r, "semctl", WHAT " %d: values", s->perm->id);
	return 0;
}

static int put_owner(struct plan *p, const Ckpt__SysvSemSet *s)
{
	struct semid_ds ds;
	int r = semctl(s->perm->id, 0, IPC_STAT, (union semun){.buf = &ds});

	if (r == 0 && ipc_perm_put(s->perm, &ds.sem_perm))
		r = semctl(s->perm->id, 0, IPC_SET, (union semun){.buf = &ds});
	if (r < 0)
		return op_fail_errno(
			p->op, errno, "semctl", WHAT " %d: owner and mode", s->perm->id);
	return 0;
}

static bool same_user(const Ckpt__SysvSemSet *a, const Ckpt__SysvSemSet *b)
{
	for (size_t i = 0; i < a->n_pids; i++)
		if (a->pids[i] && a->pids[i] == b->pids[i])
			return true;
	return false;
}

static bool is_same(const Ckpt__SysvSemSet *s, const Ckpt__SysvSemSet *now)
{
	return s->perm->key == now->perm->key && s->n_values == now->n_values &&
	       (s->ctime_s == now->ctime_s || same_user(s, now));
}

/* The only task of the image that had something to undo, and was ended by the dump; 0: not only one. */
static pid_t undoer(const struct plan *p)
{
	const struct model_rec *rec;
	pid_t pid = 0;
	size_t pos = 0;

	while ((rec = model_next(p->model, &res_sysvsem.type, &pos))) {
		const Ckpt__SysvSem *m = (const void *)rec->msg;

		if (!m->undo)
			continue;
		if (pid || !m->dies)
			return 0;
		pid = (pid_t)rec->owner;
	}
	return pid;
}

/*
 * Every difference must be the task's. Return: 1 they are, and are noted; 0 they are not, or there are
 * none; -ENOMEM.
 */
static int note_undone(Ckpt__SysvSemSet *s, const Ckpt__SysvSemSet *now, pid_t pid)
{
	bool any = false;

	for (size_t i = 0; i < s->n_values; i++) {
		if (s->values[i] == now->values[i])
			continue;
		if (now->pids[i] != pid)
			return 0;
		any = true;
	}
	if (!any)
		return 0;
	s->undone = calloc(s->n_values, sizeof(*s->undone));
	if (!s->undone)
		return -ENOMEM;
	s->n_undone = s->n_values;
	s->undone_pid = pid;
	for (size_t i = 0; i < s->n_values; i++)
		s->undone[i] = (int32_t)now->values[i] - (int32_t)s->values[i];
	return 1;
}

/* Whether the end of some task of the image, one of several, has undone something. */
static bool was_undone(const struct plan *p, const Ckpt__SysvSemSet *s, const Ckpt__SysvSemSet *now)
{
	for (size_t i = 0; i < s->n_values; i++) {
		const Ckpt__SysvSem *m =
			s->values[i] == now->values[i]
				? NULL
				: model_get(p->model, &res_sysvsem.type, now->pids[i]);

		if (m && m->undo && m->dies)
			return true;
	}
	return false;
}

/* Whether somebody outside of our pid namespace may use them. */
static bool unseen_user(
	const struct plan *p, const Ckpt__SysvSemSet *s, const Ckpt__SysvSemSet *now)
{
	for (size_t i = 0; i < now->n_pids; i++)
		if (ipc_user_unseen(p, s->pids[i], now->pids[i]))
			return true;
	return false;
}

static bool equal_values(const Ckpt__SysvSemSet *a, const Ckpt__SysvSemSet *b)
{
	return memcmp(a->values, b->values, a->n_values * sizeof(*a->values)) == 0;
}

static bool equal(const Ckpt__SysvSemSet *a, const Ckpt__SysvSemSet *b)
{
	return equal_values(a, b) && memcmp(a->pids, b->pids, a->n_pids * sizeof(*a->pids)) == 0;
}

static int take_set(struct plan *p, Ckpt__SysvSemSet *s, const Ckpt__SysvSemSet *now)
{
	pid_t pid = undoer(p);
	int r;

	if (!is_same(s, now))
		return ipc_taken(p, SYSVIPC_SEM, WHAT, s->perm);
	if (equal(s, now))
		return put_owner(p, s);
	if (unseen_user(p, s, now)) {
		if (!equal_values(s, now))
			op_warn(p->op,
				WHAT
				" %d: who uses them outside of the pid namespace can't be seen: "
				"their values stay as they are, and nothing will be undone",
				s->perm->id);
		return 0;
	}
	for (size_t i = 0; i < now->n_pids; i++) {
		if (now->pids[i] == s->pids[i] || !ipc_user_alive(now->pids[i]))
			continue;
		op_warn(p->op, WHAT " %d: pid %d uses them: their values stay as they are",
			s->perm->id, now->pids[i]);
		return 0;
	}
	r = pid ? note_undone(s, now, pid) : 0;
	if (r < 0)
		return op_fail(p->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, WHAT " %d", s->perm->id);
	if (r == 0 && was_undone(p, s, now))
		op_warn(p->op,
			WHAT
			" %d: what each process was to undo at its end (SEM_UNDO) can't be told "
			"apart: nothing will be undone",
			s->perm->id);
	if (r == 0)
		r = put_values(p, s);
	return r < 0 ? r : put_owner(p, s);
}

static int make_set(struct plan *p, uint64_t owner, Ckpt__SysvSemSet *s)
{
	Ckpt__SysvSemSet *now = NULL;
	int r;

	if (!s->perm || !s->n_values || s->n_values > SEM_MAX || s->n_pids != s->n_values ||
		s->n_undone)
		return op_fail(p->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"sysvsem %llu: a set without owner or size", (unsigned long long)owner);
	r = set_look(s->perm->id, &now);
	if (r == 0) {
		for (size_t i = 0; i < now->n_pids; i++)
			now->pids[i] = ipc_user_now(p, now->pids[i]);
		r = take_set(p, s, now);
		protobuf_c_message_free_unpacked(&now->base, NULL);
		return r;
	}
	if (r != -EINVAL)
		return op_fail_errno(p->op, -r, "semctl", WHAT " %d", s->perm->id);
	r = ipc_make(p, SYSVIPC_SEM, WHAT, s->perm, 0, get_set, s);
	if (r == 0)
		r = put_values(p, s);
	return r < 0 ? r : put_owner(p, s);
}

static int make(struct plan *p, const struct model_rec *rec)
{
	Ckpt__SysvSem *m = (void *)rec->msg;
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->n_sets; i++)
		r = make_set(p, rec->owner, m->sets[i]);
	return r;
}

static void plan_undone(const Ckpt__SysvSemSet *s, struct prog *prog)
{
	for (size_t i = 0; i < s->n_undone; i++) {
		struct sembuf op = {(unsigned short)i, (short)-s->undone[i], SEM_UNDO | IPC_NOWAIT};

		if (!s->undone[i])
			continue;
		PROG_CALL(prog, "sysvsem: what is to be undone at its end", SYS_semop,
			IMM((int64_t)s->perm->id), DATA(prog_data(prog, &op, sizeof(op))), IMM(1));
		prog_object(prog, WHAT " %d: number %zu", s->perm->id, i);
	}
}

/* The sets have the values that the task's end has left: by these steps they get those of before. */
static void plan(
	struct plan *p, enum plan_phase phase, const struct model_rec *rec, struct prog *prog)
{
	const struct model_rec *other;
	size_t pos = 0;

	if (phase != PLAN_PROCESS)
		return;
	while ((other = model_next(p->model, &res_sysvsem.type, &pos))) {
		const Ckpt__SysvSem *m = (const void *)other->msg;

		for (size_t i = 0; i < m->n_sets; i++)
			if ((uint64_t)m->sets[i]->undone_pid == rec->owner)
				plan_undone(m->sets[i], prog);
	}
}

static const char *const volatile_fields[] = {"sets.ctime_s", "sets.otime_s", "dies", NULL};

const struct res res_sysvsem = {
	.type = {"sysvsem", SCOPE_TASK, &ckpt__sysv_sem__descriptor, volatile_fields},
	.collect = collect,
	.make = make,
	.plan = plan,
};
