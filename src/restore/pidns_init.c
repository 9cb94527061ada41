/*
 * pidns_init.c - see pidns_init.h.
 *
 * Facts: when pid 1 of a namespace ends, the kernel kills all others in it, and it is gone when they are. It
 * takes no signal without a handler, but SIGKILL and SIGSTOP from outside. With SIGCHLD ignored, wait(2)
 * reaps nothing itself and returns ECHILD when there is no child any more. Children of a process that ends are
 * handed on before its pidfd tells of its end (exit_notify() in kernel/exit.c).
 */
#include "restore/pidns_init.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arch/arch.h"
#include "inject/blob.h"
#include "inject/prog.h"
#include "kernel/pidfd.h"
#include "kernel/pidns.h"
#include "kernel/sig_default.h"
#include "res/mm/mm.h"
#include "restore/spawn.h"
#include "util/vec.h"

#define PAGE 4096UL

/* What it keeps open. */
enum { FD_WIRE, FD_COMMAND, FD_N };

/* And later: pidfds. */
enum { FD_ROOT, FD_COORDINATOR, FD_N_LATER };

static void failed(const struct pidns_init *init, const char *call, int err)
{
	init->shared->call = call;
	init->shared->err = err;
	_exit(1);
}

/* Nothing of whoever has made us: neither its descriptors nor its session nor its directory. */
static void leave(const struct pidns_init *init)
{
	int wire = fcntl(init->wire, F_DUPFD_CLOEXEC, FD_N);
	int command = fcntl(init->command, F_DUPFD_CLOEXEC, FD_N);

	if (wire < 0 || command < 0 || dup2(wire, FD_WIRE) < 0 || dup2(command, FD_COMMAND) < 0)
		failed(init, "dup", errno);
	close_range(FD_N, ~0U, 0);
	sig_default_all();
	signal(SIGCHLD, SIG_IGN);
	setsid();
	prctl(PR_SET_NAME, PIDNS_INIT_NAME);
	if (chdir("/") < 0)
		failed(init, "chdir", errno);
}

/* Until the command says so, or is gone. Return: the number of the root inside. */
static pid_t wait_for_root(void)
{
	struct pollfd p[] = {
		[FD_WIRE] = {FD_WIRE, POLLIN, 0}, [FD_COMMAND] = {FD_COMMAND, POLLIN, 0}};
	pid_t root;

	while (poll(p, FD_N, -1) < 0 && errno == EINTR)
		;
	if (!p[FD_WIRE].revents || recv(FD_WIRE, &root, sizeof(root), 0) != sizeof(root))
		_exit(1);
	return root;
}

static void plan_wait(struct prog *p, int pidfd, const char *what)
{
	struct pollfd end = {.fd = pidfd, .events = POLLIN};
	uint64_t at = prog_data(p, &end, sizeof(end));

	PROG_CALL_ANY(p, what, SYS_ppoll, DATA(at), IMM(1), IMM(0), IMM(0), IMM(sizeof(uint64_t)));
	PROG_CALL_ANY(p, "init: close", SYS_close, IMM(pidfd));
}

/* The program of the rest of its life. */
static void plan(struct prog *p)
{
	PROG_CALL_ANY(p, "init: unmap below", SYS_munmap, IMM(0), PROG_AREA_START);
	PROG_CALL_ANY(p, "init: unmap above", SYS_munmap, PROG_AREA_END,
		PROG_ABOVE_AREA(MM_TASK_SIZE_END));
	plan_wait(p, FD_COORDINATOR, "init: until the coordinator has ended");
	plan_wait(p, FD_ROOT, "init: until the root has ended");
	PROG_CALL_ANY(
		p, "init: until all have ended", SYS_wait4, IMM(-1), IMM(0), IMM(__WALL), IMM(0));
	PROG_CALL_ANY(p, "init: end", SYS_exit_group, IMM(0));
}

/* One page of code, one for the program, its data and, from the end down, the stack. */
static void settle(void)
{
	uint64_t code = ALIGN_UP((uint64_t)agent_blob_len(), PAGE), size = code + PAGE;
	uint8_t *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct prog_place place = {.area_start = (uintptr_t)at, .area_end = (uintptr_t)at + size};
	struct agent_prog *head = (void *)(at + code);
	struct agent_step *steps = (void *)(head + 1);
	struct prog p = {0};

	if (at == MAP_FAILED)
		_exit(1);
	plan(&p);
	place.data = (uintptr_t)(steps + p.n);
	if (p.err || place.data + p.data_len > place.area_end - PAGE / 4)
		_exit(1);
	memcpy(at, agent_blob, agent_blob_len());
	*head = (struct agent_prog){.steps = (uintptr_t)steps, .n = (uint32_t)p.n};
	prog_lower(&p, &place, steps);
	prog_lower_data(&p, &place, (void *)place.data);
	if (mprotect(at, code, PROT_READ | PROT_EXEC) < 0)
		_exit(1);
	spawn_forget_thread();
	arch_agent_start((uintptr_t)at, (uintptr_t)head, place.area_end);
}

static void say_ready(void)
{
	if (send(FD_WIRE, &(char){PIDNS_INIT_READY}, 1, MSG_NOSIGNAL) != 1)
		_exit(1);
}

void pidns_init_main(const struct pidns_init *init)
{
	int r, root, coordinator;

	leave(init);
	r = pidns_mount_proc();
	if (r < 0)
		failed(init, "mount /proc", -r);
	pidns_next_pid(init->next); /* without it numbers may be in the way, which is found out */
	say_ready();
	root = pidfd_of(wait_for_root());
	coordinator = pidfd_of(init->shared->coordinator);
	if (root < 0 || coordinator < 0)
		_exit(1);
	say_ready();
	/* both are above what is held now */
	dup2(root, FD_ROOT);
	dup2(coordinator, FD_COORDINATOR);
	close_range(FD_N_LATER, ~0U, 0);
	settle();
	_exit(1);
}
