/*
 * front.h - a restore in the foreground: it stands for the root of the tree towards its caller.
 *
 * What is sent to us is passed on, once. A terminal sends its signals to a whole process group: where
 * the root is in ours, it has got them already. Where it leads a group of its own in our session, that
 * group gets the terminal as long as we would have it, as a shell does for its jobs. When the terminal
 * stops the root we stop too, so that the shell sees it, and SIGCONT wakes both. Where the root leads a
 * session that has a terminal of its own, which we pass on, the keys are passed on with it (relay.h).
 */
#ifndef CKPT_RESTORE_FRONT_H
#define CKPT_RESTORE_FRONT_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

struct relay;

struct front {
	bool on;
	bool frozen; /* the root begins stopped: that is no stop by the terminal */
	pid_t root;
	int tty;          /* the controlling terminal, -EBADF: none */
	bool given;       /* to the root's group, or that of its foreground job */
	pid_t foreground; /* the group of the tree that had the terminal, until it gets it; 0: none */
	sigset_t mask;    /* as it was */
	struct relay *relay; /* borrowed; it may be off */
};

/**
 * front_begin() - before the root is made: from here on signals wait for front_wait()
 * @relay: outlives f
 */
void front_begin(struct front *f, bool frozen, struct relay *relay);

/**
 * front_root() - the root exists, and does not run yet: the terminal becomes its own
 * @foreground: or of this process group of the tree, which had it at the dump; 0: none
 */
void front_root(struct front *f, pid_t root, pid_t foreground);

/**
 * front_wait() - until the root ends
 * Return: its wait status; negative where it can't be waited for.
 */
int front_wait(struct front *f);

/** front_end() - the terminal and the signal mask as they were; f may be all zero */
void front_end(struct front *f);

#endif
