/*
 * files.h - open file descriptions: finding out their kind, who shares them, opening them again.
 *
 * A description has an id in the image. Its common part is a File record (fdtable.proto), its kind's
 * own part a record of the kind (RegFile, Pipe, ...), both owned by the id.
 */
#ifndef CKPT_RES_FILE_FILES_H
#define CKPT_RES_FILE_FILES_H

#include "res/res.h"

struct sock_look;
struct Ckpt__File;

/* What is known of a description before its kind is. */
struct file_look {
	int fd;           /* a duplicate in our hands, borrowed; -EBADF for a mapped file */
	int target_fd;    /* its number in the target, -1 for a mapped file */
	const char *link; /* where /proc/PID/fd/N or map_files points to */
	const char *at;   /* path of that link below /proc/PID */
	bool deleted;
	struct stat st;
	uint32_t flags; /* open flags; of a mapped file O_RDONLY or O_RDWR */
	uint64_t pos;
	const struct mount_list *mounts; /* ours, read once; NULL: not known */
	uint32_t first_id; /* of the first description of the same inode before this one, 0: none */
	const struct sock_look
		*sock; /* of a socket, what it is; NULL: it is none, or can't be asked */
};

/* What opening needs. */
struct open_ctx {
	struct ckpt_op *op;
	const struct ckpt_restore_req *req;
	const struct model *model;
	struct plan *plan; /* files opened so far are at plan_fd() */
	const struct image *image;
	/* write the contents that the image has for a file into fd */
	int (*contents)(struct open_ctx *o, uint64_t file_id, int fd);
	/* a description that was opened together with the one that is being opened; fd is taken */
	int (*also)(struct open_ctx *o, uint64_t file_id, int fd);
	/* a descriptor to where no task has a number; fd is taken */
	int (*away)(struct open_ctx *o, int fd);
	/* every descriptor of this description becomes something else (--fd) */
	bool unneeded;
};

/* A task that has a description, at a restore. */
struct file_holder {
	pid_t pid;
	const struct Ckpt__FdTable *table;
	int fd;     /* its first descriptor of it */
	bool first; /* it is the first task that has it */
};

/* What a dump will do with a description; the texts are static, or NULL. */
struct file_verdict {
	enum ckpt_verdict verdict;
	const char *reason, *advice;
};

/* Of file_ops.open: nothing was opened, and nothing need be. */
#define OPEN_NOTHING INT32_MAX

struct file_ops {
	/* Is a description of this kind? */
	bool (*match)(const struct file_look *l);
	/* What will be done with one that matches, as far as /proc tells: for the preflight, which has
	 * no duplicate (l->fd is -EBADF). collect() must come to the same. NULL: it is saved. */
	struct file_verdict (*verdict)(int procfd, const struct file_look *l);
	/* Add the kind's own record under id. 0 or negative after op_fail(). */
	int (*collect)(struct collect *c, uint64_t id, const struct file_look *l);
	/* Add the descriptions that only lie in one of this kind, see file/in_flight.h. Before any
	 * finish(). 0 or negative after op_fail(). May be NULL. */
	int (*gather)(struct collect_tree *t);
	/* All descriptions of all tasks are known. 0 or negative after op_fail(). May be NULL. */
	int (*finish)(struct collect_tree *t);
	/* Opened before all others, which may need what comes with it: an interface with addresses. */
	bool early;
	/* Open it again. Return: a descriptor, owned by the caller; OPEN_NOTHING where it is
	 * unneeded and no other needs it; negative after op_fail(). */
	int (*open)(struct open_ctx *o, uint64_t id, const struct model_rec *rec,
		const void *file_record);
	/* Everything else is open, and will not be touched. 0 or negative after op_fail(). May be
	 * NULL. */
	int (*opened_all)(struct open_ctx *o, const struct model_rec *rec, int fd);
	/*
	 * What only a task of the tree can open, when all of them exist: append the steps. open() gave
	 * something to hold the number until then. May be NULL.
	 * @held: the number, and what open() gave
	 * Return: the step whose result is the new descriptor; LATE_NONE: this one was opened by open().
	 */
	size_t (*late)(struct plan *p, const struct model_rec *rec, int held, struct prog *prog);
	/* Append what one task that has it has to do with its descriptor number; pure. May be NULL. */
	void (*plan)(struct plan *p, enum plan_phase phase, const struct model_rec *rec, int fd,
		struct prog *prog);
	/* The same of every task that has it, when all descriptors of the task are what they will be in
	 * this phase: in PLAN_LATE those that are opened late, too. */
	void (*plan_each)(struct plan *p, enum plan_phase phase, const struct model_rec *rec,
		const struct file_holder *h, struct prog *prog);
	/* Append what no task can do for it, as it, or what belongs to it, is only in flight; made by
	 * the restore, with a copy of its own descriptors, which are at plan_fd(). May be NULL. */
	void (*adrift)(struct plan *p, const struct model_rec *rec, struct prog *prog);
	/* It is of the memory of a task: one that is only in flight can't be had. */
	bool tied;
};

#define LATE_NONE SIZE_MAX

/**
 * files_hand_over() - find the descriptions that are opened late and are in several tables
 * Return: whether there are any: then the tasks have to meet at the end of PLAN_HANDED.
 */
bool files_hand_over(struct plan *p);

/**
 * files_placeholder() - for open() of what is opened late
 * Return: a descriptor, owned by the caller; negative after op_fail().
 */
int files_placeholder(struct open_ctx *o);

/* What stands for a name that is longer than the kernel tells: as no name of a file begins. */
#define FILES_LONG_NAME "(a name of 4096 bytes or more)"

/**
 * files_link() - where /proc/PID/fd/N leads to, or FILES_LONG_NAME
 * Return: 0, *ret the caller's to free; -errno of readlink(2).
 */
int files_link(int procfd, const char *at, char **ret);

/** files_of_vma() - the id of the file behind a mapping; made on first use. 0 or after op_fail() */
int files_of_vma(struct collect *c, const struct vma *v, uint32_t *ret_id);

/** userfaultfd_count() - how many of them a process has; procfd: /proc/PID */
unsigned userfaultfd_count(int procfd);

/** fdtable_entry() - a number of a table; NULL: it is not open. @t may be NULL */
const struct Ckpt__Fd *fdtable_entry(const struct Ckpt__FdTable *t, uint32_t fd);

/** fdtable_entry_of() - the first number of a description; NULL: it has none there */
const struct Ckpt__Fd *fdtable_entry_of(const struct Ckpt__FdTable *t, uint32_t file);

/** iouring_is_vma() - whether a mapping is of an io_uring ring */
bool iouring_is_vma(const struct vma *v);

/** iouring_offset() - where in the memory that it is saved as */
uint64_t iouring_offset(const struct vma *v);

/** files_of_exe() - the id of /proc/PID/exe */
int files_of_exe(struct collect *c, uint32_t *ret_id);

/**
 * files_descriptor() - the id of the description behind a descriptor of a task; collected on first sight
 * @ret_apart: set where it is not saved, by the user's wish; NULL: nobody can wish that
 * Return: 0; negative after op_fail().
 */
int files_descriptor(struct collect *c, int fd, uint32_t *ret_id, bool *ret_apart);

/** files_plan_owner() - append who is sent a signal by a description, for a task that has it as fd */
void files_plan_owner(const struct Ckpt__File *f, int fd, struct prog *prog);

/**
 * files_plan_take() - append the taking of a description from the task that has opened it late
 * Return: the step whose result it is
 */
size_t files_plan_take(struct plan *p, uint64_t id, struct prog *prog);

/** files_finish() - collect what can only be told when all descriptions are known. 0 or op_fail() */
int files_finish(struct collect_tree *t);

/**
 * files_fdinfo() - what fdinfo says of a descriptor beyond its flags and position, line by line
 * @line, @arg: as of fdinfo_read()
 * Return: 0; negative after op_fail().
 */
int files_fdinfo(struct collect *c, const struct file_look *l,
	int (*line)(char *key, char *value, void *arg), void *arg);

/** files_done() - free what files.c keeps in t */
void files_done(struct collect_tree *t);

/**
 * outside_connect() - what leads outside becomes the same descriptor of the restore command
 * @what: for messages
 * @flags: as it was open
 * @terminal: any terminal of the command will do for a number above 2
 * Return: a descriptor for the numbers above 2, owned by the caller; OPEN_NOTHING; negative after
 * op_fail()
 */
int outside_connect(
	struct open_ctx *o, uint64_t id, const char *what, uint32_t flags, bool terminal);

/**
 * outside_redirected() - of a terminal's descriptors 0, 1 and 2, those that are no terminal of this
 * command's become what they are here
 * Return: 0; negative after op_fail()
 */
int outside_redirected(struct open_ctx *o, uint64_t id, const char *what, uint32_t flags);

/**
 * pty_relay_slave() - open() of a terminal that was outside, as the one that is passed on
 * Of the numbers 0, 1 and 2, those that this command was started with a redirection of become that.
 * @index, @path: that of the dump
 * Return: OPEN_NOTHING: it is not that one; else as file_ops.open
 */
int pty_relay_slave(
	struct open_ctx *o, uint64_t id, uint32_t index, const char *path, uint32_t flags);

struct fdpolicy_entry;

/** outside_collect() - the record of a descriptor that is not saved. 0 or negative after op_fail() */
int outside_collect(struct collect *c, uint64_t id, const struct file_look *l,
	const struct fdpolicy_entry *wish);

/**
 * outside_overrides() - what the user says, now and at the dump, into p->overrides, freed by its owner
 * Return: 0; negative after op_fail()
 */
int outside_overrides(struct plan *p);

/** outside_open() - open p->overrides. Return: 0; negative after op_fail() */
int outside_open(struct plan *p);

/*
 * The locks that fdinfo lists. A description's own are listed for whoever has it, a process's only
 * where it is asked about.
 */
struct lock_list {
	struct Ckpt__Lock **v;
	size_t n, cap;
	pid_t pid;       /* whose fdinfo it is */
	bool posix_only; /* the description's own are known already */
};

/**
 * lock_line() - read the value of one "lock" line of fdinfo
 * Return: 0; -EBADMSG; -ENOMEM; -EOPNOTSUPP a kind that can't be saved, such as a broken lease
 */
int lock_line(char *value, struct lock_list *list);

/** lock_add() - add what was read to what the model has; the list is empty then. 0 or after op_fail() */
int lock_add(struct collect *c, uint64_t id, struct lock_list *list);
void lock_list_done(struct lock_list *list);

/** lock_plan() - append the taking of a description's locks by a task that has it */
void lock_plan(struct plan *p, enum plan_phase phase, uint64_t id, const struct file_holder *h,
	struct prog *prog);

extern const struct res res_fdtable, res_file, res_regfile, res_shmem, res_pipe, res_pty, res_tty,
	res_eventfd, res_timerfd, res_signalfd, res_epoll, res_mqueue, res_inotify, res_lock,
	res_pidfd, res_fanotify, res_procfd, res_iouring, res_userfaultfd, res_secretmem,
	res_bpfmap, res_bpfprog, res_outside;

#endif
