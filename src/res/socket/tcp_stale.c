/*
 * tcp_stale.c - locks that nobody will take away any more.
 *
 * A lock is to stay as long as its image can be restored. Its comment names the directory, and the device
 * that this is on: an image that is not found is gone only if its file system is here. What can't be
 * told stays; it is gone with the next start of the machine anyway.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "image/image.h"
#include "image/manifest.h"
#include "kernel/nft.h"
#include "proto/core.pb-c.h"
#include "res/socket/tcp.h"
#include "util/cleanup.h"
#include "util/str.h"
#include "util/vec.h"

void tcp_lock_comment(const char *dir, char buf[NETLOCK_COMMENT_MAX + 1])
{
	_cleanup_free_ char *path = realpath(dir, NULL);
	struct stat st;
	int n = path && stat(path, &st) == 0 ? snprintf(buf, NETLOCK_COMMENT_MAX + 1, "%u:%u %s",
						       major(st.st_dev), minor(st.st_dev), path)
					     : NETLOCK_COMMENT_MAX + 1;

	/* half a path would be another one */
	if (n > NETLOCK_COMMENT_MAX)
		strcpy(buf, "of a checkpoint");
}

/* Whether the file system on which a directory was is still at its place. */
static bool same_device(const char *path, dev_t dev)
{
	_cleanup_free_ char *p = strdup(path);
	struct stat st;

	while (p && stat(*p ? p : "/", &st) < 0) {
		char *slash = strrchr(p, '/');

		if (errno != ENOENT || !slash)
			return false;
		*slash = 0;
	}
	return p && st.st_dev == dev;
}

static bool image_gone(const char *dir, dev_t dev, uint64_t crid)
{
	_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	Ckpt__Manifest *m = NULL;
	const char *why;
	bool other;
	int r;

	if (fd < 0)
		return errno == ENOENT && same_device(dir, dev);
	r = manifest_read_at(fd, IMAGE_MANIFEST, &m, &why);
	if (r != 0) /* a damaged one may be mended */
		return r == -ENOENT && same_device(dir, dev);
	other = m->crid != crid;
	ckpt__manifest__free_unpacked(m, NULL);
	return other;
}

struct cleaning {
	struct ckpt_op *op;
	uint64_t keep;
	char (*names)[NETLOCK_NAME_LEN];
	size_t n, cap;
};

/* "254:1 /var/lib/ckpt/7" */
static bool lasting_is_stale(struct cleaning *c, uint64_t crid, const char *comment)
{
	unsigned maj, min;
	int at = 0;

	return crid != c->keep && comment && sscanf(comment, "%u:%u %n", &maj, &min, &at) == 2 &&
	       at && comment[at] == '/' && image_gone(comment + at, makedev(maj, min), crid);
}

static void look(const char *name, bool owned, const char *comment, void *arg)
{
	struct cleaning *c = arg;
	const char *rest = str_startswith(name, TCP_LOCK_PREFIX);
	const char *pid = rest ? str_startswith(rest, "pid-") : NULL;
	uint64_t n;
	bool stale;

	if (!rest || owned || strlen(name) >= NETLOCK_NAME_LEN)
		return;
	rest = pid ? pid : rest;
	if (str_u64(&rest, 10, &n) < 0 || (*rest && !(pid && str_eq(rest, "-ports"))))
		return;
	stale = pid ? kill((pid_t)n, 0) < 0 && errno == ESRCH : lasting_is_stale(c, n, comment);
	if (!stale || vec_reserve(&c->names, &c->cap, c->n + 1, sizeof(*c->names)) < 0)
		return;
	snprintf(c->names[c->n++], NETLOCK_NAME_LEN, "%s", name);
}

void tcp_locks_clean(struct ckpt_op *op, uint64_t keep)
{
	struct cleaning c = {.op = op, .keep = keep};
	_cleanup_close_ int fd = nft_open();

	if (fd < 0 || netlock_list(fd, TCP_LOCK_PREFIX, look, &c) < 0)
		return;
	for (size_t i = 0; i < c.n; i++)
		if (netlock_remove(fd, c.names[i]) == 0)
			op_warn(op,
				"removed a leftover: the lock %s on the connections of an image that "
				"is gone",
				c.names[i]);
	free(c.names);
}
