/*
 * sig_default.h - for what is started as if nobody had started it.
 */
#ifndef CKPT_KERNEL_SIG_DEFAULT_H
#define CKPT_KERNEL_SIG_DEFAULT_H

#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/**
 * sig_default_all() - no signal has a handler or is ignored any more
 * Also those that the C library keeps for itself (32 and 33): its sigaction() does not touch them, and its
 * posix_spawn() may have left them ignored. Async-signal-safe.
 * Source: sigaction(2): rt_sigaction, of whose argument zero is the default of every field.
 */
static inline void sig_default_all(void)
{
	const uint64_t by_default[4] = {(uintptr_t)SIG_DFL};

	for (int sig = 1; sig < NSIG; sig++)
		syscall(SYS_rt_sigaction, sig, by_default, NULL, sizeof(uint64_t));
}

#endif
