/*
 * leftover.c - see leftover.h.
 *
 * Beside a goal that did not exist lies ".NAME.ckpt-NUMBER.tmp/". In a directory that was there lie
 * ".ckpt-NUMBER-NAME.tmp", and data files under the names that only a manifest tells: a writer names its
 * data files when its manifest is written, still under a temporary name, and keeps a link to the manifest
 * that it replaces until the files of that one are gone. So every data file that is nobody's is
 * listed by a temporary manifest, and files of the user with such names stay.
 */
#include "image/leftover.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "image/image.h"
#include "image/manifest.h"
#include "proto/core.pb-c.h"
#include "util/cleanup.h"
#include "util/str.h"
#include "util/units.h"
#include "util/vec.h"

#ifndef CEPH_SUPER_MAGIC
#define CEPH_SUPER_MAGIC 0x00c36400
#endif
#ifndef SMB2_SUPER_MAGIC
#define SMB2_SUPER_MAGIC 0xfe534d42
#endif
#ifndef CIFS_SUPER_MAGIC
#define CIFS_SUPER_MAGIC 0xff534d42
#endif

/* What is removed from one place, for the log. */
struct removed {
	unsigned n;
	uint64_t bytes;
	int err; /* errno of the first that could not be removed, or 0 */
};

/* Where a lock may be that of this machine only, a writer on another one is not seen. */
static bool locks_reach_all(int fd)
{
	static const uint32_t shared[] = {NFS_SUPER_MAGIC, SMB_SUPER_MAGIC, CIFS_SUPER_MAGIC,
		SMB2_SUPER_MAGIC, CEPH_SUPER_MAGIC, AFS_SUPER_MAGIC, CODA_SUPER_MAGIC, V9FS_MAGIC,
		FUSE_SUPER_MAGIC};
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(shared); i++)
		if ((uint32_t)fs.f_type == shared[i])
			return false;
	return true;
}

/* A second view of a directory, so that the caller's position in it stays. NULL: it can't be read. */
static DIR *dir_list(int fd)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);

	if (!d)
		fd_close(copy);
	return d;
}

/* ".NAME.ckpt-NUMBER.tmp" */
static bool is_tmp_dir(const char *name)
{
	size_t len = strlen(name), digits = 0;

	if (*name != '.' || len < 4 || !str_eq(name + len - 4, ".tmp"))
		return false;
	for (len -= 4; len > 0 && isdigit((unsigned char)name[len - 1]); len--)
		digits++;
	return digits && len > 7 && memcmp(name + len - 6, ".ckpt-", 6) == 0;
}

/* ".ckpt-NUMBER-NAME.tmp". Return: NAME.tmp, or NULL. */
static const char *is_tmp_file(const char *name)
{
	const char *rest = str_startswith(name, ".ckpt-");
	size_t digits = rest ? strspn(rest, "0123456789") : 0, len = strlen(name);

	if (!digits || rest[digits] != '-' || len < 4 || !str_eq(name + len - 4, ".tmp"))
		return NULL;
	return rest + digits + 1;
}

/* Remove a regular file of ours. */
static void file_remove(int dir_fd, const char *name, struct removed *sum)
{
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
		st.st_uid != geteuid())
		return;
	if (unlinkat(dir_fd, name, 0) < 0) {
		sum->err = sum->err ? sum->err : errno;
		return;
	}
	sum->n++;
	sum->bytes += st.st_nlink == 1 ? (uint64_t)st.st_blocks * 512 : 0;
}

/* The files of an image, and the directory if nothing else is in it. */
static void image_remove(int parent_fd, const char *name, int fd, struct removed *sum)
{
	struct dirent *e;
	DIR *d = dir_list(fd);

	while (d && (e = readdir(d)))
		if (str_eq(e->d_name, IMAGE_MANIFEST) || manifest_file_kind(e->d_name) != -EINVAL)
			file_remove(fd, e->d_name, sum);
	if (d)
		closedir(d);
	if (unlinkat(parent_fd, name, AT_REMOVEDIR) < 0 && !sum->err)
		sum->err = errno;
}

/* Return: whether it was a dead writer's; then *sum says what went. */
static bool dir_remove(int parent_fd, const char *name, struct removed *sum)
{
	_cleanup_close_ int fd =
		openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st, named;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 077))
		return false;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return false;
	/* Between our open and our lock its writer may have made an image of it, and ended. */
	if (fstatat(parent_fd, name, &named, AT_SYMLINK_NOFOLLOW) < 0 ||
		named.st_ino != st.st_ino || named.st_dev != st.st_dev)
		return false;
	image_remove(parent_fd, name, fd, sum);
	return true;
}

int leftover_dir_remove(int parent_fd, const char *name)
{
	_cleanup_close_ int fd =
		openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct removed sum = {0};

	if (fd < 0)
		return -errno;
	image_remove(parent_fd, name, fd, &sum);
	return -sum.err;
}

void leftover_dirs_remove(struct ckpt_op *op, int parent_fd, const char *path)
{
	struct dirent *e;
	DIR *d = dir_list(parent_fd);
	char size[UNITS_LEN];

	if (d && !locks_reach_all(dirfd(d))) {
		closedir(d);
		return;
	}
	while (d && (e = readdir(d))) {
		struct removed sum = {0};

		if (!is_tmp_dir(e->d_name) || !dir_remove(dirfd(d), e->d_name, &sum))
			continue;
		if (sum.err)
			op_warn(op,
				"image %s: %s beside it was left by a dump that was killed, and can't be removed: %s",
				path, e->d_name, strerror(sum.err));
		else
			op_info(op,
				"image %s: removed %s beside it, left by a dump that was killed (%s)",
				path, e->d_name, bytes_text(sum.bytes, size));
	}
	if (d)
		closedir(d);
}

static bool lists(const Ckpt__Manifest *m, const char *name)
{
	for (size_t i = 0; m && i < m->n_files; i++)
		if (str_eq(m->files[i]->name, name))
			return true;
	return false;
}

/* The data files of a manifest that never came to be the image's, or that is no longer. */
static void listed_remove(
	int dir_fd, const char *name, const Ckpt__Manifest *current, struct removed *sum)
{
	Ckpt__Manifest *m = NULL;
	const char *why;

	if (manifest_read_at(dir_fd, name, &m, &why) != 0)
		return; /* it was not written to the end: then nothing has its name yet */
	for (size_t i = 0; i < m->n_files; i++)
		if (manifest_file_kind(m->files[i]->name) != -EINVAL &&
			!lists(current, m->files[i]->name))
			file_remove(dir_fd, m->files[i]->name, sum);
	ckpt__manifest__free_unpacked(m, NULL);
}

/* Manifests first: they say what else there is. */
static void files_remove(
	int dir_fd, bool manifests, const Ckpt__Manifest *current, bool known, struct removed *sum)
{
	struct dirent *e;
	DIR *d = dir_list(dir_fd);

	while (d && (e = readdir(d))) {
		const char *name = is_tmp_file(e->d_name);

		if (!name || (strstr(name, IMAGE_MANIFEST) != NULL) != manifests)
			continue;
		if (manifests && known)
			listed_remove(dir_fd, e->d_name, current, sum);
		file_remove(dir_fd, e->d_name, sum);
	}
	if (d)
		closedir(d);
}

void leftover_files_remove(struct ckpt_op *op, int dir_fd, const char *path)
{
	Ckpt__Manifest *current = NULL;
	struct removed sum = {0};
	char size[UNITS_LEN];
	const char *why;
	int r;

	if (!locks_reach_all(dir_fd))
		return;
	r = manifest_read_at(dir_fd, IMAGE_MANIFEST, &current, &why);
	/* A damaged image keeps its files, whichever they are. */
	files_remove(dir_fd, true, current, r == 0 || r == -ENOENT, &sum);
	files_remove(dir_fd, false, NULL, false, &sum);
	if (current)
		ckpt__manifest__free_unpacked(current, NULL);
	if (sum.err)
		op_warn(op,
			"image %s: it holds files of a dump that was killed, which can't be removed: %s",
			path, strerror(sum.err));
	else if (sum.n)
		op_info(op, "image %s: removed %u file%s of a dump that was killed (%s)", path,
			sum.n, plural(sum.n), bytes_text(sum.bytes, size));
}
