/*
 * packet_rings.c - the rings of packet sockets, and their mappings.
 *
 * A ring can be mapped by whoever has the socket, as a whole only: that to receive, and behind it that to send. So
 * it is read and written through a mapping of ours; see kernel/packet_ring.h for where the kernel is in it. To the
 * program's mapping no descriptor leads: it is known by the inode of the socket, and of one that the program has
 * closed nothing can be asked.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/packet_diag.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/packet_ring.h"
#include "kernel/packet_where.h"
#include "kernel/pidfd.h"
#include "res/file/seen.h"
#include "res/mm/mm.h"
#include "res/socket/packet_parts.h"
#include "util/cleanup.h"

#define UNMAP_IT "let the program unmap it"

/* Both rings of a socket, mapped, and a file of ours with what is in them. */
struct rings {
	struct packet_ring rx, tx; /* of one that is not there blocks is 0 */
	uint64_t size;
	uint8_t *mem, *copy;
	int file;
};

/* ---- sizes ---- */

static int read_ring(const struct sock_diag_row *row, int attr, Ckpt__PacketRing **ret)
{
	size_t len = 0;
	const struct packet_diag_ring *d = sock_diag_attr(row, attr, &len);
	Ckpt__PacketRing *e;

	if (!d || len < sizeof(*d) || !d->pdr_block_nr)
		return 0;
	*ret = e = msg_new(Ckpt__PacketRing, CKPT__PACKET_RING__INIT);
	if (!e)
		return -ENOMEM;
	e->block_bytes = d->pdr_block_size;
	e->blocks = d->pdr_block_nr;
	e->frame_bytes = d->pdr_frame_size;
	e->frames = d->pdr_frame_nr;
	e->retire_ms = d->pdr_retire_tmo;
	e->private_bytes = d->pdr_sizeof_priv;
	e->features = d->pdr_features;
	return 0;
}

int packet_rings_read(const struct sock_diag_row *row, Ckpt__Packet *m)
{
	int r = read_ring(row, PACKET_DIAG_RX_RING, &m->rx);

	return r == 0 ? read_ring(row, PACKET_DIAG_TX_RING, &m->tx) : r;
}

static uint64_t bytes_of(const Ckpt__PacketRing *e)
{
	return e ? (uint64_t)e->block_bytes * e->blocks : 0;
}

static int version_of(int fd)
{
	int version = TPACKET_V1;
	socklen_t len = sizeof(version);

	getsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, &len);
	return version;
}

static bool known(struct packet_ring *ret, int fd, const Ckpt__PacketRing *e, bool sends)
{
	if (!e)
		return true;
	*ret = (struct packet_ring){.fd = fd,
		.version = version_of(fd),
		.sends = sends,
		.block_bytes = e->block_bytes,
		.blocks = e->blocks,
		.frame_bytes = e->frame_bytes,
		.private_bytes = e->private_bytes};
	return packet_ring_known(ret);
}

/* ---- mapped by us ---- */

/* Return: 0; -EINVAL sizes that no ring has; -errno */
static int rings_map(struct rings *v, int fd, const Ckpt__Packet *m)
{
	*v = (struct rings){.file = -EBADF, .mem = MAP_FAILED, .copy = MAP_FAILED};
	if (!known(&v->rx, fd, m->rx, false) || !known(&v->tx, fd, m->tx, true))
		return -EINVAL;
	v->size = bytes_of(m->rx) + bytes_of(m->tx);
	v->mem = mmap(NULL, v->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (v->mem == MAP_FAILED)
		return -errno;
	v->rx.mem = v->mem;
	v->tx.mem = v->mem + bytes_of(m->rx);
	v->file = memfd_create("packet rings", MFD_CLOEXEC);
	if (v->file < 0 || ftruncate(v->file, (off_t)v->size) < 0)
		return -errno;
	v->copy = mmap(NULL, v->size, PROT_READ | PROT_WRITE, MAP_SHARED, v->file, 0);
	return v->copy == MAP_FAILED ? -errno : 0;
}

static void rings_unmap(struct rings *v)
{
	if (v->mem != MAP_FAILED)
		munmap(v->mem, v->size);
	if (v->copy != MAP_FAILED)
		munmap(v->copy, v->size);
	v->file = fd_close(v->file);
}

/* ---- dump: mappings ---- */

static bool match(const struct file_look *l)
{
	return l->target_fd < 0 && S_ISSOCK(l->st.st_mode);
}

static int collect(struct collect *c, uint64_t id, const struct file_look *l)
{
	Ckpt__PacketMap *m = msg_new(Ckpt__PacketMap, CKPT__PACKET_MAP__INIT);

	(void)l;
	return m ? collect_add_take(c, &res_packetmap.type, id, m) : collect_oom(c);
}

static int refuse(struct collect *c, const char *why)
{
	return op_fail(c->op, CKPT_E_REFUSED, 0, NULL, UNMAP_IT,
		"pid %d (%s): memory of a socket: %s", c->pid, c->tr->comm, why);
}

/* A mapping is made again as the kernel makes it: all of it, shared. */
static int check_mapping(struct collect *c, uint32_t id, uint64_t size)
{
	const Ckpt__Mm *mm = model_get(c->model, &res_mm.type, c->pid);

	for (size_t i = 0; mm && i < mm->n_vmas; i++) {
		const Ckpt__Vma *v = mm->vmas[i];

		if (v->kind == CKPT__VMA__KIND__FILE && v->file == id &&
			(v->offset || v->end - v->start != size || !v->shared))
			return refuse(c, "a ring of which a part only is mapped, or a copy");
	}
	return 0;
}

static int finish_mapping(struct collect_tree *t, const struct seen_inode *s)
{
	struct collect *of = t->files[s->mapped - 1].of;
	Ckpt__PacketMap *map = (void *)model_get(t->model, &res_packetmap.type, s->mapped);
	const Ckpt__Packet *m;
	int r = 0;

	if (!map)
		return 0;
	m = s->n ? model_get(t->model, &res_packet.type, s->ids[0]) : NULL;
	if (!m)
		return refuse(
			of, "its descriptor is closed or left out, or it is no packet socket");
	map->socket = s->ids[0];
	for (size_t i = 0; r == 0 && i < t->n_tasks; i++)
		r = check_mapping(&t->tasks[i], s->mapped, bytes_of(m->rx) + bytes_of(m->tx));
	return r;
}

/* ---- dump: contents ---- */

/* @p: for all of a dump. Where the kernel's memory can't be read, there is another way. */
static const struct packet_reader *reader_of(struct collect_tree *t, struct packet_reader *p)
{
	struct kmem *k;

	if (!p->k && (socket_kmem(t, &k) < 0 || packet_reader_init(k, p) < 0))
		return NULL;
	return p;
}

static int copy_rings(struct rings *v, const Ckpt__Packet *m, struct packet_eye eye)
{
	int r = 0;

	v->rx.eye = v->tx.eye = eye;
	if (m->rx)
		r = packet_ring_copy(&v->rx, v->copy, &m->rx->next);
	if (r == 0 && m->tx)
		r = packet_ring_copy(&v->tx, v->copy + bytes_of(m->rx), &m->tx->next);
	return r;
}

static int fail_copy(struct collect *c, int fd, int r)
{
	if (r == -EBUSY)
		return op_fail(c->op, CKPT_E_REFUSED, 0, NULL,
			"it takes CAP_BPF, CAP_PERFMON and a kernel with BTF; else try again a little "
			"later, or let the program close it",
			"pid %d (%s): fd %d: a ring of a packet socket: it can't be told where in it "
			"the kernel goes on",
			c->pid, c->tr->comm, fd);
	return op_fail(c->op, CKPT_E_SYSTEM, -r, "mmap", NULL,
		"pid %d (%s): fd %d: the ring of a packet socket", c->pid, c->tr->comm, fd);
}

/* Of one that nobody has mapped, too: what is in it, the program may map yet. */
static int finish_contents(
	struct collect_tree *t, uint64_t id, const Ckpt__Packet *m, struct packet_reader *p)
{
	const struct collect_file *f = &t->files[id - 1];
	_cleanup_close_ int fd = pidfd_take(f->of->pidfd, f->target_fd);
	struct page_want w = {.type = &res_contents.type, .owner = id};
	struct rings v = {.file = -EBADF, .mem = MAP_FAILED, .copy = MAP_FAILED};
	int r = fd < 0 ? fd : rings_map(&v, fd, m);
	struct stat st;

	if (r == 0)
		r = fstat(fd, &st) < 0
			    ? -errno
			    : copy_rings(&v, m, (struct packet_eye){reader_of(t, p), st.st_ino});
	if (r < 0) {
		rings_unmap(&v);
		return fail_copy(f->of, f->target_fd, r);
	}
	w.fd = TAKE_FD(v.file);
	w.end = w.resident_bytes = v.size;
	rings_unmap(&v);
	return collect_want_take(f->of, &w);
}

int packet_rings_finish(struct collect_tree *t)
{
	const struct model_rec *rec;
	struct packet_reader reader = {.k = NULL};
	size_t pos = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && t->seen && i < t->seen->n; i++)
		if (t->seen->v[i].mapped)
			r = finish_mapping(t, &t->seen->v[i]);
	while (r == 0 && (rec = model_next(t->model, &res_packet.type, &pos))) {
		const Ckpt__Packet *m = (const void *)rec->msg;

		if (m->rx || m->tx)
			r = finish_contents(t, rec->owner, m, &reader);
	}
	return r;
}

/* ---- restore ---- */

static int make_ring(struct open_ctx *o, int fd, int name, const Ckpt__PacketRing *e)
{
	struct tpacket_req3 q = {0};

	if (!e)
		return 0;
	q.tp_block_size = e->block_bytes;
	q.tp_block_nr = e->blocks;
	q.tp_frame_size = e->frame_bytes;
	q.tp_frame_nr = e->frames;
	q.tp_retire_blk_tov = e->retire_ms;
	q.tp_sizeof_priv = e->private_bytes;
	q.tp_feature_req_word = e->features;
	if (setsockopt(fd, SOL_PACKET, name, &q,
		    version_of(fd) == TPACKET_V3 ? sizeof(q) : sizeof(struct tpacket_req)) < 0)
		return op_fail(o->op, CKPT_E_SYSTEM, errno, "setsockopt(PACKET_RX_RING)", NULL,
			"the ring of a packet socket");
	return 0;
}

static int fill_rings(struct open_ctx *o, uint64_t id, struct rings *v, const Ckpt__Packet *m)
{
	int r = o->contents(o, id, v->file);

	if (r < 0)
		return r;
	if (ftruncate(v->file, (off_t)v->size) < 0)
		r = -errno;
	if (r == 0 && m->rx) /* one that gets nothing never went on */
		r = m->rx->next && !m->protocol ? -EINVAL
						: packet_ring_restore(&v->rx, v->copy, m->rx->next);
	if (r == 0 && m->tx)
		r = packet_ring_restore(&v->tx, v->copy + bytes_of(m->rx), m->tx->next);
	if (r == 0)
		return 0;
	return op_fail(o->op, r == -EINVAL ? CKPT_E_IMAGE : CKPT_E_SYSTEM, -r, "sendto",
		r == -EINVAL ? "see ckpt verify"
			     : "the loopback interface (lo) has to be up: a new ring is brought to "
			       "where the old one was by packets through it",
		"the ring of a packet socket");
}

int packet_rings_open(struct open_ctx *o, uint64_t id, int fd, const Ckpt__Packet *m)
{
	struct rings v;
	int r = make_ring(o, fd, PACKET_RX_RING, m->rx);

	if (r == 0)
		r = make_ring(o, fd, PACKET_TX_RING, m->tx);
	if (r < 0 || (!m->rx && !m->tx))
		return r;
	r = rings_map(&v, fd, m);
	if (r == 0)
		r = fill_rings(o, id, &v, m);
	else
		op_fail(o->op, r == -EINVAL ? CKPT_E_IMAGE : CKPT_E_SYSTEM, -r, "mmap", NULL,
			"the ring of a packet socket");
	rings_unmap(&v);
	return r;
}

/* The socket is open by now, unless it is to be something else. */
static int open_map(
	struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record)
{
	const Ckpt__PacketMap *m = (const void *)rec->msg;
	int fd = m->socket ? plan_fd(o->plan, m->socket) : -1;

	(void)id;
	(void)file_record;
	fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd >= 0)
		return fd;
	return op_fail(o->op, CKPT_E_USAGE, 0, NULL, "leave its descriptor as it is",
		"the ring of a packet socket is mapped, so it can't become something else");
}

static const struct file_ops ops = {.match = match, .collect = collect, .open = open_map};

const struct res res_packetmap = {
	.type = {"packetmap", SCOPE_FILE, &ckpt__packet_map__descriptor, NULL},
	.file = &ops,
};
