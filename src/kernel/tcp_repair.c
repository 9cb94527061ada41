/*
 * tcp_repair.c - see tcp_repair.h. What is called apart is async-signal-safe.
 */
#include "kernel/tcp_repair.h"

#include <errno.h>
#include <limits.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "kernel/apart.h"
#include "kernel/syscalls.h"
#include "kernel/tcp_numbers.h"
#include "util/vec.h"

/* What may be in a queue beyond what it says: a packet acknowledged in part, one that came just now. */
#define ARENA_SPARE (4UL << 20)
#define ARENA_TRIES 4
#define SEND_CHUNK  (64UL * 1024)

static int get(int fd, int name, void *value, socklen_t len)
{
	return getsockopt(fd, IPPROTO_TCP, name, value, &len) < 0 ? -errno : 0;
}

static int set(int fd, int name, const void *value, socklen_t len)
{
	return setsockopt(fd, IPPROTO_TCP, name, value, len) < 0 ? -errno : 0;
}

static int set_int(int fd, int name, int value)
{
	return set(fd, name, &value, sizeof(value));
}

int tcp_repair(int fd, int on)
{
	return set_int(fd, TCP_REPAIR, on);
}

/* ---- reading ---- */

static int read_seq(int fd, int queue, uint32_t *ret)
{
	int r = set_int(fd, TCP_REPAIR_QUEUE, queue);

	return r < 0 ? r : get(fd, TCP_QUEUE_SEQ, ret, sizeof(*ret));
}

/* Return: bytes; -EFAULT no room; -errno */
static ssize_t peek(int fd, uint8_t *to, size_t room)
{
	ssize_t n;

	if (!room)
		return -EFAULT;
	n = recv(fd, to, room, MSG_PEEK | MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	return (size_t)n == room ? -EFAULT : n;
}

static bool waiting(int fd, unsigned long what)
{
	int n = 0;

	return ioctl(fd, what, &n) < 0 || n > 0;
}

int tcp_state_of(int fd, int *ret)
{
	struct tcp_info info = {0};
	int r = get(fd, TCP_INFO, &info, offsetof(struct tcp_info, tcpi_ca_state));

	*ret = info.tcpi_state;
	return r;
}

static bool fin_received(int state)
{
	return state == TCP_IS_CLOSE_WAIT || state == TCP_IS_LAST_ACK || state == TCP_IS_CLOSING ||
	       state == TCP_IS_CLOSE;
}

/*
 * A look at the receive queue stops at an urgent byte, or passes it over; how much there is in all is
 * told beside it (TCP_INQ, Linux >= 4.18), with the FIN.
 * Return: bytes; -ENOMSG there is an urgent byte; -EFAULT no room; -errno
 */
static ssize_t peek_recv(int fd, bool fin, uint8_t *to, size_t room)
{
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {to, room};
	struct msghdr m = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(fd, &m, MSG_PEEK | MSG_DONTWAIT);
	struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&m);
	int inq;

	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	if ((size_t)n == room)
		return -EFAULT;
	if (!c || c->cmsg_level != IPPROTO_TCP || c->cmsg_type != TCP_CM_INQ)
		return n;
	memcpy(&inq, CMSG_DATA(c), sizeof(inq));
	return inq > n + fin ? -ENOMSG : n;
}

static int sock_get(int fd, int name, int *ret)
{
	socklen_t len = sizeof(*ret);

	return getsockopt(fd, SOL_SOCKET, name, ret, &len) < 0 ? -errno : 0;
}

static void sock_set(int fd, int name, int value)
{
	setsockopt(fd, SOL_SOCKET, name, &value, sizeof(value));
}

/* All of it, by looks of which each begins where the last one ended: the first ends before the urgent byte. */
static ssize_t peek_parts(struct tcp_state *s, bool at_mark, uint8_t *to, size_t room)
{
	size_t len = 0;
	ssize_t n;

	while ((n = recv(s->fd, to + len, room - len, MSG_PEEK | MSG_DONTWAIT)) > 0) {
		if (!len && !at_mark)
			s->urgent_at = (size_t)n;
		len += (size_t)n;
		if (len == room)
			return -EFAULT;
	}
	return n < 0 && errno != EAGAIN ? -errno : (ssize_t)len;
}

/*
 * Beyond an urgent byte a look comes only where it can begin anywhere (SO_PEEK_OFF of TCP, Linux >= 6.9), and
 * then sees it if it is to be read in its order.
 * Return: as of peek_recv()
 */
static ssize_t peek_urgent(struct tcp_state *s, bool at_mark, uint8_t *to, size_t room)
{
	int from_first = 0, in_order = 0;
	ssize_t n;
	char byte;

	if (setsockopt(s->fd, SOL_SOCKET, SO_PEEK_OFF, &from_first, sizeof(from_first)) < 0)
		return -ENOMSG;
	s->urgent = true;
	s->urgent_at = 0;
	sock_get(s->fd, SO_OOBINLINE, &in_order);
	sock_set(s->fd, SO_OOBINLINE, 0);
	s->urgent_read = recv(s->fd, &byte, 1, MSG_OOB | MSG_PEEK | MSG_DONTWAIT) < 0;
	sock_set(s->fd, SO_OOBINLINE, 1);
	n = peek_parts(s, at_mark, to, room);
	sock_set(s->fd, SO_OOBINLINE, in_order);
	sock_set(s->fd, SO_PEEK_OFF, -1);
	return n;
}

/* The mark may be there before its byte has come: then nothing is urgent yet, and its sender says it again. */
static ssize_t peek_all(struct tcp_state *s, uint8_t *to, size_t room)
{
	int at_mark = 0;
	ssize_t n = peek_recv(s->fd, fin_received(s->state), to, room);

	s->urgent = s->urgent_read = false;
	ioctl(s->fd, SIOCATMARK, &at_mark);
	if (n == -ENOMSG || (n >= 0 && at_mark))
		n = peek_urgent(s, at_mark, to, room);
	if (s->urgent && (n < 0 || (size_t)n <= s->urgent_at))
		s->urgent = s->urgent_read = false;
	return n;
}

/* What comes between the two looks at the number, a byte or a FIN, is looked for again. */
static int look_recv(struct tcp_state *s, uint8_t *to, size_t room)
{
	uint32_t before;
	int r = read_seq(s->fd, TCP_QUEUE_RECV, &s->recv_seq);

	do {
		ssize_t n = 0;

		before = s->recv_seq;
		if (r == 0)
			r = tcp_state_of(s->fd, &s->state);
		if (r == 0)
			n = peek_all(s, to, room);
		if (r < 0 || n < 0)
			return r < 0 ? r : (int)n;
		s->recv = to;
		s->recv_len = (size_t)n;
		r = get(s->fd, TCP_QUEUE_SEQ, &s->recv_seq, sizeof(s->recv_seq));
	} while (r == 0 && s->recv_seq != before);
	return r;
}

static int read_recv(struct tcp_state *s, uint8_t *to, size_t room)
{
	int inq = 0, r;

	get(s->fd, TCP_INQ, &inq, sizeof(inq));
	if (!inq)
		set_int(s->fd, TCP_INQ, 1);
	r = look_recv(s, to, room);
	if (!inq)
		set_int(s->fd, TCP_INQ, 0);
	return r;
}

static int read_send(struct tcp_state *s, uint8_t *to, size_t room)
{
	int r = read_seq(s->fd, TCP_QUEUE_SEND, &s->send_seq);
	ssize_t n = r == 0 && waiting(s->fd, SIOCOUTQ) ? peek(s->fd, to, room) : r;

	if (n < 0)
		return (int)n;
	s->send = to;
	s->send_len = (size_t)n;
	return 0;
}

static int read_repaired(struct tcp_state *s, uint8_t *to, size_t room)
{
	struct tcp_repair_window w;
	int r = read_recv(s, to, room);

	if (r == 0)
		r = read_send(s, to + s->recv_len, room - s->recv_len);
	if (r == 0)
		r = get(s->fd, TCP_MAXSEG, &s->mss, sizeof(s->mss));
	if (r == 0)
		r = get(s->fd, TCP_TIMESTAMP, &s->timestamp, sizeof(s->timestamp));
	if (r == 0)
		r = get(s->fd, TCP_REPAIR_WINDOW, &w, sizeof(w));
	if (r == 0)
		s->windows = (struct tcp_windows){.snd_wl1 = w.snd_wl1,
			.snd_wnd = w.snd_wnd,
			.max_window = w.max_window,
			.rcv_wnd = w.rcv_wnd,
			.rcv_wup = w.rcv_wup};
	return r;
}

/* Apart. Where a peek begins is of TCP, too, since Linux 6.9. */
int tcp_state_read(struct tcp_state *s, uint8_t *to, size_t room)
{
	int reuse = 0, peek_off = -1, r = sock_get(s->fd, SO_REUSEADDR, &reuse);

	if (r == 0)
		r = tcp_repair(s->fd, TCP_REPAIR_ON);
	if (r < 0)
		return r;
	if (sock_get(s->fd, SO_PEEK_OFF, &peek_off) == 0 && peek_off >= 0)
		sock_set(s->fd, SO_PEEK_OFF, -1);
	r = read_repaired(s, to, room);
	if (peek_off >= 0)
		sock_set(s->fd, SO_PEEK_OFF, peek_off);
	tcp_repair(s->fd, TCP_REPAIR_OFF_NO_WP);
	if (reuse)
		sock_set(s->fd, SO_REUSEADDR, reuse);
	return r;
}

static int read_all(void *arg)
{
	struct tcp_states *s = arg;
	size_t used = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct tcp_state *t = &s->v[i];

		t->err = tcp_state_read(t, s->arena + used, s->arena_size - used);
		if (t->err == 0)
			used += t->recv_len + t->send_len;
	}
	return 0;
}

static bool too_small(const struct tcp_states *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].err == -EFAULT)
			return true;
	return false;
}

static size_t bytes_waiting(const struct tcp_states *s)
{
	size_t sum = 0;

	for (size_t i = 0; i < s->n; i++) {
		int in = 0, out = 0;

		if (ioctl(s->v[i].fd, SIOCINQ, &in) == 0 && in > 0)
			sum += (size_t)in;
		if (ioctl(s->v[i].fd, SIOCOUTQ, &out) == 0 && out > 0)
			sum += (size_t)out;
	}
	return sum;
}

int tcp_states_read(struct tcp_states *s)
{
	size_t size = bytes_waiting(s) + ARENA_SPARE;
	int r = 0;

	for (int i = 0; r == 0 && i < ARENA_TRIES && (i == 0 || too_small(s)); i++, size *= 4) {
		tcp_states_done(s);
		s->arena = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (s->arena == MAP_FAILED) {
			s->arena = NULL;
			return -ENOMEM;
		}
		s->arena_size = size;
		r = apart(read_all, s);
	}
	return r;
}

void tcp_states_done(struct tcp_states *s)
{
	if (s->arena)
		munmap(s->arena, s->arena_size);
	s->arena = NULL;
	s->arena_size = 0;
}

/* ---- making ---- */

int tcp_room(int fd, int option, size_t bytes)
{
	int room = 0, want = bytes > INT_MAX / 4 ? INT_MAX / 4 : (int)bytes;
	socklen_t len = sizeof(room);

	if (getsockopt(fd, SOL_SOCKET, option, &room, &len) < 0)
		return -errno;
	if (room / 2 >= want)
		return 0;
	return setsockopt(fd, SOL_SOCKET, option == SO_RCVBUF ? SO_RCVBUFFORCE : SO_SNDBUFFORCE,
		       &want, sizeof(want)) < 0
		       ? -errno
		       : 0;
}

int tcp_seq_set(int fd, int queue, uint32_t seq)
{
	int r = set_int(fd, TCP_REPAIR_QUEUE, queue);

	return r < 0 ? r : set(fd, TCP_QUEUE_SEQ, &seq, sizeof(seq));
}

/*
 * Segments are as large as connect(2) computes: from what is known of the peer's limit then, which is the smallest
 * there is (536) until it is told, and from the options, a signature among them (TCP_MD5SIG). Later it
 * computes that only when the peer's window is larger than ever. So for that moment the program seems to
 * wish for the peer's limit itself, as far as it can; but for no more than half of the peer's largest window, as the
 * kernel has it: who may not send a whole segment waits.
 */
static uint32_t mss_of(const struct tcp_again *a)
{
	uint32_t window = a->windows.max_window;
	uint32_t half = window > TCP_MSS_UNKNOWN ? window / 2 : window;
	uint32_t limit = MIN(half, (uint32_t)TCP_MSS_LARGEST);

	limit = MAX(limit, (uint32_t)TCP_MSS_SMALLEST);
	return MIN(a->mss, limit);
}

static int connect_again(int fd, const struct tcp_again *a)
{
	uint32_t mss = mss_of(a);
	int r = mss >= TCP_MSS_SMALLEST ? set_int(fd, TCP_MAXSEG, (int)mss) : 0;

	if (r == 0 && connect(fd, a->peer, a->len) < 0)
		r = -errno;
	set_int(fd, TCP_MAXSEG, 0);
	return r;
}

static int set_options(int fd, const struct tcp_again *a)
{
	struct tcp_repair_opt o[4];
	unsigned n = 0;

	if (a->mss)
		o[n++] = (struct tcp_repair_opt){TCP_HAS_MSS, a->mss};
	if (a->scaled)
		o[n++] = (struct tcp_repair_opt){
			TCP_HAS_WINDOW, a->send_scale | (uint32_t)a->recv_scale << 16};
	if (a->sack)
		o[n++] = (struct tcp_repair_opt){TCP_HAS_SACK, 0};
	if (a->timestamps)
		o[n++] = (struct tcp_repair_opt){TCP_HAS_TIMESTAMP, 0};
	return n ? set(fd, TCP_REPAIR_OPTIONS, o, (socklen_t)(n * sizeof(*o))) : 0;
}

static int fill(int fd, int queue, const uint8_t *p, size_t len)
{
	int r = len ? set_int(fd, TCP_REPAIR_QUEUE, queue) : 0;

	while (r == 0 && len) {
		ssize_t n = send(fd, p, MIN(len, SEND_CHUNK), MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		p += n;
		len -= (size_t)n;
	}
	return r;
}

/* Where the program's own buffers are smaller than what they hold, as they may be. */
static int fill_queues(int fd, const struct tcp_again *a)
{
	int r = 0;

	if (a->recv_len)
		r = tcp_room(fd, SO_RCVBUF, 2 * a->recv_len + SEND_CHUNK);
	if (r == 0)
		r = fill(fd, TCP_QUEUE_RECV, a->recv, a->recv_len);
	if (r == 0 && a->send_len)
		r = tcp_room(fd, SO_SNDBUF, 2 * a->send_len + SEND_CHUNK);
	return r < 0 ? r : fill(fd, TCP_QUEUE_SEND, a->send, a->send_len);
}

/*
 * The peer's last word on its window may have come with bytes beyond a gap, which it sends again. By now they
 * may be beyond our window as well: one that is closed for lack of memory (Linux >= 6.5) opens narrower.
 */
static int set_windows(int fd, const struct tcp_windows *w, uint32_t recv_next)
{
	bool ahead = (int32_t)(w->snd_wl1 - recv_next) > 0;
	struct tcp_repair_window k = {.snd_wl1 = ahead ? recv_next : w->snd_wl1,
		.snd_wnd = w->snd_wnd,
		.max_window = w->max_window,
		.rcv_wnd = w->rcv_wnd,
		.rcv_wup = w->rcv_wup};

	return set(fd, TCP_REPAIR_WINDOW, &k, sizeof(k));
}

int tcp_again_make(int fd, const struct tcp_again *a, const char **ret_call)
{
	int r;

	*ret_call = "setsockopt(TCP_REPAIR)";
	r = tcp_repair(fd, TCP_REPAIR_ON);
	*ret_call = r == 0 ? "setsockopt(TCP_QUEUE_SEQ)" : *ret_call;
	if (r == 0)
		r = tcp_seq_set(fd, TCP_QUEUE_SEND, a->send_first);
	if (r == 0)
		r = tcp_seq_set(fd, TCP_QUEUE_RECV, a->recv_first);
	*ret_call = r == 0 ? "bind" : *ret_call;
	if (r == 0 && bind(fd, a->local, a->len) < 0)
		r = -errno;
	*ret_call = r == 0 ? "connect" : *ret_call;
	if (r == 0)
		r = connect_again(fd, a);
	*ret_call = r == 0 ? "setsockopt(TCP_REPAIR_OPTIONS)" : *ret_call;
	if (r == 0)
		r = set_options(fd, a);
	if (r == 0 && a->timestamps)
		r = set(fd, TCP_TIMESTAMP, &a->timestamp, sizeof(a->timestamp));
	*ret_call = r == 0 ? "send" : *ret_call;
	if (r == 0)
		r = fill_queues(fd, a);
	*ret_call = r == 0 ? "setsockopt(TCP_REPAIR_WINDOW)" : *ret_call;
	if (r == 0)
		r = set_windows(fd, &a->windows, a->recv_first + (uint32_t)a->recv_len);
	return r;
}
