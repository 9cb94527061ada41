/*
 * Trying what connections need: TCP's repair mode, nftables, and a way into a socket that listens.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/netlock.h"
#include "kernel/nft.h"
#include "kernel/probe_try.h"
#include "kernel/tcp_backlog.h"
#include "kernel/tcp_inject.h"
#include "kernel/tcp_repair.h"
#include "util/cleanup.h"

void try_tcp_repair(long arg, struct kernel_feature *ret)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)arg;
	probe_result(ret, fd < 0 ? -errno : tcp_repair(fd, 1), "setsockopt(TCP_REPAIR)");
}

/* A lock for a moment, to be taken away by netlock_remove(). Return: 0; -errno */
static int lock(int fd, struct netlock_table *t, const struct netlock_conn *c)
{
	int r = netlock_put(fd, t, c, 1);

	if (r == -EOPNOTSUPP) {
		t->owned = false;
		r = netlock_put(fd, t, c, 1);
	}
	return r;
}

/* A connection of addresses that are for documentation is locked. */
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
	r = fd < 0 ? fd : lock(fd, &t, &c);
	if (r == 0)
		netlock_remove(fd, name);
	probe_result(ret, r, "nftables");
	if (r == 0 && !t.owned)
		probe_found(ret, "no owners of tables: a lock outlives a ckpt that is killed");
}

static bool backlog_works(int listener)
{
	_cleanup_close_ int inject = tcp_inject_open(AF_INET);

	return inject >= 0 && tcp_backlog_works(inject, -EBADF, listener);
}

/* One of ours, locked meanwhile, as it is tried before a dump. */
void try_tcp_backlog(long arg, struct kernel_feature *ret)
{
	struct sockaddr_storage at;
	const struct sockaddr_in *in = (const void *)&at;
	socklen_t len;
	_cleanup_close_ int listener = tcp_loopback_listen(AF_INET, &at, &len);
	_cleanup_close_ int fd = nft_open();
	struct netlock_conn c = {.family = AF_INET, .whole = true};
	char name[NETLOCK_NAME_LEN];
	struct netlock_table t = {.name = name, .owned = true};
	int r = fd < 0 ? fd : listener;

	(void)arg;
	snprintf(name, sizeof(name), "ckpt-probe-%d-port", getpid());
	if (r >= 0) {
		memcpy(c.local, &in->sin_addr, sizeof(in->sin_addr));
		c.local_port = in->sin_port;
		r = lock(fd, &t, &c);
	}
	if (r < 0) {
		probe_result(ret, r, "nftables");
		return;
	}
	if (backlog_works(listener))
		probe_result(ret, 0, "");
	else
		probe_absent(ret, "tried: not let in (Linux 4.1 to 6.9 can't be told its number)");
	netlock_remove(fd, name);
}
