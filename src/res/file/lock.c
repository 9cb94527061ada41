/*
 * lock.c - file locks and leases.
 *
 * /proc/PID/fdinfo lists what is held through a descriptor, whoever of its sharers took it, save
 * that it shows the POSIX locks of PID only (Linux >= 4.1); who waits for a lock is not listed, and asks again by itself, as its system call
 * is restarted. A lock is taken again by the task itself, when its descriptors stand and no other
 * will be closed: a close of any descriptor of a file drops the process's POSIX locks on it.
 *
 * Between the dump and the restore nobody held them. Whoever has taken one in the meantime keeps it,
 * and the restore fails, naming the file: a program must not go on believing in a lock that it has
 * not.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>

#include "proto/lock.pb-c.h"
#include "proto/regfile.pb-c.h"
#include "res/file/files.h"
#include "util/vec.h"

static int range(const char *start, const char *end, Ckpt__Lock *m)
{
	unsigned long long from, to;

	if (sscanf(start, "%llu", &from) != 1)
		return -EBADMSG;
	m->start = from;
	if (strcmp(end, "EOF") == 0)
		return 0;
	if (sscanf(end, "%llu", &to) != 1 || to < from)
		return -EBADMSG;
	m->len = to - from + 1;
	return 0;
}

/* "1: POSIX  ADVISORY  WRITE 4242 fd:00:1234 0 EOF" */
int lock_line(char *value, struct lock_list *list)
{
	char kind[16], state[16], type[16], start[24], end[24];
	Ckpt__Lock *m;

	if (sscanf(value, "%*d: %15s %15s %15s %*s %*s %23s %23s", kind, state, type, start, end) !=
		5)
		return -EBADMSG;
	if (list->posix_only && strcmp(kind, "POSIX") != 0)
		return 0;
	if (vec_reserve(&list->v, &list->cap, list->n + 1, sizeof(*list->v)) < 0)
		return -ENOMEM;
	m = msg_new(Ckpt__Lock, CKPT__LOCK__INIT);
	if (!m)
		return -ENOMEM;
	list->v[list->n++] = m;
	m->write = strcmp(type, "WRITE") == 0;
	m->pid = strcmp(kind, "POSIX") == 0 ? list->pid : 0;
	if (strcmp(kind, "FLOCK") == 0)
		m->kind = CKPT__LOCK__KIND__FLOCK;
	else if (strcmp(kind, "OFDLCK") == 0)
		m->kind = CKPT__LOCK__KIND__OFD;
	else if (strcmp(kind, "POSIX") == 0)
		m->kind = CKPT__LOCK__KIND__POSIX;
	else if (strcmp(kind, "LEASE") == 0 && strcmp(state, "ACTIVE") == 0)
		m->kind = CKPT__LOCK__KIND__LEASE;
	else
		return -EOPNOTSUPP;
	return range(start, end, m);
}

/* Those that another process holds through the same description. */
static int add_more(struct collect *c, Ckpt__Locks *m, struct lock_list *list)
{
	Ckpt__Lock **v = realloc(m->locks, (m->n_locks + list->n) * sizeof(*v));

	if (!v)
		return collect_oom(c);
	memcpy(v + m->n_locks, list->v, list->n * sizeof(*v));
	m->locks = v;
	m->n_locks += list->n;
	list->n = 0;
	return 0;
}

int lock_add(struct collect *c, uint64_t id, struct lock_list *list)
{
	Ckpt__Locks *m;

	if (!list->n)
		return 0;
	m = model_get(c->model, &res_lock.type, id);
	if (m)
		return add_more(c, m, list);
	m = msg_new(Ckpt__Locks, CKPT__LOCKS__INIT);
	if (!m)
		return collect_oom(c);
	m->locks = list->v;
	m->n_locks = list->n;
	*list = (struct lock_list){0};
	return collect_add_take(c, &res_lock.type, id, m);
}

void lock_list_done(struct lock_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->v[i]);
	free(list->v);
	*list = (struct lock_list){0};
}

/* ---- restore ---- */

static void plan_range(const Ckpt__Lock *l, int fd, struct prog *prog)
{
	struct flock fl = {.l_type = l->write ? F_WRLCK : F_RDLCK,
		.l_whence = SEEK_SET,
		.l_start = (off_t)l->start,
		.l_len = (off_t)l->len};
	bool ofd = l->kind == CKPT__LOCK__KIND__OFD;

	PROG_CALL(prog, ofd ? "lock: of the description" : "lock: of the process", SYS_fcntl,
		IMM(fd), IMM(ofd ? F_OFD_SETLK : F_SETLK), DATA(prog_data(prog, &fl, sizeof(fl))));
}

/* A process's own is for it to take; a description's is taken by the first task that has it. */
static bool is_taken_by(const Ckpt__Lock *l, const struct file_holder *h)
{
	return l->kind == CKPT__LOCK__KIND__POSIX && l->pid ? l->pid == h->pid : h->first;
}

void lock_plan(struct plan *p, enum plan_phase phase, uint64_t id, const struct file_holder *h,
	struct prog *prog)
{
	const Ckpt__Locks *m = model_get(p->model, &res_lock.type, id);
	const Ckpt__RegFile *f = model_get(p->model, &res_regfile.type, id);
	int fd = h->fd;

	for (size_t i = 0; m && i < m->n_locks; i++) {
		const Ckpt__Lock *l = m->locks[i];
		bool lease = l->kind == CKPT__LOCK__KIND__LEASE;

		if (!is_taken_by(l, h) || phase != (lease ? PLAN_LATE : PLAN_PROCESS))
			continue;
		if (lease)
			PROG_CALL(prog, "lock: lease", SYS_fcntl, IMM(fd), IMM(F_SETLEASE),
				IMM(l->write ? F_WRLCK : F_RDLCK));
		else if (l->kind == CKPT__LOCK__KIND__FLOCK)
			PROG_CALL(prog, "lock: flock", SYS_flock, IMM(fd),
				IMM((l->write ? LOCK_EX : LOCK_SH) | LOCK_NB));
		else
			plan_range(l, fd, prog);
		prog_object(prog, "fd %d %s", fd, f ? f->path : "");
	}
}

const struct res res_lock = {
	.type = {"lock", SCOPE_FILE, &ckpt__locks__descriptor, NULL},
};
