/*
 * unix_peek.h - what waits in a unix socket to be received, looked at and left there.
 */
#ifndef CKPT_KERNEL_UNIX_PEEK_H
#define CKPT_KERNEL_UNIX_PEEK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#define UNIX_RIGHTS_MAX 253 /* SCM_MAX_FD of the kernel */

/* An address and its length. */
struct unix_addr {
	struct sockaddr_un un;
	char after; /* the kernel ends a path of full length with a zero */
	socklen_t len;
};

/* A packet; of a stream, what one read can get at once. */
struct unix_piece {
	uint8_t *data; /* owned, as are the descriptors; -EBADF: taken */
	size_t len;
	int *fds;
	size_t n_fds;
	struct ucred cred; /* pid 0: none, or not told: the socket has no SO_PASSCRED */
	struct unix_addr from;
};

struct unix_pieces {
	struct unix_piece *v;
	size_t n, cap;
};

/**
 * unix_peek() - read all that waits, by MSG_PEEK
 * @fd: of any unix socket that has no error pending, which a peek at packets would take away
 * @type: SOCK_*
 * @ret: ended by unix_pieces_done(), also after a failure
 * What is behind the first piece is reached by SO_PEEK_OFF, which is put back as it was even if we are
 * killed meanwhile. An empty datagram is found by the first look at it alone.
 * Return: 0; -EMFILE there is no room for the descriptors in flight; -ENOMEM; -errno.
 * Source: unix(7), socket(7).
 */
int unix_peek(int fd, int type, struct unix_pieces *ret);

void unix_pieces_done(struct unix_pieces *p);

#endif
