/*
 * kmem.c - see kmem.h.
 *
 * The program is run by BPF_PROG_TEST_RUN, in our own context: so the task that it knows is the calling thread,
 * from which the way leads to our descriptors. A run takes a quarter of a microsecond.
 */
#include "kernel/kmem.h"

#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/fd.h"
#include "util/vec.h"

#define WINDOW_DATA 16384

/* What the program and we share: an array's only element. */
struct kmem_window {
	uint64_t addr; /* 0: the task is asked for */
	int64_t len;   /* below and with WINDOW_DATA; then the result, 0 or -errno */
	uint8_t data[WINDOW_DATA];
};

static int bpf(int cmd, union bpf_attr *attr)
{
	long r = syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	return r < 0 ? -errno : (int)r;
}

#define INSN(c, dst, src, o, i)                                                                    \
	{                                                                                          \
		.code = (c), .dst_reg = (dst), .src_reg = (src), .off = (o), .imm = (i)            \
	}
#define LOAD(dst, member)                                                                          \
	INSN(BPF_LDX | BPF_DW | BPF_MEM, dst, BPF_REG_6, offsetof(struct kmem_window, member), 0)
#define STORE(src, member)                                                                         \
	INSN(BPF_STX | BPF_DW | BPF_MEM, BPF_REG_6, src, offsetof(struct kmem_window, member), 0)
#define CALL(helper) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, helper)

/* r6 is the window. */
static int load_program(int map)
{
	struct bpf_insn code[] = {
		INSN(BPF_LD | BPF_DW | BPF_IMM, BPF_REG_6, BPF_PSEUDO_MAP_VALUE, 0, map),
		INSN(0, 0, 0, 0, 0),
		LOAD(BPF_REG_3, addr),
		INSN(BPF_JMP | BPF_JNE | BPF_K, BPF_REG_3, 0, 3, 0),
		CALL(BPF_FUNC_get_current_task),
		STORE(BPF_REG_0, data),
		INSN(BPF_JMP | BPF_JA, 0, 0, 6, 0),
		LOAD(BPF_REG_2, len),
		INSN(BPF_JMP | BPF_JGT | BPF_K, BPF_REG_2, 0, 4, WINDOW_DATA),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_1, BPF_REG_6, 0, 0),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_1, 0, 0,
			offsetof(struct kmem_window, data)),
		CALL(BPF_FUNC_probe_read_kernel),
		STORE(BPF_REG_0, len),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	union bpf_attr attr = {0};

	attr.prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT;
	attr.insns = (uintptr_t)code;
	attr.insn_cnt = ARRAY_SIZE(code);
	attr.license = (uintptr_t) "Dual MIT/GPL"; /* the helpers ask for it */
	return bpf(BPF_PROG_LOAD, &attr);
}

static size_t window_bytes(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (sizeof(struct kmem_window) + page - 1) / page * page;
}

/* The map lives as long as the program and the mapping. */
static int load(struct kmem *k)
{
	_cleanup_close_ int map = -EBADF;
	union bpf_attr attr = {0};
	void *at;

	attr.map_type = BPF_MAP_TYPE_ARRAY;
	attr.key_size = sizeof(uint32_t);
	attr.value_size = sizeof(struct kmem_window);
	attr.max_entries = 1;
	attr.map_flags = BPF_F_MMAPABLE;
	map = bpf(BPF_MAP_CREATE, &attr);
	if (map < 0)
		return map;
	k->prog = load_program(map);
	if (k->prog < 0)
		return k->prog;
	at = mmap(NULL, window_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
	if (at == MAP_FAILED)
		return -errno;
	k->window = at;
	return 0;
}

int kmem_open(struct kmem *ret)
{
	int r, inode;

	*ret = (struct kmem){.prog = -EBADF, .ring = -EBADF};
	r = btf_read(&ret->btf);
	if (r < 0)
		return r;
	ret->files = btf_offset(&ret->btf, "task_struct", "files");
	ret->fdt = btf_offset(&ret->btf, "files_struct", "fdt");
	ret->fds = btf_offset(&ret->btf, "fdtable", "fd");
	ret->behind = btf_offset(&ret->btf, "file", "private_data");
	inode = btf_offset(&ret->btf, "socket_alloc", "vfs_inode");
	ret->ino = btf_offset(&ret->btf, "inode", "i_ino");
	ret->sk = btf_offset(&ret->btf, "socket", "sk");
	if (ret->files < 0 || ret->fdt < 0 || ret->fds < 0 || ret->behind < 0 || inode < 0 ||
		ret->ino < 0 || ret->sk < 0)
		return -ENOENT;
	ret->ino += inode;
	return load(ret);
}

void kmem_close(struct kmem *k)
{
	if (k->window)
		munmap(k->window, window_bytes());
	k->window = NULL;
	k->prog = fd_close(k->prog);
	k->ring = fd_close(k->ring);
	btf_done(&k->btf);
}

static int run(const struct kmem *k, uint64_t addr, size_t len)
{
	union bpf_attr attr = {0};
	int r;

	k->window->addr = addr;
	k->window->len = (int64_t)len;
	attr.test.prog_fd = (uint32_t)k->prog;
	r = bpf(BPF_PROG_TEST_RUN, &attr);
	if (r < 0 || !addr)
		return r;
	return k->window->len < 0 ? -EFAULT : 0;
}

int kmem_read(const struct kmem *k, uint64_t addr, void *ret, size_t len)
{
	uint8_t *at = ret;

	if (!addr)
		return -EFAULT;
	while (len) {
		size_t n = MIN(len, (size_t)WINDOW_DATA);
		int r = run(k, addr, n);

		if (r < 0)
			return r;
		memcpy(at, k->window->data, n);
		at += n;
		addr += n;
		len -= n;
	}
	return 0;
}

uint64_t kmem_word(const struct kmem *k, uint64_t addr)
{
	uint64_t word;

	return kmem_read(k, addr, &word, sizeof(word)) == 0 ? word : 0;
}

/* Of the member at @off of what is at @addr, unless that is nowhere. */
static uint64_t follow(const struct kmem *k, uint64_t addr, int off)
{
	return addr ? kmem_word(k, addr + (uint64_t)off) : 0;
}

uint64_t kmem_behind(const struct kmem *k, int fd)
{
	uint64_t at;

	if (run(k, 0, 0) < 0)
		return 0;
	memcpy(&at, k->window->data, sizeof(at));
	at = follow(k, at, k->files);
	at = follow(k, at, k->fdt);
	at = follow(k, at, k->fds);
	at = follow(k, at, fd * (int)sizeof(uint64_t));
	return follow(k, at, k->behind);
}

/* A socket and its inode are one piece of memory, struct socket_alloc, of which the socket is the first. */
uint64_t kmem_sock(const struct kmem *k, int fd, ino_t ino)
{
	uint64_t at = kmem_behind(k, fd);

	return follow(k, at, k->ino) == ino ? follow(k, at, k->sk) : 0;
}
