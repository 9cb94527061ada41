/*
 * The cgroups of a thread, from /proc/PID/cgroup, and where they are mounted.
 */
#ifndef CKPT_KERNEL_CGROUP_H
#define CKPT_KERNEL_CGROUP_H

#include <stdbool.h>
#include <stddef.h>

#include "kernel/mountinfo.h"

/* A thread is in one group of each hierarchy. */
struct cgroup_at {
	const char *hierarchy; /* "" of v2; "cpu,cpuacct" or "name=systemd" of v1 */
	const char *path;      /* seen from the root of our cgroup namespace */
};

struct cgroup_list {
	struct cgroup_at *v;
	size_t n, cap;
	char *text; /* into which they point */
};

/**
 * cgroup_parse() - parse the text of a cgroup file
 * @text:  unchanged
 * @ret:   caller frees with cgroup_list_done(), also after a failure; in the order of the file
 * Return: 0; -EBADMSG a line is malformed; -ENOMEM.
 * Source: cgroups(7), Linux kernel/cgroup/cgroup.c proc_cgroup_show(). No name holds a newline.
 */
int cgroup_parse(const char *text, struct cgroup_list *ret);

/** cgroup_read() - the same of a file: "cgroup" or "task/TID/cgroup". Return: also -errno of the read. */
int cgroup_read(int procfd, const char *path, struct cgroup_list *ret);

/** cgroup_find() - Return: the path in a hierarchy, borrowed; NULL: the list has none such */
const char *cgroup_find(const struct cgroup_list *list, const char *hierarchy);

void cgroup_list_done(struct cgroup_list *list);

#define _cleanup_cgroups_ __attribute__((__cleanup__(cgroup_list_done)))

/**
 * cgroup_open() - open a group's directory
 * @mounts:  ours
 * Return: a descriptor, owned by the caller; -ENOENT the group is gone; -ENODEV its hierarchy is not
 * mounted, or not the part that the group is in; -errno of open(2).
 */
int cgroup_open(const struct mount_list *mounts, const char *hierarchy, const char *path);

/** cgroup_is_frozen() - whether what is in a group is kept from running by its freezer, or one above */
bool cgroup_is_frozen(int dirfd);

/** cgroup_put() - write @text into a file of a group. Return: 0; -errno. */
int cgroup_put(int dirfd, const char *name, const char *text);

#endif
