/*
 * tree.h - a process and all its descendants, seized and held.
 */
#ifndef CKPT_DUMP_TREE_H
#define CKPT_DUMP_TREE_H

#include "inject/tracees.h"
#include "kernel/proc_stat.h"

struct tree_task {
	pid_t pid, ppid;       /* ppid: 0 of the root */
	struct tracees *tr;    /* NULL: a zombie */
	struct proc_stat stat; /* of a zombie */
	bool leaf;             /* it had no children when it was held */
	size_t parent;         /* its place */
	size_t first, last;    /* its children, place + 1; 0: none */
	size_t next;           /* the next child of its parent, place + 1; 0: none */
};

struct tree {
	struct ckpt_op *op;
	struct tree_task *v; /* the root first, parents before children */
	size_t n, cap;
	size_t *slots; /* hash over pids: place + 1, 0: free */
	size_t n_slots;
	size_t threads; /* that are held, of all */
	uint64_t
		stopped_at_ns; /* CLOCK_MONOTONIC, before the first interrupt; 0: nothing is stopped */
};

/**
 * tree_seize() - stop a process and whatever descends from it, each where it is
 * @ret: caller frees with tree_release() or tree_kill()
 * What is forked meanwhile is stopped too. A descendant that ends meanwhile is a zombie, or gone.
 * Return: 0, with v in pre-order; negative after op_fail(), all released.
 */
int tree_seize(struct ckpt_op *op, pid_t root, struct tree *ret);

/**
 * tree_moved() - whether somebody has run on for a moment, where there are others
 * It happens where we were too slow. What it shares with others, such as the contents of a pipe, may have
 * been read before, and be another now.
 * @r: what came of asking; -ESRCH: somebody has ended
 */
bool tree_moved(const struct tree *t, int r);

/**
 * tree_complete() - whether all are still all, when everything has been asked
 * Where we were too slow a thread has run on for a moment, and may have forked.
 * Return: 0; negative after op_fail()
 */
int tree_complete(const struct tree *t);

/** tree_release() - let all go on where they were, or with @stop be stopped by SIGSTOP; and free */
void tree_release(struct tree *t, bool stop);

/** tree_signal_death() - SIGKILL all, and go on; async-signal-safe. @arg: struct tree */
void tree_signal_death(void *arg);

/** tree_kill() - SIGKILL all, wait until all are dead, and free. Return: 0; -errno of kill(2) */
int tree_kill(struct tree *t);

#endif
