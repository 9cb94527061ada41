/*
 * shmem.c - memory with a nameless file behind it: shared anonymous mappings and memfds.
 *
 * Shared anonymous memory has no descriptor. At a restore the coordinator maps the object itself and
 * opens it through its own map_files link (needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN), so that it
 * is again the same kind of object, and can be mapped by whoever shared it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/fdtable.pb-c.h"
#include "proto/shmem.pb-c.h"
#include "res/file/files.h"
#include "res/mm/mm.h"
#include "util/cleanup.h"
#include "util/vec.h"

#define ANON_HUGE    "/anon_hugepage"
#define HUGETLBFS    0x958458f6
#define HUGE_SHIFT   26 /* MAP_HUGE_SHIFT, MFD_HUGE_SHIFT */
#define MEMFD_PREFIX "/memfd:"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif

static bool match(const struct file_look *l)
{
	if (!S_ISREG(l->st.st_mode) || !l->deleted)
		return false;
	return strncmp(l->link, MEMFD_PREFIX, strlen(MEMFD_PREFIX)) == 0 ||
	       (l->target_fd < 0 &&
		       (strcmp(l->link, "/dev/zero") == 0 || strcmp(l->link, ANON_HUGE) == 0));
}

/* Bytes of a huge page of hugetlb memory, 0: it is none. */
static uint64_t huge_page_bytes(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && (uint64_t)fs.f_type == HUGETLBFS ? (uint64_t)fs.f_bsize : 0;
}

static int collect(struct collect *c, uint64_t id, const struct file_look *l)
{
	struct page_want w = {.type = &res_contents.type,
		.owner = id,
		.end = l->st.st_size,
		.resident_bytes = l->st.st_blocks * 512ULL};
	Ckpt__Shmem *m;
	int seals;

	w.fd = openat(c->proc_fd, l->at, O_RDONLY | O_CLOEXEC);
	if (w.fd < 0)
		return op_fail(
			c->op, CKPT_E_PRIVILEGE, errno, "open", NULL, "/proc/%d/%s", c->pid, l->at);
	m = msg_new(Ckpt__Shmem, CKPT__SHMEM__INIT);
	if (!m) {
		fd_close(w.fd);
		return collect_oom(c);
	}
	if (strncmp(l->link, MEMFD_PREFIX, strlen(MEMFD_PREFIX)) == 0) {
		m->kind = CKPT__SHMEM__KIND__MEMFD;
		m->name = strdup(l->link + strlen(MEMFD_PREFIX));
		seals = fcntl(w.fd, F_GET_SEALS);
		m->seals = seals < 0 ? 0 : seals;
	}
	m->size_bytes = l->st.st_size;
	m->page_bytes = huge_page_bytes(w.fd);
	m->mode = l->st.st_mode;
	m->ino = l->st.st_ino;
	m->same_inode_as = l->first_id;
	if (m->same_inode_as)
		w.fd = fd_close(w.fd);
	if (collect_add_take(c, &res_shmem.type, id, m) < 0) {
		fd_close(w.fd);
		return -ENOMEM;
	}
	return w.fd < 0 ? 0 : collect_want_take(c, &w);
}

/* ---- restore ---- */

/* What mmap and memfd_create want to know of huge pages, beside their own flag. */
static unsigned huge_flags(const Ckpt__Shmem *m, unsigned flag)
{
	return m->page_bytes ? flag | (unsigned)__builtin_ctzll(m->page_bytes) << HUGE_SHIFT : 0;
}

static int make_anon(struct open_ctx *o, const Ckpt__Shmem *m)
{
	uint64_t unit = m->page_bytes ? m->page_bytes : 4096;
	unsigned huge = huge_flags(m, MAP_HUGETLB);
	char path[80];
	int fd, err;
	void *p = mmap(NULL, m->size_bytes, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | (int)(huge ? huge : MAP_NORESERVE), -1, 0);

	if (p == MAP_FAILED)
		return op_fail(o->op, CKPT_E_SPACE, errno, "mmap",
			huge ? "allow more huge pages: /proc/sys/vm/nr_hugepages" : NULL,
			"shared memory of %llu bytes", (unsigned long long)m->size_bytes);
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)p,
		(unsigned long)p + ALIGN_UP(m->size_bytes, unit));
	fd = open(path, O_RDWR | O_CLOEXEC);
	err = errno;
	munmap(p, ALIGN_UP(m->size_bytes, unit));
	if (fd < 0)
		return op_fail(o->op, CKPT_E_PRIVILEGE, err, "open", NULL,
			"shared memory: %s (needs CAP_CHECKPOINT_RESTORE)", path);
	return fd;
}

static int make_memfd(struct open_ctx *o, const Ckpt__Shmem *m)
{
	unsigned flags = MFD_CLOEXEC | huge_flags(m, MFD_HUGETLB);
	_cleanup_close_ int fd = -EBADF;

	if (!(m->seals & F_SEAL_SEAL))
		flags |= MFD_ALLOW_SEALING;
	if (m->seals & ~(unsigned)F_SEAL_SEAL)
		flags |= MFD_ALLOW_SEALING;
	fd = memfd_create(m->name, flags);
	if (fd < 0)
		return op_fail(
			o->op, CKPT_E_SYSTEM, errno, "memfd_create", NULL, "memfd %s", m->name);
	if (ftruncate(fd, m->size_bytes) < 0 || fchmod(fd, m->mode & 07777) < 0)
		return op_fail(o->op, CKPT_E_SPACE, errno, "ftruncate", NULL, "memfd %s", m->name);
	return TAKE_FD(fd);
}

static int open_shmem(
	struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record)
{
	const Ckpt__Shmem *m = (const void *)rec->msg;
	const Ckpt__File *f = file_record;
	_cleanup_close_ int fd = -EBADF;
	char path[48];
	int r, again;

	if (m->same_inode_as) {
		again = plan_fd(o->plan, m->same_inode_as);
	} else {
		fd = m->kind == CKPT__SHMEM__KIND__MEMFD ? make_memfd(o, m) : make_anon(o, m);
		if (fd < 0)
			return fd;
		r = o->contents(o, id, fd);
		if (r < 0)
			return r;
		if (m->seals & ~(unsigned)F_SEAL_SEAL && fcntl(fd, F_ADD_SEALS, m->seals) < 0)
			op_warn(o->op, "memfd %s: seals: %m", m->name);
		again = fd;
	}
	if (!f) {
		if (fd >= 0)
			return TAKE_FD(fd);
		return fcntl(again, F_DUPFD_CLOEXEC, 0);
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", again);
	r = open(path, (int)f->flags | O_CLOEXEC);
	if (r < 0)
		return op_fail(o->op, CKPT_E_SYSTEM, errno, "open", NULL, "memfd %s", m->name);
	if (f->pos)
		lseek(r, f->pos, SEEK_SET);
	return r;
}

static const struct file_ops ops = {.match = match, .collect = collect, .open = open_shmem};
static const char *const volatile_fields[] = {"ino", NULL};

const struct res res_shmem = {
	.type = {"shmem", SCOPE_FILE, &ckpt__shmem__descriptor, volatile_fields},
	.file = &ops,
};
