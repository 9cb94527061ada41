/*
 * unixsock_call.c - calls of which the kernel writes down who makes them (SO_PEERCRED: connect, listen), and
 * addresses that lead to a socket wherever its file is now.
 */
#include "res/socket/unixsock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "util/cleanup.h"

int unix_fail(struct open_ctx *o, const struct unix_end *e, int err, const char *call)
{
	return op_fail(o->op, CKPT_E_SYSTEM, err, call, NULL, "unix socket %llu (file %llu)",
		(unsigned long long)e->m->ino, (unsigned long long)e->id);
}

struct listen_call {
	int fd, backlog;
};

static int call_listen(void *arg)
{
	const struct listen_call *c = arg;

	return listen(c->fd, c->backlog) < 0 ? -errno : 0;
}

struct connect_call {
	int fd;
	const struct unix_addr *to;
};

static int call_connect(void *arg)
{
	const struct connect_call *c = arg;

	return connect(c->fd, (const struct sockaddr *)&c->to->un, c->to->len) < 0 ? -errno : 0;
}

int unix_connect_to(
	struct open_ctx *o, int fd, const struct unix_addr *to, const Ckpt__UnixCred *as)
{
	struct connect_call c = {fd, to};

	return unix_as(o, as, call_connect, &c);
}

int unix_listen(struct open_ctx *o, int fd, const Ckpt__UnixCred *as, int backlog)
{
	struct listen_call c = {fd, backlog};
	int r = unix_as(o, as, call_listen, &c);

	return r < 0 ? op_fail(o->op, CKPT_E_SYSTEM, -r, "listen", NULL, "a unix socket") : 0;
}

/* A duplicate of what was kept of a socket's file; negative: nothing */
static int kept(const struct unix_world *w, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	for (size_t i = 0; i < w->n_kept; i++)
		if (w->kept[i].ino == st.st_ino)
			return fcntl(w->kept[i].file, F_DUPFD_CLOEXEC, 0);
	return -ENOENT;
}

bool unix_address(const struct unix_world *w, int to, const ProtobufCBinaryData *name,
	struct unix_addr *ret, int *ret_file)
{
	*ret_file = -EBADF;
	if (!name->len || !unix_addr_of(name, ret))
		return false;
	if (name->data[0])
		*ret_file = ioctl(to, SIOCUNIXFILE);
	if (name->data[0] && *ret_file < 0)
		*ret_file = kept(w, to);
	if (*ret_file < 0)
		return true;
	fcntl(*ret_file, F_SETFD, FD_CLOEXEC);
	snprintf(ret->un.sun_path, UNIX_NAME_MAX, "/proc/self/fd/%d", *ret_file);
	ret->len = sizeof(ret->un);
	return true;
}

int unix_connect(struct open_ctx *o, int fd, int to, const ProtobufCBinaryData *name,
	const Ckpt__UnixCred *as)
{
	_cleanup_close_ int file = -EBADF;
	struct unix_addr addr;
	int r;

	if (!unix_address(o->plan->unix_world, to, name, &addr, &file))
		return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"a unix socket is connected to one without a name");
	r = unix_connect_to(o, fd, &addr, as);
	return r < 0 ? op_fail(o->op, CKPT_E_SYSTEM, -r, "connect", NULL, "a unix socket") : 0;
}
