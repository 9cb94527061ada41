/*
 * ckpt.h - the public interface of libckpt: save running processes, bring them back.
 *
 * One request struct per verb, one result struct, one error struct: the command line, `--json`
 * and the service speak through these and nothing else. libc types only.
 *
 * Requests are zero-initialised by the caller: zero is the default of every field. Strings in a
 * request belong to the caller and are only read during the call.
 */
#ifndef CKPT_H
#define CKPT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef CKPT_VERSION
#define CKPT_VERSION "0.1.0"
#endif

/** What kind of failure it was; also the exit status of the command, where 1 is no failure: a difference. */
enum ckpt_kind {
	CKPT_OK = 0,
	CKPT_DIFFERENT = 1, /* no error: the status of `ckpt diff` that has found a difference */
	CKPT_E_USAGE = 2,   /* the request itself is wrong */
	CKPT_E_REFUSED =
		3, /* the target holds something that can't be saved or restored, or a hook says no */
	CKPT_E_TARGET = 4,    /* no such process, it died, it changed under us */
	CKPT_E_IMAGE = 5,     /* the image is damaged, incomplete or unknown */
	CKPT_E_CONFLICT = 6,  /* a pid, path or image is in the way */
	CKPT_E_SPACE = 7,     /* disk, memory or descriptors ran out */
	CKPT_E_PRIVILEGE = 8, /* the caller may not do this */
	CKPT_E_SYSTEM = 9,    /* a system call failed that should not have */
	CKPT_E_CANCELLED = 10 /* the caller wished no more of it (ckpt_common.cancelled) */
};

/** In which condition the target was left. */
enum ckpt_target_state {
	CKPT_TARGET_NONE = 0, /* no process is concerned */
	CKPT_TARGET_RUNNING,  /* it goes on, unharmed */
	CKPT_TARGET_STOPPED,  /* it is stopped, unharmed */
	CKPT_TARGET_GONE      /* it does not exist (any more) */
};

/** The first error of an operation. All strings are owned by the struct; free with ckpt_error_done(). */
struct ckpt_error {
	enum ckpt_kind kind;
	int err;                       /* errno, 0 if none */
	char *object;                  /* what it is about: "pid 12 (nginx): fd 7 socket:[99]" */
	char *call;                    /* the system call or the step that failed, or NULL */
	char *advice;                  /* what the user can do, or NULL */
	enum ckpt_target_state target; /* how the target was left */
};

void ckpt_error_done(struct ckpt_error *e);

/**
 * Write the error as one line, without a newline and without a program's name in front:
 * "OBJECT: CALL: STRERROR (TARGET); ADVICE", each part only where it is known.
 * Return: caller frees; NULL when out of memory.
 */
char *ckpt_error_text(const struct ckpt_error *e);

/** "system", "usage", ...: the kind's name in JSON. Return: static; "unknown" for other values. */
const char *ckpt_kind_name(enum ckpt_kind kind);

/** "none", "running", "stopped", "gone". Return: static; "unknown" for other values. */
const char *ckpt_target_name(enum ckpt_target_state state);

enum ckpt_log_level { CKPT_LOG_ERROR, CKPT_LOG_WARN, CKPT_LOG_INFO, CKPT_LOG_DEBUG };

/** What every request has. */
struct ckpt_common {
	enum ckpt_log_level log_level; /* 0: errors only */
	void (*log)(void *arg, enum ckpt_log_level level, const char *line);
	void *log_arg;
	void (*progress)(void *arg, const char *stage, uint64_t done_bytes, uint64_t total_bytes);
	void *progress_arg;
	/* Asked now and then, also by several threads at once: true ends the operation with
	 * CKPT_E_CANCELLED, as any failure would. NULL: it can't be cancelled. */
	bool (*cancelled)(void *arg);
	void *cancelled_arg;
	const char *trace_file; /* Chrome/Perfetto trace of the run, or NULL */
};

/* A unix socket whose other end is in a process that is not dumped. */
enum ckpt_unix_outside {
	CKPT_UNIX_REFUSE = 0, /* both ends are named */
	CKPT_UNIX_CLOSE,      /* at a restore the other end has closed the connection */
	CKPT_UNIX_RECONNECT   /* at a restore it connects again to the same name */
};

/* A connection of TCP whose other end is not of the tree. */
enum ckpt_tcp {
	CKPT_TCP_KEEP = 0, /* it goes on */
	CKPT_TCP_CLOSE,    /* at a restore both ends find it closed */
	CKPT_TCP_RESET     /* at a restore both ends find it reset */
};

/* Who is told before a checkpoint, and asked whether it is ready; see docs/NOTIFY.md. */
enum ckpt_notify {
	CKPT_NOTIFY_LIBCKPT = 0, /* programs with libckpt: functions that they have registered */
	CKPT_NOTIFY_ASK,         /* all that take the signal, too; each has to answer */
	CKPT_NOTIFY_TELL,        /* likewise; who has not answered in time is saved all the same */
	CKPT_NOTIFY_NONE
};

struct ckpt_dump_req {
	struct ckpt_common common;
	pid_t pid;
	const char *dir;    /* NULL: into the store, under the new crid */
	uint64_t crid;      /* of the checkpoint, for who must know it beforehand; 0: a new one */
	bool leave_running; /* go on afterwards instead of dying */
	bool leave_stopped; /* stay stopped (SIGSTOP) afterwards instead of dying */
	bool force;         /* replace an image that is already in dir */
	/* System V semaphore sets and message queues to save: NULL-terminated lists of "tree" (those that
	 * the tree uses), "sem:ID", "msg:ID", "0xKEY", with commas; or NULL */
	const char *const *sysvipc;
	/* descriptors that can't be saved or lead outside; NULL-terminated lists, or NULL. The command line
	 * has the last word over the file, and a restore over what was said at the dump */
	const char *const *fds;       /* "[PID:]N=ignore|close|null|inherit[:M]|path:FILE" */
	const char *const *resources; /* "KIND=refuse|ignore|close|null" */
	const char *policy;           /* a file: "fd ..." or "resource ..." a line, or NULL */
	enum ckpt_unix_outside unix_outside;
	enum ckpt_tcp tcp; /* those that are not kept end when the program does */
	/* "FILE", or of one point "before-dump=FILE", "dump-stopped=FILE", "after-dump=FILE": a list of
	 * executables that are called there, or NULL. One that fails ends the dump, but the last */
	const char *const *hooks;
	uint64_t hook_limit_s; /* for each call; 0: 30 */
	enum ckpt_notify notify;
	const char *notify_signals; /* "CKPT,THAW"; NULL: SIGRTMAX-2 and SIGRTMAX-1 */
	uint64_t notify_wait_ms;    /* how long all together may take to be ready; 0: 10000 */
};

struct ckpt_dump_result {
	uint64_t crid;
	char *dir; /* free with ckpt_dump_result_done() */
	uint32_t tasks, threads;
	uint64_t bytes;      /* of the whole image */
	uint64_t page_bytes; /* of these, memory contents */
	uint64_t stopped_ns; /* from the first thread stopped to the last released or killed */
	uint64_t total_ns;
};

enum ckpt_changed_files {
	CKPT_CHANGED_DEFAULT = 0, /* refuse for mapped executables and libraries, warn for data */
	CKPT_CHANGED_REFUSE,
	CKPT_CHANGED_WARN,
	CKPT_CHANGED_IGNORE
};

enum ckpt_cgroups {
	CKPT_CGROUPS_KEEP = 0, /* back into a group that is still there, else a warning */
	CKPT_CGROUPS_MAKE,     /* make a group that is gone anew, with what was set in it */
	CKPT_CGROUPS_IGNORE    /* all stay in the groups of the caller */
};

/** A process of a tree in a pid namespace of its own. */
struct ckpt_outer_pid {
	pid_t pid;       /* that it had, and sees */
	pid_t outer_pid; /* by which the caller knows it */
};

/** Free with ckpt_restore_result_done(). */
struct ckpt_restore_result {
	uint64_t crid;
	pid_t pid; /* of the restored root, as its parent sees it */
	uint32_t tasks, threads;
	uint64_t bytes;
	uint64_t away_ns; /* from the stop for the dump until it runs: what its peers have waited */
	uint64_t total_ns;
	int exit_status;             /* wait(2) status of the root, unless detached */
	struct ckpt_outer_pid *pids; /* with pidns: all of the tree, its root first */
	size_t n_pids;
};

struct ckpt_restore_req {
	struct ckpt_common common;
	const char *dir; /* of the image; or NULL and crid */
	uint64_t crid;
	bool detach;         /* don't wait for the restored root */
	bool frozen;         /* leave every task stopped until SIGCONT */
	bool pidns;          /* in a new pid namespace, so that the old pids need not be free */
	bool exec;           /* the calling process becomes the root, see ckpt_restore() */
	const char *pidfile; /* write the root's pid here, or NULL */
	enum ckpt_changed_files changed_files;
	enum ckpt_cgroups cgroups;
	bool new_ptys; /* a terminal whose number is taken gets another */
	enum ckpt_tcp tcp;
	const char *const
		*tcp_map; /* "OLD=NEW": sockets of TCP get another local address; a list, or NULL */
	bool json;        /* of ckpt_plan(): one JSON object instead of the text for people */
	bool notify; /* who was told of the checkpoint is told anyway; this tells all that take THAW */
	const char *notify_signals; /* as of a dump */
	/* Unless detached: called when the tree runs, before it is waited for; may be NULL. */
	void (*started)(void *arg, const struct ckpt_restore_result *result);
	void *started_arg;
	/* Of exec: the failure, once the caller has given itself up; called in a copy of it. May be NULL. */
	void (*failed)(void *arg, const struct ckpt_error *err);
	void *failed_arg;
	/* as of a dump */
	const char *const *fds;
	const char *const *resources;
	const char *policy;
	const char *const *hooks; /* before-restore, restore-stopped, after-restore */
	uint64_t hook_limit_s;
};

struct ckpt_show_req {
	struct ckpt_common common;
	const char *dir; /* of the image; or NULL and crid */
	uint64_t crid;
	bool json; /* everything, by reflection, instead of the text for people */
};

struct ckpt_verify_req {
	struct ckpt_common common;
	const char *dir; /* of the image; or NULL and crid */
	uint64_t crid;
};

struct ckpt_verify_result {
	uint64_t crid;
	uint64_t records;    /* read and checked */
	uint64_t page_bytes; /* read and checked */
	uint64_t total_ns;
};

struct ckpt_diff_req {
	struct ckpt_common common;
	const char *dir_a, *dir_b; /* of the images; or NULL and crid_* */
	uint64_t crid_a, crid_b;
	bool json;
};

struct ckpt_explain_req {
	struct ckpt_common common;
	pid_t pid;
	/* as of a dump */
	const char *const *fds;
	const char *const *resources;
	const char *policy;
	enum ckpt_unix_outside unix_outside;
	enum ckpt_tcp tcp;
};

enum ckpt_verdict {
	CKPT_SAVED = 0, /* a dump saves it, a restore brings it back */
	CKPT_WARNED,    /* saved, but something about it will be different */
	CKPT_REFUSED    /* a dump refuses because of it */
};

/** One resource of the target's tree, and what a dump would do about it. */
struct ckpt_explain_item {
	enum ckpt_verdict verdict;
	pid_t pid;            /* whose it is */
	const char *resource; /* static: "file", "socket", "mapping", "namespace", ... */
	char *object;         /* "fd 7 socket:[99]"; owned */
	const char *reason;   /* static, or NULL when there is nothing to say */
	const char *advice;   /* static, or NULL */
	char *option; /* of a dump, that would let it pass: "--fd 12:7=close"; owned, or NULL */
};

/** Free with ckpt_explain_result_done(). */
struct ckpt_explain_result {
	pid_t pid; /* of the root */
	char *comm;
	uint32_t tasks, threads;
	struct ckpt_explain_item *items;  /* in the order in which the look found them */
	size_t n, saved, warned, refused; /* n is the sum of the other three */
	uint64_t total_ns;
};

struct ckpt_check_req {
	struct ckpt_common common;
};

struct ckpt_list_req {
	struct ckpt_common common;
};

/** A checkpoint in the store. */
struct ckpt_list_item {
	uint64_t crid, parent_crid; /* parent_crid 0: none */
	uint64_t created_ns;        /* CLOCK_REALTIME */
	uint64_t bytes;             /* of its own files */
	uint64_t shared_bytes;      /* of those that it needs, which others may need as well */
	pid_t pid;                  /* of the root */
	char *program;              /* name of the root; owned */
	uint32_t tasks, threads;
	bool damaged; /* its manifest can't be read; of the rest only crid is known */
	bool of_job; /* what a job of ckpt_run() would go on from: only ckpt_remove() takes it out */
};

/** Free with ckpt_list_result_done(). */
struct ckpt_list_result {
	struct ckpt_list_item *items; /* ascending by crid, that is by time */
	size_t n;
	uint64_t total_bytes;
};

struct ckpt_remove_req {
	struct ckpt_common common;
	uint64_t crid;
};

struct ckpt_gc_req {
	struct ckpt_common common;
	uint64_t
		keep; /* so many of the newest of each program (name and pid of the root); 0: all */
	uint64_t quota; /* bytes that the store may have: the oldest go first; 0: no limit */
};

struct ckpt_gc_result {
	uint64_t removed, removed_bytes;
	uint64_t left, left_bytes;
};

struct ckpt_run_req {
	struct ckpt_common common;
	const char *const *argv; /* the program, looked for in $PATH, and its arguments */
	const char *name;        /* of the job; NULL: by program, arguments and working directory */
	uint64_t every_s;        /* a checkpoint every so many seconds; 0: none */
	int on_signal;           /* one when the caller gets this signal; 0: none */
	uint64_t keep;           /* so many of the newest; 0: all */
	bool restart_on_failure; /* go on from the last one when the program dies, or its status is not 0 */
	const char *const *hooks; /* of its dumps and restores */
	uint64_t hook_limit_s;
	enum ckpt_notify notify; /* as of a dump */
	const char *notify_signals;
	uint64_t notify_wait_ms;
};

struct ckpt_run_result {
	int exit_status; /* wait(2) status of the program */
	uint32_t checkpoints, restarts;
};

enum ckpt_feature_state {
	CKPT_FEATURE_ABSENT, /* the kernel, or the CPU, lacks it */
	CKPT_FEATURE_DENIED, /* it is there, this process may not use it */
	CKPT_FEATURE_PRESENT
};

/** Something that the kernel can do, or that this process may do. Strings are owned by the result. */
struct ckpt_feature {
	const char *name;         /* static and stable: "set_tid" */
	const char *needed_for;   /* static */
	const char *lost_without; /* static: what does not work, or which slower way is taken */
	bool required;            /* no dump or no restore at all without it */
	enum ckpt_feature_state state;
	char detail
		[96]; /* numbers found, or the system call and errno that said no; may be empty */
};

/** Free with ckpt_check_result_done(). */
struct ckpt_check_result {
	struct ckpt_feature *features;
	size_t n, missing; /* missing: required, and not present */
};

/*
 * Every call: Return 0, or -1 with *err filled (err may be NULL; it needs no initialisation and is
 * freed by ckpt_error_done()). *ret is filled only on success.
 */
int ckpt_dump(
	const struct ckpt_dump_req *req, struct ckpt_dump_result *ret, struct ckpt_error *err);
void ckpt_dump_result_done(struct ckpt_dump_result *r);

/**
 * Also waits for the restored root, unless req->detach; signals that the caller gets are passed on.
 *
 * With req->exec the calling process becomes the root, as with execve(2): it keeps its pid, parent, session,
 * process group, terminal and pending signals, and the program finds another pid than it had; all other tasks
 * keep theirs. It must have one thread and no children. Then the call does not return. It returns -1 as long as
 * nothing was given up. What fails later is told by req->failed, and the caller ends with err->kind as its exit
 * status; no task is left of the tree. What its standard streams hold unwritten is lost.
 */
int ckpt_restore(const struct ckpt_restore_req *req, struct ckpt_restore_result *ret,
	struct ckpt_error *err);
void ckpt_restore_result_done(struct ckpt_restore_result *r);

/** Print the plan of a restore, task by task and step by step; starts nothing. */
int ckpt_plan(const struct ckpt_restore_req *req, FILE *out, struct ckpt_error *err);

/** Print what is in an image. */
int ckpt_show(const struct ckpt_show_req *req, FILE *out, struct ckpt_error *err);

/** Check every checksum, length and reference of an image; the first damage is the error. */
int ckpt_verify(
	const struct ckpt_verify_req *req, struct ckpt_verify_result *ret, struct ckpt_error *err);

/** Print the differences of two images. *ret_differences: how many were found. */
int ckpt_diff(const struct ckpt_diff_req *req, FILE *out, size_t *ret_differences,
	struct ckpt_error *err);

/** Look at a running process and its descendants, without stopping it, for what a dump would save and refuse. */
int ckpt_explain(const struct ckpt_explain_req *req, struct ckpt_explain_result *ret,
	struct ckpt_error *err);
void ckpt_explain_result_done(struct ckpt_explain_result *r);

/* ---- a program that checkpoints itself ---- */

/** Zero is the default of every field. */
struct ckpt_self {
	const char *dir; /* NULL: into the store */
	bool force;      /* replace an image that is already in dir */
	bool tree;       /* with all descendants; else having a child is -ECHILD */
	const char *
		socket; /* of a service that does it; NULL: $CKPT_SOCKET; neither: a process of our own */
	const char *command; /* for that: NULL: "ckpt", looked for in $PATH */
	unsigned wait_ms; /* for the end of sections without a checkpoint; 0: as long as it takes */
	char **ret_error; /* set after a failure to what was wrong, in one line; caller frees. NULL: not */
};

/**
 * ckpt_checkpoint() - checkpoint the calling program, with all its threads
 * The other threads go on meanwhile, but for the moment in which all are stopped.
 * @opts: or NULL
 * Return: the crid, larger than 0, when the checkpoint is taken; 0 when it returns again, after a
 * restart from it; -errno: -ECHILD, -ETIMEDOUT after wait_ms, -EAGAIN or what a hook has said, -ENOENT no
 * ckpt is found, -EOPNOTSUPP something can't be saved, -EIO, or what the failing system call said.
 */
int64_t ckpt_checkpoint(const struct ckpt_self *opts);

/**
 * ckpt_disable() - begin a section in which there is no checkpoint of this program; waits for one under way
 * One from outside waits for its end as long as it is told to (--notify-wait), and then fails.
 */
void ckpt_disable(void);

/** ckpt_enable() - end it; by the same thread */
void ckpt_enable(void);

/** What is different after a restart. */
struct ckpt_restart {
	uint64_t crid;   /* of the checkpoint */
	int64_t gone_ns; /* since it was taken, by CLOCK_REALTIME */
	bool host_changed, boot_changed, pid_changed;
	bool addresses_changed; /* those of the network interfaces, but for loopback */
};

/**
 * Called by the thread that calls ckpt_checkpoint(), and for a checkpoint from outside by a thread that is begun
 * with the first of them; each may be NULL. See docs/NOTIFY.md.
 */
struct ckpt_hooks {
	int (*before)(
		void *arg); /* 0; or "not now": what ckpt_checkpoint() returns, such as -EAGAIN */
	void (*after)(void *arg, int64_t result); /* the crid, or -errno */
	void (*restarted)(void *arg, const struct ckpt_restart *restart);
	void *arg;
};

/** ckpt_hooks_add() - have functions called; not from within one. Return: 0; -ENOMEM; -EAGAIN: no thread */
int ckpt_hooks_add(const struct ckpt_hooks *h);

/**
 * Run a program, checkpoint it, and go on from its last checkpoint: at once where it dies, and by the next call
 * for the same job where the caller has died. Blocks signals, waits for any child, and is a
 * subreaper while it runs: for a process that does nothing else.
 */
int ckpt_run(const struct ckpt_run_req *req, struct ckpt_run_result *ret, struct ckpt_error *err);

/* ---- the store ---- */

/** What is in the store. */
int ckpt_list(
	const struct ckpt_list_req *req, struct ckpt_list_result *ret, struct ckpt_error *err);
void ckpt_list_result_done(struct ckpt_list_result *r);

/** Take a checkpoint out of the store; one that is the parent of others stays, with CKPT_E_CONFLICT. */
int ckpt_remove(const struct ckpt_remove_req *req, struct ckpt_error *err);

/**
 * Take out of the store what is too old or too much; parents of what stays, stay, and what a job would go on from.
 * Where neither is asked for, the quota is that of the file "quota" in the store, if there is one; dumps into the store
 * keep to that one by themselves.
 */
int ckpt_gc(const struct ckpt_gc_req *req, struct ckpt_gc_result *ret, struct ckpt_error *err);

/** Try each kernel feature and capability that ckpt uses. */
int ckpt_check(
	const struct ckpt_check_req *req, struct ckpt_check_result *ret, struct ckpt_error *err);
void ckpt_check_result_done(struct ckpt_check_result *r);

#ifdef __cplusplus
}
#endif
#endif
