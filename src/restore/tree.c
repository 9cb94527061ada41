/*
 * tree.c - see tree.h.
 */
#include "restore/tree.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <linux/sched.h>

#include "model/pages.h"
#include "res/mm/mm_inherit.h"
#include "res/task/task.h"
#include "util/vec.h"

#define OUTSIDE  0  /* the session of the restore command */
#define WHATEVER -1 /* no wish */

struct by_pid {
	pid_t pid;
	size_t at;
};

/* What is known of a task while the order is sought; beside tree->v. */
struct seek {
	pid_t wish;  /* the session to be born in */
	pid_t born;  /* the one it is born in */
	pid_t stays; /* the one it ends up in */
	pid_t group; /* the group it is born in; 0: ours */
};

struct grow {
	struct ckpt_op *op;
	struct tree *tree;
	struct by_pid *pids; /* ascending */
	size_t n_pids;
	struct seek *seek; /* of tree->v, as far as these are tasks */
};

static int by_pid(const void *a, const void *b)
{
	const struct by_pid *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

static size_t find(const struct grow *g, pid_t pid)
{
	struct by_pid key = {.pid = pid};
	const struct by_pid *hit = bsearch(&key, g->pids, g->n_pids, sizeof(*g->pids), by_pid);

	return hit ? hit->at : BIRTH_NONE;
}

static int damaged(struct grow *g, const Ckpt__Task *t, const char *why)
{
	return op_fail(g->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify", "pid %d (%s): %s", t->pid,
		t->comm, why);
}

static int misshaped(struct grow *g, const Ckpt__Task *t, const char *why)
{
	return op_fail(
		g->op, CKPT_E_REFUSED, 0, NULL, NULL, "pid %d (%s): %s", t->pid, t->comm, why);
}

static int add(struct grow *g, const struct birth *b, size_t *ret)
{
	struct tree *t = g->tree;

	if (vec_reserve(&t->v, &t->cap, t->n + 1, sizeof(*t->v)) < 0)
		return op_fail(g->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "the tasks of the image");
	if (ret)
		*ret = t->n;
	t->v[t->n++] = *b;
	return 0;
}

/* ------------------------------------------------------------------ the tasks of the image */

static int add_tasks(struct grow *g, const struct model *m)
{
	const struct model_rec *rec;
	size_t pos = 0;
	int r = 0;

	while (r == 0 && (rec = model_next(m, &res_task.type, &pos))) {
		const Ckpt__Task *t = (const void *)rec->msg;

		if (t->pid <= 0 || (uint64_t)t->pid != rec->owner)
			return damaged(g, t, "the task has not the number of its record");
		r = add(g,
			&(struct birth){.kind = t->zombie ? BIRTH_ZOMBIE : BIRTH_TASK,
				.pid = t->pid,
				.task = t,
				.parent = BIRTH_NONE,
				.maker = BIRTH_NONE,
				.exit_signal = (int)t->exit_signal},
			NULL);
	}
	if (r == 0 && (g->tree->n == 0 || g->tree->v[0].kind != BIRTH_TASK))
		return op_fail(g->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"there is no task in the image");
	return r;
}

static int index_tasks(struct grow *g)
{
	size_t n = g->tree->n;

	g->pids = calloc(n, sizeof(*g->pids));
	g->seek = calloc(n, sizeof(*g->seek));
	if (!g->pids || !g->seek)
		return op_fail(g->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "the tasks of the image");
	for (size_t i = 0; i < n; i++)
		g->pids[i] = (struct by_pid){g->tree->v[i].pid, i};
	qsort(g->pids, n, sizeof(*g->pids), by_pid);
	g->n_pids = n;
	for (size_t i = 1; i < n; i++)
		if (g->pids[i].pid == g->pids[i - 1].pid)
			return damaged(g, g->tree->v[g->pids[i].at].task, "it is there twice");
	for (size_t i = 1; i < n; i++) {
		struct birth *b = &g->tree->v[i];

		b->parent = find(g, b->task->ppid);
		if (b->parent == BIRTH_NONE || b->parent >= i ||
			g->tree->v[b->parent].kind != BIRTH_TASK)
			return damaged(g, b->task, "its parent is not before it in the image");
	}
	return 0;
}

/* ------------------------------------------------------------------ sessions */

static bool leads_session(const struct birth *b)
{
	return b->task->sid == b->task->pid;
}

/* The session of a task; one that nobody of the image leads, but the root was in, is outside. */
static pid_t session_of(const struct grow *g, const struct birth *b)
{
	const Ckpt__Task *root = g->tree->v[0].task;

	if (b->task->sid == root->sid && find(g, root->sid) == BIRTH_NONE)
		return OUTSIDE;
	return b->task->sid;
}

/* A leader does not care where it is born, but a child that is not in its session does. */
static void find_wishes(struct grow *g)
{
	size_t n = g->n_pids;

	for (size_t i = 0; i < n; i++) {
		struct birth *b = &g->tree->v[i];

		b->leads_session = leads_session(b);
		g->seek[i].wish = b->leads_session ? WHATEVER : session_of(g, b);
	}
	/* later children first, so that the first has the last word */
	for (size_t i = n; i-- > 1;) {
		struct birth *b = &g->tree->v[i];
		struct seek *parent = &g->seek[b->parent];
		pid_t wish = g->seek[i].wish;

		if (wish != WHATEVER && g->tree->v[b->parent].leads_session &&
			wish != g->tree->v[b->parent].pid)
			parent->wish = wish;
	}
}

static size_t find_leader(const struct grow *g, pid_t pid)
{
	for (size_t i = g->n_pids; i < g->tree->n; i++)
		if (g->tree->v[i].kind == BIRTH_LEADER && g->tree->v[i].pid == pid)
			return i;
	return BIRTH_NONE;
}

static bool descends(const struct grow *g, size_t i, size_t from)
{
	while (i != BIRTH_NONE && i != from)
		i = g->tree->v[i].parent;
	return i == from;
}

/* Made by one who is, or was, in that session, and who then ends: the parent gets it as a subreaper. */
static int make_orphan(struct grow *g, size_t i, pid_t session)
{
	size_t parent = g->tree->v[i].parent, host = find(g, session), between;
	struct birth b = {.kind = BIRTH_LEADER,
		.pid = session,
		.parent = parent,
		.maker = parent,
		.leads_session = true};
	int r = 0;

	if (host == BIRTH_NONE)
		host = find_leader(g, session);
	if (host == BIRTH_NONE)
		r = add(g, &b, &host);
	if (r < 0)
		return r;
	if (!descends(g, host, parent))
		return misshaped(g, g->tree->v[i].task,
			"the leader of its session is no relative of its parent: such a tree can't "
			"be made again");
	b = (struct birth){.kind = BIRTH_BETWEEN, .parent = host, .maker = host};
	if (g->tree->v[host].kind == BIRTH_LEADER)
		between = host;
	else
		r = add(g, &b, &between);
	if (r < 0)
		return r;
	g->tree->v[parent].subreaper = true;
	g->tree->v[i].maker = between;
	g->tree->v[i].orphan = true;
	return 0;
}

static int place(struct grow *g, size_t i)
{
	struct birth *b = &g->tree->v[i];
	struct seek *s = &g->seek[i], *parent = &g->seek[b->parent];
	int r = 0;

	s->born = s->wish == WHATEVER ? parent->stays : s->wish;
	s->stays = b->leads_session ? b->pid : s->born;
	b->maker = b->parent;
	if (s->born == parent->stays)
		b->when = BIRTH_BARE;
	else if (s->born == parent->born)
		b->when = BIRTH_BEFORE_SESSION;
	else
		r = make_orphan(g, i, s->born);
	return r;
}

static int place_all(struct grow *g)
{
	struct birth *root = &g->tree->v[0];
	int r = 0;

	g->seek[0].born = OUTSIDE;
	g->seek[0].stays = root->leads_session ? root->pid : OUTSIDE;
	for (size_t i = 1; i < g->n_pids && r == 0; i++)
		r = place(g, i);
	return r;
}

/* ------------------------------------------------------------------ what is shared */

static const struct {
	uint64_t flag;
	size_t offset;
	const char *what;
} shares[] = {
	{CLONE_VM, offsetof(Ckpt__Task, vm_of), "memory"},
	{CLONE_FILES, offsetof(Ckpt__Task, files_of), "descriptors"},
	{CLONE_FS, offsetof(Ckpt__Task, fs_of), "working directory"},
	{CLONE_SIGHAND, offsetof(Ckpt__Task, sighand_of), "signal handlers"},
	{CLONE_IO, offsetof(Ckpt__Task, io_of), "I/O context"},
};

/* Whose it is: its own, or that of an earlier task which has its own. 0: damaged */
static pid_t owner_of(const struct grow *g, size_t i, size_t share)
{
	const Ckpt__Task *t = g->tree->v[i].task;
	pid_t of = *(const int32_t *)((const char *)t + shares[share].offset);
	size_t at = of ? find(g, of) : i;

	if (at == BIRTH_NONE || at > i || (of && at == i) ||
		(of && *(const int32_t *)((const char *)g->tree->v[at].task +
					  shares[share].offset)))
		return 0;
	return of ? of : t->pid;
}

/* Whether clone(2) by @maker can share all that task @i shares with anybody. */
static bool can_share(const struct grow *g, size_t i, size_t maker)
{
	for (size_t k = 0; k < ARRAY_SIZE(shares); k++) {
		pid_t owner = owner_of(g, i, k);

		if (owner != g->tree->v[i].pid && owner != owner_of(g, maker, k))
			return false;
	}
	return true;
}

static int share(struct grow *g, size_t i)
{
	struct birth *b = &g->tree->v[i];
	size_t sibling = BIRTH_NONE;

	for (size_t k = 0; k < ARRAY_SIZE(shares); k++) {
		pid_t owner = owner_of(g, i, k);

		if (!owner)
			return damaged(g, b->task, "what it shares is not in the image");
		if (owner == b->pid)
			continue;
		b->flags |= shares[k].flag;
		sibling = find(g, owner);
	}
	if (!(b->flags & CLONE_SIGHAND))
		b->flags |= CLONE_CLEAR_SIGHAND;
	if (sibling == BIRTH_NONE || can_share(g, i, b->parent))
		return 0;
	if (g->tree->v[sibling].parent != b->parent || !can_share(g, i, sibling) || b->orphan)
		return misshaped(g, b->task,
			"it shares memory or files with one that is neither its parent nor its "
			"sibling: such a tree can't be made again");
	b->maker = sibling;
	b->when = BIRTH_BARE;
	b->flags |= CLONE_PARENT;
	b->exit_signal = 0; /* it is that of the maker */
	return 0;
}

static int share_all(struct grow *g)
{
	int r = 0;

	for (size_t i = 0; i < g->n_pids && r == 0; i++)
		r = share(g, i);
	for (size_t i = g->n_pids; i < g->tree->n; i++)
		g->tree->v[i].flags = CLONE_CLEAR_SIGHAND;
	return r;
}

/* Those that have pages of others, or whose pages others have. @ret: of tree->v */
static bool *find_sharing(const struct grow *g, const struct model *m)
{
	bool *v = calloc(g->n_pids, sizeof(*v));

	for (size_t i = 0; v && i < g->n_pids; i++) {
		const ProtobufCMessage *msg =
			model_get(m, &res_pages.type, (uint64_t)g->tree->v[i].pid);
		Ckpt__PageRun *const *runs;
		size_t n = msg ? pages_runs(msg, &runs) : 0;

		for (size_t k = 0; k < n; k++) {
			size_t of = runs[k]->kind == CKPT__PAGE_RUN__KIND__ALIAS
					    ? find(g, runs[k]->of)
					    : BIRTH_NONE;

			if (of != BIRTH_NONE)
				v[i] = v[of] = true;
		}
	}
	return v;
}

/* Only fork(2) makes two tasks share private pages. */
static int share_pages(struct grow *g, const struct model *m)
{
	bool *sharing = find_sharing(g, m);

	if (!sharing)
		return op_fail(g->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "the tasks of the image");
	for (size_t i = 1; i < g->n_pids; i++) {
		struct birth *b = &g->tree->v[i];

		if (b->kind == BIRTH_TASK && b->when == BIRTH_BARE && b->maker == b->parent &&
			!(b->flags & CLONE_VM) && sharing[i] &&
			mm_can_inherit(m, g->tree->v[b->parent].pid, b->pid))
			b->when = BIRTH_FILLED;
	}
	free(sharing);
	return 0;
}

/* ------------------------------------------------------------------ process groups */

/* The group in which a maker's children are born, when those that lead one do. */
static pid_t group_at_birth(const struct grow *g, size_t maker, enum birth_time when)
{
	while (maker != BIRTH_NONE) {
		const struct birth *m = &g->tree->v[maker];

		if (m->kind != BIRTH_BETWEEN && when != BIRTH_BEFORE_SESSION &&
			(m->leads_session || m->group == GROUP_LEAD))
			return m->pid;
		when = m->when;
		maker = m->maker;
	}
	return OUTSIDE;
}

static void lead_groups(struct grow *g)
{
	for (size_t i = 0; i < g->n_pids; i++) {
		struct birth *b = &g->tree->v[i];

		if (!b->leads_session && b->task->pgid == b->pid)
			b->group = GROUP_LEAD;
	}
}

static int join_group(struct grow *g, size_t i)
{
	struct birth *b = &g->tree->v[i];
	const Ckpt__Task *root = g->tree->v[0].task;
	pid_t want = b->task->pgid;
	bool outside = find(g, want) == BIRTH_NONE && want == root->pgid;

	if (b->leads_session || b->group == GROUP_LEAD)
		return 0;
	if (group_at_birth(g, b->maker, b->when) == (outside ? OUTSIDE : want))
		return 0;
	b->group = outside ? GROUP_OURS : GROUP_JOIN;
	b->group_of = want;
	if (outside || find(g, want) != BIRTH_NONE || find_leader(g, want) != BIRTH_NONE)
		return 0;
	return add(g,
		&(struct birth){.kind = BIRTH_LEADER,
			.pid = want,
			.parent = i,
			.maker = i,
			.group = GROUP_LEAD,
			.flags = CLONE_CLEAR_SIGHAND},
		NULL);
}

static int join_all(struct grow *g)
{
	int r = 0;

	lead_groups(g);
	for (size_t i = 0; i < g->n_pids && r == 0; i++)
		r = join_group(g, i);
	return r;
}

/* ------------------------------------------------------------------ all of it */

static void count(struct tree *t)
{
	for (size_t i = 0; i < t->n; i++) {
		t->n_tasks += t->v[i].kind == BIRTH_TASK;
		t->n_zombies += t->v[i].kind == BIRTH_ZOMBIE;
		t->n_leaders += t->v[i].kind == BIRTH_LEADER;
		t->n_standing += t->v[i].kind != BIRTH_BETWEEN;
	}
}

/* Who makes whom, in the order of the image. */
static void list_made(struct tree *t)
{
	for (size_t i = 0; i < t->n; i++)
		t->v[i].made = t->v[i].made_next = BIRTH_NONE;
	for (size_t i = t->n; i-- > 1;) {
		if (t->v[i].maker == BIRTH_NONE)
			continue;
		t->v[i].made_next = t->v[t->v[i].maker].made;
		t->v[t->v[i].maker].made = i;
	}
}

int tree_new(struct ckpt_op *op, const struct model *m, struct tree *ret)
{
	struct tree t = {0};
	struct grow g = {.op = op, .tree = &t};
	int r = add_tasks(&g, m);

	if (r == 0)
		r = index_tasks(&g);
	if (r == 0) {
		find_wishes(&g);
		r = place_all(&g);
	}
	if (r == 0)
		r = share_all(&g);
	if (r == 0)
		r = share_pages(&g, m);
	if (r == 0)
		r = join_all(&g);
	count(&t);
	list_made(&t);
	free(g.pids);
	free(g.seek);
	if (r < 0)
		tree_done(&t);
	*ret = t;
	return r;
}

void tree_done(struct tree *t)
{
	free(t->v);
	*t = (struct tree){0};
}
