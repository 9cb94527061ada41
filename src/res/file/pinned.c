/*
 * pinned.c - see pinned.h.
 */
#include "res/file/pinned.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/bpf_program.h"
#include "proto/bpfprog.pb-c.h"
#include "util/cleanup.h"
#include "util/fd.h"

int pinned_record(uint32_t id, Ckpt__BpfProg **ret)
{
	struct bpf_program found;
	char *path;
	int r = bpf_program_find(id, &found, &path);
	Ckpt__BpfProg *m;

	if (r < 0)
		return r;
	m = msg_new(Ckpt__BpfProg, CKPT__BPF_PROG__INIT);
	if (!m) {
		free(path);
		return -ENOMEM;
	}
	m->path = path;
	m->type = found.type;
	m->tag = msg_bytes(found.tag, sizeof(found.tag));
	if (!m->tag.data) {
		protobuf_c_message_free_unpacked(&m->base, NULL);
		return -ENOMEM;
	}
	*ret = m;
	return 0;
}

int pinned_open(struct open_ctx *o, const Ckpt__BpfProg *m, const char *what)
{
	struct bpf_program found;
	_cleanup_close_ int fd = bpf_program_open(m->path, &found);

	if (fd < 0)
		return op_fail(o->op,
			fd == -EPERM || fd == -EACCES ? CKPT_E_PRIVILEGE : CKPT_E_CONFLICT, -fd,
			"bpf", "load the program and pin it there again",
			"%s: the eBPF program that was pinned at %s", what, m->path);
	if (found.type != m->type || m->tag.len != sizeof(found.tag) ||
		memcmp(found.tag, m->tag.data, sizeof(found.tag)) != 0)
		return op_fail(o->op, CKPT_E_CONFLICT, 0, NULL,
			"pin the program there that was there at the dump",
			"%s: the eBPF program at %s is another now", what, m->path);
	return TAKE_FD(fd);
}
