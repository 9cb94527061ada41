/*
 * show_regs.c - the general registers of a thread, by their names.
 *
 * An image holds them as the kernel's NT_PRSTATUS set lies in memory: a row of 64-bit words in an order
 * that is part of the kernel's interface (struct user_regs_struct, struct user_pt_regs). The table is by
 * the image's ISA, not the machine's, so that nothing here is compiled for one of them.
 */
#include "lib/show.h"

#include <endian.h>
#include <jansson.h>
#include <string.h>

#include "proto/core.pb-c.h"
#include "proto/regs.pb-c.h"
#include "util/str.h"
#include "util/vec.h"

#define PER_LINE 4

static const char *const x86_64[] = {"r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9",
	"r8", "rax", "rcx", "rdx", "rsi", "rdi", "orig_rax", "rip", "cs", "eflags", "rsp", "ss",
	"fs_base", "gs_base", "ds", "es", "fs", "gs"};

static const char *const aarch64[] = {"x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9",
	"x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22",
	"x23", "x24", "x25", "x26", "x27", "x28", "x29", "x30", "sp", "pc", "pstate",
	/* what the set lacks, see arch/aarch64/isa/regs.h */
	"orig_x0", "syscall", "landing"};

static const struct {
	const char *isa;
	const char *const *names;
	size_t n;
} sets[] = {
	{"x86_64", x86_64, ARRAY_SIZE(x86_64)},
	{"aarch64", aarch64, ARRAY_SIZE(aarch64)},
};

/* The names of the words of @m. Return: how many; 0 where the set is not one that we know. */
static size_t names_of(const struct loaded *l, const Ckpt__Regs *m, const char *const **ret)
{
	const char *isa = image_manifest(l->img)->isa;

	for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
		if (!str_eq(sets[i].isa, isa) || m->general.len != sets[i].n * sizeof(uint64_t))
			continue;
		*ret = sets[i].names;
		return sets[i].n;
	}
	return 0;
}

static unsigned long long word(const Ckpt__Regs *m, size_t i)
{
	uint64_t v;

	memcpy(&v, m->general.data + i * sizeof(v), sizeof(v));
	return le64toh(v);
}

void show_regs(const struct loaded *l, const struct Ckpt__Regs *m, FILE *out)
{
	const char *const *names = NULL;
	size_t n = names_of(l, m, &names);

	for (size_t i = 0; i < n; i++)
		fprintf(out, "%s%-8s %016llx%s", i % PER_LINE ? "  " : "            ", names[i],
			word(m, i), i % PER_LINE == PER_LINE - 1 || i == n - 1 ? "\n" : "");
}

static json_t *thread_json(const struct loaded *l, const struct model_rec *rec)
{
	const Ckpt__Regs *m = (const void *)rec->msg;
	json_t *o = json_pack("{s:I}", "tid", (json_int_t)rec->owner);
	const char *const *names = NULL;
	size_t n = names_of(l, m, &names);
	char text[24];

	for (size_t i = 0; o && i < n; i++) {
		snprintf(text, sizeof(text), "0x%llx", word(m, i));
		json_object_set_new(o, names[i], json_string(text));
	}
	return o;
}

json_t *show_regs_json(const struct loaded *l)
{
	json_t *list = json_array();
	const struct model_rec *rec;
	size_t pos = 0;

	while ((rec = model_next(&l->model, load_type("regs"), &pos)))
		json_array_append_new(list, thread_json(l, rec));
	return list;
}
