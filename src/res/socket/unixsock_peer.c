/*
 * unixsock_peer.c - who is connected to whom, when all sockets of the tree are known.
 *
 * sock_diag tells the inode of a peer: 0 when it belongs to no file. That is so of one that is closed, and
 * of one that has not been accepted yet; the latter is among those that wait at a listening socket, which
 * names who waits by the inode of the other end.
 */
#include "res/socket/unixsock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/unix_diag.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kernel/pidfd.h"
#include "kernel/sock_diag.h"
#include "kernel/sock_users.h"
#include "kernel/tcp_numbers.h"
#include "kernel/unix_queues.h"
#include "proto/socket.pb-c.h"
#include "res/file/fdpolicy.h"
#include "res/file/seen.h"
#include "util/cleanup.h"
#include "util/vec.h"

struct known {
	uint64_t ino, id;
	Ckpt__UnixSock *m;
	int type;
	const struct sock_diag_row *row;
};

/* Who waits at a listening socket: inodes of both. */
struct waiting {
	uint32_t client, listener, place;
};

struct peers {
	struct collect_tree *t;
	const struct sock_diag *diag;
	struct known *v; /* ascending by ino */
	size_t n;
	struct waiting *waiting;
	size_t n_waiting, cap_waiting;
};

static int by_ino(const void *a, const void *b)
{
	const struct known *x = a, *y = b;

	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static struct known *find(const struct peers *p, uint64_t ino)
{
	struct known key = {.ino = ino};

	return p->n ? bsearch(&key, p->v, p->n, sizeof(*p->v), by_ino) : NULL;
}

static const struct collect_file *file_of(const struct peers *p, const struct known *k)
{
	return &p->t->files[k->id - 1];
}

static int duplicate(const struct peers *p, const struct known *k)
{
	const struct collect_file *f = file_of(p, k);

	return pidfd_take(f->of->pidfd, f->target_fd);
}

static int fail_known(
	const struct peers *p, const struct known *k, const char *advice, const char *text)
{
	const struct collect_file *f = file_of(p, k);

	return op_fail(p->t->op, CKPT_E_REFUSED, 0, NULL, advice,
		"pid %d (%s): fd %d: unix socket %llu %s", f->of->pid, f->of->tr->comm,
		f->target_fd, (unsigned long long)k->ino, text);
}

/* ---- who waits to be accepted ---- */

static int read_waiting(struct peers *p)
{
	for (size_t i = 0; i < p->diag->n; i++) {
		const struct sock_diag_row *row = &p->diag->rows[i];
		size_t len = 0;
		const uint32_t *inos =
			row->family == AF_UNIX ? sock_diag_attr(row, UNIX_DIAG_ICONS, &len) : NULL;

		if (!inos)
			continue;
		if (vec_reserve(&p->waiting, &p->cap_waiting, p->n_waiting + len / 4,
			    sizeof(*p->waiting)) < 0)
			return -ENOMEM;
		for (size_t k = 0; k < len / sizeof(*inos); k++)
			p->waiting[p->n_waiting++] =
				(struct waiting){inos[k], row->ino, (uint32_t)k};
	}
	return 0;
}

static const struct waiting *waiting_as(const struct peers *p, uint64_t client)
{
	for (size_t i = 0; i < p->n_waiting; i++)
		if (p->waiting[i].client == client)
			return &p->waiting[i];
	return NULL;
}

static int add_sent(Ckpt__UnixSock *m, const struct unix_skb *k)
{
	Ckpt__UnixMessage *e = msg_new(Ckpt__UnixMessage, CKPT__UNIX_MESSAGE__INIT);

	if (!e)
		return -ENOMEM;
	m->sent[m->n_sent++] = e;
	e->data = msg_bytes(k->data, k->len);
	return k->len && !e->data.data ? -ENOMEM : 0;
}

/* What it has sent is in a socket that nobody can have yet. */
static int collect_sent(const struct peers *p, const struct known *k)
{
	_cleanup_close_ int fd = duplicate(p, k);
	const struct unix_queue *q;
	int bytes = 0, r = 0;

	if (fd < 0 || ioctl(fd, SIOCOUTQ, &bytes) < 0)
		return fail_known(p, k, NULL, "can't be asked what it has sent");
	if (!bytes)
		return 0;
	q = unix_queue_of(p->t, 0, k->ino);
	if (!q || q->cut)
		return fail_known(p, k, "let the server accept it",
			"is not accepted yet, and what it has sent can't be read");
	k->m->sent = calloc(q->n, sizeof(*k->m->sent));
	for (size_t i = 0; r == 0 && i < q->n; i++) {
		if (q->v[i].paged || q->v[i].rights)
			return fail_known(p, k, "let the server accept it",
				q->v[i].rights ? "is not accepted yet, and has sent descriptors"
					       : "is not accepted yet, and has sent more than a "
						 "page at once, which can't be read");
		r = k->m->sent ? add_sent(k->m, &q->v[i]) : -ENOMEM;
	}
	return r < 0 ? op_fail(p->t->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "unix sockets") : 0;
}

static int is_waiting(const struct peers *p, const struct known *k, const struct waiting *w)
{
	const struct known *listener = find(p, w->listener);

	if (!listener) {
		k->m->peer_is = CKPT__UNIX_SOCK__PEER__OUTSIDE;
		return 0;
	}
	k->m->peer_is = CKPT__UNIX_SOCK__PEER__WAITING;
	k->m->peer = listener->id;
	k->m->place = w->place;
	return collect_sent(p, k);
}

/* ---- a name that is not its own ---- */

static bool same_name(const struct sock_diag_row *row, const ProtobufCBinaryData *name)
{
	size_t len = 0;
	const char *is = sock_diag_attr(row, UNIX_DIAG_NAME, &len);

	if (is && len && is[0])
		len = strnlen(is, len);
	return is && len == name->len && memcmp(is, name->data, len) == 0;
}

static bool somebody_listens(const struct peers *p, const struct known *k)
{
	for (size_t i = 0; i < p->diag->n; i++) {
		const struct sock_diag_row *row = &p->diag->rows[i];
		const struct unix_diag_msg *d = row->msg;

		if (row->family == AF_UNIX && row != k->row && d->udiag_type == k->type &&
			d->udiag_state == TCP_IS_LISTEN && same_name(row, &k->m->name))
			return true;
	}
	return false;
}

/* Whether the file leads to a socket: then a connection of another type is of the wrong type. */
static bool file_leads(const struct peers *p, const struct known *k)
{
	_cleanup_close_ int fd = duplicate(p, k);
	_cleanup_close_ int file = fd < 0 ? -EBADF : ioctl(fd, SIOCUNIXFILE);
	_cleanup_close_ int probe = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un to = {.sun_family = AF_UNIX};

	/* who may not ask for the file goes by its name */
	if (probe < 0 || (file < 0 && strlen(k->m->path) - 1 >= sizeof(to.sun_path) - 1))
		return false;
	if (file >= 0)
		snprintf(to.sun_path, sizeof(to.sun_path), "/proc/self/fd/%d", file);
	else
		strcpy(to.sun_path, k->m->path);
	return connect(probe, (struct sockaddr *)&to, sizeof(to)) < 0 && errno == EPROTOTYPE;
}

static bool has_name_of_other(const struct peers *p, const struct known *k)
{
	const ProtobufCBinaryData *name = &k->m->name;

	if (!name->len || k->m->listening || k->type == SOCK_DGRAM || !k->m->peer_is ||
		k->m->peer_is == CKPT__UNIX_SOCK__PEER__WAITING)
		return false;
	if (somebody_listens(p, k))
		return true;
	return name->data[0] ? !file_leads(p, k) : !unix_name_taken(name, k->type);
}

/* ---- the other end is outside ---- */

static enum ckpt_unix_outside how_outside(const struct peers *p)
{
	return p->t->policy ? p->t->policy->unix_outside : CKPT_UNIX_REFUSE;
}

static int refuse_outside(const struct peers *p, const struct known *k, uint32_t ino)
{
	struct sock_user user = {.ino = ino};
	char text[160];

	if (ino)
		sock_users(&user, 1);
	if (user.pid)
		snprintf(text, sizeof(text),
			"is connected to fd %d of pid %d (%s), outside of the tree", user.fd,
			user.pid, user.comm);
	else
		snprintf(text, sizeof(text), "is connected to one that no process of the tree has");
	return fail_known(
		p, k, "dump that program too, or say --unix-outside=close or reconnect", text);
}

/* Whether it can connect again to where it was. */
static bool leads_back(const struct known *k)
{
	const ProtobufCBinaryData *name = &k->m->peer_name;

	return !k->m->inherited && name->len && (!name->data[0] || name->data[0] == '/');
}

static void forget_queue(const struct peers *p, const struct known *k)
{
	size_t bytes = 0;

	for (size_t i = 0; i < k->m->n_queue; i++) {
		bytes += k->m->queue[i]->data.len;
		protobuf_c_message_free_unpacked(&k->m->queue[i]->base, NULL);
	}
	k->m->n_queue = 0;
	if (bytes)
		op_warn(p->t->op,
			"unix socket %llu: %zu unread bytes are not saved, as it will be connected "
			"anew",
			(unsigned long long)k->ino, bytes);
}

static int outside(const struct peers *p, struct known *k, uint32_t ino)
{
	enum ckpt_unix_outside how = how_outside(p);

	if (how == CKPT_UNIX_REFUSE)
		return refuse_outside(p, k, ino);
	if (how == CKPT_UNIX_RECONNECT && leads_back(k)) {
		if (k->type != SOCK_DGRAM) {
			forget_queue(p, k);
			k->m->shutdown = 0;
		}
		return 0;
	}
	if (how == CKPT_UNIX_RECONNECT)
		op_warn(p->t->op,
			"unix socket %llu: there is no name to connect it to again: it will be at "
			"its end",
			(unsigned long long)k->ino);
	k->m->peer_is = CKPT__UNIX_SOCK__PEER__GONE;
	return 0;
}

/* ---- each ---- */

static int listens(struct peers *p, struct known *k)
{
	const struct unix_diag_rqlen *q = sock_diag_attr(k->row, UNIX_DIAG_RQLEN, NULL);
	size_t len = 0;
	const uint32_t *inos = sock_diag_attr(k->row, UNIX_DIAG_ICONS, &len);

	k->m->backlog = q ? q->udiag_wqueue : SOMAXCONN;
	for (size_t i = 0; inos && i < len / sizeof(*inos); i++) {
		if (how_outside(p) != CKPT_UNIX_REFUSE && (!inos[i] || !find(p, inos[i]))) {
			op_warn(p->t->op,
				"unix socket %llu: a connection of a client outside, which waits to "
				"be accepted, is not saved",
				(unsigned long long)k->ino);
			continue;
		}
		if (!inos[i])
			return fail_known(p, k, "let the server accept it",
				"has a connection to accept whose client has gone, which can't be "
				"saved yet");
		if (!find(p, inos[i]))
			return fail_known(p, k, "let the server accept it",
				"has a connection to accept of a client outside of the tree");
	}
	return 0;
}

static int one(struct peers *p, struct known *k)
{
	const uint8_t *down = sock_diag_attr(k->row, UNIX_DIAG_SHUTDOWN, NULL);
	const uint32_t *ino = sock_diag_attr(k->row, UNIX_DIAG_PEER, NULL);
	const struct waiting *w = ino && !*ino ? waiting_as(p, k->ino) : NULL;
	const struct known *peer = ino && *ino ? find(p, *ino) : NULL;
	int r = 0;

	k->m->shutdown = down ? *down : 0;
	if (k->m->listening)
		return listens(p, k);
	if (!ino)
		return 0;
	if (w) {
		r = is_waiting(p, k, w);
	} else if (!*ino) {
		k->m->peer_is = CKPT__UNIX_SOCK__PEER__GONE;
	} else if (peer) {
		k->m->peer_is = CKPT__UNIX_SOCK__PEER__HERE;
		k->m->peer = peer->id;
	} else {
		k->m->peer_is = CKPT__UNIX_SOCK__PEER__OUTSIDE;
	}
	k->m->inherited = has_name_of_other(p, k);
	if (r == 0 && k->m->peer_is == CKPT__UNIX_SOCK__PEER__OUTSIDE)
		r = outside(p, k, *ino);
	if (k->m->inherited) { /* whose file it is, the other says */
		k->m->path[0] = '\0';
		k->m->file_mode = k->m->file_uid = k->m->file_gid = 0;
	}
	return r;
}

/* Datagrams name who sent them, if that has a name. */
static void find_senders(const struct peers *p, const struct known *k)
{
	for (size_t i = 0; k->type == SOCK_DGRAM && i < k->m->n_queue; i++) {
		Ckpt__UnixMessage *e = k->m->queue[i];

		for (size_t s = 0; s < p->n && !e->sender; s++) {
			const Ckpt__UnixSock *m = p->v[s].m;

			if (p->v[s].type != SOCK_DGRAM || m->name.len != e->from.len ||
				(m->name.len &&
					memcmp(m->name.data, e->from.data, m->name.len) != 0))
				continue;
			/* of those without a name, one that is connected to it */
			if (m->name.len || m->peer == k->id)
				e->sender = p->v[s].id;
		}
	}
}

static int read_known(struct peers *p)
{
	const struct model_rec *rec;
	size_t pos = 0, cap = 0;

	while ((rec = model_next(p->t->model, &res_unixsock.type, &pos))) {
		const Ckpt__Socket *s = model_get(p->t->model, &res_socket.type, rec->owner);
		Ckpt__UnixSock *m = (void *)rec->msg;

		if (vec_reserve(&p->v, &cap, p->n + 1, sizeof(*p->v)) < 0)
			return -ENOMEM;
		p->v[p->n++] = (struct known){
			m->ino, rec->owner, m, s->type, sock_diag_find(p->diag, m->ino)};
	}
	if (p->n)
		qsort(p->v, p->n, sizeof(*p->v), by_ino);
	return 0;
}

int unix_peers(struct collect_tree *t)
{
	struct peers p = {.t = t};
	size_t pos = 0;
	int r;

	if (!model_next(t->model, &res_unixsock.type, &pos))
		return 0;
	r = socket_diag(t, AF_UNIX, 0, &p.diag);
	if (r < 0)
		return r;
	if (read_known(&p) < 0 || read_waiting(&p) < 0)
		r = op_fail(t->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "unix sockets");
	for (size_t i = 0; r == 0 && i < p.n; i++)
		r = p.v[i].row ? one(&p, &p.v[i])
			       : fail_known(&p, &p.v[i], "run ckpt in that namespace",
					 "is of another network namespace");
	for (size_t i = 0; r == 0 && i < p.n; i++)
		find_senders(&p, &p.v[i]);
	free(p.v);
	free(p.waiting);
	return r;
}
