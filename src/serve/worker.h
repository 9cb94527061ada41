/*
 * worker.h - one operation in a process of its own.
 *
 * It reports by a pipe: frames of a length, a letter, and JSON text. What it is killed in the middle of has
 * not happened: that is what dump and restore are made for. SIGTERM is the wish that it ends.
 */
#ifndef CKPT_SERVE_WORKER_H
#define CKPT_SERVE_WORKER_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/call.h"

enum report {
	REPORT_RESULT = 'R',  /* the result; the last one */
	REPORT_ERROR = 'E',   /* the error object of JSON-RPC; the last one */
	REPORT_STARTED = 'S', /* a restored tree runs, with the result; its end is to come */
	REPORT_EXIT = 'X',    /* it has ended, with the result; the last one */
	REPORT_NOTIFY = 'N',  /* a notification, as it is to be sent */
};

struct report_head {
	uint32_t len;
	char what; /* enum report */
} __attribute__((packed));

/** What a worker is given. */
struct worker_job {
	struct call call;
	json_t *id;   /* of the request, for notifications; NULL: it has none */
	json_t *argv; /* a command of the command line instead of a call; or NULL */
	int (*command)(int argc, char **argv); /* that runs it */
	const int *fds; /* become its 0, 1, 2, ...; of a command the 4th is its directory */
	size_t n_fds;
};

/**
 * worker_start() - fork it
 * @ret_pipe: its reports, owned by the caller
 * Return: its pid; -errno.
 */
pid_t worker_start(struct worker_job *job, int *ret_pipe);

#endif
