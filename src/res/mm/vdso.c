/*
 * vdso.c - the code that the kernel maps into every process: its functions, and sending them on.
 *
 * Where the image's code is another kernel's, the old code stays as ordinary memory, because the
 * program holds pointers into it, and its functions begin with jumps to the new ones. What is not
 * sent on, or a thread that was stopped within the old code, finds pages of zeros where the old
 * data was: clock mode "none" and "no random state yet", in which the code makes the system call
 * instead, and a sequence number that has changed, for which it begins anew. Only a coarse clock
 * that is read in that very instant can be wrong once. __vdso_getrandom is never sent on: its state
 * is of the size that the old code told.
 */
#include "res/mm/vdso.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "arch/arch.h"
#include "isa/vdso.h"
#include "kernel/proc_maps.h"
#include "res/mm/mm.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/str.h"
#include "util/vec.h"

#define SLACK_ALIGN    64
#define SYMBOLS_MAX    4096
#define FUNCTION_ALIGN 16

static const char *const sent_on[] = {ARCH_VDSO_FUNCTIONS};

/* ------------------------------------------------------------------ the ELF image */

static const void *at_offset(const uint8_t *code, size_t len, uint64_t off, uint64_t size)
{
	return off <= len && size <= len - off ? code + off : NULL;
}

static bool header_get(const uint8_t *code, size_t len, Elf64_Ehdr *ret)
{
	if (len < sizeof(*ret))
		return false;
	memcpy(ret, code, sizeof(*ret));
	return memcmp(ret->e_ident, ELFMAG, SELFMAG) == 0 && ret->e_ident[EI_CLASS] == ELFCLASS64 &&
	       ret->e_phentsize == sizeof(Elf64_Phdr);
}

static bool segment_get(
	const uint8_t *code, size_t len, const Elf64_Ehdr *eh, uint32_t type, Elf64_Phdr *ret)
{
	for (unsigned i = 0; i < eh->e_phnum; i++) {
		uint64_t off = eh->e_phoff + (uint64_t)i * sizeof(*ret);
		const void *p = eh->e_phoff < len ? at_offset(code, len, off, sizeof(*ret)) : NULL;

		if (!p)
			return false;
		memcpy(ret, p, sizeof(*ret));
		if (ret->p_type == type)
			return true;
	}
	return false;
}

size_t vdso_code_len(const uint8_t *code, size_t len)
{
	Elf64_Ehdr eh;
	Elf64_Phdr load;

	if (!header_get(code, len, &eh) || !segment_get(code, len, &eh, PT_LOAD, &load) ||
		!at_offset(code, len, load.p_offset, load.p_filesz))
		return len;
	return MIN(len, ALIGN_UP(load.p_offset + load.p_filesz, (uint64_t)SLACK_ALIGN));
}

/* The tables of the dynamic section. A vdso is linked to address 0: its pointers are offsets. */
struct tables {
	uint64_t symbols, strings, strings_len, hash;
};

static int tables_get(const uint8_t *code, size_t len, struct tables *ret)
{
	struct tables t = {0};
	Elf64_Ehdr eh;
	Elf64_Phdr ph;
	Elf64_Dyn dyn;

	if (!header_get(code, len, &eh) || !segment_get(code, len, &eh, PT_DYNAMIC, &ph))
		return -EBADMSG;
	for (uint64_t off = 0; off < ph.p_filesz; off += sizeof(dyn)) {
		const void *p = ph.p_offset < len
					? at_offset(code, len, ph.p_offset + off, sizeof(dyn))
					: NULL;

		if (!p)
			return -EBADMSG;
		memcpy(&dyn, p, sizeof(dyn));
		if (dyn.d_tag == DT_NULL)
			break;
		if (dyn.d_tag == DT_SYMTAB)
			t.symbols = dyn.d_un.d_ptr;
		else if (dyn.d_tag == DT_STRTAB)
			t.strings = dyn.d_un.d_ptr;
		else if (dyn.d_tag == DT_STRSZ)
			t.strings_len = dyn.d_un.d_val;
		else if (dyn.d_tag == DT_HASH)
			t.hash = dyn.d_un.d_ptr;
	}
	if (!t.symbols || !t.strings_len || !at_offset(code, len, t.strings, t.strings_len) ||
		code[t.strings + t.strings_len - 1] != 0)
		return -EBADMSG;
	*ret = t;
	return 0;
}

/* The hash table tells how many symbols there are; without it, the strings follow behind them. */
static uint64_t symbols_count(const uint8_t *code, size_t len, const struct tables *t)
{
	const void *p = t->hash ? at_offset(code, len, t->hash, 8) : NULL;
	uint32_t words[2];

	if (p) {
		memcpy(words, p, sizeof(words));
		return MIN(words[1], (uint32_t)SYMBOLS_MAX);
	}
	return t->strings > t->symbols
		       ? MIN((t->strings - t->symbols) / sizeof(Elf64_Sym), (uint64_t)SYMBOLS_MAX)
		       : 0;
}

int vdso_symbol(
	const uint8_t *code, size_t len, const char *name, uint64_t *ret_value, uint64_t *ret_room)
{
	struct tables t;
	uint64_t n;
	int r = tables_get(code, len, &t);

	if (r < 0)
		return r;
	n = symbols_count(code, len, &t);
	for (uint64_t i = 0; i < n && t.symbols < len; i++) {
		const void *p =
			at_offset(code, len, t.symbols + i * sizeof(Elf64_Sym), sizeof(Elf64_Sym));
		Elf64_Sym sym;

		if (!p)
			return -EBADMSG;
		memcpy(&sym, p, sizeof(sym));
		if (sym.st_shndx == SHN_UNDEF || sym.st_name >= t.strings_len ||
			!str_eq((const char *)code + t.strings + sym.st_name, name))
			continue;
		if (!sym.st_size || !at_offset(code, len, sym.st_value, sym.st_size))
			return -EBADMSG;
		*ret_value = sym.st_value;
		/* functions begin aligned: what is between belongs to nobody */
		*ret_room = MIN(ALIGN_UP(sym.st_value + sym.st_size, (uint64_t)FUNCTION_ALIGN),
				    (uint64_t)len) -
			    sym.st_value;
		return 0;
	}
	return -ENOENT;
}

unsigned vdso_patch(
	uint8_t *old, size_t old_len, const uint8_t *new, size_t new_len, uint64_t new_at)
{
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(sent_on); i++) {
		uint64_t from, to, room, unused;

		if (vdso_symbol(old, old_len, sent_on[i], &from, &room) < 0 ||
			room < ARCH_JUMP_SIZE ||
			vdso_symbol(new, new_len, sent_on[i], &to, &unused) < 0)
			continue;
		arch_jump(old + from, new_at + to);
		n++;
	}
	return n;
}

/* ------------------------------------------------------------------ the running kernel's */

int vdso_host_read(struct vdso_host *ret)
{
	struct vdso_host h = {0};
	struct vma_list maps = {0};
	uint64_t first = 0;
	_cleanup_close_ int fd = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? -errno : proc_maps_read(fd, &maps);

	if (r < 0)
		return r;
	for (size_t i = 0; i < maps.n && h.n < VDSO_PARTS_MAX; i++) {
		const struct vma *v = &maps.v[i];
		struct vdso_part *part = &h.parts[h.n];

		if (!v->path || (!str_eq(v->path, "[vdso]") && !str_startswith(v->path, "[vvar")))
			continue;
		if (h.n++ == 0)
			h.start = first = v->start;
		snprintf(part->name, sizeof(part->name), "%s", v->path);
		part->at = v->start - first;
		part->size = v->end - v->start;
		h.size = v->end - first;
		if (str_eq(v->path, "[vdso]")) {
			h.code = (const uint8_t *)v->start;
			h.code_len = vdso_code_len(h.code, part->size);
		}
	}
	h.top = maps.n ? maps.v[maps.n - 1].end : 0;
	vma_list_done(&maps);
	*ret = h;
	return 0;
}
