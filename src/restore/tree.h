/*
 * tree.h - who makes whom: how each task comes to its parent, its session and its process group.
 *
 * A task inherits its session and its group from the process that makes it, and only a task's own maker can
 * give it a parent. So the order in which a tree grew has to be found again: a child in the session that
 * its parent had left is made before the parent leaves it; a child that was handed to a subreaper is made
 * by a process that ends at once; a leader that is dead, but whose number the members still carry, is
 * stood in for until they have joined.
 *
 * Pure: data in, data out. Source: setsid(2), setpgid(2), PR_SET_CHILD_SUBREAPER (prctl(2), Linux >= 3.4).
 */
#ifndef CKPT_RESTORE_TREE_H
#define CKPT_RESTORE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/op.h"
#include "model/model.h"
#include "proto/task.pb-c.h"

#define BIRTH_NONE ((size_t)-1)

enum birth_kind {
	BIRTH_TASK,   /* of the image */
	BIRTH_ZOMBIE, /* of the image: it ends as it had */
	BIRTH_LEADER, /* stands for a dead leader of a session or group until its members have joined */
	BIRTH_BETWEEN /* makes an orphan, and ends at once */
};

/* When its maker makes it. */
enum birth_time {
	BIRTH_BARE,           /* with nothing of the program in its maker */
	BIRTH_BEFORE_SESSION, /* the same, before the maker leads its own session */
	BIRTH_FILLED          /* when the maker has its memory, as they share pages copy-on-write */
};

/* What a task does about its process group. */
enum birth_group {
	GROUP_INHERIT, /* it is born in it */
	GROUP_LEAD,    /* it leads one, made at once */
	GROUP_JOIN,    /* that of group_of, when all leaders are there */
	GROUP_OURS     /* that of the restore command: its own was led from outside */
};

struct birth {
	enum birth_kind kind;
	pid_t pid;              /* 0: any */
	const Ckpt__Task *task; /* NULL of a stand-in */
	size_t parent;          /* whose child it is in the end; BIRTH_NONE: ours */
	size_t maker;           /* who calls clone3 for it; BIRTH_NONE: we */
	enum birth_time when;
	bool orphan; /* its maker ends, and the parent gets it as a subreaper */
	bool leads_session;
	bool subreaper; /* it has to be one for the time being */
	enum birth_group group;
	pid_t group_of;
	uint64_t flags; /* of clone3 */
	size_t made,
		made_next; /* the first that it makes, the next that its maker makes; or BIRTH_NONE */
	int exit_signal;
};

struct tree {
	struct birth *v; /* the tasks in the order of the model, [0] the root; then stand-ins */
	size_t n, cap;
	size_t n_tasks;    /* of kind BIRTH_TASK */
	size_t n_zombies;  /* of kind BIRTH_ZOMBIE */
	size_t n_leaders;  /* of kind BIRTH_LEADER */
	size_t n_standing; /* that are there when all are made: all but BIRTH_BETWEEN */
};

/**
 * tree_new() - find the order in which the tasks of a model can be made
 * @ret: released with tree_done(); borrows from @m
 * Return: 0; negative after op_fail(): damaged, or a shape that can't be made.
 */
int tree_new(struct ckpt_op *op, const struct model *m, struct tree *ret);
void tree_done(struct tree *t);

#endif
