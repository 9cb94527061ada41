/*
 * preflight_memory.c - the kinds of mappings, and which of them can't be saved yet.
 *
 * A mapping is known by the name in its line of /proc/PID/maps; what has no name of its own is
 * known by its VmFlags, which only smaps has: they are looked at in depth only, as smaps walks the
 * page tables.
 */
#include "dump/preflight_look.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "image/image.h"
#include "kernel/proc_maps.h"
#include "res/file/files.h"
#include "util/str.h"
#include "util/vec.h"

#define TRIES 16 /* to read the mappings of a process that runs */

#define NOT_YET(what) what " are not saved yet"

/* By the beginning of the name; the first row that fits. Without a fitting row it is saved. */
static const struct {
	const char *prefix;
	struct look_kind kind;
} named[] = {
	{"/dev/zero", {"mapping", CKPT_SAVED, NULL, NULL}},       /* shared anonymous memory */
	{"/dev/shm/", {"mapping", CKPT_SAVED, NULL, NULL}},       /* files of a tmpfs */
	{"/dev/hugepages/", {"mapping", CKPT_SAVED, NULL, NULL}}, /* files of a hugetlbfs */
	{"/anon_hugepage", {"hugetlb", CKPT_SAVED, NULL, NULL}},
	{"/dev/", {"device", CKPT_REFUSED, "memory of a device can't be saved", NULL}},
	{"/SYSV", {"sysvshm", CKPT_SAVED, NULL, NULL}},
	{"/[aio]",
		{"aio", CKPT_WARNED,
			"requests that take long, such as a poll (IOCB_CMD_POLL), can't be seen, "
			"and are lost",
			NULL}},
	{"/secretmem",
		{"secretmem", CKPT_WARNED,
			"its contents will be in the image, where others may read them", NULL}},
	{"/dmabuf:", {"device", CKPT_REFUSED, "memory of a device can't be saved", NULL}},
	{"/drm mm object", {"device", CKPT_REFUSED, "memory of a GPU can't be saved", NULL}},
	{"/i915", {"device", CKPT_REFUSED, "memory of a GPU can't be saved", NULL}},
	{"anon_inode:[io_uring]", {"io_uring", CKPT_SAVED, NULL, NULL}},
	{"anon_inode:[perf_event]", {"perf", CKPT_REFUSED, NOT_YET("perf buffers"), NULL}},
	{"anon_inode:", {"mapping", CKPT_REFUSED, NOT_YET("mappings of this kind"), NULL}},
	{"socket:",
		{"socket", CKPT_SAVED, NULL, NULL}}, /* what can't be is refused with the socket */
	{"[uprobes]",
		{"uprobes", CKPT_REFUSED, "a tracer has put probes into it", "remove the probes"}},
};

static const struct {
	uint64_t flags;
	struct look_kind kind;
} flagged[] = {
	{VMF_IO | VMF_PF, {"device", CKPT_REFUSED, "memory of a device can't be saved", NULL}},
	{VMF_SS, {"shadow stack", CKPT_REFUSED, NOT_YET("shadow stacks"), NULL}},
	{VMF_MT, {"memory tags", CKPT_REFUSED, NOT_YET("tagged mappings"), NULL}},
};

static const struct look_kind kind_uffd = {"userfaultfd", CKPT_REFUSED,
	"it is registered with a userfaultfd of another process", "let the program unregister it"};
static const struct look_kind kind_memory = {"memory", CKPT_SAVED, NULL, NULL};
static const struct look_kind kind_pages = {"process", CKPT_REFUSED,
	"this kernel's pages are not of 4 KiB, which is not supported yet", NULL};
static const struct look_kind kind_compat = {
	"process", CKPT_REFUSED, "32-bit programs are not saved yet", NULL};

/* Return: the row that refuses the mapping, or NULL. */
static const struct look_kind *mapping_kind(const struct vma *v)
{
	const char *path = v->path ? v->path : "";

	/* The kernel's own parts: [vdso], [vvar], [vvar_vclock], [vsyscall] are I/O memory. */
	if (str_startswith(path, "[v"))
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(named); i++)
		if (str_startswith(path, named[i].prefix)) {
			if (named[i].kind.verdict != CKPT_SAVED)
				return &named[i].kind;
			break;
		}
	for (size_t i = 0; i < ARRAY_SIZE(flagged); i++)
		if (v->vmflags & flagged[i].flags)
			return &flagged[i].kind;
	return NULL;
}

static int look_mappings(struct look *l, const struct vma_list *list)
{
	uint64_t bytes = 0;
	bool compat = false;

	for (size_t i = 0; i < list->n; i++) {
		const struct vma *v = &list->v[i];
		const struct look_kind *kind = mapping_kind(v);

		if (!kind && v->vmflags & (VMF_UM | VMF_UW | VMF_UI) &&
			!userfaultfd_count(l->procfd))
			kind = &kind_uffd;

		bytes += v->end - v->start;
		if (v->path && str_eq(v->path, "[stack]") && v->end <= 1ULL << 32)
			compat = true;
		if (kind &&
			look_found(l, kind, "mapping %llx-%llx %s", (unsigned long long)v->start,
				(unsigned long long)v->end, v->path ? v->path : "") < 0)
			return -1;
	}
	if (compat && look_found(l, &kind_compat, "pid %d (%s)", l->pid, l->comm) < 0)
		return -1;
	return look_found(l, &kind_memory, "%zu mappings, %llu KiB of addresses", list->n,
		(unsigned long long)bytes / 1024);
}

/*
 * The kernel writes the list piece by piece, and the process runs: where it has changed a mapping between two
 * pieces, they overlap. Then it is read again.
 */
static int read_maps(const struct look *l, struct vma_list *ret)
{
	int r = -EBADMSG;

	for (int i = 0; r == -EBADMSG && i < TRIES; i++)
		r = l->report->deep ? proc_smaps_read(l->procfd, ret)
				    : proc_maps_read(l->procfd, ret);
	return r;
}

int look_memory(struct look *l)
{
	struct vma_list list = {};
	int r = read_maps(l, &list);

	if (r < 0)
		return look_fail(
			l, r, l->report->deep ? "read /proc/PID/smaps" : "read /proc/PID/maps");
	if (sysconf(_SC_PAGESIZE) != IMAGE_PAGE_BYTES)
		r = look_found(l, &kind_pages, "pid %d (%s)", l->pid, l->comm);
	if (r == 0)
		r = look_mappings(l, &list);
	vma_list_done(&list);
	return r;
}
