/*
 * sysvipc.c - see sysvipc.h.
 */
#include "kernel/sysvipc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <unistd.h>

#include "kernel/stand_in.h"
#include "util/cleanup.h"
#include "util/fd.h"

#define TRIES 16 /* somebody else may make an object between our choice and our making */

static const char *const next_id[] = {
	[SYSVIPC_SHM] = "/proc/sys/kernel/shm_next_id",
	[SYSVIPC_SEM] = "/proc/sys/kernel/sem_next_id",
	[SYSVIPC_MSG] = "/proc/sys/kernel/msg_next_id",
};

int sysvipc_as(const struct sysvipc_actor *who, int (*act)(void *arg), void *arg)
{
	struct stand_in self = {.pid = who->pid,
		.else_any = true,
		.ids = who->uid != geteuid() || who->gid != getegid(),
		.uid = who->uid,
		.gid = who->gid};

	return stand_in_run(&self, act, arg);
}

/* ------------------------------------------------------------------ making */

struct making {
	enum sysvipc_kind kind;
	int fd; /* of the file by which the id is chosen */
	int id;
	int (*get)(const void *arg);
	const void *arg;
};

static void take_away(enum sysvipc_kind kind, int id)
{
	if (kind == SYSVIPC_SHM)
		shmctl(id, IPC_RMID, NULL);
	else if (kind == SYSVIPC_SEM)
		semctl(id, 0, IPC_RMID);
	else
		msgctl(id, IPC_RMID, NULL);
}

static int choose(int fd, int id)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d", id);

	return pwrite(fd, text, (size_t)n, 0) == n ? 0 : -errno;
}

/* Chosen at the last moment: whoever makes an object between the two calls gets the id. */
static int make(void *arg)
{
	const struct making *m = arg;
	int r = choose(m->fd, m->id), id = r < 0 ? r : m->get(m->arg);

	if (id < 0)
		return r < 0 ? r : -errno;
	if (id == m->id)
		return 0;
	take_away(m->kind, id);
	return -EADDRINUSE;
}

/*
 * Two restores at a time would take each other's ids: hence the lock. Others, who choose none, only take
 * one now and then.
 */
int sysvipc_make(const struct sysvipc_actor *who, enum sysvipc_kind kind, int id,
	int (*get)(const void *arg), const void *arg)
{
	_cleanup_close_ int fd = open(next_id[kind], O_WRONLY | O_CLOEXEC);
	struct making m = {.kind = kind, .fd = fd, .id = id, .get = get, .arg = arg};
	int r = -EADDRINUSE;

	if (fd < 0 || flock(fd, LOCK_EX) < 0)
		return -errno;
	for (int i = 0; i < TRIES && r == -EADDRINUSE; i++)
		r = sysvipc_as(who, make, &m);
	return r;
}

int sysvipc_choosable(void)
{
	_cleanup_close_ int fd = open(next_id[SYSVIPC_SHM], O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : 0;
}

/* ------------------------------------------------------------------ those that are there */

union semun {
	int val;
	struct semid_ds *buf;
	struct seminfo *info;
};

static int top_place(enum sysvipc_kind kind)
{
	struct seminfo sem;
	struct msginfo msg;

	if (kind == SYSVIPC_SEM)
		return semctl(0, 0, SEM_INFO, (union semun){.info = &sem});
	return msgctl(0, MSG_INFO, (struct msqid_ds *)&msg);
}

int sysvipc_next(enum sysvipc_kind kind, int *place)
{
	for (int top = top_place(kind); *place <= top;) {
		int at = (*place)++;
		struct semid_ds sem;
		struct msqid_ds msg;
		int id = kind == SYSVIPC_SEM ? semctl(at, 0, SEM_STAT, (union semun){.buf = &sem})
					     : msgctl(at, MSG_STAT, &msg);

		if (id >= 0)
			return id;
	}
	return -1;
}

static bool set_used_by(int id, pid_t pid)
{
	struct semid_ds ds;

	if (semctl(id, 0, IPC_STAT, (union semun){.buf = &ds}) < 0)
		return false;
	for (unsigned long i = 0; i < ds.sem_nsems; i++)
		if (semctl(id, (int)i, GETPID) == pid)
			return true;
	return false;
}

bool sysvipc_used_by(enum sysvipc_kind kind, int id, pid_t pid)
{
	struct msqid_ds ds;

	if (kind == SYSVIPC_SEM)
		return set_used_by(id, pid);
	return msgctl(id, IPC_STAT, &ds) == 0 && (ds.msg_lspid == pid || ds.msg_lrpid == pid);
}
