/*
 * The system call is used raw: glibc's wrapper gives the peek requests another meaning, and the
 * kernel's header cannot stand in one file with glibc's in every order.
 */
#include "kernel/ptrace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/syscalls.h"
#include "util/cleanup.h"
#include "util/vec.h"

#define EVENT_STOP        128 /* PTRACE_EVENT_STOP of <linux/ptrace.h> */
#define PEEK_SHARED_QUEUE (1 << 0)
#define PEEK_BATCH        32

static long request(long what, pid_t tid, unsigned long addr, const void *data)
{
	long r = syscall(SYS_ptrace, what, (long)tid, addr, data);

	return r < 0 ? -errno : r;
}

/* The same for requests whose data is a number. */
static int request_number(long what, pid_t tid, unsigned long data)
{
	return (int)request(what, tid, 0, (const void *)data);
}

int wait_status_decode(const siginfo_t *si, struct wait_status *ret)
{
	int status = si->si_status;
	struct wait_status w = {};

	switch (si->si_code) {
	case CLD_EXITED:
		w.kind = WAIT_EXITED;
		w.exit_code = status;
		break;
	case CLD_KILLED:
	case CLD_DUMPED:
		w.kind = WAIT_KILLED;
		w.sig = status;
		w.core_dumped = si->si_code == CLD_DUMPED;
		break;
	case CLD_STOPPED:
		/* Of a child that is not traced, or that listens. */
		w.kind = WAIT_GROUP_STOP;
		w.sig = status & 0x7f;
		break;
	case CLD_TRAPPED:
		w.sig = status & 0x7f;
		w.event = status >> 8;
		if (w.event == EVENT_STOP)
			w.kind = w.sig == SIGTRAP ? WAIT_EVENT_STOP : WAIT_GROUP_STOP;
		else if (w.event)
			w.kind = WAIT_EVENT;
		else if (status == (SIGTRAP | 0x80))
			w.kind = WAIT_SYSCALL_STOP;
		else
			w.kind = WAIT_SIGNAL_STOP;
		break;
	default:
		return -EINVAL;
	}
	*ret = w;
	return 0;
}

static int wait_for(pid_t tid, int flags, siginfo_t *si)
{
	int r;

	do {
		si->si_pid = 0;
		r = waitid(P_PID, (id_t)tid, si, flags);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	return si->si_pid ? 0 : -EAGAIN;
}

int ptrace_wait(pid_t tid, int flags, struct wait_status *ret)
{
	siginfo_t si;
	int r = wait_for(tid, flags | WSTOPPED | WEXITED | WNOWAIT | __WALL, &si);

	return r < 0 ? r : wait_status_decode(&si, ret);
}

int ptrace_reap(pid_t tid)
{
	struct wait_status w;
	siginfo_t si;
	int r;

	/* The kernel reports, and consumes, the stops of a tracee even where only WEXITED is asked
	 * for (wait_task_stopped()): so look before. A death is final: the look holds. */
	r = ptrace_wait(tid, WNOHANG, &w);
	if (r < 0)
		return r;
	if (!wait_is_dead(&w))
		return -EAGAIN;
	return wait_for(tid, WEXITED | WNOHANG | __WALL, &si);
}

int ptrace_reap_killed(pid_t tid)
{
	struct wait_status w;
	siginfo_t si;
	int r;

	do {
		r = wait_for(tid, WEXITED | __WALL, &si);
		if (r == 0)
			r = wait_status_decode(&si, &w);
	} while (r == 0 && !wait_is_dead(&w));
	return r;
}

int ptrace_seize(pid_t tid, unsigned long options)
{
	return request_number(PTRACE_SEIZE, tid, options);
}

int ptrace_interrupt(pid_t tid)
{
	return request_number(PTRACE_INTERRUPT, tid, 0);
}

int ptrace_set_options(pid_t tid, unsigned long options)
{
	return request_number(PTRACE_SETOPTIONS, tid, options);
}

int ptrace_cont(pid_t tid, int sig)
{
	return request_number(PTRACE_CONT, tid, (unsigned long)sig);
}

int ptrace_syscall(pid_t tid, int sig)
{
	return request_number(PTRACE_SYSCALL, tid, (unsigned long)sig);
}

int ptrace_listen(pid_t tid)
{
	return request_number(PTRACE_LISTEN, tid, 0);
}

int ptrace_detach(pid_t tid, int sig)
{
	return request_number(PTRACE_DETACH, tid, (unsigned long)sig);
}

int ptrace_event_message(pid_t tid, unsigned long *ret)
{
	return (int)request(PTRACE_GETEVENTMSG, tid, 0, ret);
}

int ptrace_getregset(pid_t tid, unsigned int type, void *buf, size_t cap, size_t *ret_len)
{
	struct iovec iov = {.iov_base = buf, .iov_len = cap};
	long r = request(PTRACE_GETREGSET, tid, type, &iov);

	if (r < 0)
		return (int)r;
	if (ret_len)
		*ret_len = iov.iov_len;
	return 0;
}

int ptrace_setregset(pid_t tid, unsigned int type, const void *buf, size_t len)
{
	/* The kernel only reads the buffer, struct iovec cannot say so. */
	struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = len};

	return (int)request(PTRACE_SETREGSET, tid, type, &iov);
}

int ptrace_peek(pid_t tid, uint64_t addr, uint64_t *ret)
{
	long word;

	errno = 0;
	word = ptrace(PTRACE_PEEKTEXT, tid, (void *)addr, NULL);
	if (word == -1 && errno)
		return -errno;
	*ret = (uint64_t)word;
	return 0;
}

int ptrace_getsigmask(pid_t tid, uint64_t *ret)
{
	return (int)request(PTRACE_GETSIGMASK, tid, sizeof(*ret), ret);
}

int ptrace_setsigmask(pid_t tid, uint64_t mask)
{
	return (int)request(PTRACE_SETSIGMASK, tid, sizeof(mask), &mask);
}

int ptrace_peeksiginfo(pid_t tid, bool shared, siginfo_t **ret, size_t *ret_n)
{
	/* struct ptrace_peeksiginfo_args */
	struct {
		uint64_t off;
		uint32_t flags;
		int32_t nr;
	} args = {.flags = shared ? PEEK_SHARED_QUEUE : 0, .nr = PEEK_BATCH};
	_cleanup_free_ siginfo_t *v = NULL;
	size_t n = 0, cap = 0;
	long got;

	do {
		siginfo_t batch[PEEK_BATCH];

		args.off = n;
		got = request(PTRACE_PEEKSIGINFO, tid, (unsigned long)(uintptr_t)&args, batch);
		if (got < 0)
			return (int)got;
		if (got == 0)
			break;
		if (vec_reserve(&v, &cap, n + (size_t)got, sizeof(*v)) < 0)
			return -ENOMEM;
		memcpy(v + n, batch, (size_t)got * sizeof(*v));
		n += (size_t)got;
	} while (got == PEEK_BATCH);
	*ret = TAKE_PTR(v);
	*ret_n = n;
	return 0;
}

int ptrace_rseq_config(pid_t tid, struct rseq_config *ret)
{
	/* struct ptrace_rseq_configuration */
	struct {
		uint64_t address;
		uint32_t size, signature, flags, pad;
	} c = {};
	long r = request(PTRACE_GET_RSEQ_CONFIGURATION, tid, sizeof(c), &c);

	if (r < 0)
		return (int)r;
	*ret = (struct rseq_config){
		.address = c.address,
		.size_bytes = c.size,
		.signature = c.signature,
		.flags = c.flags,
	};
	return 0;
}

int ptrace_syscall_info(pid_t tid, struct syscall_info *ret)
{
	/* struct ptrace_syscall_info */
	struct {
		uint8_t op, pad[3];
		uint32_t arch;
		uint64_t ip, sp;
		union {
			struct {
				uint64_t nr, args[6];
			} entry;
			struct {
				int64_t rval;
				uint8_t is_error;
			} exit;
			uint64_t room[8];
		};
	} s = {};
	struct syscall_info info = {};
	long r = request(PTRACE_GET_SYSCALL_INFO, tid, sizeof(s), &s);

	if (r < 0)
		return (int)r;
	info.op = s.op;
	info.arch = s.arch;
	info.ip = s.ip;
	info.sp = s.sp;
	if (s.op == SYSCALL_OP_ENTRY || s.op == SYSCALL_OP_SECCOMP) {
		info.nr = s.entry.nr;
		memcpy(info.args, s.entry.args, sizeof(info.args));
	} else if (s.op == SYSCALL_OP_EXIT) {
		info.rval = s.exit.rval;
		info.is_error = s.exit.is_error;
	}
	*ret = info;
	return 0;
}

int ptrace_siginfo(pid_t tid, siginfo_t *ret)
{
	return (int)request(PTRACE_GETSIGINFO, tid, 0, ret);
}

int ptrace_sud_get(pid_t tid, struct sud_config *ret)
{
	struct sud_config c = {};
	long r = request(PTRACE_SUD_GET_CONFIG, tid, sizeof(c), &c);

	if (r < 0)
		return (int)r;
	*ret = c;
	return 0;
}

int ptrace_sud_set(pid_t tid, const struct sud_config *config)
{
	return (int)request(PTRACE_SUD_SET_CONFIG, tid, sizeof(*config), config);
}

int ptrace_seccomp_filter(pid_t tid, unsigned long index, struct sock_filter **ret, size_t *ret_n)
{
	_cleanup_free_ struct sock_filter *v = NULL;
	long n = request(PTRACE_SECCOMP_GET_FILTER, tid, index, NULL), r;

	if (n < 0)
		return (int)n;
	v = calloc((size_t)n + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	/* The tracee is stopped, a filter never changes: the second answer is as long. */
	r = request(PTRACE_SECCOMP_GET_FILTER, tid, index, v);
	if (r < 0)
		return (int)r;
	*ret = TAKE_PTR(v);
	*ret_n = (size_t)n;
	return 0;
}

int ptrace_seccomp_flags(pid_t tid, unsigned long index, uint64_t *ret)
{
	/* struct seccomp_metadata */
	struct {
		uint64_t filter_off, flags;
	} m = {.filter_off = index};
	long r = request(PTRACE_SECCOMP_GET_METADATA, tid, sizeof(m), &m);

	if (r < 0)
		return (int)r;
	*ret = m.flags;
	return 0;
}

int tracee_robust_list(pid_t tid, uint64_t *ret_head, size_t *ret_len)
{
	void *head = NULL;
	size_t len = 0;

	if (syscall(SYS_get_robust_list, tid, &head, &len) < 0)
		return -errno;
	*ret_head = (uint64_t)(uintptr_t)head;
	*ret_len = len;
	return 0;
}
