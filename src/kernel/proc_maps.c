/*
 * The parser of maps and smaps. A large process has 50 000 VMAs and so over a million lines: each
 * line is looked at once, and is compared with what stood in its place in the VMA before.
 */
#include "kernel/proc_maps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/fd.h"
#include "util/str.h"
#include "util/vec.h"

#define READ_BYTES (256U * 1024)

#define FLAG_INDEX(a, b) (((a) - 'a') * 26 + (b) - 'a')

/* Mask by the two letters; 0 is a flag of a newer kernel. */
static const uint64_t flag_by_letters[26 * 26] = {
#define X(name, a, b) [FLAG_INDEX(a, b)] = VMF_##name,
	VMA_FLAGS(X)
#undef X
};

static const char flag_names[][3] = {
#define X(name, a, b) {a, b, '\0'},
	VMA_FLAGS(X)
#undef X
};

const char *vma_flag_name(unsigned int bit)
{
	return bit < ARRAY_SIZE(flag_names) ? flag_names[bit] : "??";
}

static uint64_t scan_vmflags(const char *p)
{
	uint64_t flags = 0;

	for (str_skip_blanks(&p); *p != '\n' && *p != '\0'; str_skip_blanks(&p)) {
		uint64_t flag = 0;

		if (p[0] >= 'a' && p[0] <= 'z' && p[1] >= 'a' && p[1] <= 'z' &&
			(p[2] == ' ' || p[2] == '\n' || p[2] == '\0'))
			flag = flag_by_letters[FLAG_INDEX(p[0], p[1])];
		flags |= flag ? flag : (uint64_t)VMF_UNKNOWN;
		p += strcspn(p, " \n");
	}
	return flags;
}

enum key_kind { KEY_KB, KEY_KB_ADD, KEY_PKEY, KEY_FLAGS };

struct key {
	const char *name;
	size_t len;
	enum key_kind kind;
	size_t offset;
};

#define KEY(name, kind, member)                                                                    \
	{                                                                                          \
		name ":", sizeof(name), kind, offsetof(struct vma, member)                         \
	}

static const struct key keys[] = {
	KEY("KernelPageSize", KEY_KB, kernel_page_bytes),
	KEY("Rss", KEY_KB, rss_bytes),
	KEY("Shared_Dirty", KEY_KB, shared_dirty_bytes),
	KEY("Private_Dirty", KEY_KB, private_dirty_bytes),
	KEY("Anonymous", KEY_KB, anonymous_bytes),
	KEY("KSM", KEY_KB, ksm_bytes),
	KEY("AnonHugePages", KEY_KB, anon_huge_bytes),
	KEY("Shared_Hugetlb", KEY_KB_ADD, hugetlb_bytes),
	KEY("Private_Hugetlb", KEY_KB_ADD, hugetlb_bytes),
	KEY("Swap", KEY_KB, swap_bytes),
	KEY("Locked", KEY_KB, locked_bytes),
	KEY("ProtectionKey", KEY_PKEY, protection_key),
	KEY("VmFlags", KEY_FLAGS, vmflags),
};

/* The key of the line at @p; NULL for one we do not use. */
static const struct key *key_find(const char *p)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strncmp(keys[i].name, p, keys[i].len) == 0)
			return &keys[i];
	return NULL;
}

static int scan_key(const struct key *k, const char *p, struct vma *vma)
{
	uint64_t value = 0;
	void *to = (char *)vma + k->offset;

	p += k->len;
	str_skip_blanks(&p);
	if (k->kind == KEY_FLAGS) {
		vma->vmflags = scan_vmflags(p);
		return 0;
	}
	if (k->kind == KEY_PKEY)
		return str_int(&p, to);
	if (str_u64(&p, 10, &value) < 0 || value > UINT64_MAX / 1024)
		return -EBADMSG;
	if (k->kind == KEY_KB_ADD)
		value += *(uint64_t *)to / 1024;
	*(uint64_t *)to = value * 1024;
	return 0;
}

/* One hexadecimal number and the character that must follow it. */
static int scan_hex(const char **p, char after, uint64_t *ret)
{
	if (str_u64(p, 16, ret) < 0 || **p != after)
		return -EBADMSG;
	(*p)++;
	return 0;
}

static int scan_prot(const char **p, unsigned int *ret)
{
	const char *s = *p;

	if ((s[0] != 'r' && s[0] != '-') || (s[1] != 'w' && s[1] != '-') ||
		(s[2] != 'x' && s[2] != '-') || (s[3] != 'p' && s[3] != 's') || s[4] != ' ')
		return -EBADMSG;
	*ret = (s[0] == 'r' ? VMA_READ : 0) | (s[1] == 'w' ? VMA_WRITE : 0) |
	       (s[2] == 'x' ? VMA_EXEC : 0) | (s[3] == 's' ? VMA_SHARED : 0);
	*p += 5;
	return 0;
}

static int scan_path(const char *p, struct vma *vma)
{
	static const char deleted[] = " (deleted)";
	size_t len = strcspn(p, "\n");

	if (len == 0)
		return 0;
	if (len > sizeof(deleted) - 1 &&
		memcmp(p + len - (sizeof(deleted) - 1), deleted, sizeof(deleted) - 1) == 0) {
		vma->deleted = true;
		len -= sizeof(deleted) - 1;
	}
	vma->path = strndup(p, len);
	if (!vma->path)
		return -ENOMEM;
	str_unescape(vma->path, "\n");
	return 0;
}

/* "7f97c000-7f97d000 r--p 00028000 fe:00 248056    /usr/lib/x" */
static int scan_header(const char *p, struct vma *vma)
{
	uint64_t major, minor;

	if (scan_hex(&p, '-', &vma->start) < 0 || scan_hex(&p, ' ', &vma->end) < 0 ||
		scan_prot(&p, &vma->prot) < 0 || scan_hex(&p, ' ', &vma->pgoff_bytes) < 0 ||
		scan_hex(&p, ':', &major) < 0 || scan_hex(&p, ' ', &minor) < 0 ||
		str_u64(&p, 10, &vma->ino) < 0 || vma->start >= vma->end || major > UINT32_MAX ||
		minor > UINT32_MAX || (*p != ' ' && *p != '\n' && *p != '\0'))
		return -EBADMSG;
	vma->dev_major = (uint32_t)major;
	vma->dev_minor = (uint32_t)minor;
	str_skip_blanks(&p);
	return scan_path(p, vma);
}

static int list_add(struct vma_list *list, const char *line)
{
	struct vma *vma;
	int r;

	if (vec_reserve(&list->v, &list->cap, list->n + 1, sizeof(*list->v)) < 0)
		return -ENOMEM;
	vma = &list->v[list->n];
	*vma = (struct vma){};
	r = scan_header(line, vma);
	if (r < 0)
		return r;
	list->n++;
	if (list->n > 1 && vma->start < vma[-1].end)
		return -EBADMSG;
	return 0;
}

#define LINES_MAX 64
#define KEY_BYTES 32

/* What a line of one VMA was, that of the next in the same place is, too. */
struct line {
	size_t len; /* of the name, with the colon; 0: not yet known */
	char name[KEY_BYTES];
	const struct key *key;
};

struct parser {
	struct vma_list list;
	struct line lines[LINES_MAX];
	size_t at; /* behind the header of the last VMA */
};

/* @left: bytes of text from @text on */
static const struct key *line_key(struct parser *p, const char *text, size_t left)
{
	struct line *l = p->at < LINES_MAX ? &p->lines[p->at++] : NULL;
	const struct key *k;
	size_t len;

	if (l && l->len && l->len <= left && memcmp(l->name, text, l->len) == 0)
		return l->key;
	k = key_find(text);
	len = strcspn(text, ":\n");
	if (l && text[len] == ':' && len < sizeof(l->name)) {
		l->len = len + 1;
		l->key = k;
		memcpy(l->name, text, l->len);
	}
	return k;
}

/* Whole lines. @len: bytes of @text, without the NUL */
static int parse_lines(struct parser *p, const char *text, size_t len)
{
	const char *end = text + len;
	int r = 0;

	while (*text && r == 0) {
		if (*text < 'A' || *text > 'Z') {
			r = list_add(&p->list, text);
			p->at = 0;
		} else if (p->list.n == 0) {
			r = -EBADMSG;
		} else {
			const struct key *k = line_key(p, text, (size_t)(end - text));

			if (k)
				r = scan_key(k, text, &p->list.v[p->list.n - 1]);
		}
		str_skip_line(&text);
	}
	return r < 0 && r != -ENOMEM ? -EBADMSG : r;
}

int proc_maps_parse(const char *text, struct vma_list *ret)
{
	struct parser p = {};
	int r = parse_lines(&p, text, strlen(text));

	if (r < 0)
		vma_list_done(&p.list);
	else
		*ret = p.list;
	return r;
}

/* A piece of text at a time: the smaps of 50 000 VMAs have 35 MB. @buf has READ_BYTES + 1. */
static int parse_fd(struct parser *p, int fd, char *buf)
{
	size_t have = 0;

	for (;;) {
		ssize_t n = read(fd, buf + have, READ_BYTES - have);
		size_t whole;
		char after;
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		have += (size_t)n;
		for (whole = have; n > 0 && whole > 0 && buf[whole - 1] != '\n';)
			whole--;
		if (whole == 0 && have == READ_BYTES)
			return -EBADMSG;
		after = buf[whole];
		buf[whole] = '\0';
		r = parse_lines(p, buf, whole);
		if (r < 0 || n == 0)
			return r;
		buf[whole] = after;
		memmove(buf, buf + whole, have - whole);
		have -= whole;
	}
}

static int maps_read(int procfd, const char *name, struct vma_list *ret)
{
	_cleanup_close_ int fd = openat(procfd, name, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *buf = NULL;
	struct parser p = {};
	int r;

	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	buf = malloc(READ_BYTES + 1);
	r = buf ? parse_fd(&p, fd, buf) : -ENOMEM;
	if (r < 0)
		vma_list_done(&p.list);
	else
		*ret = p.list;
	return r;
}

int proc_smaps_read(int procfd, struct vma_list *ret)
{
	return maps_read(procfd, "smaps", ret);
}

int proc_maps_read(int procfd, struct vma_list *ret)
{
	return maps_read(procfd, "maps", ret);
}

const struct vma *vma_list_find(const struct vma_list *list, uint64_t addr)
{
	size_t low = 0, high = list->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (addr < list->v[mid].start)
			high = mid;
		else if (addr >= list->v[mid].end)
			low = mid + 1;
		else
			return &list->v[mid];
	}
	return NULL;
}

void vma_list_done(struct vma_list *list)
{
	size_t i;

	for (i = 0; i < list->n; i++)
		free(list->v[i].path);
	free(list->v);
	*list = (struct vma_list){};
}
