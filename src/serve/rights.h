/*
 * rights.h - a process of the service takes the rights of its caller, for good.
 */
#ifndef CKPT_SERVE_RIGHTS_H
#define CKPT_SERVE_RIGHTS_H

#include "serve/serve.h"

/**
 * rights_peer() - who is at the other side
 * Return: 0; -errno.
 * Source: unix(7), SO_PEERCRED.
 */
int rights_peer(int fd, struct serve_peer *ret);

/**
 * rights_take() - become the caller: its ids and groups, no capability but those that it has itself
 * @fd: of the connection
 * One capability is lent, as nobody could restore anything without: CAP_CHECKPOINT_RESTORE, which
 * rights_lend() makes effective.
 * Return: 0; -errno, after which the process must end.
 */
int rights_take(int fd, const struct serve_peer *peer);

/** rights_lend() - of a worker that restores. Return: 0; -errno; nothing to be done for root */
int rights_lend(void);

#endif
