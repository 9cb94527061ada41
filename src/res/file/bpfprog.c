/*
 * bpfprog.c - descriptors of programs of bpf(2) that are pinned: see kernel/bpf_program.h.
 *
 * The kernel's number is another when the program was loaded and pinned again; its tag says whether it
 * still does the same.
 */
#include <errno.h>
#include <string.h>

#include "kernel/bpf_program.h"
#include "kernel/fdinfo.h"
#include "proto/bpfprog.pb-c.h"
#include "res/file/files.h"
#include "res/file/pinned.h"
#include "util/cleanup.h"
#include "util/str.h"

#define UNPINNED "the kernel gives no program back as it was loaded, and this one is pinned nowhere"
#define PIN_IT   "pin it in a file system of BPF (bpftool prog pin), or let the program close it"

static bool match(const struct file_look *l)
{
	return l->target_fd >= 0 && strcmp(l->link, BPF_PROGRAM_LINK) == 0;
}

static int line(char *key, char *value, void *arg)
{
	const char *p = value;

	return strcmp(key, "prog_id") == 0 ? str_u32(&p, 10, arg) : 0;
}

static int id_of(int procfd, const struct file_look *l, uint32_t *ret)
{
	struct fdinfo info;

	*ret = 0;
	return fdinfo_read(procfd, l->target_fd, &info, line, ret);
}

static struct file_verdict verdict(int procfd, const struct file_look *l)
{
	_cleanup_free_ char *path = NULL;
	struct bpf_program found;
	uint32_t id;

	if (id_of(procfd, l, &id) == 0 && bpf_program_find(id, &found, &path) < 0)
		return (struct file_verdict){CKPT_REFUSED, UNPINNED, PIN_IT};
	return (struct file_verdict){CKPT_SAVED, NULL, NULL};
}

static int collect(struct collect *c, uint64_t id, const struct file_look *l)
{
	Ckpt__BpfProg *m;
	uint32_t number;
	int r = id_of(c->proc_fd, l, &number);

	if (r == 0)
		r = pinned_record(number, &m);
	if (r == -ENOENT)
		return op_fail(c->op, CKPT_E_REFUSED, 0, NULL, PIN_IT,
			"pid %d (%s): BPF program, fd %d: " UNPINNED, c->pid, c->tr->comm,
			l->target_fd);
	if (r < 0)
		return op_fail(c->op, r == -EPERM ? CKPT_E_PRIVILEGE : CKPT_E_SYSTEM, -r, "bpf",
			r == -EPERM ? "run as root" : NULL, "pid %d (%s): BPF program, fd %d",
			c->pid, c->tr->comm, l->target_fd);
	return collect_add_take(c, &res_bpfprog.type, id, m);
}

static int open_program(
	struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record)
{
	(void)id;
	(void)file_record;
	return pinned_open(o, (const void *)rec->msg, "a descriptor");
}

static const struct file_ops ops = {
	.match = match,
	.verdict = verdict,
	.collect = collect,
	.open = open_program,
};

const struct res res_bpfprog = {
	.type = {"bpfprog", SCOPE_FILE, &ckpt__bpf_prog__descriptor, NULL},
	.file = &ops,
};
