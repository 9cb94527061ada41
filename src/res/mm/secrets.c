/*
 * secrets.c - the contents of memory of memfd_secret(2).
 *
 * No other process can read it, nor /proc/PID/mem; but a system call of its own process can. So the
 * process is asked to write it into a file in memory, and to read that into where answers are. At a
 * restore it goes the same way back. It is in the image like all else, so the user is told.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "proto/secretmem.pb-c.h"
#include "res/file/files.h"
#include "res/mm/mm.h"
#include "util/str.h"
#include "util/vec.h"

#define BYTES_MAX (64UL << 20) /* in one process */

bool secrets_is_vma(const struct vma *v)
{
	return v->path && str_startswith(v->path, "/secretmem");
}

/* Bytes that are asked for; 0: none, or too many. */
static uint64_t asked_bytes(const struct collect *c)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < c->maps.n; i++)
		if (secrets_is_vma(&c->maps.v[i]))
			sum += c->maps.v[i].end - c->maps.v[i].start;
	return sum > BYTES_MAX ? 0 : sum;
}

/* Whatever fails, the file is closed again. */
static void ask(struct collect *c, struct tracee *t, struct prog *p)
{
	static const char name[] = "secrets";
	uint64_t text;
	size_t fd;

	if (!asked_bytes(c))
		return;
	text = prog_data(p, name, sizeof(name));
	fd = PROG_CALL_RET(
		p, "secrets: a file for them", SYS_memfd_create, DATA(text), IMM(MFD_CLOEXEC));
	for (size_t i = 0; i < c->maps.n; i++) {
		const struct vma *v = &c->maps.v[i];
		uint64_t len = v->end - v->start;

		if (!secrets_is_vma(v))
			continue;
		PROG_CALL_RET(p, "secrets: write", SYS_pwrite64, RES(fd), IMM(v->start), IMM(len),
			IMM(0));
		PROG_CALL_RET(p, "secrets: read back", SYS_pread64, RES(fd),
			DATA(prog_data(p, NULL, len)), IMM(len), IMM(0));
	}
	PROG_CALL_ANY(p, "secrets: close the file", SYS_close, RES(fd));
}

static int add_range(Ckpt__Secrets *m, const struct vma *v, const uint8_t *bytes)
{
	Ckpt__SecretRange *r = msg_new(Ckpt__SecretRange, CKPT__SECRET_RANGE__INIT);

	if (!r)
		return -ENOMEM;
	m->ranges[m->n_ranges++] = r;
	r->start = v->start;
	r->prot = v->prot & (PROT_READ | PROT_WRITE | PROT_EXEC);
	r->contents = msg_bytes(bytes, v->end - v->start);
	return r->contents.data ? 0 : -ENOMEM;
}

static int collect_ranges(struct collect *c, const struct answer *a, Ckpt__Secrets *m)
{
	size_t step = 1;
	uint64_t at = ALIGN_UP(sizeof("secrets"), 16);
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->maps.n; i++) {
		const struct vma *v = &c->maps.v[i];
		int64_t len = (int64_t)(v->end - v->start);

		if (!secrets_is_vma(v))
			continue;
		if (answer_ret(a, step) != len || answer_ret(a, step + 1) != len)
			return op_fail(c->op, CKPT_E_REFUSED, 0, NULL,
				"let the program map all of it, readable",
				"pid %d (%s): secret memory at %llx can't be read by the process itself",
				c->pid, c->tr->comm, (unsigned long long)v->start);
		r = add_range(m, v, answer_data(a, at));
		step += 2;
		at += ALIGN_UP((uint64_t)len, 16);
	}
	return r < 0 ? collect_oom(c) : 0;
}

static int collect(struct collect *c, struct tracee *t, const struct answer *a)
{
	uint64_t bytes = asked_bytes(c);
	Ckpt__Secrets *m;
	size_t n = 0;
	int r;

	for (size_t i = 0; i < c->maps.n; i++)
		n += secrets_is_vma(&c->maps.v[i]);
	if (!n)
		return 0;
	if (!bytes)
		return op_fail(c->op, CKPT_E_REFUSED, 0, NULL, "let the program unmap some of it",
			"pid %d (%s): more than %lu MiB of secret memory", c->pid, c->tr->comm,
			BYTES_MAX >> 20);
	m = msg_new(Ckpt__Secrets, CKPT__SECRETS__INIT);
	if (!m || !(m->ranges = calloc(n, sizeof(*m->ranges)))) {
		free(m);
		return collect_oom(c);
	}
	r = collect_ranges(c, a, m);
	if (r < 0) {
		protobuf_c_message_free_unpacked(&m->base, NULL);
		return r;
	}
	op_warn(c->op, "pid %d (%s): %llu KiB of secret memory (memfd_secret) are in the image",
		c->pid, c->tr->comm, (unsigned long long)bytes / 1024);
	return collect_add_take(c, &res_secrets.type, c->pid, m);
}

/* ---- restore ---- */

static void plan(
	struct plan *p, enum plan_phase phase, const struct model_rec *rec, struct prog *prog)
{
	static const char name[] = "secrets";
	const Ckpt__Secrets *m = (const void *)rec->msg;
	size_t fd;

	(void)p;
	if (phase != PLAN_PROCESS || !m->n_ranges)
		return;
	fd = PROG_CALL(prog, "secrets: a file for them", SYS_memfd_create,
		DATA(prog_data(prog, name, sizeof(name))), IMM(MFD_CLOEXEC));
	for (size_t i = 0; i < m->n_ranges; i++) {
		const Ckpt__SecretRange *r = m->ranges[i];

		PROG_CALL_EQ(prog, "secrets: write", r->contents.len, SYS_pwrite64, RES(fd),
			DATA(prog_data(prog, r->contents.data, r->contents.len)),
			IMM(r->contents.len), IMM(0));
		if (!(r->prot & PROT_WRITE))
			PROG_CALL(prog, "secrets: protect", SYS_mprotect, IMM(r->start),
				IMM(r->contents.len), IMM(PROT_READ | PROT_WRITE));
		PROG_CALL_EQ(prog, "secrets: read back", r->contents.len, SYS_pread64, RES(fd),
			IMM(r->start), IMM(r->contents.len), IMM(0));
		prog_object(prog, "%llx", (unsigned long long)r->start);
		if (!(r->prot & PROT_WRITE))
			PROG_CALL(prog, "secrets: protect", SYS_mprotect, IMM(r->start),
				IMM(r->contents.len), IMM(r->prot));
	}
	PROG_CALL(prog, "secrets: close the file", SYS_close, RES(fd));
}

const struct res res_secrets = {
	.type = {"secrets", SCOPE_TASK, &ckpt__secrets__descriptor, NULL},
	.shared = SHARED_VM,
	.ask = ask,
	.collect = collect,
	.plan = plan,
};
