/*
 * xattr.c - see xattr.h.
 *
 * Facts: names are told as one list of strings; "trusted." only to CAP_SYS_ADMIN. A label
 * (security.selinux) is decided by the policy of the host that makes the file.
 */
#include "res/file/xattr.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "util/cleanup.h"
#include "util/str.h"
#include "util/vec.h"

#define LIST_MAX  65536 /* XATTR_LIST_MAX */
#define VALUE_MAX 65536 /* XATTR_SIZE_MAX */
#define PATH_LEN  96

static bool is_label(const char *name)
{
	return str_eq(name, "security.selinux") || str_startswith(name, "security.SMACK64");
}

/* One that is gone since it was listed is none. Return: 0; -ENOMEM */
static int add(const char *path, const char *name, Ckpt__RegFile *m, size_t *cap)
{
	_cleanup_free_ void *value = malloc(VALUE_MAX);
	ssize_t len = value ? getxattr(path, name, value, VALUE_MAX) : -1;
	Ckpt__Xattr *x;

	if (!value)
		return -ENOMEM;
	if (len < 0)
		return 0;
	x = msg_new(Ckpt__Xattr, CKPT__XATTR__INIT);
	if (!x || vec_reserve(&m->xattrs, cap, m->n_xattrs + 1, sizeof(x)) < 0) {
		free(x);
		return -ENOMEM;
	}
	m->xattrs[m->n_xattrs++] = x;
	x->name = strdup(name);
	x->value = msg_bytes(value, (size_t)len);
	if (x->name && (x->value.data || !len))
		return 0;
	if (!x->name)
		x->name = (char *)protobuf_c_empty_string;
	return -ENOMEM;
}

int xattr_collect(struct collect *c, const char *at, Ckpt__RegFile *m)
{
	_cleanup_free_ char *list = malloc(LIST_MAX);
	size_t cap = 0;
	char path[PATH_LEN];
	ssize_t len;
	int r = list ? 0 : -ENOMEM;

	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", c->proc_fd, at);
	len = r == 0 ? listxattr(path, list, LIST_MAX) : -1;
	for (const char *name = list; r == 0 && name < list + MAX(len, 0); name += strlen(name) + 1)
		if (!is_label(name))
			r = add(path, name, m, &cap);
	return r < 0 ? collect_oom(c) : 0;
}

void xattr_put(struct ckpt_op *op, const Ckpt__RegFile *m, int fd)
{
	for (size_t i = 0; i < m->n_xattrs; i++) {
		const Ckpt__Xattr *x = m->xattrs[i];

		if (fsetxattr(fd, x->name, x->value.data, x->value.len, 0) < 0)
			op_warn(op, "deleted file %s: its attribute %s: %m", m->path, x->name);
	}
}
