/*
 * What a fresh pid namespace needs beside clone(2): mounts of its own with a /proc that shows its pids, and
 * where its numbers go on.
 */
#ifndef CKPT_KERNEL_PIDNS_H
#define CKPT_KERNEL_PIDNS_H

#include <stdbool.h>
#include <sys/types.h>

/* What the first process of a namespace of our making is called. */
#define PIDNS_INIT_NAME "ckpt-init"

/**
 * pidns_own_mounts() - give the calling thread, and what it forks, mounts of its own
 * They are copies that show what is mounted and unmounted elsewhere later; what is mounted here is seen
 * nowhere else. Working directory and root stay where they are.
 * @ret_call: the system call that failed; untouched on success
 * Return: 0; -EPERM; -ENOSPC user.max_mnt_namespaces; -EINVAL of mount(2): the root directory is no mount point.
 * Source: unshare(2), mount_namespaces(7).
 */
int pidns_own_mounts(const char **ret_call);

/** pidns_mount_proc() - cover /proc by one that shows the caller's pid namespace. Return: 0; -errno */
int pidns_mount_proc(void);

/**
 * pidns_next_pid() - have the next process of the caller's pid namespace get this number, or the next free one
 * Return: 0; -ENOENT a kernel without CONFIG_CHECKPOINT_RESTORE; -EPERM; -errno.
 * Source: /proc/sys/kernel/ns_last_pid, Linux >= 3.3.
 */
int pidns_next_pid(pid_t pid);

/** pidns_is_inside() - whether a process is in the pid namespace of another one. Both as /proc shows them */
bool pidns_is_inside(pid_t pid, pid_t other);

/**
 * pidns_init_of() - the first process of the pid namespace that a process is in
 * Looks at all processes. Return: its pid as /proc shows it; 0: it is not there, or out of sight.
 */
pid_t pidns_init_of(pid_t pid);

#endif
