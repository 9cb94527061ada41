/*
 * mqueue.h - POSIX message queues: their state, and their messages.
 *
 * The kernel lets nobody look at a message: reading takes it away. So the messages are received and sent
 * again, in the same order, which is what they had: by priority, then by age. A child does it that
 * blocks all signals, is of a session of its own, and has all memory that it needs before it begins: so
 * it ends what it has begun, though this process be killed meanwhile.
 */
#ifndef CKPT_KERNEL_MQUEUE_H
#define CKPT_KERNEL_MQUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MQUEUE_MAGIC 0x19800202 /* ipc/mqueue.c; in no header of the uapi before 5.14 */

/* Who is told of the next message, as reading the queue's file says it. */
struct mqueue_notify {
	uint64_t bytes; /* in the queue */
	int how;        /* SIGEV_* */
	int signal;
	pid_t pid; /* 0: nobody */
};

/**
 * mqueue_notify_parse() - read what a queue's file says
 * Return: 0; -EBADMSG.
 * Source: ipc/mqueue.c mqueue_read_file(): "QSIZE:129 NOTIFY:0 SIGNO:10 NOTIFY_PID:77".
 */
int mqueue_notify_parse(const char *text, struct mqueue_notify *ret);

/** mqueue_notify_read() - @fd: open for reading. Return: 0; -EBADMSG; -errno of pread(2) */
int mqueue_notify_read(int fd, struct mqueue_notify *ret);

/* Messages in the order in which they would be received. */
struct mqueue_messages {
	void *map; /* of the child too */
	size_t map_len, slot_bytes;
	size_t n;
};

struct mqueue_message {
	uint32_t priority, len;
	uint8_t text[];
};

/**
 * mqueue_copy() - have the messages of a queue
 * @fd:        open for reading and writing, without O_NONBLOCK
 * @n:         how many are there
 * @max_bytes: of one
 * @ret:       freed with mqueue_messages_done()
 * Nobody may be waiting to be told of the next message: it would be told.
 * Return: 0; -E2BIG there is too much; -EBUSY others send or receive; -errno of fork, mmap.
 */
int mqueue_copy(int fd, size_t n, size_t max_bytes, struct mqueue_messages *ret);

const struct mqueue_message *mqueue_message(const struct mqueue_messages *m, size_t i);
void mqueue_messages_done(struct mqueue_messages *m);

#endif
