/*
 * The parser of status: a table of keys in the order in which the kernel prints them. The search
 * for a line's key starts behind the key found last, so that a normal text costs one comparison a
 * line; programs with thousands of threads have as many of these files.
 */
#include "kernel/proc_status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/proc.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/str.h"
#include "util/vec.h"

enum field_kind {
	FIELD_NAME,
	FIELD_STATE,
	FIELD_OCTAL,  /* int64_t */
	FIELD_NUMBER, /* int64_t */
	FIELD_PID,
	FIELD_IDS,
	FIELD_GROUPS,
	FIELD_NS,
	FIELD_MASK, /* uint64_t, hexadecimal, 0x allowed */
	FIELD_KB,   /* uint64_t */
	FIELD_TEXT, /* char *, owned */
};

struct field {
	const char *key;
	enum field_kind kind;
	size_t offset;
};

#define FIELD(key, kind, member)                                                                   \
	{                                                                                          \
		key, kind, offsetof(struct proc_status, member)                                    \
	}

/* The order is the kernel's; another order only costs time. */
static const struct field fields[] = {
	FIELD("Name", FIELD_NAME, name),
	FIELD("Umask", FIELD_OCTAL, umask),
	FIELD("State", FIELD_STATE, state),
	FIELD("Tgid", FIELD_PID, tgid),
	FIELD("Ngid", FIELD_PID, ngid),
	FIELD("Pid", FIELD_PID, pid),
	FIELD("PPid", FIELD_PID, ppid),
	FIELD("TracerPid", FIELD_PID, tracer_pid),
	FIELD("Uid", FIELD_IDS, uid),
	FIELD("Gid", FIELD_IDS, gid),
	FIELD("Groups", FIELD_GROUPS, groups),
	FIELD("NStgid", FIELD_NS, ns_tgid),
	FIELD("NSpid", FIELD_NS, ns_pid),
	FIELD("NSpgid", FIELD_NS, ns_pgid),
	FIELD("NSsid", FIELD_NS, ns_sid),
	FIELD("VmLck", FIELD_KB, vm_locked_kb),
	FIELD("VmPin", FIELD_KB, vm_pinned_kb),
	FIELD("CoreDumping", FIELD_NUMBER, core_dumping),
	FIELD("THP_enabled", FIELD_NUMBER, thp_enabled),
	FIELD("untag_mask", FIELD_MASK, untag_mask),
	FIELD("Threads", FIELD_NUMBER, threads),
	FIELD("SigPnd", FIELD_MASK, sig_pending),
	FIELD("ShdPnd", FIELD_MASK, shd_pending),
	FIELD("SigBlk", FIELD_MASK, sig_blocked),
	FIELD("SigIgn", FIELD_MASK, sig_ignored),
	FIELD("SigCgt", FIELD_MASK, sig_caught),
	FIELD("CapInh", FIELD_MASK, cap_inheritable),
	FIELD("CapPrm", FIELD_MASK, cap_permitted),
	FIELD("CapEff", FIELD_MASK, cap_effective),
	FIELD("CapBnd", FIELD_MASK, cap_bounding),
	FIELD("CapAmb", FIELD_MASK, cap_ambient),
	FIELD("NoNewPrivs", FIELD_NUMBER, no_new_privs),
	FIELD("Seccomp", FIELD_NUMBER, seccomp),
	FIELD("Seccomp_filters", FIELD_NUMBER, seccomp_filters),
	FIELD("Cpus_allowed", FIELD_TEXT, cpus_allowed),
	FIELD("Cpus_allowed_list", FIELD_TEXT, cpus_allowed_list),
};

/* Up to @max numbers to the end of the line. */
static int scan_list(const char *p, uint32_t *v, size_t max, size_t *ret_n)
{
	size_t n = 0;

	for (str_skip_blanks(&p); *p != '\n' && *p != '\0'; str_skip_blanks(&p)) {
		if (n == max || str_u32(&p, 10, &v[n++]) < 0)
			return -EBADMSG;
	}
	*ret_n = n;
	return 0;
}

static int scan_ids(const char *p, uint32_t *v)
{
	size_t n = 0;

	return scan_list(p, v, PROC_ID_COUNT, &n) < 0 || n != PROC_ID_COUNT ? -EBADMSG : 0;
}

/* setgroups(2) allows 65536: the list is sized by its text, a number and a blank at least. */
static int scan_groups(const char *p, struct proc_status *s)
{
	size_t max = strcspn(p, "\n") / 2 + 1;

	free(s->groups);
	s->groups = malloc(max * sizeof(*s->groups));
	if (!s->groups)
		return -ENOMEM;
	return scan_list(p, s->groups, max, &s->n_groups);
}

/* The kernel writes newline and backslash of a name as \n and \\. */
static int scan_name(const char *p, char *name, size_t size)
{
	size_t n = 0;

	/* The one tab is a separator, a name may start with blanks. */
	p += *p == '\t';
	for (; *p != '\n' && *p != '\0'; p++) {
		if (n + 1 == size)
			return -EBADMSG;
		if (p[0] == '\\' && (p[1] == 'n' || p[1] == '\\'))
			name[n++] = *++p == 'n' ? '\n' : '\\';
		else
			name[n++] = *p;
	}
	name[n] = '\0';
	return 0;
}

static int scan_text(const char *p, char **text)
{
	free(*text);
	*text = strndup(p, strcspn(p, "\n"));
	return *text ? 0 : -ENOMEM;
}

static int scan_mask(const char *p, uint64_t *mask)
{
	if (p[0] == '0' && p[1] == 'x')
		p += 2;
	return str_u64(&p, 16, mask);
}

static int scan_octal(const char *p, int64_t *ret)
{
	uint64_t value;
	int r = str_u64(&p, 8, &value);

	if (r == 0)
		*ret = (int64_t)value;
	return r;
}

/* @p stands behind the colon. */
static int scan_field(const struct field *f, const char *p, struct proc_status *s)
{
	void *to = (char *)s + f->offset;
	struct proc_ns_pids *ns = to;

	if (f->kind == FIELD_NAME)
		return scan_name(p, to, sizeof(s->name));
	str_skip_blanks(&p);
	switch (f->kind) {
	case FIELD_NAME:
		break;
	case FIELD_STATE:
		s->state = *p;
		return 0;
	case FIELD_OCTAL:
		return scan_octal(p, to);
	case FIELD_NUMBER:
		return str_s64(&p, to);
	case FIELD_PID:
		return str_int(&p, to);
	case FIELD_IDS:
		return scan_ids(p, to);
	case FIELD_GROUPS:
		return scan_groups(p, s);
	case FIELD_NS:
		return scan_list(p, ns->v, ARRAY_SIZE(ns->v), &ns->n);
	case FIELD_MASK:
		return scan_mask(p, to);
	case FIELD_KB:
		return str_u64(&p, 10, to);
	case FIELD_TEXT:
		return scan_text(p, to);
	}
	return -EBADMSG;
}

/* The field of the line at @p, searched from @from on and round once; NULL for a foreign line. */
static const struct field *field_find(const char *p, size_t len, size_t from)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fields); i++) {
		const struct field *f = &fields[(from + i) % ARRAY_SIZE(fields)];

		if (f->key[0] == p[0] && strncmp(f->key, p, len) == 0 && f->key[len] == '\0')
			return f;
	}
	return NULL;
}

int proc_status_parse(const char *text, struct proc_status *ret)
{
	struct proc_status s = {
		.umask = -1,
		.pid = -1,
		.no_new_privs = -1,
		.seccomp = -1,
		.seccomp_filters = -1,
		.thp_enabled = -1,
		.core_dumping = -1,
		.untag_mask = UINT64_MAX,
	};
	size_t next = 0;
	int r = 0;

	while (*text && r == 0) {
		size_t len = strcspn(text, ":\n");
		const struct field *f = text[len] == ':' ? field_find(text, len, next) : NULL;

		if (f) {
			next = (size_t)(f - fields) + 1;
			r = scan_field(f, text + len + 1, &s);
		}
		str_skip_line(&text);
	}
	if (r == 0 && s.pid < 0)
		r = -EBADMSG;
	if (r < 0) {
		proc_status_done(&s);
		return r == -ENOMEM ? r : -EBADMSG;
	}
	*ret = s;
	return 0;
}

int proc_status_read(int procfd, pid_t tid, struct proc_status *ret)
{
	_cleanup_free_ char *text = NULL;
	int r = file_read_at(procfd, proc_task_path(tid, "status").s, &text, NULL);

	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	return proc_status_parse(text, ret);
}

void proc_status_done(struct proc_status *s)
{
	free(s->groups);
	free(s->cpus_allowed);
	free(s->cpus_allowed_list);
	*s = (struct proc_status){};
}
