/*
 * See the header. The file is untrusted: sizes are bounded before anything is read by them.
 */
#include "kernel/build_id.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define PHDRS_MAX 64
#define NOTES_MAX 4096

#define NOTE_ALIGN(x) (((x) + 3) & ~(size_t)3)

/* Return: 1 found, 0 not. */
static int find_note(const uint8_t *p, size_t len, struct build_id *ret)
{
	size_t at = 0;

	while (len - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr n;
		size_t name, desc;

		memcpy(&n, p + at, sizeof(n));
		name = at + sizeof(n);
		if (n.n_namesz > NOTES_MAX || n.n_descsz > NOTES_MAX)
			return 0;
		desc = name + NOTE_ALIGN(n.n_namesz);
		at = desc + NOTE_ALIGN(n.n_descsz);
		if (desc + n.n_descsz > len || at > len)
			return 0;
		if (n.n_type != NT_GNU_BUILD_ID || n.n_namesz != sizeof(ELF_NOTE_GNU) ||
			memcmp(p + name, ELF_NOTE_GNU, sizeof(ELF_NOTE_GNU)) != 0 ||
			n.n_descsz > BUILD_ID_MAX)
			continue;
		memcpy(ret->bytes, p + desc, n.n_descsz);
		ret->len = n.n_descsz;
		return 1;
	}
	return 0;
}

int build_id_read(int fd, struct build_id *ret)
{
	Elf64_Phdr ph[PHDRS_MAX];
	uint8_t notes[NOTES_MAX];
	Elf64_Ehdr eh;
	ssize_t n = pread(fd, &eh, sizeof(eh), 0);

	if (n < 0)
		return -errno;
	if (n != sizeof(eh) || memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0 ||
		eh.e_ident[EI_CLASS] != ELFCLASS64)
		return 0;
	*ret = (struct build_id){.len = 0};
	if (eh.e_phentsize != sizeof(*ph) || eh.e_phnum > PHDRS_MAX)
		return 1;
	n = pread(fd, ph, eh.e_phnum * sizeof(*ph), (off_t)eh.e_phoff);
	if (n < 0)
		return -errno;
	for (size_t i = 0; i < (size_t)n / sizeof(*ph); i++) {
		size_t want = ph[i].p_filesz < NOTES_MAX ? ph[i].p_filesz : NOTES_MAX;
		ssize_t got;

		if (ph[i].p_type != PT_NOTE)
			continue;
		got = pread(fd, notes, want, (off_t)ph[i].p_offset);
		if (got < 0)
			return -errno;
		if (find_note(notes, (size_t)got, ret))
			break;
	}
	return 1;
}
