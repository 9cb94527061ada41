/*
 * res.h - what a resource is: the verbs by which one kind of kernel state is asked for, collected,
 * opened again and planned. All knowledge of a resource is in one file that defines one struct res
 * and stands with one line in the registry (registry.c).
 */
#ifndef CKPT_RES_RES_H
#define CKPT_RES_RES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "core/op.h"
#include "inject/prog.h"
#include "inject/tracees.h"
#include "kernel/proc_maps.h"
#include "kernel/proc_stat.h"
#include "kernel/proc_status.h"
#include "model/model.h"

/* ------------------------------------------------------------------ dump: kernel -> model */

struct collect;

/* Bytes that go into the page files: a range of a process's memory, or of a file. */
struct page_want {
	struct collect *of;            /* whose memory */
	const struct model_type *type; /* of the Pages record that will name the runs */
	uint64_t owner;
	int fd; /* owned; -EBADF: the process's memory */
	uint64_t start, end;
	bool keep_zero;          /* a page of zeros is contents here, not absence */
	uint64_t resident_bytes; /* what the kernel counts in the range, for old kernels */
};

struct collect_file; /* one open file description already seen, see res/file/seen.h */
struct seen;
struct fdpolicy;
struct file_look;
struct in_flight;
struct unix_queues;
struct unix_world;
struct sock_diag;
struct sockopt_kind;
struct inet_groups;
struct sock_held_reader;
struct kmem;
struct sock_queue_reader;
struct notify_told;

/* What the tasks of a tree have in common while they are collected. */
struct collect_tree {
	struct ckpt_op *op;
	struct model *model;
	const char *const *sysvipc; /* what the caller wishes, see res/ipc/wish.h; or NULL */
	struct fdpolicy *policy;    /* likewise, see res/file/fdpolicy.h; or NULL */
	/* The kind of a description that can't be saved; NULL: it can. Of the preflight. */
	const char *(*refused)(const struct collect *c, const struct file_look *l);

	struct collect *tasks; /* parents before children; of a zombie nothing but its pid is set */
	size_t n_tasks;
	size_t n_stopped;               /* of them, by SIGSTOP or the like */
	const struct notify_told *told; /* see res/thread/notify.h; borrowed */
	size_t n_told;

	struct page_want *wants;
	size_t n_wants, cap_wants;

	struct collect_file *files; /* open file descriptions; the place is the id less 1 */
	size_t n_files, cap_files;
	struct seen *seen;               /* see res/file/seen.h */
	struct mount_list *mounts;       /* ours, see res/file/files.c; NULL: not read yet */
	struct unix_queues *unix_queues; /* see res/socket/unixsock.h; NULL: not asked for yet */
	struct in_flight *in_flight; /* see res/file/in_flight.h; NULL: nothing was in flight yet */
	struct sock_diag *diag;      /* see res/socket/socket.h; NULL: nothing was asked yet */
	uint16_t no_diag[16]; /* families and protocols of which this kernel tells nothing there */
	size_t n_no_diag;
	struct sockopt_kind *sockopts;    /* what new sockets are like, see res/socket/sockopt.h */
	struct tcp_hold *tcp;             /* connections, see res/socket/tcp.h; of the dump */
	struct inet_groups *inet_groups;  /* see res/socket/inet_groups.c */
	struct kmem *kmem;                /* see socket_kmem(); NULL: not needed yet */
	struct sock_held_reader *held;    /* see res/socket/inet_held.c; NULL: not needed yet */
	struct sock_queue_reader *errors; /* see res/socket/inet_errors.c; NULL: not needed yet */
	uint64_t own_netns;               /* cookie of our network namespace, 0: not asked yet */
};

/* What two tasks may share without being threads of one group. */
enum shared {
	SHARED_NOTHING,
	SHARED_VM,
	SHARED_FILES,
	SHARED_FS,
	SHARED_SIGHAND,
	SHARED_IO,
	SHARED_MAX
};

/* What a dump knows of one task while it collects; /proc is read once. */
struct collect {
	struct collect_tree *tree;
	struct ckpt_op *op;
	struct tracees *tr;
	struct model *model; /* that of the tree */
	pid_t pid;
	pid_t alive; /* whose memory and files are there, see tracees.h */
	int proc_fd; /* borrowed from tr */
	int pidfd;
	struct vma_list maps;
	struct proc_stat stat;     /* of the leader */
	struct proc_status status; /* of the leader */
	long n_cpus;               /* online here */
	pid_t shared[SHARED_MAX];  /* the earlier task that it shares this with, 0: none */
	size_t stop_asked;         /* its parent is asked about its stop; place + 1 among those */
	bool stop_told;            /* its parent has waited for its stop */
};

/* Where a resource's questions begin in a batch that has been run. */
struct answer {
	const struct prog *prog;
	size_t step;   /* of its first step */
	uint64_t data; /* offset of its first data */
};

static inline const void *answer_data(const struct answer *a, size_t off)
{
	return a->prog->data + a->data + off;
}

static inline int64_t answer_ret(const struct answer *a, size_t step)
{
	return a->prog->steps[a->step + step].ret;
}

/** collect_add() - put a record into the model; msg is taken. 0 or negative after op_fail() */
int collect_add_take(struct collect *c, const struct model_type *type, uint64_t owner, void *msg);

/** collect_want() - have bytes saved; want->fd is taken. 0 or negative after op_fail() */
int collect_want_take(struct collect *c, const struct page_want *want);

/** collect_oom() - note that memory ran out. Return: negative */
int collect_oom(struct collect *c);

/* msg_new(Task, TASK): a zeroed protobuf message on the heap, or NULL */
#define msg_new(type, init)                                                                        \
	({                                                                                         \
		type *msg_ = malloc(sizeof(*msg_));                                                \
		if (msg_)                                                                          \
			*msg_ = (type)init;                                                        \
		msg_;                                                                              \
	})

/** msg_bytes() - a copy for a `bytes` field; both zero when memory ran out */
ProtobufCBinaryData msg_bytes(const void *data, size_t len);

/* ------------------------------------------------------------------ restore: model -> plan */

/* The parts of a thread's program. Tasks meet at the ends of EARLY, THREAD and HANDED. */
enum plan_phase {
	PLAN_EARLY,   /* leader: memory map */
	PLAN_FILES,   /* leader, memory filled, all tasks made: directories, descriptors */
	PLAN_PROCESS, /* leader: what all threads share */
	PLAN_THREAD,  /* every thread: its own state; all threads exist */
	PLAN_HANDED,  /* leader, where needed: what it opens for others, too; all threads exist */
	PLAN_LATE,    /* leader, then every thread: what takes away rights, or starts clocks */
	PLAN_LAST,    /* leader: what other threads' credentials would undo */
	PLAN_PHASES
};

struct vdso_host; /* res/mm/vdso.h */
struct mm_born;   /* res/mm/mm_inherit.h */
struct ipc_made;  /* res/ipc/ipc.c */
struct cgroups;   /* res/task/cgroup_put.c */

struct plan_file {
	uint64_t id;
	int fd; /* the number that the coordinator gives it; tasks inherit it */
	bool opened;
	pid_t doer; /* the task that does what is done once for it, the first that is planned; 0: none yet */
	bool opened_late;
	bool in_flight; /* the queue of a socket has it */
	bool need_late; /* opened late, and needed by the restore itself, see res/file/in_flight.h */
	bool handed;    /* opened late, by the doer, of whom the other tasks that have it take it */
	int home; /* the task's first number for it, where the coordinator keeps it if it can; -1 */
	const struct model_rec *rec; /* of its kind */
};

/* A descriptor that becomes what the user says (--fd), or has said at the dump. */
struct plan_override {
	int fd;        /* the task's number */
	pid_t pid;     /* whose table it is in; 0: any */
	uint32_t file; /* of what description, 0: any */
	enum {
		OVERRIDE_INHERIT,
		OVERRIDE_PATH,
		OVERRIDE_NULL,
		OVERRIDE_CLOSE,
		OVERRIDE_IGNORE, /* nothing is said of it */
		OVERRIDE_REFUSE  /* of a kind only: nothing is said of it */
	} how;
	int mine;         /* inherit: our number */
	const char *path; /* borrowed */
	const char *text; /* as it was given, borrowed; NULL: at the dump */
	int from;         /* the number that the coordinator gives it, -1: none yet */
	bool outside;     /* not by --fd: it led outside, and is the command's own of that number */
};

/* A terminal that was outside, and that the restore command passes on, see res/file/pty.h. */
struct plan_relay {
	uint32_t index; /* its number at the dump; UINT32_MAX: it was no pseudo terminal */
	int master;     /* at a number that no task uses; -1: not opened yet */
	int terminal; /* of this command, for the settings of one that is not in the image; borrowed */
};

struct plan {
	struct ckpt_op *op;
	const struct ckpt_restore_req *req;
	const struct model *model;
	struct plan_file *files; /* ascending by id */
	size_t n_files;
	struct plan_override *overrides;
	size_t n_overrides, cap_overrides;
	struct fdpolicy *policy;      /* what the user wishes, borrowed; see res/file/fdpolicy.h */
	const struct vdso_host *vdso; /* of the running kernel */
	size_t n_cpus;                /* of this host; 0: not known */
	pid_t own_group;              /* the process group of the restore command */
	pid_t root_was; /* the number of the root at the dump, if it has another now; 0 */
	bool timer_ids; /* the ids of POSIX timers can be chosen (FEATURE_TIMER_IDS) */
	/* What a new task has anyway, as it is the restorer's; not planned again. NULL: not known. */
	const ProtobufCMessage *own_creds, *own_sched;
	const int *own_oom_score_adj;        /* likewise */
	const uint64_t *own_coredump_filter; /* likewise */
	const struct mm_born
		*born; /* of the task being planned; NULL: bare, and mapped with its own */
	pid_t exe_of;  /* whose exe link, and what else comes EARLY, it has when made; 0: ours */
	bool uffd;     /* new memory may get its contents through a userfaultfd (FEATURE_UFFD) */
	uint64_t thp_bytes; /* the smallest huge page that any memory may be given; 0: none */
	bool describe;
	/* Objects of System V and POSIX queues that were made anew, see ipc_made_done(). */
	struct ipc_made *ipc_made;
	size_t n_ipc_made, cap_ipc_made;
	/* Paths of directories that were deleted and are there until all tasks are in them, see fs_made_done(). */
	char **made_dirs;
	size_t n_made_dirs, cap_made_dirs;
	struct cgroups *cgroups; /* groups to be put into, see cgroup_done(); NULL: none */
	/* unix sockets that are being made and filled, see res/socket/unixsock.h; NULL: none yet */
	struct unix_world *unix_world;
	struct tcp_plan *tcp;     /* connections, see res/socket/tcp.h; of the restore */
	bool dry;                 /* it is to be looked at only: nothing is made */
	struct plan_relay *relay; /* borrowed; NULL: none */
};

struct Ckpt__Fd;

/**
 * plan_override() - what the user says of a task's descriptor
 * @pid: whose table it is in
 * @e: NULL: it has none such
 * Return: NULL: nothing
 */
const struct plan_override *plan_override(
	const struct plan *p, pid_t pid, const struct Ckpt__Fd *e);

/** plan_file() - the entry of an open file description, or NULL */
struct plan_file *plan_file(const struct plan *p, uint64_t file_id);

/** plan_fd() - the number under which an open file description reaches the tasks, -1: none */
int plan_fd(const struct plan *p, uint64_t file_id);

/* ------------------------------------------------------------------ a resource */

struct res {
	struct model_type type;

	/* Of a task's records: who shares this has none of its own. */
	enum shared shared;

	/* Append questions for the process (t NULL, scope task) or for a thread. */
	void (*ask)(struct collect *c, struct tracee *t, struct prog *p);

	/* Read the state into the model. 0 or negative after op_fail(). */
	int (*collect)(struct collect *c, struct tracee *t, const struct answer *a);

	/* Append the steps of one phase; pure. */
	void (*plan)(struct plan *p, enum plan_phase phase, const struct model_rec *rec,
		struct prog *prog);

	/* Make what does not belong to a task or a descriptor, before there is any task. 0 or negative
	 * after op_fail(). */
	int (*make)(struct plan *p, const struct model_rec *rec);

	/* All tasks are complete, and none has run: what others see of it begins. 0 or negative after
	 * op_fail(), and then nothing has begun. */
	int (*go)(struct plan *p);

	/* Files only: whether a description is of this kind, its own record, opening it again. */
	const struct file_ops *file;
};

#endif
