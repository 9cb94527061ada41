/*
 * The build id of ELF files: made by hand, cut short, with lies in their headers; and this program's.
 */
#include "kernel/build_id.h"

#include <criterion/criterion.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const uint8_t id_bytes[20] = {
	1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20};

struct file {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[2];
	struct {
		Elf64_Nhdr n;
		char name[8];
		uint8_t desc[4];
	} other;
	struct {
		Elf64_Nhdr n;
		char name[4];
		uint8_t desc[20];
	} id;
};

static struct file make(void)
{
	struct file f = {.eh = {.e_phoff = offsetof(struct file, ph),
				 .e_phentsize = sizeof(Elf64_Phdr),
				 .e_phnum = 2},
		.ph = {{.p_type = PT_LOAD, .p_filesz = 1 << 20},
			{.p_type = PT_NOTE,
				.p_offset = offsetof(struct file, other),
				.p_filesz = sizeof(f.other) + sizeof(f.id)}},
		.other = {{.n_namesz = 6, .n_descsz = 3, .n_type = NT_GNU_BUILD_ID}, "Other", {9}},
		.id = {{.n_namesz = 4, .n_descsz = 20, .n_type = NT_GNU_BUILD_ID}, "GNU", {0}}};

	memcpy(f.eh.e_ident, ELFMAG, SELFMAG);
	f.eh.e_ident[EI_CLASS] = ELFCLASS64;
	memcpy(f.id.desc, id_bytes, sizeof(id_bytes));
	return f;
}

static int look(const void *bytes, size_t len, struct build_id *ret)
{
	int fd = memfd_create("elf", 0), r;

	cr_assert(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
	r = build_id_read(fd, ret);
	close(fd);
	return r;
}

Test(build_id, found_behind_another_note)
{
	struct file f = make();
	struct build_id id;

	cr_assert_eq(look(&f, sizeof(f), &id), 1);
	cr_assert_eq(id.len, 20);
	cr_assert_arr_eq(id.bytes, id_bytes, 20);
}

Test(build_id, none)
{
	struct file f = make();
	struct build_id id = {.len = 7};

	cr_assert_eq(look("#!/bin/sh\n", 10, &id), 0);
	cr_assert_eq(look("", 0, &id), 0);
	cr_assert_eq(id.len, 7, "filled for what is no ELF file");
	f.id.n.n_type = NT_GNU_ABI_TAG;
	cr_assert_eq(look(&f, sizeof(f), &id), 1);
	cr_assert_eq(id.len, 0);
}

Test(build_id, cut_anywhere)
{
	struct file f = make();
	struct build_id id;

	for (size_t len = sizeof(f.eh); len < offsetof(struct file, id) + sizeof(f.id); len++) {
		cr_assert_eq(look(&f, len, &id), 1);
		cr_assert_eq(id.len, 0, "of %zu bytes", len);
	}
}

Test(build_id, lies)
{
	struct build_id id;
	struct file f = make();

	f.id.n.n_descsz = UINT32_MAX;
	cr_assert_eq(look(&f, sizeof(f), &id), 1);
	cr_assert_eq(id.len, 0);
	f = make();
	f.other.n.n_namesz = UINT32_MAX - 2;
	cr_assert_eq(look(&f, sizeof(f), &id), 1);
	cr_assert_eq(id.len, 0);
	f = make();
	f.eh.e_phnum = UINT16_MAX;
	cr_assert_eq(look(&f, sizeof(f), &id), 1);
	cr_assert_eq(id.len, 0);
	f = make();
	f.ph[1].p_filesz = UINT64_MAX;
	cr_assert_eq(look(&f, sizeof(f), &id), 1);
	cr_assert_eq(id.len, 20, "a segment that is too long is read as far as it goes");
}
