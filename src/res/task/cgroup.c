/*
 * cgroup.c - the control groups that threads are in, and what is set in these groups.
 *
 * A thread is in one group of every hierarchy: of version 2, and of each of version 1. In version 2
 * the threads of a process are in one group unless that is threaded; in version 1 they may be in any.
 * Most often a whole tree is in the same groups: then there is one record for all. What is set in a
 * group, and in those above, is saved for the case that a restore is asked to make it anew; what a
 * new group would have anyway is not.
 *
 * Source: Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/.
 */
#include "res/task/cgroup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/cgroup.h"
#include "kernel/proc.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/str.h"
#include "util/vec.h"

/* The order is that of writing. dflt: of a new group; NULL: it is always saved. */
struct value_row {
	const char *name, *dflt;
};

static const struct value_row values_v2[] = {
	{"cgroup.type", "domain"},
	{"cpuset.cpus", ""},
	{"cpuset.mems", ""},
	{"cpuset.cpus.partition", "member"},
	{"cpu.idle", "0"},
	{"cpu.weight", "100"},
	{"cpu.max", "max 100000"},
	{"cpu.max.burst", "0"},
	{"cpu.uclamp.min", "0.00"},
	{"cpu.uclamp.max", "max"},
	{"memory.min", "0"},
	{"memory.low", "0"},
	{"memory.high", "max"},
	{"memory.max", "max"},
	{"memory.swap.high", "max"},
	{"memory.swap.max", "max"},
	{"memory.zswap.max", "max"},
	{"memory.oom.group", "0"},
	{"io.weight", "default 100"},
	{"io.max", ""},
	{"io.latency", ""},
	{"pids.max", "max"},
	{"cgroup.max.depth", "max"},
	{"cgroup.max.descendants", "max"},
	{"cgroup.subtree_control", ""},
};

/* cpuset: a new group has no CPUs and no memory, and takes no task. */
static const struct value_row values_v1[] = {
	{"cgroup.clone_children", "0"},
	{"notify_on_release", "0"},
	{"cpuset.cpus", NULL},
	{"cpuset.mems", NULL},
	{"cpuset.cpu_exclusive", "0"},
	{"cpuset.mem_exclusive", "0"},
	{"cpuset.memory_migrate", "0"},
	{"cpuset.sched_load_balance", "1"},
	{"cpu.shares", "1024"},
	{"cpu.cfs_period_us", "100000"},
	{"cpu.cfs_quota_us", "-1"},
	{"cpu.rt_period_us", "1000000"},
	{"cpu.rt_runtime_us", "0"},
	{"memory.limit_in_bytes", "9223372036854771712"},
	{"memory.soft_limit_in_bytes", "9223372036854771712"},
	{"memory.memsw.limit_in_bytes", "9223372036854771712"},
	{"memory.swappiness", "60"},
	{"blkio.weight", "500"},
	{"blkio.bfq.weight", "100"},
	{"blkio.throttle.read_bps_device", ""},
	{"blkio.throttle.write_bps_device", ""},
	{"blkio.throttle.read_iops_device", ""},
	{"blkio.throttle.write_iops_device", ""},
	{"pids.max", "max"},
	{"net_cls.classid", "0"},
};

/* What a collect() has read once, for all groups that are new to it. */
struct groups {
	struct collect *c;
	struct mount_list mounts;
	bool mounts_read;
};

const Ckpt__Cgroup *cgroup_of(const struct model *m, pid_t tid, pid_t alive)
{
	const Ckpt__Cgroup *own = model_get(m, &res_cgroup.type, (uint64_t)tid);
	const struct model_rec *rec;
	size_t pos = 0;

	if (!own && alive != tid)
		own = model_get(m, &res_cgroup.type, (uint64_t)alive);
	if (own)
		return own;
	rec = model_next(m, &res_cgroup.type, &pos);
	return rec ? (const void *)rec->msg : NULL;
}

static int add_value(Ckpt__CgroupDir *m, const char *name, const char *value)
{
	Ckpt__CgroupValue *v = msg_new(Ckpt__CgroupValue, CKPT__CGROUP_VALUE__INIT);

	if (!v)
		return -ENOMEM;
	m->values[m->n_values++] = v;
	v->name = strdup(name);
	v->value = strdup(value);
	return v->name && v->value ? 0 : -ENOMEM;
}

/* A file that is not there is of a controller that the group does not have. */
static int read_values(Ckpt__CgroupDir *m, int dirfd)
{
	const struct value_row *row = *m->hierarchy ? values_v1 : values_v2;
	size_t n = *m->hierarchy ? ARRAY_SIZE(values_v1) : ARRAY_SIZE(values_v2);
	int r = 0;

	m->values = calloc(n, sizeof(*m->values));
	if (!m->values)
		return -ENOMEM;
	for (size_t i = 0; i < n && r == 0; i++) {
		_cleanup_free_ char *text = NULL;
		size_t len;

		if (file_read_at(dirfd, row[i].name, &text, &len) < 0)
			continue;
		while (len && text[len - 1] == '\n')
			text[--len] = '\0';
		if (str_eq(row[i].name, "cgroup.type") && !str_eq(text, "threaded")) {
			m->plain = str_eq(text, "domain");
			continue;
		}
		if (!row[i].dflt || !str_eq(row[i].dflt, text))
			r = add_value(m, row[i].name, text);
	}
	return r;
}

static int look_inside(struct groups *g, Ckpt__CgroupDir *m)
{
	_cleanup_close_ int fd = -EBADF;

	if (!g->mounts_read && mountinfo_read(&g->mounts) == -ENOMEM)
		return -ENOMEM;
	g->mounts_read = true;
	/* not mounted, or not for us: then it is not known what is set */
	fd = cgroup_open(&g->mounts, m->hierarchy, m->path);
	return fd < 0 ? 0 : read_values(m, fd);
}

/* Return: the number of a group's record, 0: there is none. *ret_n: how many groups there are */
static uint32_t find(
	struct groups *g, const char *hierarchy, const char *path, size_t len, uint32_t *ret_n)
{
	const struct model_rec *rec;
	size_t pos = 0;

	*ret_n = 0;
	while ((rec = model_next(g->c->model, &res_cgroupdir.type, &pos))) {
		const Ckpt__CgroupDir *m = (const void *)rec->msg;

		++*ret_n;
		if (str_eq(m->hierarchy, hierarchy) && strncmp(m->path, path, len) == 0 &&
			!m->path[len])
			return (uint32_t)rec->owner;
	}
	return 0;
}

/* A group, behind those above it. 0 or after op_fail() */
static int add(
	struct groups *g, const char *hierarchy, const char *path, size_t len, uint32_t *ret_id)
{
	uint32_t n, id = find(g, hierarchy, path, len, &n);
	Ckpt__CgroupDir *m;
	int r;

	*ret_id = id;
	if (id)
		return 0;
	if (len > 1) {
		const char *slash = memrchr(path, '/', len);

		r = add(g, hierarchy, path, slash == path ? 1 : (size_t)(slash - path), ret_id);
		if (r < 0)
			return r;
	}
	find(g, hierarchy, path, len, &n);
	*ret_id = n + 1;
	m = msg_new(Ckpt__CgroupDir, CKPT__CGROUP_DIR__INIT);
	if (!m)
		return collect_oom(g->c);
	m->hierarchy = strdup(hierarchy);
	m->path = strndup(path, len);
	r = m->hierarchy && m->path ? 0 : -ENOMEM;
	if (r == 0 && len > 1)
		r = look_inside(g, m);
	if (r < 0) {
		protobuf_c_message_free_unpacked(&m->base, NULL);
		return collect_oom(g->c);
	}
	return collect_add_take(g->c, &res_cgroupdir.type, *ret_id, m);
}

static int add_thread(struct groups *g, pid_t tid, const struct cgroup_list *list)
{
	Ckpt__Cgroup *m = msg_new(Ckpt__Cgroup, CKPT__CGROUP__INIT);
	int r = 0;

	if (!m || !(m->groups = calloc(list->n + 1, sizeof(*m->groups)))) {
		free(m);
		return collect_oom(g->c);
	}
	for (size_t i = 0; i < list->n && r == 0; i++)
		r = add(g, list->v[i].hierarchy, list->v[i].path, strlen(list->v[i].path),
			&m->groups[m->n_groups++]);
	if (r < 0) {
		protobuf_c_message_free_unpacked(&m->base, NULL);
		return r;
	}
	return collect_add_take(g->c, &res_cgroup.type, (uint64_t)tid, m);
}

static const Ckpt__CgroupDir *dir_of(const struct collect *c, uint32_t id)
{
	return model_get(c->model, &res_cgroupdir.type, id);
}

static bool same(const struct collect *c, const Ckpt__Cgroup *m, const struct cgroup_list *list)
{
	if (!m || m->n_groups != list->n)
		return false;
	for (size_t i = 0; i < list->n; i++) {
		const Ckpt__CgroupDir *dir = dir_of(c, m->groups[i]);

		if (!str_eq(dir->hierarchy, list->v[i].hierarchy) ||
			!str_eq(dir->path, list->v[i].path))
			return false;
	}
	return true;
}

static int collect(struct collect *c, struct tracee *t, const struct answer *a)
{
	const Ckpt__Cgroup *known = cgroup_of(c->model, t->tid, c->alive);
	_cleanup_cgroups_ struct cgroup_list list = {0};
	struct groups g = {.c = c};
	int r;

	/* it can't be elsewhere than the first thread of its process */
	if (t->tid != c->alive && known && known->n_groups == 1 &&
		dir_of(c, known->groups[0])->plain)
		return 0;
	r = cgroup_read(c->proc_fd, proc_task_path(t->tid, "cgroup").s, &list);
	if (r == -ENOENT) /* a kernel without */
		return 0;
	if (r < 0)
		return op_fail(c->op, CKPT_E_TARGET, -r, "read", NULL, "/proc/%d/task/%d/cgroup",
			c->pid, t->tid);
	if (!list.n || same(c, known, &list))
		return 0;
	r = add_thread(&g, t->tid, &list);
	mount_list_done(&g.mounts);
	return r;
}

const struct res res_cgroup = {
	.type = {"cgroup", SCOPE_THREAD, &ckpt__cgroup__descriptor, NULL},
	.collect = collect,
};

const struct res res_cgroupdir = {
	.type = {"cgroupdir", SCOPE_TREE, &ckpt__cgroup_dir__descriptor, NULL},
	.make = cgroup_make,
};
