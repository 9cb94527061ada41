/*
 * tun.c - descriptors of /dev/net/tun: programs that are a network interface.
 *
 * One is attached to at most one interface; several may be to the same (IFF_MULTI_QUEUE), and the first of them
 * carries what the interface is like. An interface that outlives its program (TUNSETPERSIST) is attached to
 * again; any other is made again (tun_device.c), before sockets are bound to its addresses. A filter that
 * was put on (TUNATTACHFILTER) can't be read: the kernel gives back the address that it was read from. Nor does it
 * tell the filter of TUNSETTXFILTER, nor what TUNSETOFFLOAD allowed; programs of eBPF likewise.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "proto/fdtable.pb-c.h"
#include "res/file/seen.h"
#include "res/socket/socket.h"
#include "res/socket/tun_parts.h"
#include "util/cleanup.h"

#define MISC_MAJOR 10
#define TUN_MINOR  200
#define PATH       "/dev/net/tun"

/* The flags that TUNSETIFF takes and that stay. */
#define FLAGS_KEPT                                                                                 \
	(IFF_TUN | IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE | IFF_NAPI | IFF_NAPI_FRAGS)

static bool match(const struct file_look *l)
{
	return S_ISCHR(l->st.st_mode) && l->st.st_rdev == makedev(MISC_MAJOR, TUN_MINOR) &&
	       !(l->flags & O_PATH);
}

/* ---- dump ---- */

static int refuse(struct collect *c, const struct file_look *l, const char *why, const char *advice)
{
	return op_fail(c->op, CKPT_E_REFUSED, 0, NULL, advice, "pid %d (%s): fd %d %s: %s", c->pid,
		c->tr->comm, l->target_fd, l->link, why);
}

/* It has been moved to another network namespace, or that of its program is another. */
static bool moved(int fd)
{
	_cleanup_close_ int ns = ioctl(fd, TUNGETDEVNETNS);
	struct stat its, ours;

	return ns >= 0 && fstat(ns, &its) == 0 && stat("/proc/self/ns/net", &ours) == 0 &&
	       its.st_ino != ours.st_ino;
}

static bool is_first(const struct collect *c, const char *name)
{
	const struct model_rec *rec;
	size_t pos = 0;

	while ((rec = model_next(c->model, &res_tun.type, &pos)))
		if (strcmp(((const Ckpt__Tun *)(const void *)rec->msg)->interface, name) == 0)
			return false;
	return true;
}

static int read_queue(struct collect *c, const struct file_look *l, Ckpt__Tun *m, uint32_t flags)
{
	struct sock_fprog filter = {0};
	struct pollfd p = {.fd = l->fd, .events = POLLIN};
	int n = 0;

	if (moved(l->fd))
		return refuse(c, l,
			"its interface is in another network namespace, which is not saved yet",
			"let the program close it");
	if (ioctl(l->fd, TUNGETFILTER, &filter) == 0 && filter.len)
		return refuse(c, l, "a filter (TUNATTACHFILTER) that the kernel does not give back",
			"let the program take it off (TUNDETACHFILTER)");
	m->flags = flags & FLAGS_KEPT;
	m->persistent = flags & IFF_PERSIST;
	m->detached = flags & IFF_DETACH_QUEUE;
	if (ioctl(l->fd, TUNGETVNETHDRSZ, &n) == 0)
		m->header_bytes = n;
	n = 0;
	m->little_endian = ioctl(l->fd, TUNGETVNETLE, &n) == 0 && n;
	if (ioctl(l->fd, TUNGETSNDBUF, &n) == 0)
		m->send_bytes = n;
	if (poll(&p, 1, 0) > 0 && p.revents & POLLIN)
		op_warn(c->op,
			"pid %d (%s): fd %d: packets of the interface %s that it has not read "
			"are not saved",
			c->pid, c->tr->comm, l->target_fd, m->interface);
	return 0;
}

static int collect_parts(struct collect *c, const struct file_look *l, Ckpt__Tun *m)
{
	struct ifreq q = {0};
	int r = 0;

	if (ioctl(l->fd, TUNGETIFF, &q) < 0 && errno != EBADFD)
		return op_fail(c->op, CKPT_E_SYSTEM, errno, "ioctl(TUNGETIFF)", NULL,
			"pid %d (%s): fd %d", c->pid, c->tr->comm, l->target_fd);
	m->interface = strdup(q.ifr_name);
	if (!m->interface)
		return collect_oom(c);
	if (*m->interface)
		r = read_queue(c, l, m, (uint16_t)q.ifr_flags);
	if (r < 0 || !*m->interface || !is_first(c, m->interface))
		return r;
	r = tun_device_read(l->fd, m->interface, &m->device);
	return r < 0 ? op_fail(c->op, CKPT_E_SYSTEM, -r, "rtnetlink", NULL,
			       "the network interface %s", m->interface)
		     : 0;
}

static int collect(struct collect *c, uint64_t id, const struct file_look *l)
{
	Ckpt__Tun *m = msg_new(Ckpt__Tun, CKPT__TUN__INIT);
	int r = m ? collect_parts(c, l, m) : collect_oom(c);

	if (r == 0)
		return collect_add_take(c, &res_tun.type, id, m);
	if (m)
		protobuf_c_message_free_unpacked(&m->base, NULL);
	return r;
}

/* ---- restore ---- */

static int attach(struct open_ctx *o, int fd, const Ckpt__Tun *m, bool there)
{
	struct ifreq q = {.ifr_flags = (short)(m->flags & FLAGS_KEPT)};
	unsigned index = m->device ? m->device->index : 0;

	snprintf(q.ifr_name, sizeof(q.ifr_name), "%s", m->interface);
	/* another may have the number now; then it gets the next one */
	if (!there && index)
		ioctl(fd, TUNSETIFINDEX, &index);
	if (ioctl(fd, TUNSETIFF, &q) < 0 &&
		(errno != EBUSY || there || !index ||
			(index = 0, ioctl(fd, TUNSETIFINDEX, &index)) < 0 ||
			ioctl(fd, TUNSETIFF, &q) < 0))
		return op_fail(o->op, errno == EPERM ? CKPT_E_PRIVILEGE : CKPT_E_SYSTEM, errno,
			"ioctl(TUNSETIFF)",
			errno == EBUSY ? "another program is attached to it" : NULL,
			"the network interface %s", m->interface);
	return 0;
}

static int put_queue(struct open_ctx *o, int fd, const Ckpt__Tun *m)
{
	struct ifreq q = {.ifr_flags = IFF_DETACH_QUEUE};
	int header = (int)m->header_bytes, le = m->little_endian;
	int ok = 0;

	if (header)
		ok |= ioctl(fd, TUNSETVNETHDRSZ, &header);
	if (le)
		ok |= ioctl(fd, TUNSETVNETLE, &le);
	if (m->send_bytes)
		ok |= ioctl(fd, TUNSETSNDBUF, &m->send_bytes);
	if (m->persistent)
		ok |= ioctl(fd, TUNSETPERSIST, 1UL);
	if (m->detached)
		ok |= ioctl(fd, TUNSETQUEUE, &q);
	return ok < 0 ? op_fail(o->op, CKPT_E_SYSTEM, errno, "ioctl", NULL,
				"the network interface %s", m->interface)
		      : 0;
}

static int open_tun(
	struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record)
{
	const Ckpt__Tun *m = (const void *)rec->msg;
	const Ckpt__File *f = file_record;
	_cleanup_close_ int fd = -EBADF;
	bool there;
	int r = 0;

	(void)id;
	if (o->unneeded)
		return OPEN_NOTHING;
	fd = open(PATH, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return op_fail(o->op, CKPT_E_SYSTEM, errno, "open", "load the module tun", PATH);
	if (*m->interface) {
		there = if_nametoindex(m->interface) != 0;
		if (there && m->device && !m->persistent)
			return op_fail(o->op, CKPT_E_SYSTEM, EEXIST, "ioctl(TUNSETIFF)",
				"end who has made it: it was the program's own",
				"the network interface %s", m->interface);
		r = attach(o, fd, m, there);
		if (r == 0)
			r = put_queue(o, fd, m);
		if (r == 0 && m->device && !there)
			r = tun_device_put(o, fd, m->interface, m->device);
	}
	if (r == 0 && f && fcntl(fd, F_SETFL, (int)f->flags & O_NONBLOCK) < 0)
		r = op_fail(o->op, CKPT_E_SYSTEM, errno, "fcntl(F_SETFL)", NULL, PATH);
	return r < 0 ? r : TAKE_FD(fd);
}

static const struct file_ops ops = {
	.match = match, .collect = collect, .early = true, .open = open_tun};

const struct res res_tun = {
	.type = {"tun", SCOPE_FILE, &ckpt__tun__descriptor, NULL},
	.file = &ops,
};
