/*
 * bpfmap.c - maps of bpf(2).
 *
 * BPF_OBJ_GET_INFO_BY_FD (Linux >= 4.13) tells what a map is, and its entries can be listed through a
 * duplicate. A map that a program in the kernel uses, or that is pinned, outlives its process: then it is
 * found by its number, which the kernel gives to no other soon. Else it is made anew, with its entries.
 * Only kinds whose entries are plain bytes are saved; those of the kernel's own objects (other maps,
 * programs, sockets) are refused, as are maps whose values hold locks or timers, which BTF describes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel/bpf.h"
#include "kernel/fdinfo.h"
#include "proto/bpfmap.pb-c.h"
#include "proto/fdtable.pb-c.h"
#include "res/file/files.h"
#include "util/cleanup.h"
#include "util/str.h"
#include "util/vec.h"

#define LINK       "anon_inode:bpf-map"
#define BYTES_MAX  (64UL << 20)
#define FD_FLAGS   (BPF_F_RDONLY | BPF_F_WRONLY) /* of the descriptor, not of the map */
#define CLOSE_IT   "let the program close it"
#define KIND_WRONG "its entries are objects of the kernel"
#define BTF_WRONG  "its values are described by BTF, and may hold locks or timers"
#define SIZE_WRONG "its entries are too many"

static bool match(const struct file_look *l)
{
	return l->target_fd >= 0 && strcmp(l->link, LINK) == 0;
}

static bool is_per_cpu(uint32_t type)
{
	return type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_ARRAY ||
	       type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

static bool is_plain(uint32_t type)
{
	return is_per_cpu(type) || type == BPF_MAP_TYPE_HASH || type == BPF_MAP_TYPE_ARRAY ||
	       type == BPF_MAP_TYPE_LRU_HASH || type == BPF_MAP_TYPE_LPM_TRIE;
}

/* The processors that the kernel makes room for: "0-7". */
static uint32_t possible_cpus(void)
{
	_cleanup_free_ char *text = NULL;
	const char *at;
	uint32_t last = 0;

	if (file_read_at(AT_FDCWD, "/sys/devices/system/cpu/possible", &text, NULL) < 0)
		return 1;
	at = strrchr(text, '-') ? strrchr(text, '-') + 1 : text;
	return str_u32(&at, 10, &last) < 0 ? 1 : last + 1;
}

static uint32_t slot_bytes(const struct bpf_map_info *i)
{
	return is_per_cpu(i->type) ? ALIGN_UP(i->value_size, 8U) * possible_cpus() : i->value_size;
}

static int info_of(int fd, struct bpf_map_info *ret)
{
	union bpf_attr attr = {
		.info = {.bpf_fd = (uint32_t)fd, .info_len = sizeof(*ret), .info = (uintptr_t)ret}};

	memset(ret, 0, sizeof(*ret));
	return bpf_call(BPF_OBJ_GET_INFO_BY_FD, &attr);
}

/* ---- dump ---- */

static int line(char *key, char *value, void *arg)
{
	Ckpt__BpfMap *m = arg;
	const char *p = value;

	if (strcmp(key, "map_type") == 0)
		return str_u32(&p, 10, &m->type);
	if (strcmp(key, "frozen") == 0)
		m->frozen = *value != '0';
	return 0;
}

static struct file_verdict verdict(int procfd, const struct file_look *l)
{
	Ckpt__BpfMap m = CKPT__BPF_MAP__INIT;
	struct fdinfo info;

	if (fdinfo_read(procfd, l->target_fd, &info, line, &m) == 0 && !is_plain(m.type))
		return (struct file_verdict){CKPT_REFUSED, KIND_WRONG, CLOSE_IT};
	return (struct file_verdict){CKPT_SAVED, NULL, NULL};
}

static int lookup(int fd, const void *key, void *value)
{
	union bpf_attr attr = {
		.map_fd = (uint32_t)fd, .key = (uintptr_t)key, .value = (uintptr_t)value};

	return bpf_call(BPF_MAP_LOOKUP_ELEM, &attr);
}

static int next_key(int fd, const void *key, void *next)
{
	union bpf_attr attr = {
		.map_fd = (uint32_t)fd, .key = (uintptr_t)key, .next_key = (uintptr_t)next};

	return bpf_call(BPF_MAP_GET_NEXT_KEY, &attr);
}

static int by_key(const void *a, const void *b, void *arg)
{
	const uint8_t *const *x = a, *const *y = b;
	const Ckpt__BpfMap *m = arg;

	return memcmp(*x, *y, m->key_bytes);
}

/* The kernel's order is that of a hash with a seed of its own. */
static int sort_entries(Ckpt__BpfMap *m)
{
	size_t n = m->keys.len / m->key_bytes;
	_cleanup_free_ const uint8_t **at = malloc((n + 1) * sizeof(*at));
	_cleanup_free_ uint8_t *keys = malloc(m->keys.len + 1), *values = malloc(m->values.len + 1);

	if (!at || !keys || !values)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		at[i] = m->keys.data + i * m->key_bytes;
	qsort_r(at, n, sizeof(*at), by_key, m);
	for (size_t i = 0; i < n; i++) {
		size_t from = (size_t)(at[i] - m->keys.data) / m->key_bytes;

		memcpy(keys + i * m->key_bytes, at[i], m->key_bytes);
		memcpy(values + i * m->slot_bytes, m->values.data + from * m->slot_bytes,
			m->slot_bytes);
	}
	memcpy(m->keys.data, keys, m->keys.len);
	memcpy(m->values.data, values, m->values.len);
	return 0;
}

/* A program in the kernel may change the map meanwhile: it never has more than max_entries. */
static int read_entries(int fd, Ckpt__BpfMap *m)
{
	uint64_t n = m->max_entries, at = 0;
	uint8_t *key = NULL;
	int r;

	if (n * (m->key_bytes + (uint64_t)m->slot_bytes) > BYTES_MAX)
		return -E2BIG;
	m->keys.data = malloc(n * m->key_bytes + 1);
	m->values.data = malloc(n * m->slot_bytes + 1);
	if (!m->keys.data || !m->values.data)
		return -ENOMEM;
	while (at < n && (r = next_key(fd, key, m->keys.data + at * m->key_bytes)) == 0) {
		key = m->keys.data + at * m->key_bytes;
		r = lookup(fd, key, m->values.data + at * m->slot_bytes);
		if (r == 0)
			at++;
		else if (r != -ENOENT)
			return r;
	}
	m->keys.len = at * m->key_bytes;
	m->values.len = at * m->slot_bytes;
	return m->key_bytes ? sort_entries(m) : 0;
}

static int describe(int fd, Ckpt__BpfMap *m, const char **ret_why)
{
	struct bpf_map_info i;
	int r = info_of(fd, &i);

	if (r < 0)
		return r;
	*ret_why = !is_plain(i.type) ? KIND_WRONG : i.btf_id || i.ifindex ? BTF_WRONG : NULL;
	m->id = i.id;
	m->type = i.type;
	m->key_bytes = i.key_size;
	m->value_bytes = i.value_size;
	m->max_entries = i.max_entries;
	m->flags = i.map_flags & ~(uint32_t)(FD_FLAGS | BPF_F_NUMA_NODE);
	m->slot_bytes = slot_bytes(&i);
	m->name = strndup(i.name, sizeof(i.name));
	return m->name ? 0 : -ENOMEM;
}

static int collect(struct collect *c, uint64_t id, const struct file_look *l)
{
	Ckpt__BpfMap *m = msg_new(Ckpt__BpfMap, CKPT__BPF_MAP__INIT);
	const char *why = NULL;
	struct fdinfo info;
	int r;

	if (!m)
		return collect_oom(c);
	r = fdinfo_read(c->proc_fd, l->target_fd, &info, line, m);
	if (r == 0)
		r = describe(l->fd, m, &why);
	if (r == 0 && !why)
		r = read_entries(l->fd, m);
	if (r == -E2BIG)
		why = SIZE_WRONG;
	if (why)
		r = op_fail(c->op, CKPT_E_REFUSED, 0, NULL, CLOSE_IT,
			"pid %d (%s): BPF map, fd %d: %s", c->pid, c->tr->comm, l->target_fd, why);
	else if (r < 0)
		r = op_fail(c->op, r == -EPERM ? CKPT_E_PRIVILEGE : CKPT_E_SYSTEM, -r, "bpf",
			r == -EPERM ? "run as root, or let the program open it for reading, too"
				    : NULL,
			"pid %d (%s): BPF map, fd %d", c->pid, c->tr->comm, l->target_fd);
	if (r < 0) {
		protobuf_c_message_free_unpacked(&m->base, NULL);
		return r;
	}
	return collect_add_take(c, &res_bpfmap.type, id, m);
}

/* The inode is all anonymous files'; the number is the map's own. */
static int finish(struct collect_tree *t)
{
	const struct model_rec *a, *b;
	size_t pos = 0;

	while ((a = model_next(t->model, &res_bpfmap.type, &pos))) {
		Ckpt__BpfMap *m = (void *)a->msg;
		size_t at = 0;

		while ((b = model_next(t->model, &res_bpfmap.type, &at)) && b->owner < a->owner) {
			const Ckpt__BpfMap *first = (const void *)b->msg;

			if (first->id == m->id && !first->same_inode_as && !m->same_inode_as)
				m->same_inode_as = (uint32_t)b->owner;
		}
	}
	return 0;
}

/* ---- restore ---- */

static bool is_same(int fd, const Ckpt__BpfMap *m)
{
	struct bpf_map_info i;

	return info_of(fd, &i) == 0 && i.type == m->type && i.key_size == m->key_bytes &&
	       i.value_size == m->value_bytes && i.max_entries == m->max_entries &&
	       strncmp(i.name, m->name, sizeof(i.name)) == 0;
}

static uint32_t access_flags(const Ckpt__File *f)
{
	uint32_t mode = f ? f->flags & O_ACCMODE : O_RDWR;

	return mode == O_RDONLY ? BPF_F_RDONLY : mode == O_WRONLY ? BPF_F_WRONLY : 0;
}

static int by_id(uint32_t id, const Ckpt__File *f)
{
	union bpf_attr attr = {.map_id = id, .open_flags = access_flags(f)};

	return bpf_call(BPF_MAP_GET_FD_BY_ID, &attr);
}

static int put_entries(int fd, const Ckpt__BpfMap *m)
{
	for (size_t i = 0; i < m->keys.len / MAX(m->key_bytes, 1U); i++) {
		union bpf_attr attr = {.map_fd = (uint32_t)fd,
			.key = (uintptr_t)m->keys.data + i * m->key_bytes,
			.value = (uintptr_t)m->values.data + i * m->slot_bytes};
		int r = bpf_call(BPF_MAP_UPDATE_ELEM, &attr);

		if (r < 0)
			return r;
	}
	return 0;
}

static int make(struct open_ctx *o, const Ckpt__BpfMap *m)
{
	union bpf_attr attr = {.map_type = m->type,
		.key_size = m->key_bytes,
		.value_size = m->value_bytes,
		.max_entries = m->max_entries,
		.map_flags = m->flags};
	_cleanup_close_ int fd = -EBADF;
	struct bpf_map_info i = {.type = m->type, .value_size = m->value_bytes};
	int r;

	if (!m->key_bytes || m->keys.len % m->key_bytes ||
		m->values.len != m->keys.len / m->key_bytes * m->slot_bytes)
		return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"BPF map %s: entries without values", m->name);
	if (m->slot_bytes != slot_bytes(&i))
		return op_fail(o->op, CKPT_E_CONFLICT, 0, NULL, NULL,
			"BPF map %s has a value for each processor, and here are not as many",
			m->name);
	memcpy(attr.map_name, m->name, MIN(strlen(m->name), sizeof(attr.map_name) - 1));
	fd = bpf_call(BPF_MAP_CREATE, &attr);
	r = fd < 0 ? fd : put_entries(fd, m);
	if (r == 0 && m->frozen) {
		attr = (union bpf_attr){.map_fd = (uint32_t)fd};
		r = bpf_call(BPF_MAP_FREEZE, &attr);
	}
	if (r < 0)
		return op_fail(o->op, r == -EPERM ? CKPT_E_PRIVILEGE : CKPT_E_SYSTEM, -r, "bpf",
			r == -EPERM ? "needs CAP_BPF" : NULL, "BPF map %s", m->name);
	return TAKE_FD(fd);
}

static int open_map(
	struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record)
{
	const Ckpt__BpfMap *m = (const void *)rec->msg;
	_cleanup_close_ int fd = -EBADF, made = -EBADF;
	struct bpf_map_info i;

	(void)id;
	if (m->same_inode_as) {
		int first = plan_fd(o->plan, m->same_inode_as);

		fd = first >= 0 && info_of(first, &i) == 0 ? by_id(i.id, file_record) : -EBADF;
		return fd < 0 ? op_fail(o->op, CKPT_E_SYSTEM, -fd, "bpf", NULL, "BPF map %s",
					m->name)
			      : TAKE_FD(fd);
	}
	fd = by_id(m->id, file_record);
	if (fd >= 0 && is_same(fd, m))
		return TAKE_FD(fd);
	fd = fd_close(fd);
	made = make(o, m);
	if (made < 0 || !access_flags(file_record))
		return TAKE_FD(made);
	fd = info_of(made, &i) == 0 ? by_id(i.id, file_record) : -EBADF;
	return fd < 0 ? op_fail(o->op, CKPT_E_SYSTEM, -fd, "bpf", NULL, "BPF map %s", m->name)
		      : TAKE_FD(fd);
}

static const struct file_ops ops = {
	.match = match,
	.verdict = verdict,
	.collect = collect,
	.finish = finish,
	.open = open_map,
};
static const char *const volatile_fields[] = {"id", NULL};

const struct res res_bpfmap = {
	.type = {"bpfmap", SCOPE_FILE, &ckpt__bpf_map__descriptor, volatile_fields},
	.file = &ops,
};
