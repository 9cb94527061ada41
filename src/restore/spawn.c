/*
 * spawn.c - see spawn.h.
 */
#include "restore/spawn.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/personality.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <linux/sched.h>

#include "arch/arch.h"
#include "isa/raw_syscall.h"
#include "kernel/proc.h"
#include "kernel/proc_stat.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define PERSONALITY_ASK 0xffffffff
#define ZOMBIE_NS       2000000000ULL

bool spawn_is_zombie(pid_t pid)
{
	_cleanup_close_ int fd = proc_open(pid);
	struct proc_stat st;

	return fd >= 0 && proc_stat_read(fd, 0, &st) == 0 && st.state == 'Z';
}

/*
 * The kernel would kill the task at its next preemption for an rseq area that is not there; a program that has
 * ours as a library may have an alternate signal stack. Nothing of libc may be called.
 */
void spawn_forget_thread(void)
{
	stack_t none = {.ss_flags = SS_DISABLE};

	raw_syscall6(SYS_sigaltstack, (long)&none, 0, 0, 0, 0, 0);
	if (__rseq_size)
		raw_syscall6(SYS_rseq, (long)((char *)__builtin_thread_pointer() + __rseq_offset),
			sizeof(struct rseq), RSEQ_FLAG_UNREGISTER, RSEQ_SIG, 0, 0);
}

/* The program that had the pid may have died a moment ago, with a parent that is slow to reap it. */
static int clone_patient(const struct spawn *s)
{
	pid_t pid = s->pid;
	/* what we do on signals is no affair of the task's */
	struct clone_args args = {.flags = CLONE_CLEAR_SIGHAND,
		.exit_signal = SIGCHLD,
		.set_tid = (uintptr_t)&pid,
		.set_tid_size = 1};
	uint64_t deadline = now_ns() + ZOMBIE_NS;
	struct timespec doze = {.tv_nsec = 1000000};

	if (s->sibling) {
		args.flags |= CLONE_PARENT;
		args.exit_signal = 0; /* it is ours */
	}
	if (s->cgroup >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)s->cgroup;
	}
	for (;;) {
		long ret = syscall(SYS_clone3, &args, sizeof(args));
		int err = ret < 0 ? errno : 0;

		if (ret == 0) {
			spawn_forget_thread();
			arch_agent_start(s->entry, s->prog, s->stack);
		}
		if (err && err != EEXIST && args.flags & CLONE_INTO_CGROUP) {
			args.flags &=
				~CLONE_INTO_CGROUP; /* it is put there later, or told why not */
			args.cgroup = 0;
			continue;
		}
		if (err != EEXIST || now_ns() > deadline || !spawn_is_zombie(pid))
			return -err;
		nanosleep(&doze, NULL);
	}
}

/* The task begins with no personality, whatever ours is. */
static int clone_plain(const struct spawn *s)
{
	int persona = personality(PERSONALITY_ASK), r;

	if (persona > 0)
		personality(0);
	r = clone_patient(s);
	if (persona > 0)
		personality(persona);
	return r;
}

/*
 * unshare(CLONE_NEWTIME) is for the children of the thread that calls it, and can't be taken back in a
 * process with several: so a thread is made for it that ends right after. The task is then a child of the
 * process as any other.
 */
static void *clone_in_time(void *arg)
{
	const struct spawn *s = arg;
	int r = timens_unshare(s->time);

	return (void *)(intptr_t)(r < 0 ? r : clone_plain(s));
}

static int clone_by_thread(const struct spawn *s)
{
	pthread_t t;
	void *ret;
	int r = pthread_create(&t, NULL, clone_in_time, (void *)s);

	if (r)
		return -r;
	pthread_join(t, &ret);
	return (int)(intptr_t)ret;
}

void spawn_self(const struct spawn *s)
{
	personality(0);
	spawn_forget_thread();
	arch_agent_start(s->entry, s->prog, s->stack);
}

int spawn_task(const struct spawn *s)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = s->time ? clone_by_thread(s) : clone_plain(s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}
