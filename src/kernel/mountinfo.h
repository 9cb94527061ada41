/*
 * The mounts of a mount namespace, from /proc/PID/mountinfo.
 */
#ifndef CKPT_KERNEL_MOUNTINFO_H
#define CKPT_KERNEL_MOUNTINFO_H

#include <stddef.h>
#include <sys/types.h>

struct mount_entry {
	int id;
	unsigned dev_major, dev_minor; /* of the file system, as in st_dev of most */
	char *root;                    /* the directory of the file system that is mounted */
	char *point;                   /* where, seen from the root directory of the process */
	char *type;    /* of the file system: "ext4"; "" where the line ends before */
	char *options; /* of the file system: "rw,cpu,cpuacct"; "" likewise */
};

/* In the order of the file: a mount stands behind the one that it covers. */
struct mount_list {
	struct mount_entry *v;
	size_t n, cap;
};

/**
 * mountinfo_parse() - parse the text of a mountinfo file
 * @text:  NUL-terminated; unchanged
 * @ret:   caller frees with mount_list_done(), also after a failure
 * Return: 0; -EBADMSG a line is malformed; -ENOMEM.
 * Source: proc(5), Linux fs/proc_namespace.c show_mountinfo().
 */
int mountinfo_parse(const char *text, struct mount_list *ret);

/** mountinfo_read() - the same of our own mounts. Return: also -errno of the read. */
int mountinfo_read(struct mount_list *ret);

void mount_list_done(struct mount_list *list);

#define _cleanup_mounts_ __attribute__((__cleanup__(mount_list_done)))

#endif
