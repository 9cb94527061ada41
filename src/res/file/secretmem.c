/*
 * secretmem.c - files of memfd_secret(2) (Linux >= 5.14).
 *
 * Such a file can't be opened again, so it has one description, and its size is given once. Contents: see
 * res/mm/secrets.c; only what is mapped can be had, so a file must be mapped as a whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "kernel/proc_maps.h"
#include "proto/fdtable.pb-c.h"
#include "proto/secretmem.pb-c.h"
#include "res/file/files.h"
#include "res/mm/mm.h"
#include "util/cleanup.h"
#include "util/str.h"

#define UNMAPPED_REASON "it is not mapped as a whole, and can't be read otherwise"
#define UNMAPPED_ADVICE "let the program map it, or close it"
#define COPIED_REASON   "its contents will be in the image, where others may read them"

static bool match(const struct file_look *l)
{
	return str_startswith(l->link, "/secretmem") && !major(l->st.st_dev) &&
	       S_ISREG(l->st.st_mode);
}

static bool is_mapped(const struct vma_list *maps, const struct file_look *l)
{
	uint64_t upto = 0;

	/* ascending addresses need not be ascending offsets; one mapping is what is usual */
	for (size_t i = 0; i < maps->n; i++) {
		const struct vma *v = &maps->v[i];

		if (secrets_is_vma(v) && v->ino == l->st.st_ino && v->pgoff_bytes <= upto &&
			v->pgoff_bytes + (v->end - v->start) > upto)
			upto = v->pgoff_bytes + (v->end - v->start);
	}
	return upto >= (uint64_t)l->st.st_size;
}

static struct file_verdict verdict(int procfd, const struct file_look *l)
{
	struct vma_list maps = {0};
	bool mapped = proc_maps_read(procfd, &maps) == 0 && is_mapped(&maps, l);

	vma_list_done(&maps);
	if (!mapped)
		return (struct file_verdict){CKPT_REFUSED, UNMAPPED_REASON, UNMAPPED_ADVICE};
	return (struct file_verdict){CKPT_WARNED, COPIED_REASON, NULL};
}

static int collect(struct collect *c, uint64_t id, const struct file_look *l)
{
	Ckpt__SecretMem *m;

	if (!is_mapped(&c->maps, l))
		return op_fail(c->op, CKPT_E_REFUSED, 0, NULL, UNMAPPED_ADVICE,
			"pid %d (%s): %s %s: " UNMAPPED_REASON, c->pid, c->tr->comm, l->at,
			l->link);
	m = msg_new(Ckpt__SecretMem, CKPT__SECRET_MEM__INIT);
	if (!m)
		return collect_oom(c);
	m->size_bytes = l->st.st_size;
	m->mode = l->st.st_mode;
	m->same_inode_as = l->first_id;
	return collect_add_take(c, &res_secretmem.type, id, m);
}

static int open_secretmem(
	struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record)
{
	const Ckpt__SecretMem *m = (const void *)rec->msg;
	_cleanup_close_ int fd = -EBADF;

	(void)id;
	(void)file_record;
	if (m->same_inode_as) { /* a mapping has no description of its own */
		fd = fcntl(plan_fd(o->plan, m->same_inode_as), F_DUPFD_CLOEXEC, 0);
		return fd < 0 ? op_fail(o->op, CKPT_E_IMAGE, errno, NULL, "see ckpt verify",
					"secret memory")
			      : TAKE_FD(fd);
	}
	fd = (int)syscall(SYS_memfd_secret, O_CLOEXEC);
	if (fd < 0)
		return op_fail(o->op, CKPT_E_SYSTEM, errno, "memfd_secret",
			errno == ENOSYS ? "boot with secretmem.enable=1" : NULL, "secret memory");
	if ((m->size_bytes && ftruncate(fd, (off_t)m->size_bytes) < 0) ||
		fchmod(fd, m->mode & 07777) < 0)
		return op_fail(o->op, CKPT_E_SPACE, errno, "ftruncate", NULL, "secret memory");
	return TAKE_FD(fd);
}

static const struct file_ops ops = {
	.match = match, .verdict = verdict, .collect = collect, .open = open_secretmem};

const struct res res_secretmem = {
	.type = {"secretmem", SCOPE_FILE, &ckpt__secret_mem__descriptor, NULL},
	.file = &ops,
};
