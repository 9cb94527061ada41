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

/** What kind of failure it was; also the exit status of the command. */
enum ckpt_kind {
	CKPT_OK = 0,
	CKPT_E_SYSTEM = 1,   /* a system call failed that should not have */
	CKPT_E_USAGE = 2,    /* the request itself is wrong */
	CKPT_E_REFUSED = 3,  /* the target holds something that can't be saved or restored */
	CKPT_E_TARGET = 4,   /* no such process, it died, it changed under us */
	CKPT_E_IMAGE = 5,    /* the image is damaged, incomplete or unknown */
	CKPT_E_CONFLICT = 6, /* a pid, path or image is in the way */
	CKPT_E_SPACE = 7,    /* disk, memory or descriptors ran out */
	CKPT_E_PRIVILEGE = 8 /* the caller may not do this */
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
	int err;                        /* errno, 0 if none */
	char *object;                   /* what it is about: "pid 12 (nginx): fd 7 socket:[99]" */
	char *call;                     /* the system call or the step that failed, or NULL */
	char *advice;                   /* what the user can do, or NULL */
	enum ckpt_target_state target;  /* how the target was left */
};

void ckpt_error_done(struct ckpt_error *e);

/** Write the error as one line, without a newline. Return: caller frees; NULL when out of memory. */
char *ckpt_error_text(const struct ckpt_error *e);

enum ckpt_log_level { CKPT_LOG_ERROR, CKPT_LOG_WARN, CKPT_LOG_INFO, CKPT_LOG_DEBUG };

/** What every request has. */
struct ckpt_common {
	enum ckpt_log_level log_level; /* 0: errors only */
	void (*log)(void *arg, enum ckpt_log_level level, const char *line);
	void *log_arg;
	void (*progress)(void *arg, const char *stage, uint64_t done_bytes, uint64_t total_bytes);
	void *progress_arg;
	const char *trace_file; /* Chrome/Perfetto trace of the run, or NULL */
};

struct ckpt_dump_req {
	struct ckpt_common common;
	pid_t pid;
	const char *dir;    /* NULL: into the store, under the new crid */
	bool leave_running; /* go on afterwards instead of dying */
	bool leave_stopped; /* stay stopped (SIGSTOP) afterwards instead of dying */
	bool force;         /* replace an image that is already in dir */
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

struct ckpt_restore_req {
	struct ckpt_common common;
	const char *dir;     /* of the image; or NULL and crid */
	uint64_t crid;
	bool detach;         /* don't wait for the restored root */
	bool frozen;         /* leave every task stopped until SIGCONT */
	const char *pidfile; /* write the root's pid here, or NULL */
	enum ckpt_changed_files changed_files;
	const char *const *fds; /* NULL-terminated "N=inherit[:M]|path:FILE|null|close", or NULL */
};

struct ckpt_restore_result {
	pid_t pid; /* of the restored root, as its parent sees it */
	uint32_t tasks, threads;
	uint64_t bytes;
	uint64_t total_ns;
	int exit_status; /* wait(2) status of the root, unless detached */
};

struct ckpt_show_req {
	struct ckpt_common common;
	const char *dir;
	uint64_t crid;
};

struct ckpt_explain_req {
	struct ckpt_common common;
	pid_t pid;
};

/*
 * Every call: Return 0, or -1 with *err filled (err may be NULL; it needs no initialisation and is
 * freed by ckpt_error_done()). *ret is filled only on success.
 */
int ckpt_dump(const struct ckpt_dump_req *req, struct ckpt_dump_result *ret, struct ckpt_error *err);
void ckpt_dump_result_done(struct ckpt_dump_result *r);

/** Also waits for the restored root, unless req->detach; signals that the caller gets are passed on. */
int ckpt_restore(const struct ckpt_restore_req *req, struct ckpt_restore_result *ret,
	struct ckpt_error *err);

/** Print the plan of a restore, task by task and step by step; starts nothing. */
int ckpt_plan(const struct ckpt_restore_req *req, FILE *out, struct ckpt_error *err);

#ifdef __cplusplus
}
#endif
#endif
