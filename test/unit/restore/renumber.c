/*
 * renumber.c - a tree whose root gets another number: what names it, and what doesn't.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "proto/ctty.pb-c.h"
#include "proto/fdtable.pb-c.h"
#include "proto/pages.pb-c.h"
#include "proto/pending.pb-c.h"
#include "proto/posixtimers.pb-c.h"
#include "proto/procfd.pb-c.h"
#include "proto/threadname.pb-c.h"
#include "proto/unixsock.pb-c.h"
#include "model/pages.h"
#include "res/file/files.h"
#include "res/mm/mm.h"
#include "res/registry.h"
#include "res/socket/socket.h"
#include "res/thread/thread.h"
#include "restore/renumber.h"
#include "util/vec.h"

#include "../res/task.h"

enum { WAS = 700, NOW = 9000, GROUP = 8999 };

struct fixture {
	struct ckpt_op op;
	struct model model;
	struct ckpt_error err;
};

static void begin(struct fixture *f)
{
	*f = (struct fixture){0};
	op_init(&f->op, NULL);
	model_init(&f->model);
}

static void end(struct fixture *f)
{
	model_done(&f->model);
	op_done(&f->op, NULL);
	ckpt_error_done(&f->err);
}

#define ADD(f, r, id, msg, init)                                                                   \
	({                                                                                         \
		msg *add_ = calloc(1, sizeof(*add_));                                              \
		init(add_);                                                                        \
		cr_assert_eq(model_add_take(&(f)->model, &(r).type, id, &add_->base), 0);          \
		add_;                                                                              \
	})

static void renumber(struct fixture *f)
{
	pid_t was = 0;
	int r = renumber_root(&f->op, &f->model, NOW, GROUP, &was);

	cr_assert_eq(r, 0);
	cr_expect_eq(was, WAS);
}

static void expect_kind(struct fixture *f, enum ckpt_kind kind)
{
	pid_t was;

	cr_expect_lt(renumber_root(&f->op, &f->model, NOW, GROUP, &was), 0);
	op_done(&f->op, &f->err);
	cr_expect_eq(f->err.kind, kind, "%s", f->err.object);
	op_init(&f->op, NULL);
}

Test(renumber, a_leader_comes_into_the_session_and_the_group_of_another)
{
	struct fixture f;
	Ckpt__Task *root, *member, *leader, *own;

	begin(&f);
	root = task_make(&f.model, WAS, 1, WAS, WAS);
	task_thread(root, WAS + 1);
	member = task_make(&f.model, 710, WAS, WAS, WAS);
	leader = task_make(&f.model, 720, WAS, 720, WAS);
	own = task_make(&f.model, 730, 720, 730, 730);
	member->vm_of = WAS;
	renumber(&f);
	cr_expect(root->pid == NOW && root->ppid == 1 && root->pgid == 0 && root->sid == 0);
	cr_expect(root->tids[0] == WAS + 1 && root->tids[1] == NOW, "ascending");
	cr_expect(
		member->pid == 710 && member->ppid == NOW && member->pgid == 0 && member->sid == 0);
	cr_expect_eq(member->vm_of, NOW);
	cr_expect(leader->ppid == NOW && leader->pgid == 720 && leader->sid == 0);
	cr_expect(own->ppid == 720 && own->pgid == 730 && own->sid == 730);
	cr_expect_eq(model_get(&f.model, &res_task.type, NOW), root);
	cr_expect_null(model_get(&f.model, &res_task.type, WAS));
	end(&f);
}

/* The root is in the group of a child of its: it leaves that, the child stays. */
Test(renumber, a_group_that_another_task_leads_stays)
{
	struct fixture f;
	Ckpt__Task *root, *leader;

	begin(&f);
	root = task_make(&f.model, WAS, 1, 720, 500);
	leader = task_make(&f.model, 720, WAS, 720, 500);
	renumber(&f);
	cr_expect(root->pgid == 0 && root->sid == 0);
	cr_expect(leader->pgid == 720 && leader->sid == 0);
	end(&f);
}

Test(renumber, records_find_their_new_owner_and_files_keep_theirs)
{
	struct fixture f;
	Ckpt__ThreadName *name, *other;
	Ckpt__File *file;

	begin(&f);
	task_make(&f.model, WAS, 1, WAS, WAS);
	name = ADD(&f, res_threadname, WAS, Ckpt__ThreadName, ckpt__thread_name__init);
	other = ADD(&f, res_threadname, WAS + 1, Ckpt__ThreadName, ckpt__thread_name__init);
	file = ADD(&f, res_file, WAS, Ckpt__File, ckpt__file__init);
	renumber(&f);
	cr_expect_eq(model_get(&f.model, &res_threadname.type, NOW), name);
	cr_expect_eq(model_get(&f.model, &res_threadname.type, WAS + 1), other);
	cr_expect_eq(model_get(&f.model, &res_file.type, WAS), file, "the number of a description");
	end(&f);
}

Test(renumber, owners_of_descriptions)
{
	static const struct {
		int type;
		pid_t was, now;
	} owners[] = {{F_OWNER_PID, WAS, NOW}, {F_OWNER_TID, WAS, NOW}, {F_OWNER_PGRP, WAS, GROUP},
		{F_OWNER_PGRP, 720, 720}, {F_OWNER_PID, 720, 720}, {F_OWNER_PID, 0, 0}};
	struct fixture f;
	Ckpt__File *v[ARRAY_SIZE(owners)];

	begin(&f);
	task_make(&f.model, WAS, 1, WAS, WAS);
	for (size_t i = 0; i < ARRAY_SIZE(owners); i++) {
		v[i] = ADD(&f, res_file, i + 1, Ckpt__File, ckpt__file__init);
		v[i]->owner_type = owners[i].type;
		v[i]->owner_pid = owners[i].was;
	}
	renumber(&f);
	for (size_t i = 0; i < ARRAY_SIZE(owners); i++)
		cr_expect_eq(v[i]->owner_pid, owners[i].now, "owner %zu: %d", i, v[i]->owner_pid);
	end(&f);
}

static Ckpt__PosixTimer *timer(Ckpt__PosixTimers *all, int clock, int target)
{
	Ckpt__PosixTimer *t = msg_new(Ckpt__PosixTimer, CKPT__POSIX_TIMER__INIT);

	t->clock = clock;
	t->target = target;
	all->timers[all->n_timers++] = t;
	return t;
}

/* The kernel's coding, from linux/posix-timers.h; bit 2: of a thread, bits 0 and 1: which time. */
static int cpu_clock(pid_t pid, int kind)
{
	return (int)(~(unsigned)pid << 3 | (unsigned)kind);
}

Test(renumber, timers_of_a_thread_and_of_processor_time)
{
	struct fixture f;
	Ckpt__PosixTimers *all;
	Ckpt__PosixTimer *real, *process, *thread, *other;

	begin(&f);
	task_make(&f.model, WAS, 1, WAS, WAS);
	all = ADD(&f, res_posixtimers, WAS, Ckpt__PosixTimers, ckpt__posix_timers__init);
	all->timers = calloc(4, sizeof(*all->timers));
	real = timer(all, CLOCK_MONOTONIC, WAS);
	process = timer(all, cpu_clock(WAS, 2), WAS + 1);
	thread = timer(all, cpu_clock(WAS, 6), 0);
	other = timer(all, cpu_clock(WAS + 1, 6), 0);
	renumber(&f);
	cr_expect(real->clock == CLOCK_MONOTONIC && real->target == NOW);
	cr_expect(process->clock == cpu_clock(NOW, 2) && process->target == WAS + 1);
	cr_expect_eq(thread->clock, cpu_clock(NOW, 6));
	cr_expect_eq(other->clock, cpu_clock(WAS + 1, 6));
	end(&f);
}

static void signal_from(Ckpt__PendingSignals *all, int sig, int code, pid_t pid)
{
	Ckpt__PendingSignal *s = msg_new(Ckpt__PendingSignal, CKPT__PENDING_SIGNAL__INIT);
	siginfo_t si = {.si_signo = sig, .si_code = code};

	si.si_pid = pid;
	s->info = msg_bytes(&si, sizeof(si));
	all->signals[all->n_signals++] = s;
}

static pid_t sender(const Ckpt__PendingSignals *all, size_t i)
{
	return ((const siginfo_t *)all->signals[i]->info.data)->si_pid;
}

Test(renumber, senders_of_signals)
{
	struct fixture f;
	Ckpt__PendingSignals *all;

	begin(&f);
	task_make(&f.model, WAS, 1, WAS, WAS);
	all = ADD(&f, res_pendingshared, WAS, Ckpt__PendingSignals, ckpt__pending_signals__init);
	all->signals = calloc(4, sizeof(*all->signals));
	signal_from(all, SIGUSR1, SI_USER, WAS);
	signal_from(all, SIGUSR1, SI_USER, 710);
	signal_from(all, SIGCHLD, CLD_EXITED, WAS);
	signal_from(all, SIGALRM, SI_TIMER, WAS); /* there it is the number of a timer */
	renumber(&f);
	cr_expect_eq(sender(all, 0), NOW);
	cr_expect_eq(sender(all, 1), 710);
	cr_expect_eq(sender(all, 2), NOW);
	cr_expect_eq(sender(all, 3), WAS);
	end(&f);
}

Test(renumber, names_in_proc)
{
	static const char *const names[][2] = {{"700/maps", "9000/maps"}, {"700", "9000"},
		{"700/task/700/stat", "9000/task/9000/stat"},
		{"700/task/701/stat", "9000/task/701/stat"}, {"7001/maps", "7001/maps"},
		{"70/maps", "70/maps"}, {"710/task/700", "710/task/700"}};
	struct fixture f;
	Ckpt__ProcFd *v[ARRAY_SIZE(names)];

	begin(&f);
	task_make(&f.model, WAS, 1, WAS, WAS);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		v[i] = ADD(&f, res_procfd, i + 1, Ckpt__ProcFd, ckpt__proc_fd__init);
		v[i]->path = strdup(names[i][0]);
		v[i]->mount = strdup("/proc");
	}
	renumber(&f);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		cr_expect_str_eq(v[i]->path, names[i][1]);
	end(&f);
}

Test(renumber, messages_within_messages)
{
	struct fixture f;
	Ckpt__UnixSock *sock;
	Ckpt__Pages *pages;

	begin(&f);
	task_make(&f.model, WAS, 1, WAS, WAS);
	task_make(&f.model, 710, WAS, WAS, WAS);
	sock = ADD(&f, res_unixsock, 1, Ckpt__UnixSock, ckpt__unix_sock__init);
	sock->peer_cred = msg_new(Ckpt__UnixCred, CKPT__UNIX_CRED__INIT);
	sock->peer_cred->pid = WAS;
	pages = ADD(&f, res_pages, 710, Ckpt__Pages, ckpt__pages__init);
	pages->runs = calloc(1, sizeof(*pages->runs));
	pages->runs[pages->n_runs++] = msg_new(Ckpt__PageRun, CKPT__PAGE_RUN__INIT);
	pages->runs[0]->of = WAS;
	renumber(&f);
	cr_expect_eq(sock->peer_cred->pid, NOW);
	cr_expect_eq(pages->runs[0]->of, NOW);
	end(&f);
}

Test(renumber, a_number_that_the_image_needs_is_a_conflict)
{
	static const struct {
		pid_t pid, pgid, sid, tid;
	} v[] = {{NOW, WAS, WAS, 0}, {710, NOW, WAS, 0}, {710, WAS, NOW, 0}, {710, WAS, WAS, NOW}};

	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		struct fixture f;
		Ckpt__Task *t;

		begin(&f);
		task_make(&f.model, WAS, 1, WAS, WAS);
		t = task_make(&f.model, v[i].pid, WAS, v[i].pgid, v[i].sid);
		if (v[i].tid)
			task_thread(t, v[i].tid);
		expect_kind(&f, CKPT_E_CONFLICT);
		end(&f);
	}
}

/* It has the very number, but is led from outside: so it comes to be the root's all the same. */
Test(renumber, the_root_s_own_group_may_have_the_number)
{
	struct fixture f;
	Ckpt__Task *root;

	begin(&f);
	root = task_make(&f.model, WAS, 1, NOW, NOW);
	renumber(&f);
	cr_expect(root->pgid == 0 && root->sid == 0);
	end(&f);
}

/* Whatever is called a pid is one, here and in what comes later; and so is what says whose something is. */
static bool is_called_number(const ProtobufCFieldDescriptor *f)
{
	static const char *const ends[] = {"pid", "pids", "tids", "_of", "like"};
	size_t len = strlen(f->name);

	if (f->type != PROTOBUF_C_TYPE_INT32 && f->type != PROTOBUF_C_TYPE_SINT32)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		if (len >= strlen(ends[i]) && strcmp(f->name + len - strlen(ends[i]), ends[i]) == 0)
			return true;
	return strcmp(f->name, "of") == 0 || strcmp(f->name, "target") == 0;
}

static void expect_known(const ProtobufCMessageDescriptor *d, unsigned depth, size_t *seen)
{
	for (unsigned i = 0; i < d->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &d->fields[i];

		if (f->type == PROTOBUF_C_TYPE_MESSAGE && depth < 8)
			expect_known(f->descriptor, depth + 1, seen);
		if (is_called_number(f) && strcmp(f->name, "owner_pid") != 0) {
			++*seen;
			cr_expect(renumber_knows(d, f->name), "%s.%s", d->name, f->name);
		}
	}
}

Test(renumber, each_field_that_is_called_a_pid_is_known)
{
	const struct model_type *const *types = res_types();
	size_t seen = 0;

	for (; *types; types++)
		expect_known((*types)->desc, 0, &seen);
	cr_expect_gt(seen, 20);
}
