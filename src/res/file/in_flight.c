/*
 * in_flight.c - the dump of what is in flight, see in_flight.h.
 *
 * A duplicate is ours until the dump is done, so we are looked at as if we were one of the tasks. A lock
 * is shown by fdinfo to whoever has the description, so to us as well.
 */
#include "res/file/in_flight.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel/fdinfo.h"
#include "kernel/pidfd.h"
#include "kernel/proc.h"
#include "res/registry.h"
#include "util/fd.h"
#include "util/vec.h"

struct in_flight {
	struct tracees tr; /* for messages alone */
	struct collect self;
	int *fds;
	size_t n, cap;
};

void files_in_flight_done(struct collect_tree *t)
{
	struct in_flight *f = t->in_flight;

	for (size_t i = 0; f && i < f->n; i++)
		fd_close(f->fds[i]);
	if (f) {
		fd_close(f->self.proc_fd);
		fd_close(f->self.pidfd);
		free(f->fds);
	}
	free(f);
	t->in_flight = NULL;
}

bool files_is_in_flight(const struct collect *c)
{
	return c->tree->in_flight && c == &c->tree->in_flight->self;
}

static int begin(struct collect_tree *t)
{
	struct in_flight *f = t->in_flight = calloc(1, sizeof(*f));

	if (!f)
		return op_fail(t->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "descriptors in flight");
	f->tr = (struct tracees){.op = t->op, .pid = getpid(), .alive = getpid()};
	snprintf(f->tr.comm, sizeof(f->tr.comm), "in flight");
	f->self = (struct collect){.tree = t,
		.op = t->op,
		.tr = &f->tr,
		.model = t->model,
		.pid = getpid(),
		.alive = getpid(),
		.proc_fd = proc_open(getpid()),
		.pidfd = pidfd_of(getpid())};
	if (f->self.proc_fd >= 0 && f->self.pidfd >= 0)
		return 0;
	return op_fail(t->op, CKPT_E_SYSTEM, f->self.pidfd < 0 ? -f->self.pidfd : EIO, "pidfd_open",
		NULL, "ourselves");
}

static int check_kind(struct collect_tree *t, uint32_t id)
{
	for (const struct res *const *k = registry(); *k; k++)
		if ((*k)->file && (*k)->file->tied && model_get(t->model, &(*k)->type, id))
			return op_fail(t->op, CKPT_E_REFUSED, 0, NULL, "let the program receive it",
				"a %s that is only in flight (SCM_RIGHTS), open in no process, "
				"can't be saved: it belongs to the memory of a process",
				(*k)->type.name);
	return 0;
}

static int lock_of(char *key, char *value, void *arg)
{
	return strcmp(key, "lock") == 0 ? lock_line(value, arg) : 0;
}

static int collect_locks(struct collect *c, int fd, uint32_t id)
{
	struct lock_list locks = {.pid = c->pid};
	struct fdinfo info;
	int r = fdinfo_read(c->proc_fd, fd, &info, lock_of, &locks);

	if (r == -EOPNOTSUPP)
		r = op_fail(c->op, CKPT_E_REFUSED, 0, NULL, "let the program receive it",
			"a lease that is being broken, of a descriptor in flight, can't be saved");
	else if (r < 0)
		r = op_fail(c->op, CKPT_E_SYSTEM, -r, "read", NULL, "/proc/self/fdinfo/%d", fd);
	else
		r = lock_add(c, id, &locks);
	lock_list_done(&locks);
	return r;
}

int files_in_flight(struct collect_tree *t, int fd, uint32_t *ret_id)
{
	int r = t->in_flight ? 0 : begin(t);
	struct in_flight *f = t->in_flight;
	size_t before = t->n_files;

	if (r == 0 && vec_reserve(&f->fds, &f->cap, f->n + 1, sizeof(*f->fds)) < 0)
		r = op_fail(t->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "descriptors in flight");
	if (r == 0)
		r = files_descriptor(&f->self, fd, ret_id, NULL);
	if (r == 0 && t->n_files != before) {
		f->fds[f->n++] = fd;
		r = collect_locks(&f->self, fd, *ret_id);
		return r < 0 ? r : check_kind(t, *ret_id);
	}
	fd_close(fd);
	return r;
}
