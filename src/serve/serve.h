/*
 * serve.h - the service: JSON-RPC 2.0 over a unix stream socket.
 *
 * Three kinds of processes, so that what goes wrong with one caller concerns nobody else:
 *
 *   server   accepts connections, and does nothing else
 *   session  one for each connection, with the rights of its caller: reads requests, writes replies
 *   worker   one for each operation, a child of its session: does it, and reports by a pipe
 */
#ifndef CKPT_SERVE_SERVE_H
#define CKPT_SERVE_SERVE_H

#include <stdint.h>
#include <sys/types.h>

#include "ckpt.h"
#include "core/op.h"
#include "lib/options.h"

/** Limits, all of them per connection unless said. */
#define SERVE_MESSAGE_MAX     (1U << 20) /* bytes of one request, or batch of requests */
#define SERVE_NESTING_MAX     32         /* of arrays and objects in it */
#define SERVE_BATCH_MAX       256        /* requests in a batch */
#define SERVE_WORKERS_MAX     16         /* operations at a time; the next ones wait */
#define SERVE_WAITING_MAX     1024       /* operations that wait for that */
#define SERVE_UNREAD_MAX      (8U << 20) /* bytes that the caller has not read: then nothing is taken */
#define SERVE_HALF_MS         30000      /* for a message that has begun */
#define SERVE_CONNECTIONS_MAX 256        /* of all callers, */
#define SERVE_USERS_MAX       224        /* of those that are not root, */
#define SERVE_PER_USER_MAX    64         /* and of each of these */

/** Who is at the other side of a connection. */
struct serve_peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
};

/** A command of the command line, argv[0] is the verb. Return: the exit status */
typedef int serve_command(int argc, char **argv);

/**
 * serve_run() - listen and serve until SIGTERM or SIGINT
 * @command: runs a command for a client that asks for one
 * Return: 0; negative after op_fail().
 */
int serve_run(struct ckpt_op *op, const struct ckpt_serve_req *req, serve_command *command);

/**
 * serve_session() - serve one connection, and nothing else
 * @fd: is taken
 * Return: 0 at its end, or the exit status; negative after op_fail().
 */
int serve_session(struct ckpt_op *op, int fd, serve_command *command);

/** session_run() - serve one connection until its end. @fd is taken. Return: the exit status */
int session_run(int fd, const struct serve_peer *peer, serve_command *command);

#endif
