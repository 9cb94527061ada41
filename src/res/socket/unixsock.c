/*
 * unixsock.c - sockets of the family AF_UNIX: what each of them is.
 *
 * A name that is a path belongs to an inode, which may have been renamed or unlinked since; SIOCUNIXFILE
 * (Linux >= 4.15) leads to it. The socket itself has a mode and an owner too, those of sockfs, which
 * fchmod and fchown change. All names of one kind: a socket that was accepted has the name of the
 * listening socket, although it is not bound to it.
 */
#include "res/socket/unixsock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/unix_diag.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kernel/pidfd.h"
#include "kernel/proc.h"
#include "kernel/sock_diag.h"
#include "proto/socket.pb-c.h"
#include "res/file/seen.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/vec.h"

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif
#define NAME_AT offsetof(struct sockaddr_un, sun_path)
#define NOBODY  UINT32_MAX

ProtobufCBinaryData unix_addr_name(const struct unix_addr *a)
{
	size_t len = a->len > NAME_AT ? a->len - NAME_AT : 0;
	ProtobufCBinaryData name = {0};

	if (len && a->un.sun_path[0])
		len = strnlen(a->un.sun_path, MIN(len, UNIX_NAME_MAX));
	name = (ProtobufCBinaryData){.len = len, .data = (uint8_t *)a->un.sun_path};
	return name;
}

bool unix_addr_of(const ProtobufCBinaryData *name, struct unix_addr *ret)
{
	*ret = (struct unix_addr){.un.sun_family = AF_UNIX};
	if (name->len > UNIX_NAME_MAX)
		return false;
	if (name->len)
		memcpy(ret->un.sun_path, name->data, name->len);
	ret->len = NAME_AT + name->len;
	return true;
}

static bool match(const struct file_look *l)
{
	return l->sock && l->sock->family == AF_UNIX;
}

static int fail(struct collect *c, const struct file_look *l, int err, const char *what)
{
	return op_fail(c->op, CKPT_E_SYSTEM, err, what, NULL, "pid %d (%s): fd %d (%s)", c->pid,
		c->tr->comm, l->target_fd, l->link);
}

static int collect_names(struct collect *c, const struct file_look *l, Ckpt__UnixSock *m)
{
	struct unix_addr a = {.len = sizeof(a.un) + 1};
	ProtobufCBinaryData name;

	if (getsockname(l->fd, (struct sockaddr *)&a.un, &a.len) < 0)
		return fail(c, l, errno, "getsockname");
	name = unix_addr_name(&a);
	m->name = msg_bytes(name.data, name.len);
	if (name.len && !m->name.data)
		return collect_oom(c);
	a = (struct unix_addr){.len = sizeof(a.un) + 1};
	if (getpeername(l->fd, (struct sockaddr *)&a.un, &a.len) < 0)
		return 0;
	name = unix_addr_name(&a);
	m->peer_name = msg_bytes(name.data, name.len);
	return name.len && !m->peer_name.data ? collect_oom(c) : 0;
}

/* The text that a socket was bound to, from where its process is now; of another root it is nothing to us. */
static char *name_from(const struct collect *c, const Ckpt__UnixSock *m)
{
	char *text = NULL;
	_cleanup_free_ char *dir = NULL;
	bool absolute = m->name.data[0] == '/';

	if (link_read_at(c->proc_fd, absolute ? "root" : "cwd", &dir) < 0)
		return NULL;
	if (absolute && strcmp(dir, "/") != 0)
		return NULL;
	if (asprintf(&text, "%s%s%.*s", absolute ? "" : dir, absolute ? "" : "/", (int)m->name.len,
		    (char *)m->name.data) < 0)
		return NULL;
	return text;
}

/*
 * Without the right to be led to the file it is looked for under the name. sock_diag tells the inode that the
 * socket was bound to, which no other file gets as long as the socket is there.
 */
static int collect_path_by_name(struct collect *c, const struct file_look *l, Ckpt__UnixSock *m)
{
	const struct sock_diag_row *row = socket_diag_row(c->tree, AF_UNIX, 0, l->st.st_ino);
	const struct unix_diag_vfs *vfs = row ? sock_diag_attr(row, UNIX_DIAG_VFS, NULL) : NULL;
	char *name = name_from(c, m);
	struct stat there;

	if (!name || !vfs || lstat(name, &there) < 0 || !S_ISSOCK(there.st_mode) ||
		(uint32_t)there.st_ino != vfs->udiag_vfs_ino) {
		free(name);
		op_warn(c->op,
			"pid %d (%s): fd %d: the socket %.*s is not under that name, and where it is "
			"takes CAP_NET_ADMIN to tell: it is restored without a file",
			c->pid, c->tr->comm, l->target_fd, (int)m->name.len, (char *)m->name.data);
		return 0;
	}
	free(m->path);
	m->path = name;
	m->file_mode = there.st_mode & 07777;
	m->file_uid = there.st_uid;
	m->file_gid = there.st_gid;
	return 0;
}

/* The file of its name: as it is now, and where. */
static int collect_path(struct collect *c, const struct file_look *l, Ckpt__UnixSock *m)
{
	_cleanup_close_ int fd = -EBADF;
	struct stat file, there;

	if (!m->name.len || !m->name.data[0])
		return 0;
	fd = ioctl(l->fd, SIOCUNIXFILE);
	if (fd < 0 && errno == EPERM) /* it takes CAP_NET_ADMIN */
		return collect_path_by_name(c, l, m);
	if (fd < 0)
		return fail(c, l, errno, "ioctl(SIOCUNIXFILE)");
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	free(m->path);
	m->path = NULL;
	if (fstat(fd, &file) < 0 || fd_path(fd, &m->path) < 0)
		return fail(c, l, errno, "fstat");
	m->file_mode = file.st_mode & 07777;
	m->file_uid = file.st_uid;
	m->file_gid = file.st_gid;
	if (m->path[0] == '/' && lstat(m->path, &there) == 0 && there.st_ino == file.st_ino &&
		there.st_dev == file.st_dev)
		return 0;
	if (file.st_nlink)
		op_warn(c->op,
			"pid %d (%s): fd %d: the socket %s can't be reached under that name: it is "
			"restored without a file",
			c->pid, c->tr->comm, l->target_fd, m->path);
	m->path[0] = '\0';
	m->file_mode = m->file_uid = m->file_gid = 0;
	return 0;
}

static int collect_peer_cred(struct collect *c, const struct file_look *l, Ckpt__UnixSock *m)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	Ckpt__UnixCred *k;

	if (getsockopt(l->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 ||
		(!cred.pid && cred.uid == NOBODY))
		return 0;
	k = m->peer_cred = msg_new(Ckpt__UnixCred, CKPT__UNIX_CRED__INIT);
	if (!k)
		return collect_oom(c);
	k->pid = cred.pid;
	k->uid = cred.uid;
	k->gid = cred.gid;
	len = 0;
	if (getsockopt(l->fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) == 0 || errno != ERANGE)
		return 0;
	k->groups = malloc(len);
	if (!k->groups)
		return collect_oom(c);
	if (getsockopt(l->fd, SOL_SOCKET, SO_PEERGROUPS, k->groups, &len) == 0)
		k->n_groups = len / sizeof(*k->groups);
	return 0;
}

static int collect_all(struct collect *c, const struct file_look *l, Ckpt__UnixSock *m)
{
	struct pollfd p = {.fd = l->fd, .events = POLLPRI};
	int r = collect_names(c, l, m);

	if (r == 0)
		r = collect_path(c, l, m);
	if (r == 0)
		r = collect_peer_cred(c, l, m);
	if (r < 0)
		return r;
	m->ino = l->st.st_ino;
	m->mode = l->st.st_mode & 07777;
	m->listening = l->sock->listening;
	/* SO_ERROR would take it away; streams have no other error than that of a peer who is gone */
	if (poll(&p, 1, 0) > 0 && p.revents & POLLERR)
		m->reset = true;
	if (p.revents & POLLPRI)
		return op_fail(c->op, CKPT_E_REFUSED, 0, NULL, "let the program read it",
			"pid %d (%s): fd %d (%s): urgent data (MSG_OOB) of a unix socket can't be "
			"saved",
			c->pid, c->tr->comm, l->target_fd, l->link);
	return 0;
}

static int collect(struct collect *c, uint64_t id, const struct file_look *l)
{
	Ckpt__UnixSock *m = msg_new(Ckpt__UnixSock, CKPT__UNIX_SOCK__INIT);
	int r;

	if (m)
		m->path = strdup("");
	if (!m || !m->path) {
		free(m);
		return collect_oom(c);
	}
	r = collect_all(c, l, m);
	if (r == 0)
		r = socket_collect(c, id, l);
	if (r == 0)
		return collect_add_take(c, &res_unixsock.type, id, m);
	protobuf_c_message_free_unpacked(&m->base, NULL);
	return r;
}

/* Of all sockets that are known, and of those that are found in their queues. */
static int gather(struct collect_tree *t)
{
	const struct model_rec *rec;
	size_t pos = 0;
	int r = 0;

	while (r == 0 && (rec = model_next(t->model, &res_unixsock.type, &pos))) {
		const struct collect_file *f = &t->files[rec->owner - 1];
		Ckpt__UnixSock *m = (void *)rec->msg;
		const Ckpt__Socket *s = model_get(t->model, &res_socket.type, rec->owner);
		_cleanup_close_ int fd = -EBADF;

		if (m->listening)
			continue;
		fd = pidfd_take(f->of->pidfd, f->target_fd);
		if (fd < 0)
			return op_fail(t->op, CKPT_E_SYSTEM, -fd, "pidfd_getfd", NULL,
				"pid %d (%s): fd %d", f->of->pid, f->of->tr->comm, f->target_fd);
		r = unix_queue_collect(f->of, m, fd, s->type);
	}
	return r;
}

static struct file_verdict verdict(int procfd, const struct file_look *l)
{
	(void)procfd;
	return socket_verdict(l);
}

static const struct file_ops ops = {.match = match,
	.verdict = verdict,
	.collect = collect,
	.gather = gather,
	.finish = unix_peers,
	.open = unix_open,
	.opened_all = unix_opened_all};
static const char *const volatile_fields[] = {"ino", NULL};

const struct res res_unixsock = {
	.type = {"unixsock", SCOPE_FILE, &ckpt__unix_sock__descriptor, volatile_fields},
	.go = unix_go,
	.file = &ops,
};
