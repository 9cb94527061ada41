/*
 * sysvshm.c - System V shared memory: segments that are attached somewhere.
 *
 * A mapping of a segment has a file behind it whose name is /SYSV and the key, and whose inode number
 * is the segment's id. So segments are collected as mapped files; but a task gets them by shmat(2)
 * (mm_attach.c), as only that counts as an attachment.
 *
 * A segment outlives its users. At a restore it is there still or not:
 *  - it is there: its contents are put back if the program was its only user, and nobody is now; else
 *    they belong to those who go on with them, and stay;
 *  - it is gone: it is made anew, with id, key, mode, owner and creator, and gets its contents.
 * It is the same one if key and size are, and either the time of the last change or the creator.
 *
 * One that is marked for removal goes with its last attachment: it is marked by the first task that
 * has attached it, so that at no time it can be left behind.
 *
 * Times, and who attached or detached last, are the kernel's and can't be set.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/vfs.h>

#include "proto/sysvshm.pb-c.h"
#include "res/file/files.h"
#include "res/ipc/ipc.h"
#include "res/mm/mm.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/str.h"
#include "util/vec.h"

#define WHAT       "System V shared memory"
#define HUGETLBFS  0x958458f6
#define HUGE_SHIFT 26 /* SHM_HUGE_SHIFT */

#ifndef SHM_DEST
#define SHM_DEST   01000
#define SHM_LOCKED 02000
#endif

/* Linux says -1 of what shmat(2) returns for a failure. */
#define NOWHERE ((void *)-1)

/* "/SYSV" and eight hexadecimal digits. */
static int name_key(const char *link, uint64_t *ret)
{
	const char *digits = str_startswith(link, "/SYSV");

	if (!digits || strlen(digits) != 8 || str_u64(&digits, 16, ret) < 0 || *digits)
		return -EINVAL;
	return 0;
}

bool sysvshm_is(const struct file_look *l)
{
	uint64_t key;

	return l->target_fd < 0 && l->deleted && S_ISREG(l->st.st_mode) &&
	       name_key(l->link, &key) == 0;
}

/* ---- dump ---- */

static int fill_message(Ckpt__SysvShm *m, const struct file_look *l, const struct shmid_ds *ds)
{
	uint64_t key = 0;

	m->perm = ipc_perm((int)l->st.st_ino, &ds->shm_perm);
	name_key(l->link, &key);
	m->name_key = (int32_t)(uint32_t)key;
	m->size_bytes = ds->shm_segsz;
	m->removed = (ds->shm_perm.mode & SHM_DEST) != 0;
	m->locked = (ds->shm_perm.mode & SHM_LOCKED) != 0;
	m->read_only = l->flags == O_RDONLY;
	m->same_segment_as = l->first_id;
	m->creator_pid = ds->shm_cpid;
	m->attached = ds->shm_nattch;
	m->ctime_s = ds->shm_ctime;
	m->atime_s = ds->shm_atime;
	m->dtime_s = ds->shm_dtime;
	return m->perm ? 0 : -ENOMEM;
}

static uint64_t huge_page_bytes(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && (uint64_t)fs.f_type == HUGETLBFS ? (uint64_t)fs.f_bsize : 0;
}

static int look_at_segment(struct collect *c, const struct file_look *l, struct shmid_ds *ds)
{
	if (shmctl((int)l->st.st_ino, IPC_STAT, ds) == 0)
		return 0;
	if (errno == EINVAL || errno == EIDRM)
		return op_fail(c->op, CKPT_E_REFUSED, 0, NULL, "detach it before the dump",
			"pid %d (%s): " WHAT " %llu is of another IPC namespace", c->pid,
			c->tr->comm, (unsigned long long)l->st.st_ino);
	return op_fail_errno(c->op, errno, "shmctl", "pid %d (%s): " WHAT " %llu", c->pid,
		c->tr->comm, (unsigned long long)l->st.st_ino);
}

static int collect(struct collect *c, uint64_t id, const struct file_look *l)
{
	_cleanup_close_ int fd = openat(c->proc_fd, l->at, O_RDONLY | O_CLOEXEC);
	struct page_want w = {.type = &res_contents.type,
		.owner = id,
		.resident_bytes = l->st.st_blocks * 512ULL};
	struct shmid_ds ds;
	Ckpt__SysvShm *m;
	int r;

	if (fd < 0)
		return op_fail(
			c->op, CKPT_E_PRIVILEGE, errno, "open", NULL, "/proc/%d/%s", c->pid, l->at);
	r = look_at_segment(c, l, &ds);
	if (r < 0)
		return r;
	m = msg_new(Ckpt__SysvShm, CKPT__SYSV_SHM__INIT);
	if (!m || fill_message(m, l, &ds) < 0) {
		free(m);
		return collect_oom(c);
	}
	m->page_bytes = huge_page_bytes(fd);
	w.end = m->size_bytes;
	r = collect_add_take(c, &res_sysvshm.type, id, m);
	if (r < 0 || l->first_id)
		return r;
	w.fd = TAKE_FD(fd);
	return collect_want_take(c, &w);
}

/* ---- restore ---- */

/* How often the image's own tasks have it attached. */
static uint64_t attached_by_tasks(const struct model *model, int32_t shmid)
{
	const struct model_rec *rec;
	uint64_t n = 0;
	size_t pos = 0;

	while ((rec = model_next(model, &res_mm.type, &pos))) {
		const Ckpt__Mm *mm = (const void *)rec->msg;

		for (size_t i = 0; i < mm->n_vmas; i++) {
			const Ckpt__Vma *v = mm->vmas[i];
			const Ckpt__SysvShm *m =
				v->kind == CKPT__VMA__KIND__FILE
					? model_get(model, &res_sysvshm.type, v->file)
					: NULL;

			n += m && m->perm && m->perm->id == shmid;
		}
	}
	return n;
}

static bool is_same(const struct plan *p, const Ckpt__SysvShm *m, const struct shmid_ds *ds)
{
	int32_t key = m->removed || ds->shm_perm.mode & SHM_DEST ? 0 : m->perm->key;

	if (ds->shm_perm.__key != key || ds->shm_segsz != m->size_bytes)
		return false;
	return ds->shm_ctime == m->ctime_s || (ipc_user_now(p, ds->shm_cpid) == m->creator_pid &&
						      ds->shm_perm.cuid == m->perm->cuid);
}

static int get_segment(const void *arg)
{
	const Ckpt__SysvShm *m = arg;
	int flags = IPC_CREAT | IPC_EXCL | (int)(m->perm->mode & 0777);
	int id;

	if (m->page_bytes)
		flags |= SHM_HUGETLB | __builtin_ctzll(m->page_bytes) << HUGE_SHIFT;
	/* One that is to be removed has lost its key, but its name tells it still. */
	id = shmget(m->removed ? m->name_key : m->perm->key, m->size_bytes, flags);
	if (id < 0 && errno == EEXIST && m->removed)
		id = shmget(IPC_PRIVATE, m->size_bytes, flags);
	return id;
}

/* The memory of a segment as a file of ours, to be written to without being attached. */
static int segment_fd(struct open_ctx *o, const Ckpt__SysvShm *m)
{
	uint64_t len = ALIGN_UP(m->size_bytes, m->page_bytes ? m->page_bytes : MM_PAGE);
	char path[80];
	void *p = shmat(m->perm->id, NULL, 0);
	int fd, err;

	if (p == NOWHERE)
		return op_fail_errno(o->op, errno, "shmat", WHAT " %d", m->perm->id);
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)p,
		(unsigned long)p + (unsigned long)len);
	fd = open(path, O_RDWR | O_CLOEXEC);
	err = errno;
	shmdt(p);
	if (fd < 0)
		return op_fail(o->op, CKPT_E_PRIVILEGE, err, "open", NULL,
			WHAT " %d: %s (needs CAP_CHECKPOINT_RESTORE)", m->perm->id, path);
	return fd;
}

static int put_contents(struct open_ctx *o, uint64_t id, const Ckpt__SysvShm *m, bool is_new)
{
	_cleanup_close_ int fd = segment_fd(o, m);

	if (fd < 0)
		return fd;
	if (!is_new && fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			       (off_t)ALIGN_UP(
				       m->size_bytes, m->page_bytes ? m->page_bytes : MM_PAGE)) < 0)
		return op_fail_errno(o->op, errno, "fallocate", WHAT " %d", m->perm->id);
	return o->contents(o, id, fd);
}

/* Only what differs is set: setting changes the time of the last change. */
static void put_owner(struct open_ctx *o, const Ckpt__SysvShm *m, struct shmid_ds *ds)
{
	bool locked = ds->shm_perm.mode & SHM_LOCKED;

	if (ipc_perm_put(m->perm, &ds->shm_perm) && shmctl(m->perm->id, IPC_SET, ds) < 0)
		op_warn(o->op, WHAT " %d: owner and mode: %m", m->perm->id);
	if (locked != m->locked && shmctl(m->perm->id, m->locked ? SHM_LOCK : SHM_UNLOCK, NULL) < 0)
		op_warn(o->op, WHAT " %d: %s it: %m", m->perm->id,
			m->locked ? "locking" : "unlocking");
}

static int put_segment(struct open_ctx *o, uint64_t id, const Ckpt__SysvShm *m, bool is_new)
{
	struct shmid_ds ds;
	int r = put_contents(o, id, m, is_new);

	if (r < 0)
		return r;
	if (shmctl(m->perm->id, IPC_STAT, &ds) < 0)
		return op_fail_errno(o->op, errno, "shmctl", WHAT " %d", m->perm->id);
	put_owner(o, m, &ds);
	return OPEN_NOTHING;
}

static int take_segment(
	struct open_ctx *o, uint64_t id, const Ckpt__SysvShm *m, const struct shmid_ds *ds)
{
	if (!is_same(o->plan, m, ds))
		return ipc_taken(o->plan, SYSVIPC_SHM, WHAT, m->perm);
	if (ds->shm_nattch == 0 && m->attached == attached_by_tasks(o->model, m->perm->id))
		return put_segment(o, id, m, false);
	op_info(o->op, WHAT " %d: others use it: its contents stay as they are", m->perm->id);
	return OPEN_NOTHING;
}

static int open_segment(
	struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record)
{
	const Ckpt__SysvShm *m = (const void *)rec->msg;
	struct shmid_ds ds;
	int r;

	(void)file_record;
	if (m->same_segment_as)
		return OPEN_NOTHING;
	if (!m->perm || !m->size_bytes || m->page_bytes & (m->page_bytes - 1))
		return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"sysvshm %llu: it has no owner, or no size", (unsigned long long)id);
	if (shmctl(m->perm->id, IPC_STAT, &ds) == 0)
		return take_segment(o, id, m, &ds);
	if (errno != EINVAL && errno != EIDRM)
		return op_fail_errno(o->op, errno, "shmctl", WHAT " %d", m->perm->id);
	r = ipc_make(o->plan, SYSVIPC_SHM, WHAT, m->perm, m->creator_pid, get_segment, m);
	return r < 0 ? r : put_segment(o, id, m, true);
}

static const struct file_ops ops = {.match = sysvshm_is, .collect = collect, .open = open_segment};
static const char *const volatile_fields[] = {
	"attached", "creator_pid", "ctime_s", "atime_s", "dtime_s", NULL};

const struct res res_sysvshm = {
	.type = {"sysvshm", SCOPE_FILE, &ckpt__sysv_shm__descriptor, volatile_fields},
	.file = &ops,
};
