/*
 * /proc/PID/status and /proc/PID/task/TID/status: identity, credentials, signals of a thread.
 *
 * Lines are found by their key, so that a kernel that adds or lacks some is read too: a number
 * whose line is missing keeps the value that its comment names.
 */
#ifndef CKPT_KERNEL_PROC_STATUS_H
#define CKPT_KERNEL_PROC_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROC_STATUS_NS_MAX 33 /* MAX_PID_NS_LEVEL (32) and the initial namespace */

/* Index of struct proc_status.uid and gid. */
enum { PROC_ID_REAL, PROC_ID_EFFECTIVE, PROC_ID_SAVED, PROC_ID_FS, PROC_ID_COUNT };

/* The pids of one task from the reader's pid namespace inwards. */
struct proc_ns_pids {
	uint32_t v[PROC_STATUS_NS_MAX];
	size_t n;
};

struct proc_status {
	char name[64]; /* comm, unescaped */
	char state;
	int64_t umask; /* -1 when missing (a zombie has no umask) */
	pid_t tgid, ngid, pid, ppid, tracer_pid;
	uint32_t uid[PROC_ID_COUNT], gid[PROC_ID_COUNT];
	uint32_t *groups; /* owned */
	size_t n_groups;
	struct proc_ns_pids ns_tgid, ns_pid, ns_pgid, ns_sid;
	int64_t threads;
	/* Masks: bit (signal - 1), bit (capability). */
	uint64_t sig_pending, shd_pending, sig_blocked, sig_ignored, sig_caught;
	uint64_t cap_inheritable, cap_permitted, cap_effective, cap_bounding, cap_ambient;
	int64_t no_new_privs;                   /* -1 before Linux 4.10 */
	int64_t seccomp;                        /* SECCOMP_MODE_*; -1 without seccomp */
	int64_t seccomp_filters;                /* -1 before Linux 5.9 */
	int64_t thp_enabled, core_dumping;      /* -1 unknown */
	uint64_t untag_mask;                    /* all ones when missing */
	char *cpus_allowed, *cpus_allowed_list; /* owned; NULL when missing */
	uint64_t vm_locked_kb, vm_pinned_kb;
};

/**
 * proc_status_parse() - parse the text of a status file
 * @text:  NUL-terminated
 * @ret:   caller releases with proc_status_done(); untouched on failure
 * Return: 0; -EBADMSG a known line is malformed, or no Pid line; -ENOMEM.
 * Source: proc(5), Linux fs/proc/array.c proc_pid_status().
 */
int proc_status_parse(const char *text, struct proc_status *ret);

/**
 * proc_status_read() - read and parse
 * @procfd:  /proc/PID
 * @tid:     a thread, or 0 for the process
 * @ret:     caller releases with proc_status_done(); untouched on failure
 * Return: 0; -ESRCH gone; -EBADMSG; -ENOMEM; -errno of open(2) or read(2).
 */
int proc_status_read(int procfd, pid_t tid, struct proc_status *ret);

/** proc_status_done() - free what @s owns; @s may be all zero */
void proc_status_done(struct proc_status *s);

#endif
