/*
 * The two queues of a pseudo terminal: what was typed and is not read yet, and what the program has
 * written and the master has not read yet.
 *
 * The kernel gives both only to whoever takes them out. So they are taken out and put back at once,
 * by a process that shares our memory and nothing else: it blocks every signal and leads a session of
 * its own, so that our death does not reach it. Only a SIGKILL that is meant for that process itself,
 * within some 100 microseconds, could lose what it holds. Whoever calls this holds all processes that
 * have the terminal open stopped, so that nobody sees it empty.
 *
 * Facts (drivers/tty/n_tty.c, pty.c): input is kept with its lines. A line may end by newline or by
 * the end-of-file character, which is not in it; what is behind the last line is only seen when
 * canonical mode is off, but switching that off forgets where lines end. So whole lines are read
 * first, one by each read(2). What was written to either side passes a work queue; poll(2) waits for
 * that, if nothing can be read. How much fits depends on the sizes of the writes (15 to 22 KiB, and more in one long in use).
 */
#ifndef CKPT_KERNEL_PTY_H
#define CKPT_KERNEL_PTY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* asm/termbits.h has the kernel's own structure; it can't be included beside <termios.h>. */
struct termios2;

/* Why nothing that is written to the terminal gets to its master. */
enum pty_stopped {
	PTY_RUNS,
	PTY_STOPPED_KEY, /* VSTOP was typed (Ctrl-S) */
	PTY_STOPPED_CALL /* tcflow(TCOOFF) */
};

/*
 * Input in canonical mode is kept as what one would type, see PTY_INPUT_*: a character that has a
 * meaning has PTY_INPUT_LITERAL before it. In any other mode it is the bytes themselves.
 */
#define PTY_INPUT_LITERAL 0x16
#define PTY_INPUT_END     0x04 /* the line ends here, without a newline */

struct pty_queues {
	uint8_t *input, *output;
	size_t input_len, output_len;
	size_t input_cap, output_cap; /* of a caller that has them read: PTY_QUEUE_ROOM or more */
	uint8_t packet_status;        /* TIOCPKT_* that the master has not read yet */
	enum pty_stopped stopped;
};

#define PTY_QUEUE_ROOM (256 * 1024)

/* drivers/tty/pty.c: NR_UNIX98_PTY_MAX */
#define PTY_INDEX_MAX ((1U << 20) - 1)

/**
 * pty_queues_peek() - read both queues, and leave them as they were
 * @master, @slave: open for both; slave with O_NONBLOCK, and not to be shared with the program
 * @q: with room; the rest is filled
 * Return: 0; -EINTR the process that does it was killed: contents may be lost; -ENODATA likewise, not
 *         all could be put back; -EOVERFLOW more than there is room for; -errno of tty_ioctl(2).
 * Source: tty_ioctl(2), ioctl_tty(2), termios(3).
 */
int pty_queues_peek(int master, int slave, struct pty_queues *q);

/**
 * pty_queues_put() - fill the queues of a new terminal, and give it its settings
 * @slave: with O_NONBLOCK
 * @settings: what it has at the end
 * The packet mode is off. What is behind 4095 bytes of input in canonical mode is echoed again.
 * Return: 0; -ENODATA not everything fits; -errno of tty_ioctl(2).
 */
int pty_queues_put(
	int master, int slave, const struct termios2 *settings, const struct pty_queues *q);

/**
 * pty_status_put() - have the master find a packet status, which it does not know yet
 * @status: TIOCPKT_* bits; the flushes only where the queue in question is empty
 * The packet mode is on. Return: 0; -errno of ioctl(2).
 */
int pty_status_put(
	int master, int slave, const struct termios2 *settings, const struct pty_queues *q);

/**
 * pty_open_controlling() - open /dev/tty while the terminal of a master is the controlling terminal
 * It is that of a process of its own meanwhile; nobody else may have it as such.
 * Return: a descriptor of the slave, owned by the caller; -EINTR that process was killed; -errno of
 *         open(2) or ioctl_tty(2) TIOCSCTTY.
 */
int pty_open_controlling(int master, const char *path, int flags);

#endif
