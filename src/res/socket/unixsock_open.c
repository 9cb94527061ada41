/*
 * unixsock_open.c - the unix sockets of an image are made, named and connected; all at once, since they
 * belong to each other.
 *
 * Who had connected to a name is connected to it again; who had accepted it has the name of the listening
 * socket, so where that is gone, another one is made for the purpose. Ends without any name were made by
 * socketpair(2). The kernel writes down who calls listen, connect and socketpair (SO_PEERCRED), so those
 * who had called them are stood in for.
 */
#include "res/socket/unixsock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/socket.pb-c.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/vec.h"

#define NEW_FLAGS   (SOCK_CLOEXEC | SOCK_NONBLOCK)
#define BACKLOG     128
#define SOCKFS_MODE 0777

static bool is(const struct unix_end *e, Ckpt__UnixSock__Peer how)
{
	return e->m->peer_is == how;
}

static bool dgram(const struct unix_end *e)
{
	return e->socket->type == SOCK_DGRAM;
}

struct unix_end *unix_end_of(const struct unix_world *w, uint64_t id)
{
	size_t lo = 0, hi = w->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (w->v[mid].id == id)
			return &w->v[mid];
		if (w->v[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static bool same_name(const ProtobufCBinaryData *a, const ProtobufCBinaryData *b)
{
	return a->len == b->len && (!a->len || memcmp(a->data, b->data, a->len) == 0);
}

/* ---- one socket ---- */

static int new_socket(struct open_ctx *o, struct unix_end *e)
{
	e->fd = socket_new(o, e->id);
	return e->fd < 0 ? e->fd : 0;
}

static int bind_own(struct open_ctx *o, struct unix_end *e)
{
	if (!e->m->name.len || e->m->inherited || e->bound)
		return 0;
	e->bound = true;
	return unix_bind(o, e->fd, &e->m->name, e->m->path, e->m);
}

/* What fstat(2) tells of it; socket_options() gives it its owner. */
static int set_mode(struct open_ctx *o, const struct unix_end *e)
{
	struct stat st;

	if (fstat(e->fd, &st) < 0)
		return unix_fail(o, e, errno, "fstat");
	if ((st.st_mode & 07777) != e->m->mode && fchmod(e->fd, e->m->mode & 07777) < 0)
		return unix_fail(o, e, errno, "fchmod");
	return 0;
}

/* ---- pairs ---- */

struct pair_call {
	int type;
	int *fds; /* in memory that we share with whom we have call it */
};

static int call_socketpair(void *arg)
{
	const struct pair_call *c = arg;

	return socketpair(AF_UNIX, c->type | NEW_FLAGS, 0, c->fds) < 0 ? -errno : 0;
}

/* @other: the other end; NULL: one that is to be closed */
static int make_pair(struct open_ctx *o, struct unix_end *e, struct unix_end *other)
{
	struct pair_call c = {.type = e->socket->type};
	void *shared = mmap(
		NULL, 2 * sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int r;

	if (shared == MAP_FAILED)
		return unix_fail(o, e, errno, "mmap");
	c.fds = shared;
	r = unix_as(o, e->m->peer_cred, call_socketpair, &c);
	if (r == 0) {
		e->fd = c.fds[0];
		*(other ? &other->fd : &e->peer) = c.fds[1];
	}
	munmap(shared, 2 * sizeof(int));
	if (r < 0)
		return unix_fail(o, e, -r, "socketpair");
	r = socket_adopt(o, e->id, e->fd);
	return r == 0 && other ? socket_adopt(o, other->id, other->fd) : r;
}

/* ---- connections by a name ---- */

/* The listening socket of the image that has a name; NULL: there is none. */
static const struct unix_end *is_listening(
	const struct unix_world *w, const ProtobufCBinaryData *name, int type)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->v[i].m->listening && w->v[i].socket->type == type &&
			same_name(&w->v[i].m->name, name))
			return &w->v[i];
	return NULL;
}

/* A listening socket that has a name: of the image, or made for the purpose. Negative after op_fail() */
static int listener_of(
	struct open_ctx *o, struct unix_world *w, const ProtobufCBinaryData *name, int type)
{
	const struct unix_end *there = is_listening(w, name, type);
	int fd, r;

	if (there)
		return there->fd;
	for (size_t i = 0; i < w->n_gone; i++)
		if (w->gone[i].type == type && same_name(w->gone[i].name, name))
			return w->gone[i].fd;
	if (vec_reserve(&w->gone, &w->cap_gone, w->n_gone + 1, sizeof(*w->gone)) < 0)
		return op_fail(o->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "unix sockets");
	fd = socket(AF_UNIX, type | NEW_FLAGS, 0);
	if (fd < 0)
		return op_fail(o->op, CKPT_E_SYSTEM, errno, "socket", NULL, "a unix socket");
	w->gone[w->n_gone++] = (struct unix_gone){fd, type, name};
	r = unix_bind(o, fd, name, "", NULL);
	return r < 0 ? r : fd;
}

static void say_taken(struct open_ctx *o, const ProtobufCBinaryData *name)
{
	op_warn(o->op,
		"a unix socket was connected to one of the name @%.*s, which somebody else has now: "
		"it will not tell that name any more",
		(int)name->len - 1, (char *)name->data + 1);
}

/* An end that is gone, with the name that it had. */
static int make_gone(struct open_ctx *o, int type, const ProtobufCBinaryData *name)
{
	_cleanup_close_ int fd = socket(AF_UNIX, type | NEW_FLAGS, 0);
	int r = 0;

	if (fd < 0)
		return op_fail(o->op, CKPT_E_SYSTEM, errno, "socket", NULL, "a unix socket");
	if (unix_name_taken(name, type))
		say_taken(o, name);
	else if (name->len)
		r = unix_bind(o, fd, name, "", NULL);
	return r < 0 ? r : TAKE_FD(fd);
}

/*
 * A client and what was accepted of it; NULL: that end is gone. What SO_PEERCRED tells the client is who
 * had called listen, to the other end who had called connect.
 */
static int make_connection(
	struct open_ctx *o, struct unix_world *w, struct unix_end *client, struct unix_end *server)
{
	const struct unix_end *e = client ? client : server;
	const ProtobufCBinaryData *name = server ? &server->m->name : &client->m->peer_name;
	int type = e->socket->type, from, to, got;
	int r = 0;

	to = listener_of(o, w, name, type);
	if (to < 0)
		return to;
	if (client) {
		r = new_socket(o, client);
		if (r == 0)
			r = bind_own(o, client);
		from = client->fd;
	} else {
		r = from = server->peer = make_gone(o, type, &server->m->peer_name);
	}
	if (r >= 0)
		r = unix_listen(o, to, client ? client->m->peer_cred : NULL, BACKLOG);
	if (r == 0)
		r = unix_connect(o, from, to, name, server ? server->m->peer_cred : NULL);
	if (r < 0)
		return r;
	got = accept4(to, NULL, NULL, NEW_FLAGS);
	if (got < 0)
		return unix_fail(o, e, errno, "accept");
	*(server ? &server->fd : &client->peer) = got;
	return server ? socket_adopt(o, server->id, got) : 0;
}

/* ---- each, by what it is ---- */

static bool is_gone(const struct unix_end *e)
{
	return is(e, CKPT__UNIX_SOCK__PEER__GONE);
}

/* One whose other end is made with it. */
static int make_connected(struct open_ctx *o, struct unix_world *w, struct unix_end *e)
{
	struct unix_end *other = is_gone(e) ? NULL : unix_end_of(w, e->m->peer);
	const ProtobufCBinaryData *name = NULL; /* that it was connected by */

	if (!is_gone(e) &&
		(!other || other == e || other->fd >= 0 || other->socket->type != e->socket->type))
		return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"file %llu: a unix socket without its peer", (unsigned long long)e->id);
	if (e->m->inherited)
		name = &e->m->name;
	else if (other && other->m->inherited)
		name = &other->m->name;
	else if (!other && e->m->peer_name.len)
		name = &e->m->peer_name;
	if (name && !is_listening(w, name, e->socket->type) &&
		unix_name_taken(name, e->socket->type)) {
		say_taken(o, name);
		name = NULL;
	}
	if (!name)
		return make_pair(o, e, other);
	return e->m->inherited ? make_connection(o, w, other, e) : make_connection(o, w, e, other);
}

/* The other end of its socketpair(2), if that is how it was made: nobody connects to who has no name. */
static int make_dgram(struct open_ctx *o, struct unix_world *w, struct unix_end *e)
{
	struct unix_end *other = NULL;

	if (is(e, CKPT__UNIX_SOCK__PEER__HERE))
		other = unix_end_of(w, e->m->peer);
	if (is_gone(e) && unix_name_taken(&e->m->peer_name, SOCK_DGRAM))
		say_taken(o, &e->m->peer_name);
	e->paired = is_gone(e) &&
		    (!e->m->peer_name.len || unix_name_taken(&e->m->peer_name, SOCK_DGRAM));
	if (e->paired)
		return make_pair(o, e, NULL);
	if (other && other != e && other->fd < 0 && !other->m->name.len && dgram(other))
		return make_pair(o, e, other);
	for (size_t i = 0; !e->m->name.len && i < w->n; i++)
		if (dgram(&w->v[i]) && is(&w->v[i], CKPT__UNIX_SOCK__PEER__HERE) &&
			w->v[i].m->peer == e->id && w->v[i].fd < 0 && &w->v[i] != e)
			return make_pair(o, &w->v[i], e);
	return new_socket(o, e);
}

static int make_one(struct open_ctx *o, struct unix_world *w, struct unix_end *e)
{
	int r;

	if (e->fd >= 0)
		return 0;
	if (dgram(e))
		r = make_dgram(o, w, e);
	else if (is(e, CKPT__UNIX_SOCK__PEER__HERE) || is_gone(e))
		r = make_connected(o, w, e);
	else
		r = new_socket(o, e);
	return r;
}

static int finish_one(struct open_ctx *o, struct unix_end *e)
{
	int r = bind_own(o, e);

	if (r == 0)
		r = set_mode(o, e);
	return r < 0 ? r : socket_options(o, e->id, e->fd, SOCKOPT_BOUND);
}

static int make_all(struct open_ctx *o, struct unix_world *w)
{
	int r = 0;

	/* whom others connect to come first */
	for (size_t i = 0; r == 0 && i < w->n; i++) {
		if (!w->v[i].m->listening)
			continue;
		r = new_socket(o, &w->v[i]);
		if (r == 0)
			r = bind_own(o, &w->v[i]);
	}
	for (size_t i = 0; r == 0 && i < w->n; i++)
		r = make_one(o, w, &w->v[i]);
	for (size_t i = 0; r == 0 && i < w->n; i++)
		r = finish_one(o, &w->v[i]);
	for (size_t i = 0; i < w->n_gone; i++)
		w->gone[i].fd = fd_close(w->gone[i].fd);
	return r;
}

static int by_id(const void *a, const void *b)
{
	const struct unix_end *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static int world_new(struct open_ctx *o)
{
	struct unix_world *w = o->plan->unix_world = calloc(1, sizeof(*w));
	const struct model_rec *rec;
	size_t pos = 0, cap = 0;

	while (w && (rec = model_next(o->model, &res_unixsock.type, &pos))) {
		const Ckpt__Socket *s = socket_record(o, rec->owner);

		if (!s)
			return -EBADMSG;
		if (vec_reserve(&w->v, &cap, w->n + 1, sizeof(*w->v)) < 0)
			break;
		w->v[w->n++] = (struct unix_end){.id = rec->owner,
			.m = (const void *)rec->msg,
			.socket = s,
			.fd = -EBADF,
			.peer = -EBADF};
	}
	if (!w || pos != SIZE_MAX)
		return op_fail(o->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "unix sockets");
	qsort(w->v, w->n, sizeof(*w->v), by_id);
	return make_all(o, w);
}

static void mark(struct plan *p, const Ckpt__UnixMessage *e)
{
	for (size_t i = 0; i < e->n_files; i++) {
		struct plan_file *f = plan_file(p, e->files[i]);

		if (f)
			f->in_flight = true;
	}
}

void unixsock_mark(struct plan *p)
{
	const struct model_rec *rec;
	size_t pos = 0;

	while ((rec = model_next(p->model, &res_unixsock.type, &pos))) {
		const Ckpt__UnixSock *m = (const void *)rec->msg;

		for (size_t i = 0; i < m->n_queue; i++)
			mark(p, m->queue[i]);
	}
}

void unixsock_done(struct plan *p)
{
	struct unix_world *w = p->unix_world;

	for (size_t i = 0; w && i < w->n; i++) {
		fd_close(w->v[i].peer);
		if (!w->v[i].given)
			fd_close(w->v[i].fd);
	}
	for (size_t i = 0; w && i < w->n_gone; i++)
		fd_close(w->gone[i].fd);
	for (size_t i = 0; w && i < w->n_kept; i++)
		fd_close(w->kept[i].file);
	if (w) {
		free(w->kept);
		free(w->v);
		free(w->gone);
	}
	free(w);
	p->unix_world = NULL;
}

int unix_open(struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record)
{
	struct unix_end *found = NULL;
	int r = o->plan->unix_world ? 0 : world_new(o);

	(void)rec;
	(void)file_record;
	for (size_t i = 0; r == 0 && i < o->plan->unix_world->n; i++) {
		struct unix_end *e = &o->plan->unix_world->v[i];

		if (e->given)
			continue;
		e->given = true;
		if (e->id == id)
			found = e;
		else
			r = o->also(o, e->id, e->fd);
	}
	if (r < 0) {
		if (found)
			fd_close(found->fd);
		return r;
	}
	return found ? found->fd
		     : op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			       "file %llu: it is there twice", (unsigned long long)id);
}
