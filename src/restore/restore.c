/*
 * restore.c - the stages of a restore, in their order:
 *
 *   load    image -> model; whatever is wrong with the image is found here
 *   check   what we are not allowed to give back, before anything is made
 *   before  hooks, if there are any
 *   open    every open file description, once
 *   plan    model -> programs
 *   run     the tasks are made, run their programs, get their registers
 *   wait    for the root, passing signals on
 */
#include "restore/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/fault.h"
#include "core/hook.h"
#include "core/stage.h"
#include "image/image.h"
#include "kernel/probe.h"
#include "kernel/proc.h"
#include "model/store.h"
#include "proto/core.pb-c.h"
#include "res/file/files.h"
#include "res/file/fdpolicy.h"
#include "res/ipc/ipc.h"
#include "res/mm/mm.h"
#include "res/mm/mm_uffd.h"
#include "res/mm/vdso.h"
#include "res/registry.h"
#include "res/socket/tcp.h"
#include "res/task/task.h"
#include "res/thread/notify.h"
#include "res/thread/thread.h"
#include "restore/check.h"
#include "restore/clocks.h"
#include "restore/front.h"
#include "restore/open.h"
#include "restore/pidns.h"
#include "restore/relay.h"
#include "restore/run.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/fd.h"
#include "util/units.h"
#include "util/vec.h"

struct restore {
	struct ckpt_op *op;
	const struct ckpt_restore_req *req;
	struct ckpt_restore_result *ret;
	struct image *img;
	struct model model;
	struct plan plan;
	struct fdpolicy policy;
	struct tcp_plan tcp;
	struct front front;
	struct relay relay;
	struct become *become;
	struct pidns pidns, *ns; /* that this is done in; ns: NULL: in ours */
	int pidfile;             /* open while the tasks are made, or -EBADF */
	struct vdso_host vdso;
	int oom_score_adj; /* of ours */
	uint64_t coredump_filter;
	const Ckpt__Task *root; /* NULL until the image is loaded */
	struct tree_plan tree;
	struct hooks hooks;
	bool told;          /* the first of them have been called, so the last will be */
	struct stage stage; /* the one that runs */
};

static void say_image(struct restore *s, const char *dir)
{
	const Ckpt__Manifest *m = image_manifest(s->img);

	stage_say(&s->stage, "image %s: checkpoint %llu of pid %d (%s), %zu records", dir,
		(unsigned long long)m->crid, s->root->pid, s->root->comm, s->model.n);
}

/* The address space of every task that has one of its own. */
static int each_mm(struct restore *s, int (*f)(const struct plan *p, pid_t pid, const Ckpt__Mm *mm))
{
	const struct model_rec *rec;
	size_t pos = 0;
	int r = 0;

	while (r == 0 && (rec = model_next(&s->model, &res_task.type, &pos))) {
		const Ckpt__Task *task = (const void *)rec->msg;
		const Ckpt__Mm *mm = model_get(&s->model, &res_mm.type, rec->owner);

		if (task->zombie || task->vm_of)
			continue;
		r = mm ? f(&s->plan, (pid_t)rec->owner, mm)
		       : op_fail(s->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
				 "pid %d (%s): a task without memory", task->pid, task->comm);
	}
	return r;
}

/* What a new task has from us without a step. */
static void read_own(struct restore *s)
{
	_cleanup_close_ int proc_fd = proc_open(0);

	if (proc_fd < 0)
		return;
	if (oom_score_adj_read(proc_fd, &s->oom_score_adj) == 0)
		s->plan.own_oom_score_adj = &s->oom_score_adj;
	if (mm_coredump_filter_read(proc_fd, &s->coredump_filter) == 0)
		s->plan.own_coredump_filter = &s->coredump_filter;
}

static int stage_load(struct restore *s)
{
	_cleanup_free_ char *store = NULL;
	const char *dir = s->req->dir;
	const struct model_rec *rec;
	size_t pos = 0;
	pid_t was = 0;
	int r = fault_point(s->op, "restore.load");

	if (r == 0 && !dir) {
		r = image_store_dir(s->op, s->req->crid, &store);
		dir = store;
	}
	if (r == 0)
		r = image_open(s->op, dir, &s->img);
	if (r == 0 && sysconf(_SC_PAGESIZE) != IMAGE_PAGE_BYTES)
		r = op_fail(s->op, CKPT_E_REFUSED, 0, NULL, NULL,
			"this kernel's pages are not of 4 KiB, which is not supported yet");
	if (r == 0)
		r = model_load(s->op, s->img, res_types(), &s->model);
	if (r < 0)
		return r;
	rec = model_next(&s->model, &res_task.type, &pos);
	if (!rec)
		return op_fail(s->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"%s: there is no task in it", dir);
	s->root = (const void *)rec->msg;
	say_image(s, dir);
	r = fdpolicy_read(s->op, s->req->fds, s->req->resources, s->req->policy, &s->policy);
	if (r == 0 && s->req->exec)
		r = become_prepare(s->op, s->become, &s->model, &s->policy, &was);
	if (r < 0)
		return r;
	s->plan = (struct plan){.op = s->op,
		.req = s->req,
		.policy = &s->policy,
		.tcp = &s->tcp,
		.model = &s->model,
		.vdso = &s->vdso,
		.n_cpus = (size_t)sysconf(_SC_NPROCESSORS_CONF),
		.own_group = getpgrp(),
		.root_was = was,
		.timer_ids = kernel_has(FEATURE_TIMER_IDS),
		.own_creds = creds_own(),
		.own_sched = sched_own()};
	read_own(s);
	mm_uffd_look(&s->plan);
	r = vdso_host_read(&s->vdso);
	if (r < 0)
		return op_fail(s->op, CKPT_E_SYSTEM, -r, "read", NULL, "/proc/self/maps");
	r = notify_all(s->op, s->req, &s->model, image_manifest(s->img)->crid);
	if (r < 0)
		return r;
	if (plan_files_new(&s->model, &s->plan.files, &s->plan.n_files) < 0)
		return op_fail(s->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "%s", dir);
	tcp_locks_clean(s->op, image_manifest(s->img)->crid);
	r = outside_overrides(&s->plan);
	return r < 0 ? r : each_mm(s, mm_check);
}

/* What we are not allowed to give back, before anything is made. */
static int stage_check(struct restore *s)
{
	int r = check_rights(&s->plan);

	stage_say(&s->stage, "rights and addresses");
	return r < 0 ? r : each_mm(s, mm_check_room);
}

/* What is known by now of what hooks are told. */
static const struct hooks *hooks_now(struct restore *s)
{
	const Ckpt__Manifest *m = s->img ? image_manifest(s->img) : NULL;

	s->hooks = (struct hooks){.op = s->op,
		.v = s->req->hooks,
		.limit_s = s->req->hook_limit_s,
		.pid = s->ret->pid ? s->ret->pid
		       : s->root   ? s->root->pid
				   : 0,
		.crid = m ? m->crid : s->req->crid,
		.dir = s->img        ? image_dir(s->img)
		       : s->req->dir ? s->req->dir
				     : "",
		.tasks = m ? m->tasks : 0,
		.threads = m ? m->threads : 0,
		.bytes = s->ret->bytes};
	return &s->hooks;
}

static int stage_before(struct restore *s)
{
	s->told = true;
	return hooks_call(hooks_now(s), HOOK_BEFORE_RESTORE);
}

static void restore_done(struct restore *s)
{
	tree_plan_done(&s->tree);
	open_files_done(&s->plan);
	tcp_plan_done(&s->tcp);
	protobuf_c_message_free_unpacked((ProtobufCMessage *)s->plan.own_creds, NULL);
	protobuf_c_message_free_unpacked((ProtobufCMessage *)s->plan.own_sched, NULL);
	free(s->plan.files);
	free(s->plan.overrides);
	fdpolicy_done(&s->policy);
	model_done(&s->model);
	image_close(s->img);
}

/* Before anything runs: a file that can't be written is found out in time. An old pid stays until then. */
static int pidfile_open(struct restore *s)
{
	if (!s->req->pidfile)
		return 0;
	s->pidfile = open(s->req->pidfile, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (s->pidfile < 0 && errno == ENOENT)
		return op_fail(s->op, CKPT_E_USAGE, ENOENT, "open",
			"make its directory, or name another file", "pidfile %s", s->req->pidfile);
	if (s->pidfile < 0)
		return op_fail_errno(s->op, errno, "open", "pidfile %s", s->req->pidfile);
	return 0;
}

static void pidfile_write(struct restore *s)
{
	char text[16];
	int r, n = snprintf(text, sizeof(text), "%d\n", s->ret->pid);

	if (s->pidfile < 0)
		return;
	r = ftruncate(s->pidfile, 0) < 0 ? -errno : write_full(s->pidfile, text, n);
	if (r < 0)
		op_warn(s->op, "pidfile %s: %s (the program runs)", s->req->pidfile, strerror(-r));
}

static int stage_open(struct restore *s)
{
	int r;

	r = open_files(&s->plan, s->img);
	stage_say(
		&s->stage, "%zu file%s, mapped or open", s->plan.n_files, plural(s->plan.n_files));
	return r < 0 ? r : pidfile_open(s);
}

/* Who led its session and group stays outside: the restored process is where this command is. */
static void log_session(const struct restore *s)
{
	const Ckpt__Task *t = s->root;

	if (s->req->exec)
		return;
	if (t->sid != t->pid)
		op_info(s->op,
			"session %d was led from outside: pid %d joins that of this command, %d",
			t->sid, t->pid, getsid(0));
	if (t->sid != t->pid && t->pgid != t->pid)
		op_info(s->op,
			"process group %d was led from outside: pid %d joins that of this command, %d",
			t->pgid, t->pid, getpgrp());
}

static int stage_plan(struct restore *s)
{
	int r = plan_tree(&s->plan, &s->tree);
	size_t steps = 0;

	if (r < 0)
		return r;
	for (size_t i = 0; i < s->tree.n; i++)
		for (size_t k = 0; k < s->tree.tasks[i].n; k++)
			steps += s->tree.tasks[i].threads[k].prog.n;
	log_session(s);
	stage_say(&s->stage, "%zu steps of %zu task%s with %zu thread%s", steps,
		s->tree.tree.n_tasks, plural(s->tree.tree.n_tasks), s->tree.n_threads,
		plural(s->tree.n_threads));
	return 0;
}

static int stage_run(struct restore *s)
{
	struct run run = {.op = s->op,
		.img = s->img,
		.plan = &s->plan,
		.tree = s->tree,
		.front = &s->front,
		.hooks = hooks_now(s),
		.ns = s->ns,
		.become = s->req->exec ? s->become : NULL,
		.frozen = s->req->frozen};
	struct timens_offsets time;
	char size[UNITS_LEN];
	int r;

	if (!s->req->detach && !s->ns && !s->req->exec)
		front_begin(&s->front, s->req->frozen, &s->relay);
	if (clocks_plan(&s->plan, image_manifest(s->img), s->root->pid, &time))
		run.time = &time;
	r = area_make(s->op, &run.tree, &s->model, &run.area);
	if (r == 0)
		r = run_tree(&run);
	if (r == 0) {
		s->ret->away_ns = clocks_away_ns(image_manifest(s->img));
		s->ret->crid = image_manifest(s->img)->crid;
		s->ret->pid = s->ns ? s->ns->root_outside : s->root->pid;
		s->ret->tasks = s->tree.tree.n_tasks;
		s->ret->threads = s->tree.n_threads;
		s->ret->bytes = run.page_bytes;
		stage_say(&s->stage, "pid %d %s, with %s of memory", s->root->pid,
			s->req->frozen ? "is there, stopped" : "runs",
			bytes_text(run.page_bytes, size));
		pidfile_write(s);
	}
	area_done(&run.area);
	return r;
}

/* In this order, see the top of the file. */
struct stage_row {
	const char *name;
	int (*run)(struct restore *s);
	bool hooks; /* only where there are any */
};

/* What is done outside of a pid namespace, and in it. */
static const struct stage_row first_stages[] = {
	{"load", stage_load, false},
	{"check", stage_check, false},
	{"before", stage_before, true},
};
static const struct stage_row stages[] = {
	{"open", stage_open, false},
	{"plan", stage_plan, false},
	{"run", stage_run, false},
};

static int stages_run(struct restore *s, const struct stage_row *rows, size_t n)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		if (rows[i].hooks && !hooks_any(hooks_now(s)))
			continue;
		s->stage = stage_begin(s->op, rows[i].name, s->root ? s->root->pid : 0);
		r = stage_end(&s->stage, rows[i].run(s));
	}
	return r;
}

/* All that is made. */
static int make(void *arg)
{
	struct restore *s = arg;
	int r = stages_run(s, stages, ARRAY_SIZE(stages));

	s->pidfile = fd_close(s->pidfile);
	ipc_made_done(&s->plan, r < 0);
	fs_made_done(&s->plan);
	cgroup_done(&s->plan, r < 0);
	return r;
}

/* Hooks are programs outside, and are told the pid there. */
static int stopped_in_pidns(void *arg)
{
	struct restore *s = arg;

	s->ret->pid = s->ns->root_outside;
	return hooks_call(hooks_now(s), HOOK_RESTORE_STOPPED);
}

static int make_in_pidns(struct restore *s)
{
	s->pidns = (struct pidns){.op = s->op,
		.model = &s->model,
		.root = s->root->pid,
		.front = s->req->detach ? NULL : &s->front,
		.relay = &s->relay,
		.ret = s->ret,
		.inside = make,
		.ready = stopped_in_pidns,
		.arg = s};
	s->ns = &s->pidns;
	if (s->ns->front)
		front_begin(s->ns->front, s->req->frozen, &s->relay);
	s->plan.own_group = 0; /* that of the command has no number there */
	return pidns_run(s->ns);
}

int restore_run(struct ckpt_op *op, const struct ckpt_restore_req *req,
	struct ckpt_restore_result *ret, struct become *become)
{
	struct restore s = {.op = op, .req = req, .ret = ret, .become = become, .pidfile = -EBADF};
	uint64_t start = now_ns();
	int r, status;

	model_init(&s.model);
	tcp_plan_init(&s.tcp);
	r = hooks_check(hooks_now(&s));
	if (r == 0)
		r = stages_run(&s, first_stages, ARRAY_SIZE(first_stages));
	if (r == 0)
		s.plan.relay = relay_find(&s.relay, &s.plan);
	if (r == 0)
		r = req->pidns ? make_in_pidns(&s) : make(&s);
	if (s.told)
		hooks_after(hooks_now(&s), HOOK_AFTER_RESTORE,
			req->frozen ? CKPT_TARGET_STOPPED : CKPT_TARGET_RUNNING);
	restore_done(&s);
	ret->total_ns = now_ns() - start;
	if (become->coordinator) {
		relay_end(&s.relay);
		return r;
	}
	if (r == 0 && !req->detach && req->started)
		req->started(req->started_arg, ret);
	if (r == 0 && !req->detach) {
		status = front_wait(&s.front);
		ret->exit_status = status < 0 ? 0 : status;
	}
	front_end(&s.front);
	relay_end(&s.relay);
	return r;
}

int restore_plan(struct ckpt_op *op, const struct ckpt_restore_req *req, FILE *out)
{
	struct restore s = {.op = op, .req = req};
	struct plan_relay relay;
	int r;

	model_init(&s.model);
	tcp_plan_init(&s.tcp);
	r = stage_load(&s);
	s.plan.dry = true;
	s.plan.describe = true;
	if (r == 0 && relay_find(&s.relay, &s.plan)) {
		relay = s.relay.end;
		relay.master = 999;
		s.plan.relay = &relay;
	}
	for (size_t i = 0; i < s.plan.n_files; i++)
		s.plan.files[i].fd = 1000 + (int)i;
	if (r == 0)
		r = plan_tree(&s.plan, &s.tree);
	if (r == 0)
		r = cgroup_look(&s.plan);
	if (r == 0)
		r = req->json ? plan_print_json(&s.plan, &s.tree, out)
			      : plan_print(&s.plan, &s.tree, out);
	if (r < 0 && !op->failed)
		r = op_fail_errno(op, -r, "print", "the plan");
	cgroup_done(&s.plan, true);
	relay_end(&s.relay);
	restore_done(&s);
	return r;
}
