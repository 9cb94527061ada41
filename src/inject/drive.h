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
 * drive_break_off() - make a thread's stop one within its own call, where the kernel forgets that
 * @regs: of a thread in an EVENT_STOP, which are to be its own; nothing is done, if they are in no call
 *        that goes on, or where the kernel does not forget (ARCH_STOP_REWINDS)
 * @sig:  filled when it is a signal that stops the thread, before anything was done
 * Return: 0, in an EVENT_STOP again; 1 a signal stop; -ESRCH it died; -errno
 */
int drive_break_off(pid_t tid, const struct arch_regs *regs, int *sig);

/**
 * drive_anew() - have a call be issued again that this kernel is about to continue by restart_syscall(2),
 * which the thread's filters do not allow (heal.h): it looks at the pc only, so the thread takes a way
 * round into the call
 * Return: 0; -ENOSPC no room for that; as drive_deliver() for a signal that has come
 */
int drive_anew(struct tracees *tr, struct tracee *t);

/**
 * drive_settle() - give a thread in an EVENT_STOP its own context, as if no code of ours had run
 * Return: 0; as drive_deliver() for a signal that has come
 */
int drive_settle(struct tracees *tr, struct tracee *t);

/**
 * drive_home() - from a syscall-exit-stop into an EVENT_STOP, where the thread's own registers lead
 * home by the signal path
 * Return: as drive_settle()
 */
int drive_home(struct tracees *tr, struct tracee *t);

#endif
