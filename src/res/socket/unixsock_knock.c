/*
 * unixsock_knock.c - unix sockets that connect once more: those that nobody has accepted yet, and those whose
 * other end is somebody outside.
 */
#include "res/socket/unixsock.h"

#include <errno.h>
#include <string.h>

#include "proto/creds.pb-c.h"
#include "proto/fdtable.pb-c.h"
#include "res/thread/thread.h"

/* The first task that has it is taken for who had connected it. */
static int who_has(struct open_ctx *o, uint64_t id, Ckpt__UnixCred *ret)
{
	const struct model_rec *rec;
	const Ckpt__Creds *c;
	size_t pos = 0;

	*ret = (Ckpt__UnixCred)CKPT__UNIX_CRED__INIT;
	while ((rec = model_next(o->model, &res_fdtable.type, &pos))) {
		if (!fdtable_entry_of((const void *)rec->msg, (uint32_t)id))
			continue;
		c = model_get(o->model, &res_creds.type, rec->owner);
		if (c && c->like)
			c = model_get(o->model, &res_creds.type, (uint64_t)c->like);
		if (!c || c->n_uid < 2 || c->n_gid < 2)
			return -ENOENT;
		ret->pid = (pid_t)rec->owner;
		ret->uid = c->uid[1];
		ret->gid = c->gid[1];
		ret->groups = c->groups;
		ret->n_groups = c->n_groups;
		return 0;
	}
	return -ENOENT;
}

/* The kernel notes who sends to one that is not accepted. */
static int send_again(struct open_ctx *o, const struct unix_end *e, Ckpt__UnixCred *who)
{
	struct unix_room room;
	int r = 0;

	if (!e->m->n_sent)
		return 0;
	room = unix_room_make(e->fd);
	for (size_t i = 0; r == 0 && i < e->m->n_sent; i++) {
		Ckpt__UnixMessage m = *e->m->sent[i];

		m.cred = who;
		r = unix_send(o, e, e->fd, &m, NULL);
	}
	unix_room_done(&room);
	return r == -EAGAIN ? unix_fail(o, e, EAGAIN, "sendmsg") : r;
}

static int knock(struct open_ctx *o, const struct unix_end *listener, struct unix_end *e)
{
	Ckpt__UnixCred who;
	bool known = who_has(o, e->id, &who) == 0;
	int r = unix_listen(o, listener->fd, e->m->peer_cred, (int)listener->m->backlog);

	if (r == 0)
		r = unix_connect(o, e->fd, listener->fd, &listener->m->name, known ? &who : NULL);
	return r < 0 ? r : send_again(o, e, known ? &who : NULL);
}

int unix_knock_all(struct open_ctx *o, struct unix_world *w, const struct unix_end *listener)
{
	int r = 0;

	for (uint32_t place = 0, found = 1; r == 0 && found; place++) {
		found = 0;
		for (size_t i = 0; r == 0 && i < w->n; i++) {
			struct unix_end *e = &w->v[i];

			if (e->m->peer_is != CKPT__UNIX_SOCK__PEER__WAITING ||
				e->m->peer != listener->id || e->m->place != place)
				continue;
			found = 1;
			r = knock(o, listener, e);
		}
	}
	return r < 0 ? r
		     : unix_listen(
			       o, listener->fd, listener->m->peer_cred, (int)listener->m->backlog);
}

int unix_reconnect(struct open_ctx *o, const struct unix_end *e)
{
	struct unix_addr to;
	Ckpt__UnixCred who;
	int r;

	if (e->m->peer_is != CKPT__UNIX_SOCK__PEER__OUTSIDE)
		return 0;
	if (!unix_addr_of(&e->m->peer_name, &to))
		return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"the name of a unix socket");
	r = unix_connect_to(o, e->fd, &to, who_has(o, e->id, &who) == 0 ? &who : NULL);
	if (r == 0)
		return 0;
	return op_fail(o->op, CKPT_E_CONFLICT, -r, "connect", "start the program that serves it",
		"unix socket %s%.*s, which is to be connected again",
		e->m->peer_name.data[0] ? "" : "@",
		(int)e->m->peer_name.len - !e->m->peer_name.data[0],
		(char *)e->m->peer_name.data + !e->m->peer_name.data[0]);
}
