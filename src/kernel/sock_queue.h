/*
 * sock_queue.h - the pending error of a socket of IP, its queue of errors and what it has not read yet, all untouched.
 *
 * Each call that tells of these takes them away (SO_ERROR, MSG_ERRQUEUE), and a look at what is unread (MSG_PEEK)
 * takes the pending error. So they are read where they lie (kernel/kmem.h); the socket notices nothing.
 *
 * A buffer keeps the packet that it came in: from the header of IP on it is there, though the program is given the
 * end of it only. So of an error there is the whole message of ICMP.
 */
#ifndef CKPT_KERNEL_SOCK_QUEUE_H
#define CKPT_KERNEL_SOCK_QUEUE_H

#include <time.h> /* the next one needs it */

#include <linux/errqueue.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct kmem;
struct sock_queue_reader;

struct sock_packet {
	struct sock_extended_err ee; /* of an error */
	uint8_t *
		data; /* owned: from the header of IP on; NULL: of an error of another origin than ICMP */
	size_t len;       /* of that */
	size_t transport; /* where in it the header of UDP or ICMP is; of what is unread */
	size_t payload;   /* where in it begins what the program is given */
	uint16_t segment; /* bytes each, where several datagrams are joined; 0: it is one */
};

struct sock_queue {
	int error;                   /* the pending one, positive; 0: none */
	struct sock_packet *packets; /* owned, the oldest first */
	size_t n;
};

enum sock_queue_which {
	SOCK_QUEUE_ERRORS,
	SOCK_QUEUE_UNREAD, /* of UDP and UDP-Lite only */
};

/**
 * sock_queue_open() - get ready to read; once for many sockets
 * @k: opened; borrowed
 * @ret: ended by sock_queue_close(); untouched on failure
 * Return: 0; -ENOENT this kernel has other structures; -ENOMEM.
 * Source: Linux >= 5.10 with BTF; takes CAP_NET_RAW for packets that a device has put into pages.
 */
int sock_queue_open(struct kmem *k, struct sock_queue_reader **ret);

void sock_queue_close(struct sock_queue_reader *h);

/**
 * sock_queue_read() - one queue of a socket; nobody may read from it meanwhile, more may arrive
 * @fd: ours, of AF_INET or AF_INET6
 * @ino: of it
 * @ret: ended by sock_queue_done(); untouched on failure
 * Return: 0; -EAGAIN what was found makes no sense; -ENOMEM; -errno.
 */
int sock_queue_read(struct sock_queue_reader *h, int fd, ino_t ino, enum sock_queue_which which,
	struct sock_queue *ret);

void sock_queue_done(struct sock_queue *q);

#endif
