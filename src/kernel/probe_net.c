/*
 * Trying what connections need: TCP's repair mode, and nftables.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/netlock.h"
#include "kernel/nft.h"
#include "kernel/probe_try.h"
#include "kernel/tcp_repair.h"
#include "util/cleanup.h"

void try_tcp_repair(long arg, struct kernel_feature *ret)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)arg;
	probe_result(ret, fd < 0 ? -errno : tcp_repair(fd, 1), "setsockopt(TCP_REPAIR)");
}

/* A connection of addresses that are for documentation is locked for a moment. */
void try_netlock(long arg, struct kernel_feature *ret)
{
	struct netlock_conn c = {.family = AF_INET,
		.local = {192, 0, 2, 1},
		.peer = {192, 0, 2, 2},
		.local_port = htons(9),
		.peer_port = htons(9)};
	char name[NETLOCK_NAME_LEN];
	struct netlock_table t = {.name = name, .owned = true};
	_cleanup_close_ int fd = nft_open();
	int r;

	(void)arg;
	snprintf(name, sizeof(name), "ckpt-probe-%d", getpid());
	r = fd < 0 ? fd : netlock_put(fd, &t, &c, 1);
	if (r == -EOPNOTSUPP) {
		t.owned = false;
		r = netlock_put(fd, &t, &c, 1);
	}
	if (r == 0)
		netlock_remove(fd, name);
	probe_result(ret, r, "nftables");
	if (r == 0 && !t.owned)
		probe_found(ret, "no owners of tables: a lock outlives a ckpt that is killed");
}
