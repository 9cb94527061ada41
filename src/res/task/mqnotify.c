/*
 * mqnotify.c - the signal that a task is sent for the next message of a queue: mq_notify(3).
 *
 * The queue's file tells who registered (collected by res/file/mqueue.c). A registration ends when its
 * task closes any descriptor of the queue, so it is made late.
 */
#include <signal.h>
#include <sys/syscall.h>

#include "proto/fdtable.pb-c.h"
#include "proto/mqnotify.pb-c.h"
#include "res/file/files.h"
#include "res/task/task.h"

static int fd_of(const struct plan *p, uint64_t pid, uint32_t file)
{
	const Ckpt__FdTable *t = model_get(p->model, &res_fdtable.type, pid);

	for (size_t i = 0; t && i < t->n_fds; i++)
		if (t->fds[i]->file == file && !plan_override(p, (pid_t)pid, t->fds[i]))
			return (int)t->fds[i]->fd;
	return -1;
}

static void plan(
	struct plan *p, enum plan_phase phase, const struct model_rec *rec, struct prog *prog)
{
	const Ckpt__MqNotify *m = (const void *)rec->msg;

	for (size_t i = 0; phase == PLAN_LATE && i < m->n_queues; i++) {
		const Ckpt__MqNotification *x = m->queues[i];
		struct sigevent ev = {.sigev_notify = x->how, .sigev_signo = x->signal};
		int fd = fd_of(p, rec->owner, x->file);

		if (fd < 0 || (x->how != SIGEV_SIGNAL && x->how != SIGEV_NONE))
			continue;
		/* may be another's by now, of a queue that stayed in the kernel */
		PROG_CALL_ANY(prog, "mqnotify: tell of the next message", SYS_mq_notify, IMM(fd),
			DATA(prog_data(prog, &ev, sizeof(ev))));
		prog_object(prog, "fd %d", fd);
	}
}

const struct res res_mqnotify = {
	.type = {"mqnotify", SCOPE_TASK, &ckpt__mq_notify__descriptor, NULL},
	.plan = plan,
};
