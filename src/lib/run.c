/*
 * run.c - ckpt_run(): run a program, checkpoint it now and then, and go on from the last checkpoint.
 *
 * What was saved is written down in a file of the store, "jobs/NAME", one crid a line, newest last. While that file
 * is there the job is not done: whoever runs it again, after a crash or a reboot, goes on from the last one.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ckpt.h"
#include "core/op.h"
#include "image/image.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/fd.h"
#include "util/hash.h"
#include "util/str.h"
#include "util/vec.h"

/* Of a restore whose pids are not free yet: between tries, and in all. */
#define SETTLE_MS 20
#define SETTLE_NS 5000000000ULL

struct job {
	struct ckpt_op *op;
	const struct ckpt_run_req *req;
	struct ckpt_run_result *ret;
	const char *name;
	char *path; /* of its file */
	int lock;   /* held while it runs */
	uint64_t *crids;
	size_t n, cap;
	pid_t pid;
	uint64_t next_ns; /* when it is to be checkpointed; 0: never */
};

/* ------------------------------------------------------------------ the file of the job */

static int job_open(struct job *j)
{
	_cleanup_free_ char *store = image_store_path(j->op), *lock = NULL;
	int r;

	if (!store)
		return -EINVAL;
	if (asprintf(&j->path, "%s/jobs/%s", store, j->name) < 0 ||
		asprintf(&lock, "%s/jobs/.%s.lock", store, j->name) < 0)
		return op_fail_errno(j->op, ENOMEM, NULL, "job %s", j->name);
	mkdir(store, 0700);
	*strrchr(j->path, '/') = '\0';
	r = mkdir(j->path, 0700) < 0 && errno != EEXIST ? -errno : 0;
	j->path[strlen(j->path)] = '/';
	if (r < 0)
		return op_fail_errno(j->op, -r, "mkdir", "%s/jobs", store);
	j->lock = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (j->lock < 0)
		return op_fail_errno(j->op, errno, "open", "%s", lock);
	if (flock(j->lock, LOCK_EX | LOCK_NB) < 0)
		return op_fail(j->op, CKPT_E_CONFLICT, EWOULDBLOCK, "flock",
			"wait for its end, or give this one another --name",
			"job %s: it runs already", j->name);
	return 0;
}

static int job_read(struct job *j)
{
	_cleanup_free_ char *text = NULL;
	const char *p;
	int r = file_read_at(AT_FDCWD, j->path, &text, NULL);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return op_fail_errno(j->op, -r, "read", "%s", j->path);
	for (p = text; *p; str_skip_line(&p)) {
		uint64_t crid;

		if (str_u64(&p, 10, &crid) < 0)
			continue;
		if (vec_reserve(&j->crids, &j->cap, j->n + 1, sizeof(*j->crids)) < 0)
			return op_fail_errno(j->op, ENOMEM, NULL, "%s", j->path);
		j->crids[j->n++] = crid;
	}
	return 0;
}

/* By a rename: the old one or the new one. */
static int job_write(struct job *j)
{
	_cleanup_strbuf_ struct strbuf sb = {};
	_cleanup_free_ char *tmp = NULL;
	_cleanup_close_ int fd = -EBADF;
	int r;

	for (size_t i = 0; i < j->n; i++)
		strbuf_addf(&sb, "%" PRIu64 "\n", j->crids[i]);
	if (sb.err || asprintf(&tmp, "%s.tmp", j->path) < 0)
		return -ENOMEM;
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	r = fd < 0 ? -errno : write_full(fd, sb.s, sb.len);
	if (r == 0 && (fsync(fd) < 0 || rename(tmp, j->path) < 0))
		r = -errno;
	return r;
}

/* ------------------------------------------------------------------ checkpoints */

static void drop_old(struct job *j)
{
	while (j->req->keep && j->n > j->req->keep) {
		struct ckpt_remove_req req = {.common = j->req->common, .crid = j->crids[0]};

		ckpt_remove(&req, NULL);
		memmove(j->crids, j->crids + 1, --j->n * sizeof(*j->crids));
	}
}

/* One that fails is said, and the program goes on: the next may not. */
static void checkpoint(struct job *j)
{
	struct ckpt_dump_req req = {.common = j->req->common,
		.pid = j->pid,
		.leave_running = true,
		.hooks = j->req->hooks,
		.hook_limit_s = j->req->hook_limit_s,
		.notify = j->req->notify,
		.notify_signals = j->req->notify_signals,
		.notify_wait_ms = j->req->notify_wait_ms};
	struct ckpt_dump_result result;
	struct ckpt_error err = {0};
	_cleanup_free_ char *text = NULL;
	int r;

	if (vec_reserve(&j->crids, &j->cap, j->n + 1, sizeof(*j->crids)) < 0)
		return;
	if (ckpt_dump(&req, &result, &err) < 0) {
		text = ckpt_error_text(&err);
		op_warn(j->op, "no checkpoint: %s", text ? text : "out of memory");
		ckpt_error_done(&err);
		return;
	}
	j->crids[j->n++] = result.crid;
	j->ret->checkpoints++;
	op_info(j->op, "checkpoint %" PRIu64, result.crid);
	ckpt_dump_result_done(&result);
	drop_old(j);
	r = job_write(j);
	if (r < 0)
		op_warn(j->op, "%s: %s", j->path, strerror(-r));
}

static void schedule(struct job *j)
{
	j->next_ns = j->req->every_s ? now_ns() + j->req->every_s * NS_PER_S : 0;
}

/* ------------------------------------------------------------------ starting and restarting */

static int start(struct job *j, const sigset_t *mask)
{
	pid_t pid = fork();

	if (pid < 0)
		return op_fail_errno(j->op, errno, "fork", "job %s", j->name);
	if (pid == 0) {
		sigprocmask(SIG_SETMASK, mask, NULL);
		execvp(j->req->argv[0], (char *const *)j->req->argv);
		fprintf(stderr, "ckpt: %s: %s\n", j->req->argv[0], strerror(errno));
		_exit(errno == ENOENT ? 127 : 126);
	}
	j->pid = pid;
	return 0;
}

/* What is left of a tree that has died is about to go, and its pids with it. */
static void reap_others(void)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static int restart(struct job *j, uint64_t crid)
{
	struct ckpt_restore_req req = {.common = j->req->common,
		.crid = crid,
		.detach = true,
		.hooks = j->req->hooks,
		.hook_limit_s = j->req->hook_limit_s};
	struct ckpt_restore_result result;
	uint64_t until = now_ns() + SETTLE_NS;
	struct ckpt_error err = {0};
	int r;

	for (;;) {
		reap_others();
		r = ckpt_restore(&req, &result, &err);
		if (r == 0 || err.kind != CKPT_E_CONFLICT || now_ns() > until)
			break;
		ckpt_error_done(&err);
		usleep(SETTLE_MS * 1000);
	}
	if (r < 0) {
		r = op_fail(j->op, err.kind, err.err, err.call, err.advice, "%s",
			err.object ? err.object : "");
		ckpt_error_done(&err);
		return r;
	}
	op_info(j->op, "restarted from checkpoint %" PRIu64, crid);
	j->pid = result.pid;
	j->ret->restarts++;
	return 0;
}

/* ------------------------------------------------------------------ while it runs */

/* What a terminal sends, it sends to the program as well. */
static void on_signal(struct job *j, const siginfo_t *si)
{
	if (si->si_signo == j->req->on_signal)
		checkpoint(j);
	else if (si->si_signo != SIGCHLD && si->si_code != SI_KERNEL)
		kill(j->pid, si->si_signo);
}

/* Return: its wait status; negative after op_fail() */
static int watch(struct job *j, const sigset_t *set)
{
	for (;;) {
		uint64_t now = now_ns();
		struct timespec left = {.tv_sec = 3600};
		siginfo_t si;
		int status;
		pid_t pid;

		while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
			if (pid == j->pid)
				return status;
		if (pid < 0)
			return op_fail_errno(j->op, errno, "waitpid", "pid %d", j->pid);
		if (j->next_ns && now >= j->next_ns) {
			checkpoint(j);
			schedule(j);
			continue;
		}
		if (j->next_ns)
			left = (struct timespec){.tv_sec = (time_t)((j->next_ns - now) / NS_PER_S),
				.tv_nsec = (long)((j->next_ns - now) % NS_PER_S)};
		if (sigtimedwait(set, &si, &left) > 0)
			on_signal(j, &si);
	}
}

static bool failed(int status)
{
	return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

/* One that fails again before its next checkpoint would fail for ever: the one before is tried then. */
static int go_on(struct job *j, const sigset_t *set, int status)
{
	while (failed(status) && j->req->restart_on_failure && j->n) {
		uint32_t had = j->ret->checkpoints;
		int r = restart(j, j->crids[j->n - 1]);

		if (r < 0)
			return r;
		schedule(j);
		status = watch(j, set);
		if (status < 0)
			return status;
		if (failed(status) && j->ret->checkpoints == had) {
			op_warn(j->op, "checkpoint %" PRIu64 " fails again: it is left out",
				j->crids[j->n - 1]);
			j->n--;
		}
	}
	return status;
}

static int run(struct job *j)
{
	sigset_t set, was;
	int was_reaper = 0, r = job_open(j);

	if (r == 0)
		r = job_read(j);
	if (r < 0)
		return r;
	sigfillset(&set);
	sigdelset(&set, SIGSEGV);
	sigdelset(&set, SIGBUS);
	sigdelset(&set, SIGTSTP);
	sigdelset(&set, SIGTTIN);
	sigdelset(&set, SIGTTOU);
	sigprocmask(SIG_BLOCK, &set, &was);
	prctl(PR_GET_CHILD_SUBREAPER, &was_reaper);
	prctl(PR_SET_CHILD_SUBREAPER, 1); /* what a crash leaves of a tree must not keep its pids */
	r = j->n ? restart(j, j->crids[j->n - 1]) : start(j, &was);
	schedule(j);
	if (r == 0)
		r = watch(j, &set);
	if (r >= 0)
		r = go_on(j, &set, r);
	/* done, or there is nobody to go on: only what a crash interrupts is gone on with */
	if (r >= 0 && !failed(r))
		unlink(j->path);
	j->ret->exit_status = r >= 0 ? r : 0;
	prctl(PR_SET_CHILD_SUBREAPER, was_reaper);
	sigprocmask(SIG_SETMASK, &was, NULL);
	return r < 0 ? r : 0;
}

/* Of a program, its arguments and the directory in which it runs. Caller frees; NULL: no memory */
static char *usual_name(const char *const *argv)
{
	_cleanup_strbuf_ struct strbuf sb = {};
	_cleanup_free_ char *here = getcwd(NULL, 0);
	const char *base = strrchr(argv[0], '/');
	char *name = NULL;

	strbuf_add(&sb, here ? here : "");
	for (const char *const *a = argv; *a; a++) {
		strbuf_addc(&sb, '\0');
		strbuf_add(&sb, *a);
	}
	if (sb.err || asprintf(&name, "%s-%016" PRIx64, base ? base + 1 : argv[0],
			      hash64(sb.s, sb.len)) < 0)
		return NULL;
	return name;
}

int ckpt_run(const struct ckpt_run_req *req, struct ckpt_run_result *ret, struct ckpt_error *err)
{
	struct ckpt_run_result result = {0};
	struct ckpt_op op;
	struct job j = {.op = &op, .req = req, .ret = &result, .lock = -EBADF};
	_cleanup_free_ char *usual = NULL;
	int r;

	op_init(&op, &req->common);
	j.name = req->name;
	if (!j.name && req->argv && req->argv[0])
		j.name = usual = usual_name(req->argv);
	if (!req->argv || !req->argv[0])
		r = op_fail(&op, CKPT_E_USAGE, 0, NULL, NULL, "run: which program?");
	else if (!j.name)
		r = op_fail_errno(&op, ENOMEM, NULL, "run");
	else if (!*j.name || strchr(j.name, '/') || *j.name == '.')
		r = op_fail(&op, CKPT_E_USAGE, 0, NULL, "give a --name without '/'",
			"run: '%s' is no name of a job", j.name);
	else
		r = run(&j);
	fd_close(j.lock);
	free(j.path);
	free(j.crids);
	op_done(&op, err);
	if (r < 0)
		return -1;
	*ret = result;
	return 0;
}
