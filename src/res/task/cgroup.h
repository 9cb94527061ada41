/*
 * cgroup.h - the two halves of the resource among themselves: what is saved of groups (cgroup.c), and
 * putting tasks back into them (cgroup_put.c).
 */
#ifndef CKPT_RES_TASK_CGROUP_H
#define CKPT_RES_TASK_CGROUP_H

#include "proto/cgroup.pb-c.h"
#include "res/task/task.h"

/**
 * cgroup_of() - the groups that a thread of the image is in
 * @alive: the first thread of its process that has not ended
 * Return: NULL where the image says nothing
 */
const Ckpt__Cgroup *cgroup_of(const struct model *m, pid_t tid, pid_t alive);

/** cgroup_make() - the `make` of a CgroupDir: find the group, or make it. 0 or after op_fail() */
int cgroup_make(struct plan *p, const struct model_rec *rec);

#endif
