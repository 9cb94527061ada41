/*
 * socket.c - what all kinds of sockets have in common: what they are, and their options.
 *
 * Options are compared with those of a new socket of the same kind, and only what differs is saved:
 * an image stays small, and a restore sets what the program has set. A size of a buffer that the program
 * never set grows by itself, and is set only if the kernel says that it was locked by the program.
 *
 * A classic filter is read as it was given; one of eBPF comes back where its program is pinned. Whether a socket
 * belongs to a reuseport group with a program (SO_ATTACH_REUSEPORT_CBPF) the kernel does not tell.
 */
#include "res/socket/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/bpf_program.h"
#include "kernel/kmem.h"
#include "kernel/sock_diag.h"
#include "kernel/sock_name.h"
#include "proto/bpfprog.pb-c.h"
#include "proto/fdtable.pb-c.h"
#include "proto/socket.pb-c.h"
#include "res/file/pinned.h"
#include "res/socket/inet_parts.h"
#include "res/socket/sockopt.h"
#include "util/cleanup.h"
#include "util/vec.h"

static bool is_pinned(uint32_t program)
{
	_cleanup_free_ char *path = NULL;
	struct bpf_program found;

	return program && bpf_program_find(program, &found, &path) == 0;
}

struct file_verdict socket_verdict(const struct file_look *l)
{
	if (l->sock->foreign)
		return (struct file_verdict){CKPT_REFUSED,
			"it is of another network namespace, which is not saved yet",
			"let the program close it, or run ckpt in that namespace"};
	if (l->sock->ebpf && !is_pinned(l->sock->program))
		return (struct file_verdict){CKPT_REFUSED,
			l->sock->program
				? "its filter is an eBPF program, which the kernel does not give "
				  "back, and that is pinned nowhere"
				: "its filter is an eBPF program, and which one the kernel tells only "
				  "to CAP_BPF and CAP_PERFMON, where it has BTF",
			"pin it in a file system of BPF (bpftool prog pin), or let the program take "
			"it off (SO_DETACH_BPF)"};
	return (struct file_verdict){CKPT_SAVED, NULL, NULL};
}

struct socket_text socket_addr_text(const struct sockaddr *a)
{
	struct socket_text t = {""};
	char ip[INET6_ADDRSTRLEN] = "?";
	const struct sockaddr_in *in = (const void *)a;
	const struct sockaddr_in6 *in6 = (const void *)a;

	if (a->sa_family == AF_INET) {
		inet_ntop(AF_INET, &in->sin_addr, ip, sizeof(ip));
		snprintf(t.s, sizeof(t.s), "%s:%u", ip, ntohs(in->sin_port));
	} else {
		inet_ntop(AF_INET6, &in6->sin6_addr, ip, sizeof(ip));
		snprintf(t.s, sizeof(t.s), "[%s]:%u", ip, ntohs(in6->sin6_port));
	}
	return t;
}

static int collect_filter(Ckpt__Socket *m, const struct file_look *l)
{
	size_t n = (size_t)l->sock->n_filter;
	int got;

	if (l->sock->program)
		return pinned_record(l->sock->program, &m->program);
	if (!n)
		return 0;
	m->filter.data = calloc(n, sizeof(struct sock_filter));
	if (!m->filter.data)
		return -ENOMEM;
	got = sock_filter_get(l->fd, (void *)m->filter.data, n);
	m->filter.len = got < 0 ? 0 : (size_t)got * sizeof(struct sock_filter);
	return got < 0 ? got : 0;
}

int socket_collect(struct collect *c, uint64_t id, const struct file_look *l)
{
	struct file_verdict v = socket_verdict(l);
	Ckpt__Socket *m;

	if (v.verdict == CKPT_REFUSED)
		return op_fail(c->op, CKPT_E_REFUSED, 0, NULL, v.advice, "pid %d (%s): fd %d: %s",
			c->pid, c->tr->comm, l->target_fd, v.reason);
	m = msg_new(Ckpt__Socket, CKPT__SOCKET__INIT);
	if (!m)
		return collect_oom(c);
	m->family = l->sock->family;
	m->type = l->sock->type;
	m->protocol = l->sock->protocol;
	m->uid = l->st.st_uid;
	m->gid = l->st.st_gid;
	if (sockopt_collect(c->tree, l->fd, m) < 0 || collect_filter(m, l) < 0) {
		protobuf_c_message_free_unpacked(&m->base, NULL);
		return collect_oom(c);
	}
	return collect_add_take(c, &res_socket.type, id, m);
}

/* What a kernel can't tell is not asked again: each time it would look for a module. */
static int read_diag(struct collect_tree *t, int family, int protocol)
{
	uint16_t what = (uint16_t)(family << 8 | protocol);
	int r;

	for (size_t i = 0; i < t->n_no_diag; i++)
		if (t->no_diag[i] == what)
			return -EOPNOTSUPP;
	if (!t->diag)
		t->diag = calloc(1, sizeof(*t->diag));
	r = t->diag ? sock_diag_read(t->diag, family, protocol) : -ENOMEM;
	if (r == -EOPNOTSUPP && t->n_no_diag < ARRAY_SIZE(t->no_diag))
		t->no_diag[t->n_no_diag++] = what;
	return r;
}

const struct sock_diag_row *socket_diag_row(
	struct collect_tree *t, int family, int protocol, uint64_t ino)
{
	return read_diag(t, family, protocol) == 0 ? sock_diag_find(t->diag, ino) : NULL;
}

int socket_diag(struct collect_tree *t, int family, int protocol, const struct sock_diag **ret)
{
	int r = read_diag(t, family, protocol);

	*ret = t->diag;
	if (r == 0)
		return 0;
	return op_fail(t->op, CKPT_E_SYSTEM, -r, "sock_diag",
		r == -EOPNOTSUPP ? "load the modules unix_diag, tcp_diag, udp_diag, raw_diag, "
				   "netlink_diag, af_packet_diag"
				 : NULL,
		"sockets of family %d, protocol %d", family, protocol);
}

static void kmem_done(struct collect_tree *t)
{
	if (t->kmem)
		kmem_close(t->kmem);
	free(t->kmem);
	t->kmem = NULL;
}

int socket_kmem(struct collect_tree *t, struct kmem **ret)
{
	int r;

	if (!t->kmem) {
		t->kmem = malloc(sizeof(*t->kmem));
		if (!t->kmem)
			return -ENOMEM;
		r = kmem_open(t->kmem);
		if (r < 0) {
			kmem_done(t);
			return r;
		}
	}
	*ret = t->kmem;
	return 0;
}

void socket_done(struct collect_tree *t)
{
	if (t->diag)
		sock_diag_done(t->diag);
	free(t->diag);
	t->diag = NULL;
	sockopt_done(t);
	unix_queues_forget(t);
	inet_groups_done(t);
	inet_held_done(t);
	inet_errors_done(t);
	kmem_done(t);
}

const struct Ckpt__Socket *socket_record(struct open_ctx *o, uint64_t id)
{
	const Ckpt__Socket *m = model_get(o->model, &res_socket.type, id);

	if (!m)
		op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"file %llu: nothing says what socket it is", (unsigned long long)id);
	return m;
}

/* Numbers are checked by the kernel; lengths here. */
static int set_option(
	struct open_ctx *o, int fd, const struct sockopt *row, const Ckpt__SocketOption *e)
{
	int r;

	if (e->value.len > SOCKOPT_VALUE_MAX)
		return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify", "%s of %zu bytes",
			row->text, e->value.len);
	r = sockopt_set(fd, row, e->value.data, (socklen_t)e->value.len);
	if (r == 0)
		return 0;
	if (row->soft) {
		op_warn(o->op, "%s of a socket is not set again: %s%s%s", row->text, strerror(-r),
			row->needs && r == -EPERM ? "; it takes " : "",
			row->needs && r == -EPERM ? row->needs : "");
		return 0;
	}
	return op_fail(o->op, r == -EPERM ? CKPT_E_PRIVILEGE : CKPT_E_SYSTEM, -r, "setsockopt",
		r == -ENOPROTOOPT || r == -EOPNOTSUPP ? "this kernel does not have it" : NULL,
		"%s of a socket%s%s%s", row->text, row->needs && r == -EPERM ? " (takes " : "",
		row->needs && r == -EPERM ? row->needs : "", row->needs && r == -EPERM ? ")" : "");
}

static int set_program(struct open_ctx *o, int fd, const Ckpt__BpfProg *m)
{
	_cleanup_close_ int prog = pinned_open(o, m, "the filter of a socket");

	if (prog < 0)
		return prog;
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &prog, sizeof(prog)) < 0)
		return op_fail(o->op, CKPT_E_SYSTEM, errno, "setsockopt(SO_ATTACH_BPF)", NULL,
			"a socket: the eBPF program at %s", m->path);
	return 0;
}

static int set_filter(struct open_ctx *o, int fd, const Ckpt__Socket *m)
{
	struct sock_fprog p = {.len = m->filter.len / sizeof(struct sock_filter),
		.filter = (void *)m->filter.data};

	if (m->program)
		return set_program(o, fd, m->program);
	if (!m->filter.len)
		return 0;
	if (m->filter.len % sizeof(struct sock_filter) ||
		m->filter.len > BPF_MAXINSNS * sizeof(*p.filter))
		return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"a socket's filter of %zu bytes", m->filter.len);
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof(p)) < 0)
		return op_fail(o->op, CKPT_E_SYSTEM, errno, "setsockopt(SO_ATTACH_FILTER)", NULL,
			"a socket");
	return 0;
}

int socket_options(struct open_ctx *o, uint64_t id, int fd, enum sockopt_when when)
{
	const Ckpt__Socket *m = socket_record(o, id);
	int r = m ? 0 : -EBADMSG;

	/* a lock of filters is among the options */
	if (r == 0 && when == SOCKOPT_LAST)
		r = set_filter(o, fd, m);
	for (size_t i = 0; r == 0 && i < m->n_options; i++) {
		const struct sockopt *row = sockopt_find(m->options[i]->level, m->options[i]->name);

		if (!row)
			return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
				"socket option %d of level %d is not known", m->options[i]->name,
				m->options[i]->level);
		if (row->when == when || (row->again && when == SOCKOPT_LAST))
			r = set_option(o, fd, row, m->options[i]);
	}
	return r;
}

/* Whoever is not root may only have made what is his own. */
static int set_owner(struct open_ctx *o, int fd, const Ckpt__Socket *m)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && st.st_uid == m->uid && st.st_gid == m->gid)
		return 0;
	if (fchown(fd, m->uid, m->gid) < 0)
		return op_fail(o->op, CKPT_E_PRIVILEGE, errno, "fchown", NULL,
			"a socket of user %u, group %u", m->uid, m->gid);
	return 0;
}

int socket_adopt(struct open_ctx *o, uint64_t id, int fd)
{
	const Ckpt__Socket *m = socket_record(o, id);
	int r = m ? set_owner(o, fd, m) : -EBADMSG;

	return r < 0 ? r : socket_options(o, id, fd, SOCKOPT_NEW);
}

int socket_new(struct open_ctx *o, uint64_t id)
{
	const Ckpt__Socket *m = socket_record(o, id);
	_cleanup_close_ int fd = -EBADF;
	int r;

	if (!m)
		return -EBADMSG;
	fd = socket(m->family, m->type | SOCK_CLOEXEC | SOCK_NONBLOCK, m->protocol);
	if (fd < 0)
		return op_fail(o->op, CKPT_E_SYSTEM, errno, "socket", NULL,
			"a %s socket (family %d, type %d, protocol %d)",
			sock_name(m->family, m->type, m->protocol), m->family, m->type,
			m->protocol);
	r = socket_adopt(o, id, fd);
	return r < 0 ? r : TAKE_FD(fd);
}

int socket_open(struct open_ctx *o, uint64_t id, const struct model_rec *rec,
	int (*make)(struct open_ctx *o, uint64_t id, int fd, const struct model_rec *rec))
{
	_cleanup_close_ int fd = -EBADF;
	int r;

	if (o->unneeded)
		return OPEN_NOTHING;
	fd = r = socket_new(o, id);
	if (r >= 0)
		r = make(o, id, fd, rec);
	return r < 0 ? r : TAKE_FD(fd);
}

int socket_flags(struct open_ctx *o, uint64_t id, int fd)
{
	const Ckpt__File *f = model_get(o->model, &res_file.type, id);

	if (f && fcntl(fd, F_SETFL, (int)f->flags & (O_NONBLOCK | O_APPEND | O_NOATIME)) < 0)
		return op_fail(o->op, CKPT_E_SYSTEM, errno, "fcntl(F_SETFL)", NULL, "a socket");
	return 0;
}

const struct res res_socket = {
	.type = {"socket", SCOPE_FILE, &ckpt__socket__descriptor, NULL},
};
