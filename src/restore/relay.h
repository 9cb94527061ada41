/*
 * relay.h - a session of the tree whose terminal was outside: it gets one of its own, and we pass on what
 * goes through that to the terminal that we were started with, as script(1) and ssh(1) do.
 *
 * A terminal belongs to one session, and ours has a session: the shell's that started us. So its settings
 * are made transparent (raw), keys go as they are into the master of the new terminal, whose own settings
 * make signals of them for whichever job of the tree is in its foreground; output and size likewise.
 */
#ifndef CKPT_RESTORE_RELAY_H
#define CKPT_RESTORE_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <termios.h>

#include "res/res.h"

#define RELAY_ROOM 4096

struct relay_way {
	char data[RELAY_ROOM];
	size_t at, len; /* what is not written yet */
};

struct relay {
	bool on;
	bool active; /* keys are taken: we are in the foreground of our terminal, and it is there */
	bool raw;    /* our terminal has been changed */
	int tty;     /* our terminal, non-blocking, a description of its own */
	int signals; /* a signalfd, to be told of any */
	struct plan_relay end;
	struct termios saved;
	struct relay_way keys, output;
};

/**
 * relay_find() - whether a session of the tree needs it, and we have a terminal to offer
 * A warning is given if it needs one and there is none. @r: zeroed
 * Return: where p->relay may point to; NULL: nothing is passed on.
 */
struct plan_relay *relay_find(struct relay *r, const struct plan *p);

/** relay_begin() - all processes run: from here on our terminal is theirs */
void relay_begin(struct relay *r, const sigset_t *signals);

/** relay_wait() - pass on, until a signal is pending that relay_begin() was told of */
void relay_wait(struct relay *r);

/** relay_pause() - our terminal as it was, for a stop */
void relay_pause(struct relay *r);

/** relay_resume() - after a stop, or when we may have come to the foreground */
void relay_resume(struct relay *r);

/** relay_resize() - the size of our terminal becomes that of the other */
void relay_resize(struct relay *r);

/** relay_end() - pass on the last output; our terminal as it was. @r may be all zero */
void relay_end(struct relay *r);

#endif
