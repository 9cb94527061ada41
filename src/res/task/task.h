/*
 * task.h - resources of a whole process.
 */
#ifndef CKPT_RES_TASK_TASK_H
#define CKPT_RES_TASK_TASK_H

#include <signal.h>

#include "res/res.h"

extern const struct res res_task, res_fs, res_sigaction, res_itimers, res_rlimits, res_prctl,
	res_procfile, res_membarrier, res_timens, res_posixtimers, res_xfeatures, res_ctty,
	res_mqnotify, res_cgroup, res_cgroupdir;

/**
 * ctty_outside() - the terminal outside that a session leader of the tree had
 * Not where the root was a member of a session outside: that shares the terminal of this command.
 * @ret_index: N of /dev/pts/N, UINT32_MAX: of another kind
 * Return: the leader; 0: there is none.
 */
pid_t ctty_outside(const struct model *m, uint32_t *ret_index);

/** ctty_inside() - whether a task has a controlling terminal whose master is of the tree */
bool ctty_inside(const struct model *m, pid_t pid);

/** ctty_foreground() - the group of the tree that had a terminal outside at the dump; 0: none */
pid_t ctty_foreground(const struct model *m, pid_t root);

/**
 * ctty_plan_lead() - append that a new session leader takes the controlling terminal that it had
 * It has no children in this session yet, and the files as the coordinator has opened them.
 */
void ctty_plan_lead(struct plan *p, pid_t pid, struct prog *prog);

/** oom_score_adj_read() - of the process of a /proc directory. 0; -errno, @ret untouched */
int oom_score_adj_read(int proc_fd, int *ret);

/** task_in_tree() - whether a pid or tid is of a task of the image */
bool task_in_tree(const struct model *m, pid_t pid);

/** task_zombie() - add the record of a task that has ended; c->stat is known. 0 or op_fail() */
int task_zombie(struct collect *c);

/**
 * cgroup_root() - the group of version 2 in which the first task is to be born
 * Return: a directory, owned by the plan; -1: that of this command, or there is none.
 */
int cgroup_root(struct plan *p, pid_t alive);

/**
 * cgroup_place() - put a process that exists into its groups, with all threads that it has
 * @alive: its first thread that will not have ended
 * Return: 0, also after a warning; negative after op_fail(): only where all groups were asked for.
 */
int cgroup_place(struct plan *p, pid_t pid, pid_t alive);

/** cgroup_place_thread() - one thread, into those where the rest of its process is not; likewise */
int cgroup_place_thread(struct plan *p, pid_t pid, pid_t alive, pid_t tid);

/* A group that a thread is put into. */
struct cgroup_move {
	const char *hierarchy; /* for people; borrowed, as is path */
	const char *path;
	bool made; /* it is gone, and is made anew */
};

/**
 * cgroup_moves() - what cgroup_root(), cgroup_place() and cgroup_place_thread() would do; of a dry plan
 * @tid: @alive stands for the whole process
 * @maker: the first living thread of the process that makes it; 0: this command does
 * Return: how many, the first @max in @ret
 */
size_t cgroup_moves(
	struct plan *p, pid_t tid, pid_t alive, pid_t maker, struct cgroup_move *ret, size_t max);

/** cgroup_look() - for a dry plan: which groups of the image are there. 0; negative after op_fail() */
int cgroup_look(struct plan *p);

/** fs_made_done() - a restore has failed, or not: directories that are there for a moment are deleted again */
void fs_made_done(struct plan *p);

/** cgroup_done() - forget the groups; a restore that failed takes away those that it made */
void cgroup_done(struct plan *p, bool failed);

/**
 * posixtimers_queue() - whether a pending signal is that of a timer in the model, which will queue it
 * again by itself
 */
bool posixtimers_queue(const struct model *m, pid_t pid, const siginfo_t *si);

#endif
