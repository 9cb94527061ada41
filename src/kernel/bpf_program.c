/*
 * bpf_program.c - see bpf_program.h.
 */
#include "kernel/bpf_program.h"

#include <errno.h>
#include <fts.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "kernel/bpf.h"
#include "kernel/kmem.h"
#include "kernel/mountinfo.h"
#include "util/cleanup.h"
#include "util/fd.h"

/* What is opened by its path may also be a map or a link. */
static bool is_program(int fd)
{
	char path[64], link[sizeof(BPF_PROGRAM_LINK) + 1] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return readlink(path, link, sizeof(link) - 1) > 0 && strcmp(link, BPF_PROGRAM_LINK) == 0;
}

int bpf_program_open(const char *path, struct bpf_program *ret)
{
	struct bpf_prog_info info = {0};
	union bpf_attr attr = {.pathname = (uintptr_t)path};
	_cleanup_close_ int fd = bpf_call(BPF_OBJ_GET, &attr);
	int r;

	if (fd < 0)
		return fd;
	if (!is_program(fd))
		return -EMEDIUMTYPE;
	attr = (union bpf_attr){.info = {.bpf_fd = (uint32_t)fd,
					.info_len = sizeof(info),
					.info = (uintptr_t)&info}};
	r = bpf_call(BPF_OBJ_GET_INFO_BY_FD, &attr);
	if (r < 0)
		return r;
	*ret = (struct bpf_program){.id = info.id, .type = info.type};
	memcpy(ret->tag, info.tag, sizeof(ret->tag));
	return TAKE_FD(fd);
}

/* Return: 0; -ENOENT; -ENOMEM; -errno */
static int find_below(char *root, uint32_t id, struct bpf_program *ret, char **ret_path)
{
	char *const roots[] = {root, NULL};
	FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
	int r = walk ? -ENOENT : -errno;
	FTSENT *e;

	while (walk && r == -ENOENT && (e = fts_read(walk))) {
		struct bpf_program found;
		int fd = e->fts_info == FTS_F ? bpf_program_open(e->fts_path, &found) : -EBADF;

		if (fd >= 0 && found.id == id) {
			*ret_path = strdup(e->fts_path);
			*ret = found;
			r = *ret_path ? 0 : -ENOMEM;
		}
		fd_close(fd);
	}
	if (walk)
		fts_close(walk);
	return r;
}

int bpf_program_find(uint32_t id, struct bpf_program *ret, char **ret_path)
{
	_cleanup_mounts_ struct mount_list mounts = {0};
	int r = mountinfo_read(&mounts);

	if (r == 0)
		r = -ENOENT;
	for (size_t i = 0; i < mounts.n && r == -ENOENT; i++)
		if (strcmp(mounts.v[i].type, "bpf") == 0)
			r = find_below(mounts.v[i].point, id, ret, ret_path);
	return r;
}

/* ---- of a socket ---- */

/* One step: what the member of a structure at an address points to. */
static uint64_t behind(const struct kmem *k, uint64_t at, const char *structure, const char *member)
{
	int off = btf_offset(&k->btf, structure, member);

	return at && off >= 0 ? kmem_word(k, at + (uint64_t)off) : 0;
}

static uint32_t filter_of(const struct kmem *k, int fd, ino_t ino)
{
	uint64_t at = kmem_sock(k, fd, ino);
	int off = btf_offset(&k->btf, "bpf_prog_aux", "id");
	uint32_t id = 0;

	at = behind(k, at, "sock", "sk_filter");
	at = behind(k, at, "sk_filter", "prog");
	at = behind(k, at, "bpf_prog", "aux");
	return at && off >= 0 && kmem_read(k, at + (uint64_t)off, &id, sizeof(id)) == 0 ? id : 0;
}

uint32_t bpf_program_of_socket(int fd)
{
	struct stat st;
	struct kmem k;
	uint32_t id = 0;

	if (fstat(fd, &st) < 0)
		return 0;
	if (kmem_open(&k) == 0)
		id = filter_of(&k, fd, st.st_ino);
	kmem_close(&k);
	return id;
}
