/*
 * The parser of mountinfo: see the header.
 */
#include "kernel/mountinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/fd.h"
#include "util/str.h"
#include "util/vec.h"

#define ESCAPED " \t\n\\#"

/* What stands behind " - ": type, source, options. */
static int parse_type(const char *tail, struct mount_entry *m)
{
	int type = 0, type_end = 0, opts = 0, opts_end = 0;

	if (sscanf(tail, " - %n%*s%n %*s %n%*s%n", &type, &type_end, &opts, &opts_end) < 0 ||
		!opts_end)
		opts = opts_end = type = type_end = 0;
	m->type = strndup(tail + type, (size_t)(type_end - type));
	m->options = strndup(tail + opts, (size_t)(opts_end - opts));
	return m->type && m->options ? 0 : -ENOMEM;
}

/* "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw" */
static int parse_line(const char *line, struct mount_entry *m)
{
	const char *end = strchrnul(line, '\n');
	_cleanup_free_ char *copy = strndup(line, (size_t)(end - line));
	int root = 0, root_end = 0, point = 0, point_end = 0;
	const char *tail;

	if (!copy)
		return -ENOMEM;
	if (sscanf(copy, "%d %*d %u:%u %n%*s%n %n%*s%n", &m->id, &m->dev_major, &m->dev_minor,
		    &root, &root_end, &point, &point_end) != 3 ||
		!point_end)
		return -EBADMSG;
	m->root = strndup(copy + root, (size_t)(root_end - root));
	m->point = strndup(copy + point, (size_t)(point_end - point));
	if (!m->root || !m->point)
		return -ENOMEM;
	str_unescape(m->root, ESCAPED);
	str_unescape(m->point, ESCAPED);
	tail = strstr(copy + point_end, " - ");
	return parse_type(tail ? tail : "", m);
}

int mountinfo_parse(const char *text, struct mount_list *ret)
{
	int r = 0;

	*ret = (struct mount_list){0};
	for (; *text && r == 0; str_skip_line(&text)) {
		if (vec_reserve(&ret->v, &ret->cap, ret->n + 1, sizeof(*ret->v)) < 0)
			return -ENOMEM;
		ret->v[ret->n] = (struct mount_entry){0};
		r = parse_line(text, &ret->v[ret->n++]);
	}
	return r;
}

int mountinfo_read(struct mount_list *ret)
{
	_cleanup_free_ char *text = NULL;
	int r = file_read_at(AT_FDCWD, "/proc/self/mountinfo", &text, NULL);

	*ret = (struct mount_list){0};
	return r < 0 ? r : mountinfo_parse(text, ret);
}

void mount_list_done(struct mount_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		free(list->v[i].root);
		free(list->v[i].point);
		free(list->v[i].type);
		free(list->v[i].options);
	}
	free(list->v);
	*list = (struct mount_list){0};
}
