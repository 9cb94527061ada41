/*
 * See the header.
 */
#include "kernel/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/fd.h"
#include "util/str.h"
#include "util/vec.h"

#define TYPE_V1 "cgroup"
#define TYPE_V2 "cgroup2"

/* "4:cpu,cpuacct:/path"; neither a controller nor the name of a hierarchy can hold a colon. */
static int parse_line(char *line, struct cgroup_at *ret)
{
	char *hierarchy = strchr(line, ':');
	char *path = hierarchy ? strchr(hierarchy + 1, ':') : NULL;

	if (!path || path[1] != '/')
		return -EBADMSG;
	*path++ = '\0';
	*ret = (struct cgroup_at){hierarchy + 1, path};
	return 0;
}

int cgroup_parse(const char *text, struct cgroup_list *ret)
{
	char *line, *rest;
	int r = 0;

	*ret = (struct cgroup_list){.text = strdup(text)};
	rest = ret->text;
	if (!rest)
		return -ENOMEM;
	while (r == 0 && (line = strsep(&rest, "\n"))) {
		if (!*line)
			continue;
		if (vec_reserve(&ret->v, &ret->cap, ret->n + 1, sizeof(*ret->v)) < 0)
			return -ENOMEM;
		r = parse_line(line, &ret->v[ret->n]);
		ret->n += r == 0;
	}
	return r;
}

int cgroup_read(int procfd, const char *path, struct cgroup_list *ret)
{
	_cleanup_free_ char *text = NULL;
	int r = file_read_at(procfd, path, &text, NULL);

	*ret = (struct cgroup_list){0};
	return r < 0 ? r : cgroup_parse(text, ret);
}

const char *cgroup_find(const struct cgroup_list *list, const char *hierarchy)
{
	for (size_t i = 0; i < list->n; i++)
		if (str_eq(list->v[i].hierarchy, hierarchy))
			return list->v[i].path;
	return NULL;
}

void cgroup_list_done(struct cgroup_list *list)
{
	free(list->v);
	free(list->text);
	*list = (struct cgroup_list){0};
}

/* Whether a comma-separated list has the word that @word begins with, up to its own comma. */
static bool has_word(const char *list, const char *word)
{
	size_t len = strcspn(word, ",");

	for (;; list++) {
		if (strncmp(list, word, len) == 0 && (list[len] == ',' || !list[len]))
			return true;
		list = strchr(list, ',');
		if (!list)
			return false;
	}
}

/* A controller is in one hierarchy only, so the first says which it is. */
static bool is_mount_of(const struct mount_entry *m, const char *hierarchy)
{
	if (!*hierarchy)
		return str_eq(m->type, TYPE_V2);
	return str_eq(m->type, TYPE_V1) && has_word(m->options, hierarchy);
}

/* What is left of @path below the directory that is mounted; NULL: it is not below. */
static const char *below(const struct mount_entry *m, const char *path)
{
	size_t len = str_eq(m->root, "/") ? 0 : strlen(m->root);

	if (strncmp(path, m->root, len) || (path[len] != '/' && path[len]))
		return NULL;
	path += len;
	return path + strspn(path, "/");
}

/* "/../name" is what lies outside of our cgroup namespace; elsewhere the kernel gives none. */
static bool climbs(const char *path)
{
	for (; (path = strstr(path, "/..")); path += 3)
		if (path[3] == '/' || !path[3])
			return true;
	return false;
}

/* Another file system may cover the mount. */
static int open_point(const struct mount_entry *m, const char *hierarchy)
{
	int fd = open(m->point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs fs;

	if (fd < 0)
		return -errno;
	if (fstatfs(fd, &fs) < 0 ||
		fs.f_type != (*hierarchy ? CGROUP_SUPER_MAGIC : CGROUP2_SUPER_MAGIC))
		return fd_close(fd), -ENODEV;
	return fd;
}

int cgroup_open(const struct mount_list *mounts, const char *hierarchy, const char *path)
{
	int r = -ENODEV;

	if (climbs(path))
		return -ENODEV;
	for (size_t i = mounts->n; i-- > 0;) {
		const struct mount_entry *m = &mounts->v[i];
		const char *rest = is_mount_of(m, hierarchy) ? below(m, path) : NULL;
		_cleanup_close_ int point = rest ? open_point(m, hierarchy) : -EBADF;
		int fd;

		if (point < 0)
			continue;
		fd = openat(
			point, *rest ? rest : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		r = -errno;
		if (fd >= 0)
			return fd;
	}
	return r;
}

bool cgroup_is_frozen(int dirfd)
{
	_cleanup_free_ char *events = NULL, *state = NULL;

	if (file_read_at(dirfd, "cgroup.events", &events, NULL) == 0 && strstr(events, "frozen 1"))
		return true;
	return file_read_at(dirfd, "freezer.state", &state, NULL) == 0 &&
	       !str_startswith(state, "THAWED");
}

int cgroup_put(int dirfd, const char *name, const char *text)
{
	_cleanup_close_ int fd = openat(dirfd, name, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	/* one write is one command */
	n = write(fd, text, strlen(text));
	return n < 0 ? -errno : 0;
}
