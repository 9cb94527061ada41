/*
 * blame.c - telling which step of whose program has failed.
 *
 * The step's text is made only now: the plan is made a second time, with descriptions.
 */
#include <errno.h>
#include <stdio.h>

#include "kernel/ptrace.h"
#include "kernel/syscall_name.h"
#include "restore/run.h"
#include "restore/taken.h"

static int fail_at(struct run *r, uint32_t thread, uint32_t step, int err, const char *why)
{
	struct plan again = *r->plan;
	const struct task_plan *task = &r->tree.tasks[0];
	const struct thread_plan *th;
	const struct prog_step *s;
	char name[TASK_NAME_LEN];
	struct tree_plan t;
	int ret;

	again.describe = true;
	if (plan_tree(&again, &t) < 0)
		return op_fail(r->op, CKPT_E_SYSTEM, err, NULL, NULL, "%s: restoring it",
			task_plan_name(task, name));
	th = tree_plan_thread(&t, thread, &task);
	s = th && step < th->prog.n ? &th->prog.steps[step] : NULL;
	ret = op_fail(r->op,
		err == ENOMEM  ? CKPT_E_SPACE
		: err == EPERM ? CKPT_E_PRIVILEGE
			       : CKPT_E_SYSTEM,
		err, s && s->op == AGENT_SYSCALL ? syscall_name(s->nr) : NULL,
		err == EPERM ? "run as root: `ckpt check` lists the capabilities that are missing"
			     : NULL,
		"%s: thread %d: step %u: %s%s%s%s", task_plan_name(task, name), th ? th->tid : 0,
		step, s ? s->what : "?", s && s->object ? " " : "", s && s->object ? s->object : "",
		why);
	tree_plan_done(&t);
	return ret;
}

int fail_taken(struct run *r, const struct task_plan *t, pid_t id)
{
	char name[TASK_NAME_LEN];

	return taken_fail(r->op, task_plan_name(t, name), id);
}

int fail_step(struct run *r)
{
	const struct agent_ctl *ctl = r->area.ctl;

	for (size_t i = 0; ctl->failed_errno == EEXIST && i < r->tree.n; i++) {
		for (size_t k = 0; k < r->tree.tasks[i].n; k++) {
			const struct thread_plan *t = &r->tree.tasks[i].threads[k];

			if (t->maker && t->maker->id == ctl->failed_id &&
				t->spawn_step == ctl->failed_step)
				return fail_taken(r, &r->tree.tasks[i], t->tid);
		}
	}
	return fail_at(r, ctl->failed_id, ctl->failed_step, ctl->failed_errno, "");
}

/* Its first thread tells how far it came. */
int fail_dead(struct run *r, const struct run_task *t, const struct wait_status *w)
{
	uint32_t id = t->plan->threads[0].id;
	char why[64];

	snprintf(why, sizeof(why), ": the new process died there (signal %d, status %d)", w->sig,
		w->exit_code);
	return fail_at(r, id, area_prog(&r->area, id)->at, 0, why);
}
