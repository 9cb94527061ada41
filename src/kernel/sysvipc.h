/*
 * sysvipc.h - objects of System V (shared memory, semaphores, message queues) with a chosen id and creator.
 *
 * An id is chosen by writing it to /proc/sys/kernel/{shm,sem,msg}_next_id (CONFIG_CHECKPOINT_RESTORE,
 * Linux >= 3.9; needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN): the next object of the namespace that
 * anybody makes gets it, if it is free. Who made an object is the kernel's to say: so a child makes it
 * that has the pid and the ids of the creator.
 */
#ifndef CKPT_KERNEL_SYSVIPC_H
#define CKPT_KERNEL_SYSVIPC_H

#include <stdbool.h>
#include <sys/types.h>

enum sysvipc_kind { SYSVIPC_SHM, SYSVIPC_SEM, SYSVIPC_MSG };

/* As whom a child acts. */
struct sysvipc_actor {
	pid_t pid; /* 0: any */
	uid_t uid;
	gid_t gid;
};

/**
 * sysvipc_as() - call a function in a child that is somebody else, see kernel/stand_in.h
 * A pid that is taken, or that may not be chosen, is not had.
 * Return: as of stand_in_run().
 */
int sysvipc_as(const struct sysvipc_actor *who, int (*act)(void *arg), void *arg);

/**
 * sysvipc_make() - make an object with a chosen id
 * @get:  shmget(2) or its like with IPC_CREAT | IPC_EXCL. Return: an id, or -1 with errno
 * Return: 0; -EADDRINUSE the id is taken; -EEXIST the key is; -EPERM, -EACCES, -ENOENT ids can't be
 * chosen here; -errno of @get.
 * Source: Documentation/admin-guide/sysctl/kernel.rst, msg_next_id.
 */
int sysvipc_make(const struct sysvipc_actor *who, enum sysvipc_kind kind, int id,
	int (*get)(const void *arg), const void *arg);

/** sysvipc_choosable() - whether ids can be chosen. Return: 0; -errno of open(2) for writing */
int sysvipc_choosable(void);

/**
 * sysvipc_next() - iterate over the semaphore sets or message queues of the IPC namespace
 * @kind:  not shared memory, which is found by its mappings
 * @place: 0 at the start
 * Those that may not be read are passed over.
 * Return: an id; -1 at the end.
 */
int sysvipc_next(enum sysvipc_kind kind, int *place);

/** sysvipc_used_by() - whether a process was the last to use a set, any semaphore of it, or a queue */
bool sysvipc_used_by(enum sysvipc_kind kind, int id, pid_t pid);

#endif
