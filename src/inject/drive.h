/*
 * drive.h - bringing a thread that runs injected code one stop further, and out of it.
 */
#ifndef CKPT_INJECT_DRIVE_H
#define CKPT_INJECT_DRIVE_H

#include "inject/tracees.h"

/**
 * drive_step() - from a stop to the next system-call stop
 * @sig: filled when it is a signal that stops the thread
 * Return: 0; 1 a signal stop; -ESRCH it died; -errno
 */
int drive_step(struct tracee *t, int *sig);

/**
 * drive_deliver() - deliver a signal in the program's own context, stop again, look anew
 * A SIGSYS that our own call has raised is dropped instead: the program never made the call, and would
 * end or answer it.
 * Return: 0; -EOPNOTSUPP the thread dispatches its system calls, and stands in its own context again;
 *         -errno
 */
int drive_deliver(struct tracees *tr, struct tracee *t, int sig);

/**
 * drive_home() - from a syscall-exit-stop into an EVENT_STOP, where the thread's own registers lead
 * home by the signal path
 * Return: 0; -errno
 */
int drive_home(struct tracees *tr, struct tracee *t);

#endif
