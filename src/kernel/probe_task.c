/*
 * Trying what concerns tasks: capabilities, tracing, /proc, creation with a chosen pid.
 *
 * What needs a tracee makes one: a child that only waits, killed and reaped before the answer.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/fork_raw.h"
#include "kernel/kcmp.h"
#include "kernel/pidfd.h"
#include "kernel/proc.h"
#include "kernel/proc_maps.h"
#include "kernel/probe_try.h"
#include "kernel/ptrace.h"
#include "kernel/syscalls.h"
#include "kernel/sysvipc.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/str.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

void try_capability(long arg, struct kernel_feature *ret)
{
	cap_t caps = cap_get_proc();
	cap_flag_value_t value = CAP_CLEAR;

	if (!caps || cap_get_flag(caps, (cap_value_t)arg, CAP_EFFECTIVE, &value) < 0)
		probe_result(ret, -errno, "capget");
	else
		probe_result(ret, value == CAP_SET ? 0 : -EPERM, "effective set");
	cap_free(caps);
}

static void child_reap(pid_t pid)
{
	siginfo_t si;

	while (waitid(P_PID, (id_t)pid, &si, WEXITED | __WALL) < 0 && errno == EINTR)
		;
}

int probe_in_child(int (*fn)(void))
{
	siginfo_t si = {};
	pid_t pid = fork_raw(SIGCHLD);

	if (pid < 0)
		return -errno;
	if (pid == 0)
		_exit(-fn());
	while (waitid(P_PID, (id_t)pid, &si, WEXITED) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return si.si_code == CLD_EXITED ? -si.si_status : -ECANCELED;
}

static void tracee_end(pid_t pid)
{
	kill(pid, SIGKILL);
	/* The pending stop is reported first, and consumed here: the child is to die anyway. */
	for (;;) {
		siginfo_t si = {};

		if (waitid(P_PID, (id_t)pid, &si, WEXITED | __WALL) < 0 && errno != EINTR)
			return;
	}
}

/* A child in a WAIT_EVENT_STOP. Return: its pid; -errno of what was refused. */
static pid_t tracee_start(void)
{
	struct wait_status w = {};
	pid_t pid = fork_raw(SIGCHLD);
	int r;

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	r = ptrace_seize(pid, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
	if (r == 0)
		r = ptrace_interrupt(pid);
	if (r == 0)
		r = ptrace_wait(pid, 0, &w);
	if (r == 0 && w.kind != WAIT_EVENT_STOP)
		r = -ESRCH;
	if (r == 0)
		return pid;
	tracee_end(pid);
	return r;
}

static int tracee_ask(pid_t pid, long what)
{
	struct syscall_info info;
	struct sock_filter *filter;
	struct rseq_config rseq;
	struct sud_config sud;
	size_t n;
	int r;

	switch (what) {
	case TRACEE_SYSCALL_INFO:
		return ptrace_syscall_info(pid, &info);
	case TRACEE_RSEQ:
		return ptrace_rseq_config(pid, &rseq);
	case TRACEE_SUD:
		return ptrace_sud_get(pid, &sud);
	case TRACEE_FILTER:
		/* A thread without filters: EINVAL comes after the checks of what is allowed. A
		 * filter that this very process has gives EACCES. */
		r = ptrace_seccomp_filter(pid, 0, &filter, &n);
		return r == -EINVAL ? 0 : r;
	case TRACEE_SUSPEND:
		return ptrace_set_options(pid, PTRACE_O_TRACESYSGOOD | PTRACE_O_SUSPEND_SECCOMP);
	default:
		return 0;
	}
}

void try_tracee(long arg, struct kernel_feature *ret)
{
	static const char yama_path[] = "/proc/sys/kernel/yama/ptrace_scope";
	_cleanup_free_ char *yama = NULL;
	pid_t pid = tracee_start();

	if (pid < 0) {
		probe_result(ret, pid, "PTRACE_SEIZE of a child");
		return;
	}
	probe_result(ret, tracee_ask(pid, arg), "ptrace");
	tracee_end(pid);
	if (arg == TRACEE_STOP && ret->state == FEATURE_PRESENT &&
		file_read_at(AT_FDCWD, yama_path, &yama, NULL) == 0)
		probe_found(ret, "yama ptrace_scope %.1s", yama);
}

/* A read-only page of a tracee must be writable for its tracer: a hardened kernel may forbid it
 * (proc_mem.force_override=never, since 6.12). */
void try_mem_write(long arg, struct kernel_feature *ret)
{
	void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid_t pid = page == MAP_FAILED ? -ENOMEM : tracee_start();
	int r = pid;

	(void)arg;
	if (pid > 0) {
		_cleanup_close_ int procfd = proc_open(pid);
		_cleanup_close_ int mem = openat(procfd, "mem", O_RDWR | O_CLOEXEC);

		r = mem < 0 ? -errno : pwrite_full(mem, "x", 1, (off_t)(uintptr_t)page);
		tracee_end(pid);
	}
	probe_result(ret, r, "write to read-only page of /proc/PID/mem");
	if (page != MAP_FAILED)
		munmap(page, 4096);
}

void try_process_vm(long arg, struct kernel_feature *ret)
{
	char from = 'x', to = 0;
	struct iovec local = {&to, 1}, remote = {&from, 1};

	(void)arg;
	probe_result(ret, process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 1 ? 0 : -errno,
		"process_vm_readv");
}

void try_pidfd_getfd(long arg, struct kernel_feature *ret)
{
	_cleanup_close_ int pidfd = pidfd_of(getpid());
	_cleanup_close_ int taken = pidfd < 0 ? pidfd : pidfd_take(pidfd, pidfd);

	(void)arg;
	probe_result(ret, taken, pidfd < 0 ? "pidfd_open" : "pidfd_getfd");
}

void try_kcmp(long arg, struct kernel_feature *ret)
{
	int r = kcmp_tasks(getpid(), getpid(), KCMP_VM, 0, 0);

	(void)arg;
	if (r > 0)
		probe_absent(ret, "kcmp: a process is not equal to itself");
	else
		probe_result(ret, r, "kcmp");
}

/* Open the link of any mapped file: its name is the VMA's range. */
void try_map_files(long arg, struct kernel_feature *ret)
{
	_cleanup_close_ int procfd = proc_open(0), fd = -EBADF;
	struct vma_list maps = {};
	char path[64];
	size_t i;
	int r;

	(void)arg;
	r = procfd < 0 ? procfd : proc_maps_read(procfd, &maps);
	if (r < 0) {
		probe_result(ret, r, "/proc/self/maps");
		return;
	}
	for (i = 0; i < maps.n && maps.v[i].ino == 0; i++)
		;
	if (i == maps.n) {
		probe_absent(ret, "no mapped file to try");
	} else {
		snprintf(path, sizeof(path), "map_files/%llx-%llx",
			(unsigned long long)maps.v[i].start, (unsigned long long)maps.v[i].end);
		fd = openat(procfd, path, O_RDONLY | O_CLOEXEC);
		probe_result(ret, fd < 0 ? -errno : 0, "open of /proc/self/map_files");
	}
	vma_list_done(&maps);
}

void try_proc_file(long arg, struct kernel_feature *ret)
{
	const char *path = arg == PROC_FILE_TIMERS ? "/proc/self/timers" : "/proc/self/sched";
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	probe_result(ret, fd < 0 ? -errno : 0, path);
}

void try_membarrier(long arg, struct kernel_feature *ret)
{
	long commands = syscall(SYS_membarrier, 0, 0, 0);

	(void)arg;
	if (commands < 0)
		probe_result(ret, -errno, "membarrier");
	else if (!(commands & MEMBARRIER_GET_REGISTRATIONS))
		probe_absent(ret, "membarrier: no such command");
	else
		probe_result(ret, 0, "membarrier");
}

/* Ask for our own pid, which is taken: EEXIST comes after the check of what is allowed. */
void try_set_tid(long arg, struct kernel_feature *ret)
{
	pid_t wanted = getpid();
	struct clone_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = (uint64_t)(uintptr_t)&wanted,
		.set_tid_size = 1,
	};
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	(void)arg;
	if (pid == 0)
		_exit(0);
	if (pid > 0)
		child_reap((pid_t)pid);
	probe_result(ret, pid < 0 && errno != EEXIST ? -errno : 0, "clone3");
}

void try_mm_map(long arg, struct kernel_feature *ret)
{
	unsigned int size = 0;

	(void)arg;
	if (prctl(PR_SET_MM, PR_SET_MM_MAP_SIZE, &size, 0, 0) < 0)
		probe_result(ret, -errno, "PR_SET_MM_MAP_SIZE");
	else
		probe_found(ret, "%u bytes", size);
}

void try_timer_ids(long arg, struct kernel_feature *ret)
{
	int r = prctl(PR_TIMER_CREATE_RESTORE_IDS, PR_TIMER_CREATE_RESTORE_IDS_GET, 0, 0, 0);

	(void)arg;
	probe_result(ret, r < 0 ? -errno : 0, "PR_TIMER_CREATE_RESTORE_IDS");
}

static int unshare_time(void)
{
	return unshare(CLONE_NEWTIME) < 0 ? -errno : 0;
}

void try_time_namespace(long arg, struct kernel_feature *ret)
{
	(void)arg;
	probe_result(ret, probe_in_child(unshare_time), "unshare(CLONE_NEWTIME)");
}

/* A ring in our own memory: one page for the entries, one for the ring. */
void try_io_uring(long arg, struct kernel_feature *ret)
{
	char *mem = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct io_uring_params p = {.flags = IORING_SETUP_NO_MMAP};
	_cleanup_close_ int fd = -EBADF;
	uint64_t entries, ring;

	(void)arg;
	if (mem == MAP_FAILED) {
		probe_result(ret, -errno, "mmap");
		return;
	}
	/* user_addr is the last member of both, named resv2 in the headers of 6.1. */
	entries = (uint64_t)(uintptr_t)mem;
	ring = entries + 4096;
	memcpy((char *)(&p.sq_off + 1) - sizeof(entries), &entries, sizeof(entries));
	memcpy((char *)(&p.cq_off + 1) - sizeof(ring), &ring, sizeof(ring));
	fd = (int)syscall(SYS_io_uring_setup, 1, &p);
	probe_result(ret, fd < 0 ? -errno : 0, "io_uring_setup");
	munmap(mem, 8192);
}

void try_sysv_ids(long arg, struct kernel_feature *ret)
{
	(void)arg;
	probe_result(ret, sysvipc_choosable(), "open");
}
