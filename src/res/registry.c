/*
 * registry.c - one line per resource. The order is the order in which a task plans them, so it
 * matters: the memory map stands before the descriptors (which close the files that were mapped),
 * credentials stand last (they take away what the others need).
 */
#include "res/registry.h"

#include "res/file/files.h"
#include "res/ipc/ipc.h"
#include "res/mm/mm.h"
#include "res/socket/socket.h"
#include "res/socket/tcp.h"
#include "res/task/task.h"
#include "res/thread/thread.h"
#include "util/vec.h"

static const struct res *const table[] = {
	&res_task,
	&res_ctty,
	&res_prctl,
	&res_procfile,
	&res_timens,
	&res_fs,
	&res_mm,
	&res_pages,
	&res_contents,
	&res_aio,
	&res_secrets,
	&res_file,
	&res_lock,
	&res_outside,
	&res_mqueue, /* before regular files, which it seems to be */
	&res_shmem,
	&res_sysvshm,
	&res_procfd,
	&res_secretmem,
	&res_regfile,
	&res_pipe,
	&res_pty,
	&res_tty,
	&res_epoll, /* before eventfd: see there */
	&res_eventfd,
	&res_timerfd,
	&res_signalfd,
	&res_inotify,
	&res_pidfd,
	&res_fanotify,
	&res_iouring,
	&res_userfaultfd,
	&res_bpfmap,
	&res_bpfprog,
	&res_socket,
	&res_unixsock,
	&res_inet,
	&res_netlink,
	&res_packet,
	&res_packetmap,
	&res_tcp,
	&res_vsock,
	&res_tun,
	&res_fdtable,
	&res_mqnotify,
	&res_sysvsem,
	&res_sysvmsg,
	&res_sigaction,
	&res_membarrier,
	&res_xfeatures,
	&res_itimers,
	&res_posixtimers,
	&res_rlimits,
	&res_userptrs,
	&res_sigaltstack,
	&res_cgroupdir,
	&res_cgroup,
	&res_threadname,
	&res_personality,
	&res_pendingshared,
	&res_pending,
	&res_notify, /* behind what was pending before */
	&res_sched,
	&res_seccomp,
	&res_creds,
	&res_pdeathsig,
	&res_sud,
	&res_regs,
	NULL,
};

const struct res *const *registry(void)
{
	return table;
}

const struct model_type *const *res_types(void)
{
	static const struct model_type *types[ARRAY_SIZE(table)];

	for (size_t i = 0; i + 1 < ARRAY_SIZE(table); i++)
		types[i] = &table[i]->type;
	return types;
}

const struct res *registry_find(const struct model_type *type)
{
	for (size_t i = 0; table[i]; i++)
		if (&table[i]->type == type)
			return table[i];
	return NULL;
}
