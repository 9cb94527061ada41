/*
 * seen.h - which open file descriptions a dump has met already in any task, found by their inode.
 *
 * Two descriptors are of one description only if their inodes are the same, so only then is kcmp
 * asked; its answer is an order, so the descriptions of an inode are kept sorted and 10,000 opens
 * of one device cost 14 questions each, not 10,000.
 */
#ifndef CKPT_RES_FILE_SEEN_H
#define CKPT_RES_FILE_SEEN_H

#include "res/res.h"

/* A description that has got an id: its place in collect_tree.files + 1. */
struct collect_file {
	struct collect *of;         /* the first task that was seen to have it */
	int target_fd;              /* its first descriptor of it; -1: a mapped file */
	const struct collect *last; /* the last task that was seen to have it ... */
	int last_fd;                /* ... and its first descriptor of it */
	bool kept_cloexec;    /* opened with an O_CLOEXEC that fdinfo shows for every descriptor */
	uint32_t map_flags;   /* mapped: O_RDONLY or O_RDWR */
	uint32_t next_mapped; /* id of the next mapped description of this inode, 0: none */
};

struct seen_inode {
	dev_t dev;
	ino_t ino;
	uint32_t first;  /* id of the first description of this inode, 0: none */
	uint32_t mapped; /* id of the first mapped one */
	uint32_t *ids;   /* of the others, in the order of kcmp */
	size_t n, cap;
};

#define SEEN_MAPPINGS 256

/* A file that some mapping was of, as maps shows it. */
struct seen_mapping {
	uint64_t ino;
	uint32_t dev_major, dev_minor;
	bool exec, shared_rw, deleted;
	char *path;
	uint32_t id;
	uint32_t next; /* index + 1 of the next of its bucket; 0: none */
};

/* The inodes, and a hash over them. */
struct seen {
	struct seen_mapping *mappings;
	size_t n_mappings, cap_mappings;
	uint32_t mapping[SEEN_MAPPINGS]; /* index + 1 */
	struct seen_inode *v;
	size_t n, cap;
	uint32_t *slots; /* index + 1 into v, 0: free */
	size_t n_slots;
};

/** seen_inode() - the entry of an inode, made where missing. Valid until the next; NULL: no memory */
struct seen_inode *seen_inode(struct collect_tree *c, dev_t dev, ino_t ino);

/**
 * seen_find() - a description among those of an inode
 * @fd: its descriptor in the target
 * @ret_at: where in s->ids it is, or has to be inserted
 * Return: its id; 0 when it is new; negative: -errno of kcmp(2).
 */
int64_t seen_find(const struct collect *c, const struct seen_inode *s, int fd, size_t *ret_at);

/**
 * seen_add() - give a new description its id
 * @at: of seen_find(); not used for a mapped file
 * Return: 0; -ENOMEM.
 */
int seen_add(struct collect_tree *c, struct seen_inode *s, size_t at, const struct collect_file *f,
	uint32_t *ret_id);

/**
 * seen_mapping_find() - the file of a mapping, if one of any task was of the same
 * It is looked at once, however many mappings it has.
 * Return: its id, 0: there was none
 */
uint32_t seen_mapping_find(const struct collect_tree *c, const struct vma *v);

/** seen_mapping_add() - remember whose mapping it is. Return: 0; -ENOMEM. */
int seen_mapping_add(struct collect_tree *c, const struct vma *v, uint32_t id);

/** seen_add_apart() - an id for one descriptor alone, which is not found again. Return: 0; -ENOMEM. */
int seen_add_apart(struct collect_tree *c, const struct collect_file *f, uint32_t *ret_id);

void seen_done(struct collect_tree *c);

#endif
