/*
 * unix_queues.c - see unix_queues.h.
 *
 * The program is assembled here, with the offsets that the kernel's BTF tells. It is called for each unix
 * socket, walks over its receive queue, and writes records: a head for a socket, one for each buffer, and
 * behind that, for a socket without a file, the bytes of the buffer in pieces of fixed size, if they are asked
 * for: the verifier goes through each turn of a loop, so a loop in the loop takes it long. All it reads it reads by bpf_probe_read_kernel(), so a wrong offset gives wrong bytes and harms nothing.
 *
 * The end of a queue is its head, which the verifier knows as a pointer that can't be compared with what
 * was read; so it is read, too: it is what the first buffer has as its predecessor.
 */
#include "kernel/unix_queues.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel/bpf.h"
#include "kernel/btf.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/vec.h"

#define SKBS_MAX   200
#define PIECE      416  /* of what the stack has room for */
#define LINEAR_MAX 3840 /* a buffer has less than a page that is not in pages of its own */
#define READ_BYTES (1UL << 20)
#define INSNS_MAX  220
#define NAME_BYTES 112
#define CTX_SOCK   8 /* struct bpf_iter__unix: meta, unix_sk */

/* Kinds of records. */
enum { SOCKET = 1, BUFFER, CUT, NAME };

struct head {
	uint64_t kind, ino, peer;
};

/* Behind an empty buffer: who sent it. */
struct name {
	uint64_t kind;
	uint32_t len, none[3];
	struct sockaddr_un un;
	char room[2];
};

struct buffer {
	uint64_t kind;
	uint32_t len, paged, consumed, rights;
};

/* Places on the stack of the program, below its frame. */
enum {
	AT_TMP = -16,
	AT_HEAD = -40,
	AT_INO = AT_HEAD + 8,
	AT_PEER = AT_HEAD + 16,
	AT_BUFFER = -64,
	AT_LEN = AT_BUFFER + 8,
	AT_PAGED = AT_BUFFER + 12,
	AT_CONSUMED = AT_BUFFER + 16,
	AT_RIGHTS = AT_BUFFER + 20,
	AT_END = -72,
	AT_DONE = -80,
	AT_PIECE = -512,
};

struct offsets {
	int sk, addr, addr_len, addr_name;
	int queue, next, prev, socket, peer, ino, len, paged, data, rights, consumed, seq;
};

struct asmb {
	struct bpf_insn v[INSNS_MAX];
	size_t n;
};

static size_t emit(struct asmb *a, uint8_t code, int dst, int src, int off, int32_t imm)
{
	if (a->n < INSNS_MAX)
		a->v[a->n] = (struct bpf_insn){.code = code,
			.dst_reg = dst & 15,
			.src_reg = src & 15,
			.off = (int16_t)off,
			.imm = imm};
	return a->n++;
}

static void mov(struct asmb *a, int dst, int src)
{
	emit(a, BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0);
}

static void set(struct asmb *a, int dst, int32_t imm)
{
	emit(a, BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm);
}

static void add(struct asmb *a, int dst, int32_t imm)
{
	emit(a, BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, imm);
}

static void load(struct asmb *a, int size, int dst, int src, int off)
{
	emit(a, BPF_LDX | size | BPF_MEM, dst, src, off, 0);
}

static void store(struct asmb *a, int size, int off, int32_t imm)
{
	emit(a, BPF_ST | size | BPF_MEM, BPF_REG_10, 0, off, imm);
}

static void store_reg(struct asmb *a, int size, int off, int src)
{
	emit(a, BPF_STX | size | BPF_MEM, BPF_REG_10, src, off, 0);
}

/* Forward jumps get their distance when the place is known. */
static void land(struct asmb *a, size_t jump)
{
	if (jump < INSNS_MAX)
		a->v[jump].off = (int16_t)(a->n - jump - 1);
}

static void jump_back(struct asmb *a, size_t to)
{
	emit(a, BPF_JMP | BPF_JA, 0, 0, (int)to - (int)a->n - 1, 0);
}

/* Bytes at [@reg + @off] of the kernel to a place on the stack. */
static void peek(struct asmb *a, int at, int bytes, int reg, int off)
{
	mov(a, BPF_REG_3, reg);
	if (off)
		add(a, BPF_REG_3, off);
	set(a, BPF_REG_2, bytes);
	mov(a, BPF_REG_1, BPF_REG_10);
	add(a, BPF_REG_1, at);
	emit(a, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_probe_read_kernel);
}

/* r6 is the file that is read. */
static void write_out(struct asmb *a, int at, int bytes)
{
	mov(a, BPF_REG_1, BPF_REG_6);
	mov(a, BPF_REG_2, BPF_REG_10);
	add(a, BPF_REG_2, at);
	set(a, BPF_REG_3, bytes);
	emit(a, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_seq_write);
}

/* The inode number of the socket that a sock at [@reg] belongs to. */
static void peek_ino(struct asmb *a, const struct offsets *o, int at, int reg)
{
	size_t none;

	store(a, BPF_DW, at, 0);
	peek(a, AT_TMP, 8, reg, o->socket);
	load(a, BPF_DW, BPF_REG_8, BPF_REG_10, AT_TMP);
	none = emit(a, BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_8, 0, 0, 0);
	peek(a, at, 8, BPF_REG_8, o->ino);
	land(a, none);
}

/* Of the sender of the buffer at r8, if it is empty. */
static void emit_name(struct asmb *a, const struct offsets *o)
{
	size_t filled, no_sk, no_addr;

	load(a, BPF_W, BPF_REG_1, BPF_REG_10, AT_LEN);
	filled = emit(a, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_1, 0, 0, 0);
	peek(a, AT_TMP, 8, BPF_REG_8, o->sk);
	load(a, BPF_DW, BPF_REG_1, BPF_REG_10, AT_TMP);
	no_sk = emit(a, BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_1, 0, 0, 0);
	peek(a, AT_TMP, 8, BPF_REG_1, o->addr);
	load(a, BPF_DW, BPF_REG_1, BPF_REG_10, AT_TMP);
	no_addr = emit(a, BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_1, 0, 0, 0);
	store(a, BPF_DW, AT_PIECE, NAME);
	store(a, BPF_DW, AT_PIECE + 8, 0);
	store(a, BPF_DW, AT_PIECE + 16, 0);
	peek(a, AT_PIECE + (int)offsetof(struct name, len), 4, BPF_REG_1, o->addr_len);
	load(a, BPF_DW, BPF_REG_1, BPF_REG_10, AT_TMP);
	peek(a, AT_PIECE + (int)offsetof(struct name, un), NAME_BYTES, BPF_REG_1, o->addr_name);
	write_out(a, AT_PIECE, sizeof(struct name));
	land(a, filled);
	land(a, no_sk);
	land(a, no_addr);
}

/* What is in the buffer at r8, of a socket without a file. */
static void emit_data(struct asmb *a, const struct offsets *o)
{
	size_t again, has_file, all, most;

	load(a, BPF_DW, BPF_REG_1, BPF_REG_10, AT_INO);
	has_file = emit(a, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_1, 0, 0, 0);
	peek(a, AT_TMP, 8, BPF_REG_8, o->data);
	store(a, BPF_DW, AT_DONE, 0);
	again = a->n;
	load(a, BPF_DW, BPF_REG_1, BPF_REG_10, AT_DONE);
	load(a, BPF_W, BPF_REG_2, BPF_REG_10, AT_LEN);
	all = emit(a, BPF_JMP | BPF_JGE | BPF_X, BPF_REG_1, BPF_REG_2, 0, 0);
	most = emit(a, BPF_JMP | BPF_JGE | BPF_K, BPF_REG_1, 0, 0, LINEAR_MAX);
	load(a, BPF_DW, BPF_REG_4, BPF_REG_10, AT_TMP);
	emit(a, BPF_ALU64 | BPF_ADD | BPF_X, BPF_REG_4, BPF_REG_1, 0, 0);
	add(a, BPF_REG_1, PIECE);
	store_reg(a, BPF_DW, AT_DONE, BPF_REG_1);
	peek(a, AT_PIECE, PIECE, BPF_REG_4, 0);
	write_out(a, AT_PIECE, PIECE);
	jump_back(a, again);
	land(a, has_file);
	land(a, all);
	land(a, most);
}

/* The buffer at r8. */
static void emit_buffer(struct asmb *a, const struct offsets *o, bool data)
{
	size_t has_file;

	store(a, BPF_DW, AT_BUFFER, BUFFER);
	peek(a, AT_LEN, 4, BPF_REG_8, o->len);
	peek(a, AT_PAGED, 4, BPF_REG_8, o->paged);
	peek(a, AT_CONSUMED, 4, BPF_REG_8, o->consumed);
	peek(a, AT_TMP, 8, BPF_REG_8, o->rights);
	load(a, BPF_DW, BPF_REG_1, BPF_REG_10, AT_TMP);
	store(a, BPF_W, AT_RIGHTS, 0);
	has_file = emit(a, BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_1, 0, 0, 0);
	store(a, BPF_W, AT_RIGHTS, 1);
	land(a, has_file);
	write_out(a, AT_BUFFER, sizeof(struct buffer));
	if (data)
		emit_data(a, o);
	emit_name(a, o);
}

static int assemble(struct asmb *a, const struct offsets *o, bool data)
{
	size_t no_sock, no_peer, empty, end, more, again;

	load(a, BPF_DW, BPF_REG_6, BPF_REG_1, 0);
	load(a, BPF_DW, BPF_REG_7, BPF_REG_1, CTX_SOCK);
	no_sock = emit(a, BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_7, 0, 0, 0);
	load(a, BPF_DW, BPF_REG_6, BPF_REG_6, o->seq);
	peek_ino(a, o, AT_INO, BPF_REG_7);
	store(a, BPF_DW, AT_PEER, 0);
	peek(a, AT_TMP, 8, BPF_REG_7, o->peer);
	load(a, BPF_DW, BPF_REG_9, BPF_REG_10, AT_TMP);
	no_peer = emit(a, BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_9, 0, 0, 0);
	peek_ino(a, o, AT_PEER, BPF_REG_9);
	land(a, no_peer);
	/* the first buffer, and the end */
	peek(a, AT_TMP, 8, BPF_REG_7, o->queue + o->next);
	load(a, BPF_DW, BPF_REG_8, BPF_REG_10, AT_TMP);
	peek(a, AT_END, 8, BPF_REG_8, o->prev);
	load(a, BPF_DW, BPF_REG_1, BPF_REG_10, AT_END);
	empty = emit(a, BPF_JMP | BPF_JEQ | BPF_X, BPF_REG_8, BPF_REG_1, 0, 0);
	store(a, BPF_DW, AT_HEAD, SOCKET);
	write_out(a, AT_HEAD, sizeof(struct head));
	set(a, BPF_REG_9, 0);
	again = a->n;
	load(a, BPF_DW, BPF_REG_1, BPF_REG_10, AT_END);
	end = emit(a, BPF_JMP | BPF_JEQ | BPF_X, BPF_REG_8, BPF_REG_1, 0, 0);
	more = emit(a, BPF_JMP | BPF_JGE | BPF_K, BPF_REG_9, 0, 0, SKBS_MAX);
	emit_buffer(a, o, data);
	peek(a, AT_TMP, 8, BPF_REG_8, o->next);
	load(a, BPF_DW, BPF_REG_8, BPF_REG_10, AT_TMP);
	add(a, BPF_REG_9, 1);
	jump_back(a, again);
	land(a, more);
	store(a, BPF_DW, AT_HEAD, CUT);
	write_out(a, AT_HEAD, sizeof(struct head));
	land(a, no_sock);
	land(a, empty);
	land(a, end);
	set(a, BPF_REG_0, 0);
	emit(a, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	return a->n > INSNS_MAX ? -E2BIG : 0;
}

/* Return: 0; -ENOENT */
static int find_offsets(const struct btf *b, struct offsets *o)
{
	int cb = btf_offset(b, "sk_buff", "cb"), inode = btf_offset(b, "inode", "i_ino");
	int in_socket = btf_offset(b, "socket_alloc", "vfs_inode");
	int all[] = {o->queue = btf_offset(b, "sock", "sk_receive_queue"),
		o->socket = btf_offset(b, "sock", "sk_socket"),
		o->peer = btf_offset(b, "unix_sock", "peer"),
		o->len = btf_offset(b, "sk_buff", "len"),
		o->paged = btf_offset(b, "sk_buff", "data_len"),
		o->data = btf_offset(b, "sk_buff", "data"),
		o->next = btf_offset(b, "sk_buff", "next"),
		o->prev = btf_offset(b, "sk_buff", "prev"),
		o->rights = btf_offset(b, "unix_skb_parms", "fp"),
		o->consumed = btf_offset(b, "unix_skb_parms", "consumed"),
		o->seq = btf_offset(b, "bpf_iter_meta", "seq"),
		o->sk = btf_offset(b, "sk_buff", "sk"),
		o->addr = btf_offset(b, "unix_sock", "addr"),
		o->addr_len = btf_offset(b, "unix_address", "len"),
		o->addr_name = btf_offset(b, "unix_address", "name"), cb, inode, in_socket};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i] < 0)
			return -ENOENT;
	o->rights += cb;
	o->consumed += cb;
	o->ino = in_socket + inode;
	return 0;
}

/* Return: a descriptor that is read to the end; -errno */
static int open_iterator(const struct asmb *a, int function)
{
	_cleanup_close_ int prog = -EBADF, link = -EBADF;
	union bpf_attr attr = {0};

	attr.prog_type = BPF_PROG_TYPE_TRACING;
	attr.expected_attach_type = BPF_TRACE_ITER;
	attr.attach_btf_id = (uint32_t)function;
	attr.insns = (uintptr_t)a->v;
	attr.insn_cnt = (uint32_t)a->n;
	attr.license = (uintptr_t) "Dual MIT/GPL"; /* the helpers ask for it */
	prog = bpf_call(BPF_PROG_LOAD, &attr);
	if (prog < 0)
		return prog;
	memset(&attr, 0, sizeof(attr));
	attr.link_create.prog_fd = (uint32_t)prog;
	attr.link_create.attach_type = BPF_TRACE_ITER;
	link = bpf_call(BPF_LINK_CREATE, &attr);
	if (link < 0)
		return link;
	memset(&attr, 0, sizeof(attr));
	attr.iter_create.link_fd = (uint32_t)link;
	return bpf_call(BPF_ITER_CREATE, &attr);
}

static int add_buffer(struct unix_queue *q, const struct buffer *b, const uint8_t *data)
{
	if (vec_reserve(&q->v, &q->cap, q->n + 1, sizeof(*q->v)) < 0)
		return -ENOMEM;
	q->v[q->n++] = (struct unix_skb){.len = b->len,
		.paged = b->paged,
		.consumed = b->consumed,
		.rights = b->rights,
		.data = data};
	return 0;
}

/* Return: bytes that the pieces of a buffer take; they are of fixed size */
static size_t pieces_len(
	const struct unix_queues *all, const struct unix_queue *q, const struct buffer *b)
{
	size_t len = all->with_data && !q->ino ? MIN(b->len, (uint32_t)LINEAR_MAX) : 0;

	return (len + PIECE - 1) / PIECE * PIECE;
}

static void take_name(struct unix_skb *k, const char *at)
{
	struct name n;

	memcpy(&n, at, sizeof(n));
	k->from.un = n.un;
	k->from.len = MIN(n.len, (uint32_t)sizeof(n.un));
}

static int parse(struct unix_queues *ret, size_t len)
{
	const char *at = ret->data, *end = at + len;
	struct head h;
	struct buffer b;
	int r = 0;

	while (r == 0 && end - at >= (long)sizeof(h)) {
		struct unix_queue *q = ret->n ? &ret->v[ret->n - 1] : NULL;

		memcpy(&h, at, sizeof(h));
		memcpy(&b, at, sizeof(b));
		at += sizeof(h);
		if (h.kind == SOCKET) {
			if (vec_reserve(&ret->v, &ret->cap, ret->n + 1, sizeof(*ret->v)) < 0)
				return -ENOMEM;
			ret->v[ret->n++] = (struct unix_queue){.ino = h.ino, .peer = h.peer};
		} else if (h.kind == CUT && q) {
			q->cut = true;
		} else if (h.kind == BUFFER && q && (size_t)(end - at) >= pieces_len(ret, q, &b)) {
			size_t pieces = pieces_len(ret, q, &b);

			r = add_buffer(q, &b, pieces ? (const uint8_t *)at : NULL);
			at += pieces;
		} else if (h.kind == NAME && q && q->n &&
			   end - at >= (long)(sizeof(struct name) - sizeof(h))) {
			take_name(&q->v[q->n - 1], at - sizeof(h));
			at += sizeof(struct name) - sizeof(h);
		} else {
			r = -EBADMSG;
		}
	}
	return r;
}

/*
 * By large reads: between two of them the kernel forgets which socket it was at, but for its place in a
 * list, and passes over one if others have gone.
 */
static int read_all(int fd, char **ret, size_t *ret_len)
{
	size_t cap = 0, len = 0;
	ssize_t n;

	do {
		if (vec_reserve(ret, &cap, len + READ_BYTES, 1) < 0)
			return -ENOMEM;
		n = read(fd, *ret + len, READ_BYTES);
		if (n < 0)
			return -errno;
		len += (size_t)n;
	} while (n);
	*ret_len = len;
	return 0;
}

int unix_queues_read(struct unix_queues *ret, bool data)
{
	_cleanup_(btf_done) struct btf btf = {0};
	_cleanup_close_ int fd = -EBADF;
	struct offsets o;
	struct asmb a = {.n = 0};
	size_t len = 0;
	int r, function = -ENOENT;

	_Static_assert(sizeof(struct head) == sizeof(struct buffer), "records are of one size");
	_Static_assert(offsetof(struct name, un) + NAME_BYTES == sizeof(struct name), "no holes");
	*ret = (struct unix_queues){.with_data = data};
	r = btf_read(&btf);
	if (r == 0)
		r = find_offsets(&btf, &o);
	if (r == 0)
		r = function = btf_function(&btf, "bpf_iter_unix");
	if (r >= 0)
		r = assemble(&a, &o, data);
	if (r < 0)
		return r;
	fd = open_iterator(&a, function);
	if (fd < 0)
		return fd;
	r = read_all(fd, &ret->data, &len);
	return r < 0 ? r : parse(ret, len);
}

const struct unix_queue *unix_queues_find(const struct unix_queues *q, uint64_t ino, uint64_t peer)
{
	for (size_t i = 0; i < q->n; i++)
		if (q->v[i].ino == ino && (ino || q->v[i].peer == peer))
			return &q->v[i];
	return NULL;
}

void unix_queues_done(struct unix_queues *q)
{
	for (size_t i = 0; i < q->n; i++)
		free(q->v[i].v);
	free(q->v);
	free(q->data);
	*q = (struct unix_queues){0};
}
