/*
 * dump.c - the stages of a dump, in their order:
 *
 *   before     hooks, if there are any
 *   preflight  from /proc alone: what can't be saved is refused, all of it, before anything is touched
 *   open       the image's files: a full disk or a taken directory is found before the stop
 *   tell       programs that wish to know, which may say "not now"
 *   seize      every thread of every process of the tree stops where it is
 *   collect    kernel -> model
 *   pages      memory -> page files
 *   stopped    hooks again
 *   commit     one rename; from here on the image exists
 *   let go     the tree goes on, stays stopped, or dies: commit first, kill last; who was told is told again
 *
 * Whatever fails, the tree goes on unharmed and no image is left.
 */
#include "dump/dump.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "core/fault.h"
#include "core/hook.h"
#include "core/stage.h"
#include "dump/collect.h"
#include "dump/notify.h"
#include "dump/pages.h"
#include "dump/preflight.h"
#include "dump/tree.h"
#include "image/image.h"
#include "kernel/boot_id.h"
#include "kernel/proc.h"
#include "kernel/timens.h"
#include "model/store.h"
#include "proto/core.pb-c.h"
#include "proto/task.pb-c.h"
#include "res/file/fdpolicy.h"
#include "res/registry.h"
#include "res/socket/tcp.h"
#include "res/task/task.h"
#include "res/thread/regs.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/fd.h"
#include "util/str.h"
#include "util/units.h"
#include "util/vec.h"

#define WORKERS_MAX      4
#define COLLECT_TRIES    4    /* each from a new stop; then what was found has to do */
#define ACCEPT_TRIES     40   /* as often connections are left time to be accepted */
#define ACCEPT_US        2000 /* at first, then twice as long each time */
#define ACCEPT_DOUBLINGS 5
#define ACCEPT_MAX_US    (ACCEPT_US << ACCEPT_DOUBLINGS)
#define ACCEPT_NS        4000000000ULL /* and no longer in all: each look at them costs, too */

struct dump {
	struct ckpt_op *op;
	const struct ckpt_dump_req *req;
	struct ckpt_dump_result *ret;
	struct image_writer *writer;
	struct tree tree; /* n is 0 unless it is held */
	struct model model;
	struct collect_tree collect;
	struct fdpolicy policy;
	struct tcp_hold tcp;
	struct hooks hooks;
	bool told; /* the first of them have been called, so the last will be */
	struct notify notify;
	struct stage stage; /* the one that runs */
	unsigned workers;
	uint64_t monotonic_ns, boottime_ns, realtime_ns; /* at the stop */
};

static unsigned workers_count(void)
{
	cpu_set_t set;
	unsigned n = sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;

	return n < 1 ? 1 : n > WORKERS_MAX ? WORKERS_MAX : n;
}

/* Whether the dump ends the program. */
static bool dies(const struct dump *d)
{
	return !d->req->leave_running && !d->req->leave_stopped;
}

static void collect_init(struct dump *d)
{
	model_init(&d->model);
	d->collect = (struct collect_tree){.op = d->op,
		.model = &d->model,
		.sysvipc = d->req->sysvipc,
		.policy = &d->policy,
		.tcp = &d->tcp,
		.told = d->notify.told,
		.n_told = d->notify.n_told,
		.refused = preflight_refused};
}

static int stage_preflight(struct dump *d)
{
	struct preflight_report report = {0};
	/* whoever wants to hear of everything gets the look that sees everything */
	bool deep = d->op->common.log_level >= CKPT_LOG_DEBUG;
	int r = deep ? preflight_deep(d->op, d->req->pid, &d->policy, &report)
		     : preflight(d->op, d->req->pid, &d->policy, &report);

	if (r == 0)
		r = preflight_refuse(d->op, &report);
	for (size_t i = 0; r == 0 && i < d->policy.n; i++)
		if (!d->policy.v[i].used && !d->policy.v[i].kind_len)
			op_warn(d->op, "--fd %s: there is no such descriptor", d->policy.v[i].text);
	if (r == 0)
		stage_say(&d->stage, "pid %d (%s): %zu thing%s to save, %zu will be different",
			d->req->pid, report.r.comm, report.r.saved + report.r.warned,
			plural(report.r.saved + report.r.warned), report.r.warned);
	if (r == 0)
		r = notify_find(&d->notify, &report);
	preflight_done(&report);
	return r;
}

/* Where the image goes. */
static int choose_place(struct dump *d)
{
	if (d->ret->dir)
		return 0;
	if (!d->req->dir)
		return image_store_dir(d->op, d->ret->crid, &d->ret->dir);
	d->ret->dir = strdup(d->req->dir);
	return d->ret->dir ? 0 : op_fail_errno(d->op, ENOMEM, NULL, "%s", d->req->dir);
}

/* What is known by now of what hooks are told. */
static const struct hooks *hooks_now(struct dump *d)
{
	d->hooks = (struct hooks){.op = d->op,
		.v = d->req->hooks,
		.limit_s = d->req->hook_limit_s,
		.pid = d->req->pid,
		.crid = d->ret->crid,
		.dir = d->ret->dir ? d->ret->dir : "",
		.tasks = d->ret->tasks,
		.threads = d->ret->threads,
		.bytes = d->ret->bytes};
	return &d->hooks;
}

static bool has_hooks(struct dump *d)
{
	return hooks_any(hooks_now(d));
}

static int stage_before(struct dump *d)
{
	int r = choose_place(d);

	if (r == 0)
		r = hooks_check(hooks_now(d));
	d->told = r == 0;
	return r < 0 ? r : hooks_call(hooks_now(d), HOOK_BEFORE_DUMP);
}

static int stage_stopped(struct dump *d)
{
	return hooks_call(hooks_now(d), HOOK_DUMP_STOPPED);
}

static int stage_open(struct dump *d)
{
	struct image_writer_req req = {.force = d->req->force, .shards = d->workers};
	int r = choose_place(d);

	if (r < 0)
		return r;
	req.dir = d->ret->dir;
	stage_say(&d->stage, "image %s", req.dir);
	return image_writer_open(d->op, &req, &d->writer);
}

static int stage_tell(struct dump *d)
{
	int r = notify_before(&d->notify);

	d->collect.told = d->notify.told;
	d->collect.n_told = d->notify.n_told;
	stage_say(&d->stage, "%zu process%s ready", d->notify.n_told,
		d->notify.n_told == 1 ? " is" : "es are");
	return r;
}

static bool tells(struct dump *d)
{
	return d->notify.n;
}

/* The clocks of the machine, should we be in a time namespace. */
static void clocks_of_machine(struct dump *d)
{
	_cleanup_close_ int self = proc_open(0);
	struct timens_offsets own;

	if (self < 0 || timens_read(self, &own) < 0)
		return;
	d->monotonic_ns -= own.monotonic_ns;
	d->boottime_ns -= own.boottime_ns;
}

static int stage_seize(struct dump *d)
{
	int r = fault_point(d->op, "dump.seize");

	if (r == 0)
		r = tree_seize(d->op, d->req->pid, &d->tree);
	if (r < 0)
		return r;
	for (size_t i = 0; i < d->tree.n; i++)
		if (d->tree.v[i].tr)
			d->tree.v[i].tr->dies = dies(d);
	d->monotonic_ns = clock_ns(CLOCK_MONOTONIC);
	d->boottime_ns = clock_ns(CLOCK_BOOTTIME);
	clocks_of_machine(d);
	d->realtime_ns = clock_ns(CLOCK_REALTIME);
	d->ret->tasks = d->tree.n;
	d->ret->threads = d->tree.threads;
	stage_say(&d->stage, "%u task%s with %u thread%s stopped", d->ret->tasks,
		plural(d->ret->tasks), d->ret->threads, plural(d->ret->threads));
	return 0;
}

/* How many records of each kind there are. */
static void log_records(const struct dump *d)
{
	const struct model *m = &d->model;
	const struct model_type *type;
	_cleanup_strbuf_ struct strbuf sb = {};

	if (d->op->common.log_level < CKPT_LOG_DEBUG)
		return;
	for (const struct model_type *const *t = res_types(); (type = *t); t++) {
		size_t n = 0;

		for (size_t i = 0; i < m->n; i++)
			n += m->recs[i].type == type;
		if (n)
			strbuf_addf(&sb, " %s %zu", type->name, n);
	}
	op_debug(d->op, "collected:%s", sb.s ? sb.s : " nothing");
}

/* Let the tree go, and stop it and look at it once more. */
static int collect_again(struct dump *d, unsigned int waited)
{
	bool accepting = d->tcp.unaccepted;
	int r;

	op_debug(d->op, "%s: once more from the stop",
		accepting ? "connections wait to be accepted"
			  : "we were too slow, a thread has run on");
	op_forget(d->op);
	collect_done(&d->collect);
	tcp_hold_done(&d->tcp);
	model_done(&d->model);
	tree_release(&d->tree, false);
	if (accepting)
		usleep(waited < ACCEPT_DOUBLINGS ? ACCEPT_US << waited : ACCEPT_MAX_US);
	collect_init(d);
	r = stage_seize(d);
	return r < 0 ? r : collect_all(&d->collect, &d->tree);
}

static int stage_collect(struct dump *d)
{
	int r = collect_all(&d->collect, &d->tree);
	unsigned int slow = 1, waited = 0;
	uint64_t until = now_ns() + ACCEPT_NS;

	/* who has run on may have ended, or be another program, as well */
	while ((tree_moved(&d->tree, r) && slow++ < COLLECT_TRIES) ||
		(r == 0 && d->tcp.unaccepted && waited++ < ACCEPT_TRIES && now_ns() < until))
		r = collect_again(d, waited);
	if (r == 0 && d->tcp.unaccepted)
		op_warn(d->op, "%u connections that the program has not accepted yet will be reset",
			d->tcp.unaccepted);
	if (r == 0)
		r = tree_complete(&d->tree);
	stage_say(&d->stage, "%zu records", d->model.n);
	log_records(d);
	return r;
}

static int stage_pages(struct dump *d)
{
	int r = pages_dump(&d->collect, d->writer, d->workers, &d->ret->page_bytes);
	char size[UNITS_LEN];

	collect_done(&d->collect);
	stage_say(&d->stage, "%s of memory by %u worker%s", bytes_text(d->ret->page_bytes, size),
		d->workers, plural(d->workers));
	return r;
}

/* Of the root, for lists of images; what is no UTF-8 becomes '?'. */
static char *program_name(const struct dump *d, char *ret, size_t len)
{
	const Ckpt__Task *t = model_get(&d->model, &res_task.type, (uint64_t)d->req->pid);

	snprintf(ret, len, "%s", t ? t->comm : "?");
	for (char *p = ret; *p; p++)
		*p = (unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e ? '?' : *p;
	return ret;
}

static int stage_commit(struct dump *d)
{
	struct Ckpt__Manifest m = CKPT__MANIFEST__INIT;
	struct utsname uts;
	char boot_id[BOOT_ID_LEN], program[64], size[UNITS_LEN];
	int r = fault_point(d->op, "dump.write");

	if (r == 0)
		r = model_save(d->op, &d->model, d->writer);
	if (r == 0)
		r = fault_point(d->op, "dump.commit");
	if (r < 0)
		return r;
	uname(&uts);
	boot_id_read(boot_id);
	m.version = 1;
	m.crid = d->ret->crid;
	m.created_ns = d->realtime_ns;
	m.hostname = uts.nodename;
	m.kernel = uts.release;
	m.isa = uts.machine;
	m.boot_id = boot_id;
	m.cpu_xfeatures = regs_features(&d->model);
	m.monotonic_ns = d->monotonic_ns;
	m.boottime_ns = d->boottime_ns;
	m.root_pid = d->req->pid;
	m.program = program_name(d, program, sizeof(program));
	m.tasks = d->ret->tasks;
	m.threads = d->ret->threads;
	m.page_bytes = d->ret->page_bytes;
	m.stopped_ns = now_ns() - d->tree.stopped_at_ns;
	/* when the program dies its image is all that is left of it: it must be on the disk */
	r = image_commit(d->op, TAKE_PTR(d->writer), &m, dies(d), &d->ret->bytes);
	d->op->common.cancelled = NULL; /* there is an image now: too late */
	stage_say(&d->stage, "checkpoint %llu, %s in %s", (unsigned long long)d->ret->crid,
		bytes_text(d->ret->bytes, size), d->ret->dir);
	return r;
}

static int let_go(struct dump *d, int r)
{
	uint64_t stopped_at = d->tree.stopped_at_ns;

	if (r == 0 && dies(d)) {
		r = fault_point(d->op, "dump.kill");
		if (r == 0)
			r = tcp_hold_seal(d->op, &d->tcp, d->ret->crid, d->ret->dir,
				tree_signal_death, &d->tree);
		if (r == 0) {
			r = tree_kill(&d->tree);
			op_target(d->op, CKPT_TARGET_GONE);
			if (r < 0)
				r = op_fail(d->op, CKPT_E_SYSTEM, -r, "kill", NULL, "pid %d",
					d->req->pid);
		}
	}
	if (d->tree.n) {
		tree_release(&d->tree, r == 0 && d->req->leave_stopped);
		if (r == 0 && d->req->leave_stopped)
			op_target(d->op, CKPT_TARGET_STOPPED);
	}
	tcp_hold_done(&d->tcp);
	if (r < 0 || !dies(d))
		notify_after(&d->notify, r < 0 ? ECANCELED : 0);
	if (stopped_at)
		d->ret->stopped_ns = now_ns() - stopped_at;
	stage_say(&d->stage, "the tree %s",
		dies(d)                 ? "is gone"
		: d->req->leave_stopped ? "stays stopped"
					: "goes on");
	return r;
}

/* In this order, see the top of the file. */
static const struct {
	const char *name;
	int (*run)(struct dump *d);
	bool (*needed)(struct dump *d); /* NULL: always */
} stages[] = {
	{"before", stage_before, has_hooks},
	{"preflight", stage_preflight, NULL},
	{"open", stage_open, NULL},
	{"tell", stage_tell, tells},
	{"seize", stage_seize, NULL},
	{"collect", stage_collect, NULL},
	{"pages", stage_pages, NULL},
	{"stopped", stage_stopped, has_hooks},
	{"commit", stage_commit, NULL},
};

static int stages_run(struct dump *d)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(stages); i++) {
		if (stages[i].needed && !stages[i].needed(d))
			continue;
		d->stage = stage_begin(d->op, stages[i].name, d->req->pid);
		r = stage_end(&d->stage, stages[i].run(d));
	}
	return r;
}

int dump_run(struct ckpt_op *op, const struct ckpt_dump_req *req, struct ckpt_dump_result *ret)
{
	struct dump d = {.op = op, .req = req, .ret = ret, .workers = workers_count()};
	uint64_t start = now_ns();
	int r = fdpolicy_read(op, req->fds, req->resources, req->policy, &d.policy);

	fd_limit_raise();
	tcp_locks_clean(op, 0);
	tcp_hold_init(&d.tcp, dies(&d), req->tcp);
	d.policy.unix_outside = req->unix_outside;
	ret->crid = req->crid ? req->crid : image_crid_new();
	d.notify = (struct notify){.op = op, .req = req, .crid = ret->crid};
	collect_init(&d);
	if (r == 0)
		r = stages_run(&d);
	d.stage = stage_begin(op, "let go", req->pid);
	r = stage_end(&d.stage, let_go(&d, r));
	collect_done(&d.collect);
	image_writer_abort(d.writer);
	model_done(&d.model);
	notify_done(&d.notify);
	fdpolicy_done(&d.policy);
	ret->total_ns = now_ns() - start;
	if (d.told)
		hooks_after(hooks_now(&d), HOOK_AFTER_DUMP,
			req->leave_running   ? CKPT_TARGET_RUNNING
			: req->leave_stopped ? CKPT_TARGET_STOPPED
					     : CKPT_TARGET_GONE);
	return r;
}
