/*
 * The directory of a process in /proc, and its list of threads.
 *
 * Every reader of this layer takes the descriptor of /proc/PID. It pins the process: when that dies
 * and its pid is taken by another, reads through the descriptor give ESRCH, never the other's data.
 * A thread's file is reached as "task/TID/NAME" below the same descriptor.
 */
#ifndef CKPT_KERNEL_PROC_H
#define CKPT_KERNEL_PROC_H

#include <stddef.h>
#include <sys/types.h>

/* A path such as "task/4194304/children", relative to /proc/PID. */
struct proc_path {
	char s[64];
};

/**
 * proc_open() - open /proc/PID
 * @pid:  as seen in the pid namespace of the mounted /proc; 0 is the caller itself
 * Return: a directory descriptor, owned by the caller; -ESRCH no such process; -errno of open(2).
 */
int proc_open(pid_t pid);

/**
 * proc_open_alive() - open the directory in which a process's memory and files are seen
 * That is /proc/PID, unless the thread group's leader has exited before its threads: then it is that
 * of another thread (/proc/TID, which lists the same threads, and holds the same files).
 * @ret_tid:  whose it is; @pid where the whole process is dead; untouched on failure
 * Return: as proc_open().
 */
int proc_open_alive(pid_t pid, pid_t *ret_tid);

/**
 * proc_task_path() - the path of a thread's file
 * @tid:   as seen by the mounted /proc; 0 for the process's own file
 * @name:  "stat", "status", ...; at most 40 characters
 * Return: by value, so that it can stand in an argument list: proc_task_path(tid, "stat").s
 */
struct proc_path proc_task_path(pid_t tid, const char *name);

/**
 * proc_tasks() - the threads of a process
 * @procfd:  /proc/PID
 * @ret:     caller frees; ascending; untouched on failure
 * @ret_n:   number of threads
 * A list of a running process is a snapshot of no single instant. It holds io_uring workers too
 * (PF_IO_WORKER in their stat flags).
 * Return: 0; -ESRCH the process is gone; -ENOMEM; -errno of open(2) or getdents(2).
 */
int proc_tasks(int procfd, pid_t **ret, size_t *ret_n);

/**
 * proc_numbers() - the entries of a /proc directory that are numbers
 * @dirfd:  directory
 * @path:   relative to @dirfd: "task", "fd"
 * @ret:    caller frees; ascending; untouched on failure
 * Return: 0; -ENOMEM; -errno of openat(2) or getdents(2).
 */
int proc_numbers(int dirfd, const char *path, int **ret, size_t *ret_n);

#endif
