/*
 * vdso.c - the code and data that the kernel maps into every process: [vdso], [vvar] and others.
 *
 * arch_prctl(ARCH_MAP_VDSO_64) (Linux >= 4.8) maps all parts of the running kernel's at an address;
 * each part can then be moved by itself (mremap), or be unmapped. So every layout of a program that
 * has moved or removed its own is made.
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
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "arch/arch.h"
#include "kernel/proc_maps.h"
#include "res/mm/mm.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/str.h"
#include "util/vec.h"

#define ARCH_MAP_VDSO_64 0x2003
#define SLACK_ALIGN      64
#define SYMBOLS_MAX      4096
#define FUNCTION_ALIGN   16

static const char *const sent_on[] = {"__vdso_clock_gettime", "__vdso_gettimeofday", "__vdso_time",
	"__vdso_getcpu", "__vdso_clock_getres"};

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
			first = v->start;
		snprintf(part->name, sizeof(part->name), "%s", v->path);
		part->at = v->start - first;
		part->size = v->end - v->start;
		h.size = v->end - first;
		if (str_eq(v->path, "[vdso]")) {
			h.code = (const uint8_t *)v->start;
			h.code_len = vdso_code_len(h.code, part->size);
		}
	}
	vma_list_done(&maps);
	*ret = h;
	return 0;
}

/* ------------------------------------------------------------------ plan */

static const struct vdso_part *part_find(const struct vdso_host *h, const char *name)
{
	for (size_t i = 0; i < h->n; i++)
		if (str_eq(h->parts[i].name, name))
			return &h->parts[i];
	return NULL;
}

static const Ckpt__Vma *image_part(const Ckpt__Mm *mm, const char *name)
{
	for (size_t i = 0; i < mm->n_vmas; i++)
		if (mm->vmas[i]->kind == CKPT__VMA__KIND__VDSO &&
			strcmp(mm->vmas[i]->name, name) == 0)
			return mm->vmas[i];
	return NULL;
}

static const Ckpt__Vma *image_next(const Ckpt__Mm *mm, size_t *pos)
{
	while (*pos < mm->n_vmas) {
		const Ckpt__Vma *v = mm->vmas[(*pos)++];

		if (v->kind == CKPT__VMA__KIND__VDSO)
			return v;
	}
	return NULL;
}

/* Whether the image's vdso is the running kernel's, wherever its parts may be. */
static bool is_same(const struct vdso_host *h, const Ckpt__Mm *mm)
{
	const Ckpt__Vma *v;
	size_t pos = 0;

	while ((v = image_next(mm, &pos))) {
		const struct vdso_part *part = part_find(h, v->name);

		if (!part || part->size != v->end - v->start)
			return false;
	}
	return !image_part(mm, "[vdso]") ||
	       (mm->vdso.len == h->code_len && h->code_len &&
		       memcmp(mm->vdso.data, h->code, h->code_len) == 0);
}

/* Where it has to be mapped so that all parts are in their places at once; 0: there is no such place. */
static uint64_t common_base(const struct vdso_host *h, const Ckpt__Mm *mm)
{
	uint64_t base = 0;

	for (size_t i = 0; i < h->n; i++) {
		const Ckpt__Vma *v = image_part(mm, h->parts[i].name);

		if (!v || (i && v->start - h->parts[i].at != base))
			return 0;
		base = v->start - h->parts[i].at;
	}
	return base;
}

/*
 * The highest room that the image leaves: above the stack, where the kernel puts it too. The agent's
 * area keeps below (restore/area.c takes the lowest).
 */
static uint64_t room_find(const Ckpt__Mm *mm, uint64_t size)
{
	uint64_t end = MM_TASK_SIZE_END - MM_PAGE;

	for (size_t i = mm->n_vmas + 1; i-- > 0;) {
		uint64_t start = i ? mm->vmas[i - 1]->end + MM_PAGE : MM_PAGE * 16;
		bool stack_above = i < mm->n_vmas && mm->vmas[i]->growsdown;

		if (!stack_above && end > start && end - start >= size)
			return end - size;
		if (i)
			end = mm->vmas[i - 1]->start - MM_PAGE;
	}
	return 0;
}

/* The call takes the address as a wish: it is looked whether a part is where it should be. */
static void plan_make(const struct vdso_host *h, uint64_t base, struct prog *prog)
{
	PROG_CALL(prog, "mm: vdso", SYS_arch_prctl, IMM(ARCH_MAP_VDSO_64), IMM(base));
	prog_object(prog, "at %llx", (unsigned long long)base);
	PROG_CALL_EQ(prog, "mm: vdso, whether it is there", base, SYS_mremap, IMM(base),
		IMM(h->parts[0].size), IMM(h->parts[0].size), IMM(0), IMM(0));
}

/* Map it aside, move each part that the image has, and drop the others. */
static void plan_scattered(const struct vdso_host *h, const Ckpt__Mm *mm, struct prog *prog)
{
	uint64_t aside = room_find(mm, h->size);

	plan_make(h, aside, prog);
	for (size_t i = 0; i < h->n; i++) {
		const struct vdso_part *part = &h->parts[i];
		const Ckpt__Vma *v = image_part(mm, part->name);

		if (v)
			PROG_CALL_EQ(prog, "mm: move a part of the vdso", v->start, SYS_mremap,
				IMM(aside + part->at), IMM(part->size), IMM(part->size),
				IMM(MREMAP_MAYMOVE | MREMAP_FIXED), IMM(v->start));
		else
			PROG_CALL(prog, "mm: drop a part of the vdso", SYS_munmap,
				IMM(aside + part->at), IMM(part->size));
		prog_object(prog, "%s", part->name);
	}
}

/* The task copies the code from its program's data by itself: no other call writes to memory. */
static void plan_old_code(const struct vdso_host *h, const Ckpt__Mm *mm, const Ckpt__Vma *v,
	uint64_t new_code, struct prog *prog)
{
	uint64_t code = prog_data(prog, mm->vdso.data, mm->vdso.len);
	struct iovec to = {(void *)v->start, mm->vdso.len}, from = {NULL, mm->vdso.len};
	uint64_t to_at = prog_data(prog, &to, sizeof(to)),
		 from_at = prog_data(prog, &from, sizeof(from));
	size_t self;

	if (prog->err)
		return;
	if (new_code)
		vdso_patch(prog->data + code, mm->vdso.len, h->code, h->code_len, new_code);
	prog_pointer(prog, from_at + offsetof(struct iovec, iov_base), code);
	self = PROG_CALL(prog, "mm: the old kernel's vdso", SYS_getpid);
	PROG_CALL_EQ(prog, "mm: the old kernel's vdso", mm->vdso.len, SYS_process_vm_writev,
		RES(self), DATA(from_at), IMM(1), DATA(to_at), IMM(1), IMM(0));
}

static void plan_foreign(const struct vdso_host *h, const Ckpt__Mm *mm, struct prog *prog)
{
	const struct vdso_part *code = part_find(h, "[vdso]");
	uint64_t at = h->n && code ? room_find(mm, h->size) : 0;
	const Ckpt__Vma *v;
	size_t pos = 0;

	if (at)
		plan_make(h, at, prog);
	while ((v = image_next(mm, &pos))) {
		bool is_code = strcmp(v->name, "[vdso]") == 0;
		uint64_t size = v->end - v->start;

		PROG_CALL_EQ(prog, "mm: in place of the old kernel's", v->start, SYS_mmap,
			IMM(v->start), IMM(size), IMM(PROT_READ | (is_code ? PROT_WRITE : 0)),
			IMM(MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED), IMM(-1), IMM(0));
		prog_object(prog, "%s", v->name);
		if (!is_code)
			continue;
		plan_old_code(h, mm, v, at ? at + code->at : 0, prog);
		PROG_CALL(prog, "mm: the old kernel's vdso", SYS_mprotect, IMM(v->start), IMM(size),
			IMM(PROT_READ | PROT_EXEC));
	}
}

void vdso_plan(const struct vdso_host *host, const Ckpt__Mm *mm, struct prog *prog)
{
	size_t pos = 0;
	uint64_t base;

	if (!image_next(mm, &pos))
		return;
	if (!is_same(host, mm)) {
		plan_foreign(host, mm, prog);
		return;
	}
	base = common_base(host, mm);
	if (base)
		plan_make(host, base, prog);
	else
		plan_scattered(host, mm, prog);
}
