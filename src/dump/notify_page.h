/*
 * notify_page.h - how a dump finds, in a process that is not its own, the thread by which libckpt has the
 * program's functions called, and what that thread answers.
 *
 * A process with such a thread catches NOTIFY_MARK, a signal that Linux never sends; that is seen in a file
 * that every dump reads anyway. The thread's name tells where the page is, and what is in the page is
 * checked. The thread is told by a signal of its own (to that thread alone, with si_errno saying what), and
 * answers in the page. Both sides may be of different builds: the layout is that of `version`.
 */
#ifndef CKPT_DUMP_NOTIFY_PAGE_H
#define CKPT_DUMP_NOTIFY_PAGE_H

#include <signal.h>
#include <stdint.h>

#define NOTIFY_MARK      SIGSTKFLT
#define NOTIFY_THREAD    "ckpt-" /* and the number of the page, hexadecimal */
#define NOTIFY_PAGE_BITS 12
#define NOTIFY_MAGIC     0x746f6e74706b63ULL /* "ckptnot" */
#define NOTIFY_VERSION   1

/* What the thread does. */
enum notify_doing {
	NOTIFY_IDLE,
	NOTIFY_WAITS, /* for the end of a section without a checkpoint */
	NOTIFY_CALLS  /* a function of the program, before a checkpoint */
};

struct notify_page {
	uint64_t magic;
	uint32_t version;
	int32_t tid;   /* of the thread, as it sees itself */
	int32_t signo; /* by which it is told */
	uint32_t doing;
	uint64_t self_crid; /* of a checkpoint that the program takes of itself; 0: none */
	/* The last answer, of this many: written last. */
	int32_t answer; /* 0 ready; an errno: not now */
	uint32_t answer_ask;
	uint64_t answer_crid;
};

/* si_errno of what the thread is told: before a checkpoint, the number of the question, negative. */
#define NOTIFY_ASK(n) (-(int)(n))

#endif
