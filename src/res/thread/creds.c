/*
 * creds.c - credentials. They are each thread's own: libc keeps threads alike, the kernel does not.
 *
 * /proc/PID/task/TID/status tells all but the securebits, which only the thread itself can read. Most
 * threads have the same as the first: they are recognised by their text and told by a reference.
 *
 * At a restore the order is given by what each step needs and what it takes away (capabilities(7)):
 *   SECBIT_NO_SETUID_FIXUP   so that capabilities outlive the change of uids
 *   groups, gids, uids
 *   capset with CAP_SETPCAP  the inheritable set, while the bounding set is still whole
 *   bounding, ambient, securebits, no_new_privs
 *   capset                   what it shall have in the end
 * It clears pdeathsig and dumpable: these come after.
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "proto/creds.pb-c.h"
#include "res/thread/thread.h"
#include "util/cleanup.h"
#include "util/vec.h"

#define CAP_SETPCAP_BIT (1ULL << CAP_SETPCAP)
#define CAPS_MAX        63
#define NGROUPS_MAX_    65536

static void ask(struct collect *c, struct tracee *t, struct prog *p)
{
	PROG_CALL_RET(p, "creds: securebits", SYS_prctl, IMM(PR_GET_SECUREBITS));
}

/* ------------------------------------------------------------------ collect */

/* Whether the lines from the one that starts with @from to that with @to are alike. */
static bool alike(const char *a, const char *b, const char *from, const char *to)
{
	const char *a0 = strstr(a, from), *b0 = strstr(b, from);
	const char *a1 = a0 ? strstr(a0, to) : NULL, *b1 = b0 ? strstr(b0, to) : NULL;

	return a1 && b1 && a1 - a0 == b1 - b0 && memcmp(a0, b0, a1 - a0) == 0;
}

static bool same_text(const char *a, const char *b)
{
	return alike(a, b, "\nUid:", "\nFDSize:") && alike(a, b, "\nGroups:", "\nNStgid:") &&
	       alike(a, b, "\nCapInh:", "\nSeccomp:");
}

static uint32_t *ids_copy(const uint32_t *ids, size_t n)
{
	uint32_t *v = malloc(n * sizeof(*v) + 1);

	if (v)
		memcpy(v, ids, n * sizeof(*v));
	return v;
}

static uint32_t last_cap(void)
{
	static uint32_t last; /* 0: not yet read */
	_cleanup_free_ char *text = NULL;

	if (!last)
		last = file_read_at(AT_FDCWD, "/proc/sys/kernel/cap_last_cap", &text, NULL) < 0
			       ? CAP_LAST_CAP
			       : (uint32_t)atoi(text);
	return last;
}

static int fill(Ckpt__Creds *m, const char *status)
{
	struct proc_status st = {0};
	int r = proc_status_parse(status, &st);

	if (r < 0)
		return r;
	m->uid = ids_copy(st.uid, PROC_ID_COUNT);
	m->gid = ids_copy(st.gid, PROC_ID_COUNT);
	m->groups = ids_copy(st.groups, st.n_groups);
	m->n_uid = m->uid ? PROC_ID_COUNT : 0;
	m->n_gid = m->gid ? PROC_ID_COUNT : 0;
	m->n_groups = m->groups ? st.n_groups : 0;
	m->inheritable = st.cap_inheritable;
	m->permitted = st.cap_permitted;
	m->effective = st.cap_effective;
	m->bounding = st.cap_bounding;
	m->ambient = st.cap_ambient;
	m->no_new_privs = st.no_new_privs > 0;
	m->last_cap = last_cap();
	proc_status_done(&st);
	return m->uid && m->gid && m->groups ? 0 : -ENOMEM;
}

static int collect(struct collect *c, struct tracee *t, const struct answer *a)
{
	const struct tracee *first = tracees_leader(c->tr);
	const Ckpt__Creds *base = model_get(c->model, &res_creds.type, first->tid);
	Ckpt__Creds *m = msg_new(Ckpt__Creds, CKPT__CREDS__INIT);
	int64_t bits = answer_ret(a, 0);
	int r = 0;

	if (!m)
		return collect_oom(c);
	if (base && bits == base->securebits && same_text(t->policy.status, first->policy.status)) {
		m->like = first->tid;
	} else {
		m->securebits = bits < 0 ? 0 : (uint32_t)bits;
		r = fill(m, t->policy.status);
	}
	if (r == 0)
		return collect_add_take(c, &res_creds.type, t->tid, m);
	protobuf_c_message_free_unpacked(&m->base, NULL);
	return r == -ENOMEM ? collect_oom(c)
			    : op_fail(c->op, CKPT_E_SYSTEM, -r, "parse", NULL,
				      "/proc/%d/task/%d/status", c->pid, t->tid);
}

ProtobufCMessage *creds_own(void)
{
	_cleanup_free_ char *status = NULL;
	Ckpt__Creds *m = msg_new(Ckpt__Creds, CKPT__CREDS__INIT);
	int bits = prctl(PR_GET_SECUREBITS);

	if (!m)
		return NULL;
	m->securebits = bits < 0 ? 0 : (uint32_t)bits;
	if (bits < 0 || file_read_at(AT_FDCWD, "/proc/thread-self/status", &status, NULL) < 0 ||
		fill(m, status) < 0) {
		protobuf_c_message_free_unpacked(&m->base, NULL);
		return NULL;
	}
	return &m->base;
}

/* ------------------------------------------------------------------ plan */

static bool valid(const Ckpt__Creds *m)
{
	return !m->like && m->n_uid == PROC_ID_COUNT && m->n_gid == PROC_ID_COUNT &&
	       m->n_groups <= NGROUPS_MAX_ && m->last_cap <= CAPS_MAX;
}

/* setfsuid(2) reports no failure: it is asked whether it did. */
static void plan_fsid(struct prog *prog, long nr, uint32_t effective, uint32_t fs)
{
	if (fs == effective)
		return;
	PROG_CALL_ANY(prog, "creds: file system id", nr, IMM(fs));
	PROG_CALL_EQ(prog, "creds: file system id", fs, nr, IMM(-1));
	prog_object(prog, "%u", fs);
}

static void plan_ids(struct prog *prog, const Ckpt__Creds *m)
{
	const uint32_t *u = m->uid, *g = m->gid;

	PROG_CALL(prog, "creds: groups", SYS_setgroups, IMM(m->n_groups),
		DATA(prog_data(prog, m->groups, m->n_groups * sizeof(*m->groups))));
	prog_object(prog, "%zu of them", m->n_groups);
	PROG_CALL(prog, "creds: group ids", SYS_setresgid, IMM(g[0]), IMM(g[1]), IMM(g[2]));
	prog_object(prog, "real %u, effective %u, saved %u", g[0], g[1], g[2]);
	plan_fsid(prog, SYS_setfsgid, g[PROC_ID_EFFECTIVE], g[PROC_ID_FS]);
	PROG_CALL(prog, "creds: user ids", SYS_setresuid, IMM(u[0]), IMM(u[1]), IMM(u[2]));
	prog_object(prog, "real %u, effective %u, saved %u", u[0], u[1], u[2]);
	plan_fsid(prog, SYS_setfsuid, u[PROC_ID_EFFECTIVE], u[PROC_ID_FS]);
}

static void plan_capset(struct prog *prog, const char *what, uint64_t inheritable,
	uint64_t permitted, uint64_t effective)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	for (int i = 0; i < 2; i++) {
		data[i].inheritable = (uint32_t)(inheritable >> 32 * i);
		data[i].permitted = (uint32_t)(permitted >> 32 * i);
		data[i].effective = (uint32_t)(effective >> 32 * i);
	}
	PROG_CALL(prog, what, SYS_capset, DATA(prog_data(prog, &head, sizeof(head))),
		DATA(prog_data(prog, data, sizeof(data))));
	prog_object(prog, "permitted %#llx, effective %#llx, inheritable %#llx",
		(unsigned long long)permitted, (unsigned long long)effective,
		(unsigned long long)inheritable);
}

/* What takes away the rest. */
static void plan_last(struct prog *prog, const Ckpt__Creds *m)
{
	if (m->no_new_privs)
		PROG_CALL(prog, "creds: no_new_privs", SYS_prctl, IMM(PR_SET_NO_NEW_PRIVS), IMM(1),
			IMM(0), IMM(0), IMM(0));
	plan_capset(prog, "creds: capabilities", m->inheritable, m->permitted, m->effective);
}

static void plan_caps(struct prog *prog, const Ckpt__Creds *m)
{
	plan_capset(prog, "creds: capabilities, not yet all given up", m->inheritable,
		m->permitted | CAP_SETPCAP_BIT, CAP_SETPCAP_BIT);
	for (uint32_t cap = 0; cap <= m->last_cap; cap++) {
		if (m->bounding & 1ULL << cap)
			continue;
		PROG_CALL(prog, "creds: bounding set", SYS_prctl, IMM(PR_CAPBSET_DROP), IMM(cap),
			IMM(0), IMM(0), IMM(0));
		prog_object(prog, "without capability %u", cap);
	}
	PROG_CALL(prog, "creds: ambient set", SYS_prctl, IMM(PR_CAP_AMBIENT),
		IMM(PR_CAP_AMBIENT_CLEAR_ALL), IMM(0), IMM(0), IMM(0));
	for (uint32_t cap = 0; cap <= m->last_cap; cap++) {
		if (!(m->ambient & 1ULL << cap))
			continue;
		PROG_CALL(prog, "creds: ambient set", SYS_prctl, IMM(PR_CAP_AMBIENT),
			IMM(PR_CAP_AMBIENT_RAISE), IMM(cap), IMM(0), IMM(0));
		prog_object(prog, "with capability %u", cap);
	}
	PROG_CALL(prog, "creds: securebits", SYS_prctl, IMM(PR_SET_SECUREBITS), IMM(m->securebits));
	prog_object(prog, "%#x", m->securebits);
	plan_last(prog, m);
}

/* It differs from ours only in what we have and it has not: to give up takes no right. */
static bool only_gives_up(const Ckpt__Creds *m, const Ckpt__Creds *own)
{
	Ckpt__Creds more = *m;

	if (!own || m->permitted & ~own->permitted || (own->no_new_privs && !m->no_new_privs))
		return false;
	more.permitted = own->permitted;
	more.effective = own->effective;
	more.no_new_privs = own->no_new_privs;
	return thread_as_own(&more.base, &own->base);
}

static void plan(
	struct plan *p, enum plan_phase phase, const struct model_rec *rec, struct prog *prog)
{
	const Ckpt__Creds *m = (const void *)rec->msg;

	if (phase != PLAN_LATE)
		return;
	if (m->like)
		m = model_get(p->model, &res_creds.type, m->like);
	if (!m || !valid(m)) {
		prog->err = op_fail(p->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"creds of thread %llu", (unsigned long long)rec->owner);
		return;
	}
	if (thread_as_own(&m->base, p->own_creds))
		return;
	if (only_gives_up(m, (const Ckpt__Creds *)p->own_creds)) {
		plan_last(prog, m);
		return;
	}
	PROG_CALL(prog, "creds: keep capabilities", SYS_prctl, IMM(PR_SET_SECUREBITS),
		IMM(SECBIT_NO_SETUID_FIXUP));
	plan_ids(prog, m);
	plan_caps(prog, m);
}

const struct res res_creds = {
	.type = {"creds", SCOPE_THREAD, &ckpt__creds__descriptor, NULL},
	.ask = ask,
	.collect = collect,
	.plan = plan,
};
