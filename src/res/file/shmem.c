/*
 * shmem.c - memory with a nameless file behind it: shared anonymous mappings and memfds.
 *
 * Shared anonymous memory has no descriptor. At a restore the coordinator maps the object itself and
 * opens it through its own map_files link (needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN), so that it
 * is again the same kind of object, and can be mapped by whoever shared it.
 *
 * A seal against future writes (F_SEAL_FUTURE_WRITE, Linux >= 5.1) leaves the mappings alone that may
 * write already. So where there is such a seal, the memory is sealed when it is mapped, by the first
 * descriptor that may: sealing needs one that is open for writing.
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
#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
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
	m->read_only = l->target_fd < 0 && l->flags == O_RDONLY;
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
	/* said, because the system's default may be another (vm.memfd_noexec, Linux >= 6.3) */
	fd = memfd_create(m->name,
		flags | (m->seals & F_SEAL_EXEC && !(m->mode & 0111) ? MFD_NOEXEC_SEAL : MFD_EXEC));
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(m->name, flags);
	if (fd < 0)
		return op_fail(
			o->op, CKPT_E_SYSTEM, errno, "memfd_create", NULL, "memfd %s", m->name);
	if (ftruncate(fd, m->size_bytes) < 0 || fchmod(fd, m->mode & 07777) < 0)
		return op_fail(o->op, CKPT_E_SPACE, errno, "ftruncate", NULL, "memfd %s", m->name);
	return TAKE_FD(fd);
}

/* ---- seals ---- */

static bool seals_later(const Ckpt__Shmem *m)
{
	return (m->seals & F_SEAL_FUTURE_WRITE) != 0;
}

/* The description by which memory is sealed, 0: none may. @head: id of the memory's first */
static uint64_t sealer(const struct model *model, uint64_t head)
{
	const struct model_rec *rec;
	size_t pos = 0;

	while ((rec = model_next(model, &res_shmem.type, &pos))) {
		const Ckpt__Shmem *m = (const void *)rec->msg;
		const Ckpt__File *f = model_get(model, &res_file.type, rec->owner);

		if ((rec->owner == head || m->same_inode_as == head) && f &&
			(f->flags & O_ACCMODE) != O_RDONLY && !(f->flags & O_PATH))
			return rec->owner;
	}
	return 0;
}

static void seal_now(struct open_ctx *o, uint64_t id, const Ckpt__Shmem *m, int fd)
{
	uint32_t seals = m->seals;

	if (seals_later(m)) {
		if (sealer(o->model, id))
			return;
		op_warn(o->op,
			"memfd %s: no descriptor is left by which it can be sealed against writes",
			m->name);
		seals &= ~(uint32_t)F_SEAL_FUTURE_WRITE;
	}
	if (seals & ~(uint32_t)F_SEAL_SEAL && fcntl(fd, F_ADD_SEALS, seals) < 0)
		op_warn(o->op, "memfd %s: seals: %m", m->name);
}

static void plan(struct plan *p, enum plan_phase phase, const struct model_rec *rec, int fd,
	struct prog *prog)
{
	const Ckpt__Shmem *m = (const void *)rec->msg;
	const Ckpt__Shmem *first =
		m->same_inode_as ? model_get(p->model, &res_shmem.type, m->same_inode_as) : m;
	uint64_t head = m->same_inode_as ? m->same_inode_as : rec->owner;

	if (phase != PLAN_PROCESS || !first || !seals_later(first) ||
		sealer(p->model, head) != rec->owner)
		return;
	PROG_CALL(prog, "shmem: seal", SYS_fcntl, IMM(fd), IMM(F_ADD_SEALS), IMM(first->seals));
	prog_object(prog, "fd %d memfd:%s", fd, first->name);
}

/* ---- opening ---- */

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
		/* contents are pages; the last one may be longer than what the file has of it */
		if (m->kind == CKPT__SHMEM__KIND__MEMFD && ftruncate(fd, m->size_bytes) < 0)
			return op_fail(o->op, CKPT_E_SYSTEM, errno, "ftruncate", NULL, "memfd %s",
				m->name);
		seal_now(o, id, m, fd);
		again = fd;
	}
	if (!f && !m->read_only && fd >= 0)
		return TAKE_FD(fd);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", again);
	r = open(path, (f ? (int)f->flags : m->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (r < 0)
		return op_fail(o->op, CKPT_E_SYSTEM, errno, "open", NULL, "memfd %s", m->name);
	if (f && f->pos)
		lseek(r, f->pos, SEEK_SET);
	return r;
}

static const struct file_ops ops = {
	.match = match, .collect = collect, .open = open_shmem, .plan = plan};
static const char *const volatile_fields[] = {"ino", NULL};

const struct res res_shmem = {
	.type = {"shmem", SCOPE_FILE, &ckpt__shmem__descriptor, volatile_fields},
	.file = &ops,
};
