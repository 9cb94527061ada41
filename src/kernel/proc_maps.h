/*
 * The memory map of a process: /proc/PID/smaps, or the cheaper /proc/PID/maps.
 *
 * Both have one header line per VMA; smaps follows it with "Key: value" lines, of which VmFlags is
 * the only source of the madvise advice, locks, seals and guards of a VMA. One parser reads both.
 *
 * What the text cannot tell: a name ends in " (deleted)" when the file was unlinked, or when that
 * is its name; the kernel writes a newline as \012, which can also be the name. Whoever needs to
 * know compares dev and ino with stat(2), or reads the link in /proc/PID/map_files.
 */
#ifndef CKPT_KERNEL_PROC_MAPS_H
#define CKPT_KERNEL_PROC_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The two-letter VmFlags, as fs/proc/task_mmu.c show_smap_vma_flags() prints them. */
#define VMA_FLAGS(X)                                                                               \
	X(RD, 'r', 'd') /* readable */                                                             \
	X(WR, 'w', 'r') /* writable */                                                             \
	X(EX, 'e', 'x') /* executable */                                                           \
	X(SH, 's', 'h') /* shared and writable back */                                             \
	X(MR, 'm', 'r') /* may read */                                                             \
	X(MW, 'm', 'w') /* may write */                                                            \
	X(ME, 'm', 'e') /* may execute */                                                          \
	X(MS, 'm', 's') /* may share */                                                            \
	X(GD, 'g', 'd') /* grows down: a stack */                                                  \
	X(PF, 'p', 'f') /* pure page frames, without struct page */                                \
	X(DW, 'd', 'w') /* writes to the file denied (old kernels) */                              \
	X(LO, 'l', 'o') /* mlocked */                                                              \
	X(IO, 'i', 'o') /* I/O memory */                                                           \
	X(SR, 's', 'r') /* MADV_SEQUENTIAL */                                                      \
	X(RR, 'r', 'r') /* MADV_RANDOM */                                                          \
	X(DC, 'd', 'c') /* MADV_DONTFORK */                                                        \
	X(DE, 'd', 'e') /* cannot be grown by mremap */                                            \
	X(LF, 'l', 'f') /* locked on fault: MLOCK_ONFAULT */                                       \
	X(AC, 'a', 'c') /* counted by the overcommit accounting */                                 \
	X(NR, 'n', 'r') /* MAP_NORESERVE */                                                        \
	X(HT, 'h', 't') /* hugetlb */                                                              \
	X(SF, 's', 'f') /* MAP_SYNC */                                                             \
	X(NL, 'n', 'l') /* non-linear (old kernels) */                                             \
	X(AR, 'a', 'r') /* of the architecture */                                                  \
	X(WF, 'w', 'f') /* MADV_WIPEONFORK */                                                      \
	X(DD, 'd', 'd') /* MADV_DONTDUMP */                                                        \
	X(SD, 's', 'd') /* soft-dirty */                                                           \
	X(MM, 'm', 'm') /* mixed: pages with and without struct page */                            \
	X(HG, 'h', 'g') /* MADV_HUGEPAGE */                                                        \
	X(NH, 'n', 'h') /* MADV_NOHUGEPAGE */                                                      \
	X(MG, 'm', 'g') /* MADV_MERGEABLE */                                                       \
	X(UM, 'u', 'm') /* userfaultfd: missing */                                                 \
	X(UW, 'u', 'w') /* userfaultfd: write-protect */                                           \
	X(UI, 'u', 'i') /* userfaultfd: minor */                                                   \
	X(MT, 'm', 't') /* arm64 memory tagging */                                                 \
	X(BT, 'b', 't') /* arm64 branch target identification */                                   \
	X(SS, 's', 's') /* shadow stack */                                                         \
	X(SL, 's', 'l') /* mseal'ed, since 6.10 */                                                 \
	X(DP, 'd', 'p') /* MAP_DROPPABLE, since 6.11 */                                            \
	X(GU, 'g', 'u') /* may hold MADV_GUARD_INSTALL pages */

enum vma_flag_bit {
#define X(name, a, b) VMA_BIT_##name,
	VMA_FLAGS(X) VMA_BIT_UNKNOWN, /* at least one flag that this table lacks */
#undef X
};

/* Masks for struct vma.vmflags (GNU C lets an enumerator be wider than int). */
enum vma_flag {
#define X(name, a, b) VMF_##name = 1ULL << VMA_BIT_##name,
	VMA_FLAGS(X) VMF_UNKNOWN = 1ULL << VMA_BIT_UNKNOWN,
#undef X
};

/* struct vma.prot: the low three equal PROT_READ, PROT_WRITE, PROT_EXEC. */
enum { VMA_READ = 1, VMA_WRITE = 2, VMA_EXEC = 4, VMA_SHARED = 8 };

struct vma {
	uint64_t start, end; /* addresses; end is exclusive */
	uint64_t pgoff_bytes;
	unsigned int prot;
	uint32_t dev_major, dev_minor;
	uint64_t ino;
	char *path;   /* owned; NULL for anonymous; "[stack]", "[anon:name]", "/dir/file", ... */
	bool deleted; /* path had " (deleted)", which was cut off */
	/* The rest is 0 when read from maps. */
	uint64_t vmflags; /* VMF_* */
	uint64_t kernel_page_bytes;
	uint64_t rss_bytes;           /* without hugetlb and zero pages */
	uint64_t private_dirty_bytes; /* includes anonymous pages */
	uint64_t shared_dirty_bytes;
	uint64_t anonymous_bytes;
	uint64_t ksm_bytes;
	uint64_t anon_huge_bytes;
	uint64_t hugetlb_bytes; /* private and shared */
	uint64_t swap_bytes;
	uint64_t locked_bytes;
	int protection_key; /* 0 is the default key */
};

struct vma_list {
	struct vma *v; /* ascending by address */
	size_t n, cap;
};

/**
 * proc_maps_parse() - parse the text of smaps or of maps
 * @text:  NUL-terminated
 * @ret:   caller releases with vma_list_done(); untouched on failure
 * Return: 0; -EBADMSG a malformed line, or VMAs that overlap or descend; -ENOMEM.
 * Source: proc(5), Linux fs/proc/task_mmu.c show_map_vma(), show_smap().
 */
int proc_maps_parse(const char *text, struct vma_list *ret);

/**
 * proc_smaps_read() - the memory map with flags and counts
 * @procfd:  /proc/PID, of a stopped process for a consistent answer
 * @ret:     caller releases with vma_list_done(); empty for a process without memory
 * The kernel walks the page tables: about 2 us per VMA plus 1 ms per resident GiB of 4 KiB pages.
 * Return: 0; -ESRCH gone; -EACCES no ptrace access; -EBADMSG; -ENOMEM; -errno of read(2).
 */
int proc_smaps_read(int procfd, struct vma_list *ret);

/**
 * proc_maps_read() - the memory map without flags and counts, several times cheaper
 * Return: as proc_smaps_read().
 */
int proc_maps_read(int procfd, struct vma_list *ret);

/**
 * vma_list_find() - the VMA that holds an address
 * Return: borrowed from @list; NULL when no VMA holds @addr.
 */
const struct vma *vma_list_find(const struct vma_list *list, uint64_t addr);

/**
 * vma_flag_name() - the two letters of a flag
 * @bit:  enum vma_flag_bit
 * Return: static; "??" for VMA_BIT_UNKNOWN and above.
 */
const char *vma_flag_name(unsigned int bit);

/** vma_list_done() - free what @list owns; @list may be all zero */
void vma_list_done(struct vma_list *list);

#endif
