/*
 * fdpolicy.c - see fdpolicy.h.
 */
#include "res/file/fdpolicy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/fd.h"
#include "util/str.h"
#include "util/vec.h"

#define NUMBER_MAX (1 << 30)
#define WHATS      "ignore, close, null, inherit, inherit:M or path:FILE"

static bool number(const char **s, int *ret)
{
	uint64_t v;

	if (str_u64(s, 10, &v) < 0 || v > NUMBER_MAX)
		return false;
	*ret = (int)v;
	return true;
}

/* Return: NULL, or the reason why it is none. */
static const char *parse_what(const char *s, struct plan_override *o)
{
	const char *path = str_startswith(s, "path:"), *from = str_startswith(s, "inherit:");

	o->mine = o->fd;
	if (path) {
		o->how = OVERRIDE_PATH;
		o->path = path;
		return *path ? NULL : "the path is empty";
	}
	if (str_eq(s, "null"))
		o->how = OVERRIDE_NULL;
	else if (str_eq(s, "close"))
		o->how = OVERRIDE_CLOSE;
	else if (str_eq(s, "ignore"))
		o->how = OVERRIDE_IGNORE;
	else if (str_eq(s, "inherit") || (from && number(&from, &o->mine) && !*from))
		o->how = OVERRIDE_INHERIT;
	else
		return "after '=' comes " WHATS;
	return NULL;
}

/* [PID:]N=WHAT */
static const char *parse_fd(const char *s, struct fdpolicy_entry *ret)
{
	struct fdpolicy_entry e = {.text = s, .is = {.from = -1}};
	const char *why;

	if (!number(&s, &e.is.fd))
		return "it must begin with a descriptor number and '=', or PID:N=";
	if (*s == ':') {
		s++;
		e.is.pid = e.is.fd;
		if (!e.is.pid || !number(&s, &e.is.fd))
			return "it must begin with a descriptor number and '=', or PID:N=";
	}
	if (*s++ != '=')
		return "it must begin with a descriptor number and '=', or PID:N=";
	why = parse_what(s, &e.is);
	if (!why)
		*ret = e;
	return why;
}

/* KIND=WHAT */
static const char *parse_resource(const char *s, struct fdpolicy_entry *ret)
{
	struct fdpolicy_entry e = {.text = s, .is = {.fd = -1, .from = -1}};

	e.kind_len = strcspn(s, "=");
	s += e.kind_len;
	if (!e.kind_len || !*s++)
		return "it must begin with a kind, as 'ckpt explain' names it, and '='";
	if (str_eq(s, "null"))
		e.is.how = OVERRIDE_NULL;
	else if (str_eq(s, "close"))
		e.is.how = OVERRIDE_CLOSE;
	else if (str_eq(s, "ignore"))
		e.is.how = OVERRIDE_IGNORE;
	else if (str_eq(s, "refuse"))
		e.is.how = OVERRIDE_REFUSE;
	else
		return "after '=' comes refuse, ignore, close or null";
	*ret = e;
	return NULL;
}

const char *fdpolicy_fd_wrong(const char *text)
{
	struct fdpolicy_entry e;

	return parse_fd(text, &e);
}

const char *fdpolicy_resource_wrong(const char *text)
{
	struct fdpolicy_entry e;

	return parse_resource(text, &e);
}

static int add(struct fdpolicy *p, const struct fdpolicy_entry *e)
{
	if (vec_reserve(&p->v, &p->cap, p->n + 1, sizeof(*p->v)) < 0)
		return -ENOMEM;
	p->v[p->n++] = *e;
	return 0;
}

static int add_words(struct ckpt_op *op, struct fdpolicy *p, const char *option,
	const char *const *words, const char *(*parse)(const char *, struct fdpolicy_entry *))
{
	for (size_t i = 0; words && words[i]; i++) {
		struct fdpolicy_entry e;
		const char *why = parse(words[i], &e);

		if (why)
			return op_fail(op, CKPT_E_USAGE, 0, NULL, why, "--%s %s", option, words[i]);
		if (add(p, &e) < 0)
			return op_fail(op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "--%s", option);
	}
	return 0;
}

/* "fd PID:N=..." or "resource KIND=..."; blank lines and what stands behind a # are passed over. */
static const char *parse_line(char *line, struct fdpolicy_entry *e, bool *ret_empty)
{
	char *end = line, *word;

	/* a path may hold one */
	while ((end = strchr(end, '#')) && end != line && end[-1] != ' ' && end[-1] != '\t')
		end++;
	if (end)
		*end = '\0';
	line += strspn(line, " \t");
	for (end = line + strlen(line); end > line && strchr(" \t\r", end[-1]);)
		*--end = '\0';
	*ret_empty = !*line;
	if (!*line)
		return NULL;
	word = line + strcspn(line, " \t");
	if (*word) {
		*word++ = '\0';
		word += strspn(word, " \t");
	}
	if (str_eq(line, "fd"))
		return parse_fd(word, e);
	if (str_eq(line, "resource"))
		return parse_resource(word, e);
	return "a line begins with 'fd' or 'resource'";
}

static int add_file(struct ckpt_op *op, struct fdpolicy *p, const char *path)
{
	char *rest, *line;
	int r = file_read_at(AT_FDCWD, path, &p->file, NULL);

	if (r < 0)
		return op_fail(op, CKPT_E_USAGE, -r, "read", NULL, "--policy %s", path);
	rest = p->file;
	for (size_t n = 1; (line = strsep(&rest, "\n")); n++) {
		struct fdpolicy_entry e;
		bool empty;
		const char *why = parse_line(line, &e, &empty);

		if (why)
			return op_fail(
				op, CKPT_E_USAGE, 0, NULL, why, "--policy %s: line %zu", path, n);
		if (!empty && add(p, &e) < 0)
			return op_fail(op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "--policy %s", path);
	}
	return 0;
}

int fdpolicy_read(struct ckpt_op *op, const char *const *fds, const char *const *resources,
	const char *file, struct fdpolicy *ret)
{
	int r;

	*ret = (struct fdpolicy){0};
	r = file ? add_file(op, ret, file) : 0;
	if (r == 0)
		r = add_words(op, ret, "resource", resources, parse_resource);
	return r < 0 ? r : add_words(op, ret, "fd", fds, parse_fd);
}

static bool shares_table(pid_t a, pid_t b)
{
	return syscall(SYS_kcmp, a, b, KCMP_FILES, 0, 0) == 0;
}

const struct fdpolicy_entry *fdpolicy_of_fd(struct fdpolicy *p, pid_t pid, int fd)
{
	for (size_t i = p ? p->n : 0; i-- > 0;) {
		struct fdpolicy_entry *e = &p->v[i];

		if (e->is.fd != fd)
			continue;
		if (e->is.pid && e->is.pid != pid && !shares_table(e->is.pid, pid))
			continue;
		e->used = true;
		return e;
	}
	return NULL;
}

const struct fdpolicy_entry *fdpolicy_of_kind(struct fdpolicy *p, const char *kind)
{
	for (size_t i = p ? p->n : 0; i-- > 0;) {
		struct fdpolicy_entry *e = &p->v[i];

		if (!e->kind_len || strlen(kind) != e->kind_len ||
			strncmp(e->text, kind, e->kind_len) != 0)
			continue;
		e->used = true;
		return e->is.how == OVERRIDE_REFUSE ? NULL : e;
	}
	return NULL;
}

const char *fdpolicy_becomes(const struct fdpolicy_entry *e)
{
	switch (e->is.how) {
	case OVERRIDE_CLOSE:
		return "not saved, as you say: a restore leaves it closed";
	case OVERRIDE_NULL:
		return "not saved, as you say: at restore it is /dev/null";
	case OVERRIDE_PATH:
		return "not saved, as you say: at restore the file of that path is opened";
	case OVERRIDE_INHERIT:
		return "not saved, as you say: at restore it is the restore command's own";
	default:
		return "not saved, as you say: at restore it is the restore command's own of that "
		       "number up to 2, else a restore has to be told what it becomes";
	}
}

void fdpolicy_done(struct fdpolicy *p)
{
	free(p->v);
	free(p->file);
	*p = (struct fdpolicy){0};
}
