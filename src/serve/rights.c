/*
 * rights.c - see rights.h.
 *
 * What a caller may do it may do by itself, with its own ids: so a session is that user, and the kernel
 * decides about every file, every process and every system call. /proc tells which capabilities the process
 * that connected has, and which it could ever get by an execve(2) (the bounding set, no_new_privs): the session
 * has and gets no others, whatever it executes for the caller. Where it can't be told, as the process is
 * gone, in another user namespace, or in a pid namespace that we don't see (its pid is then 0), there are none.
 *
 * CAP_CHECKPOINT_RESTORE alone lets nobody become another user: it chooses pids, and links of /proc.
 */
#include "serve/rights.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/pidfd.h"
#include "kernel/proc.h"
#include "kernel/proc_status.h"
#include "kernel/syscalls.h"
#include "util/cleanup.h"

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif
#ifndef CAP_CHECKPOINT_RESTORE
#define CAP_CHECKPOINT_RESTORE 40
#endif

int rights_peer(int fd, struct serve_peer *ret)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	*ret = (struct serve_peer){.pid = cred.pid, .uid = cred.uid, .gid = cred.gid};
	return 0;
}

/* Its supplementary groups. */
static int take_groups(int fd)
{
	_cleanup_free_ gid_t *groups = NULL;
	socklen_t len = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) < 0 && errno != ERANGE)
		return -errno;
	groups = malloc(len ? len : 1);
	if (!groups)
		return -ENOMEM;
	if (len && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
		return -errno;
	return setgroups(len / sizeof(*groups), groups) < 0 ? -errno : 0;
}

/* Where a user keeps things, not where we do. */
static void take_home(uid_t uid)
{
	const struct passwd *pw = getpwuid(uid);

	clearenv();
	setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	if (pw)
		setenv("HOME", pw->pw_dir, 1);
}

/* Of the process that connected; all zero where it is not known. */
struct powers {
	uint64_t effective, bounding;
	bool no_new_privs;
};

/* In one of its own anybody has all capabilities, and they are worth nothing here (user_namespaces(7)). */
static bool is_in_our_user_ns(int proc)
{
	struct stat own, its;

	return stat("/proc/self/ns/user", &own) == 0 && fstatat(proc, "ns/user", &its, 0) == 0 &&
	       own.st_dev == its.st_dev && own.st_ino == its.st_ino;
}

/*
 * Its number may be another one's by now. A pidfd tells (SO_PEERPIDFD, Linux >= 6.5): who is alive after the look
 * was alive during it. Without one the user is compared.
 */
static bool is_peer(int pidfd, const struct serve_peer *peer, const struct proc_status *st)
{
	if (pidfd >= 0 && pidfd_signal(pidfd, 0, NULL) == -ESRCH)
		return false;
	return st->uid[PROC_ID_EFFECTIVE] == peer->uid;
}

static struct powers powers_of(int fd, const struct serve_peer *peer)
{
	_cleanup_close_ int proc = -EBADF, pidfd = -EBADF;
	socklen_t len = sizeof(pidfd);
	struct powers p = {.no_new_privs = true};
	struct proc_status st;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len) < 0) {
		pidfd = -EBADF;
		if (errno != ENOPROTOOPT)
			return p; /* there is such a thing, and the process is gone */
	}
	proc = peer->pid > 0 ? proc_open(peer->pid) : -EBADF;
	if (proc < 0 || !is_in_our_user_ns(proc) || proc_status_read(proc, 0, &st) < 0)
		return p;
	if (is_peer(pidfd, peer, &st))
		p = (struct powers){st.cap_effective, st.cap_bounding, st.no_new_privs > 0};
	proc_status_done(&st);
	return p;
}

/* What nothing that is executed from here on can get. Before the ids change, as it takes a capability. */
static int set_bounds(const struct powers *p)
{
	for (cap_value_t i = 0; i < 64 && cap_valid(i); i++) {
		int has = cap_get_bound(i);

		if (has < 0)
			break;
		if (has && !(p->bounding >> i & 1) && prctl(PR_CAPBSET_DROP, i) < 0)
			return -errno;
	}
	return p->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

/* @lent: may be made effective later */
static int set_caps(uint64_t caps, uint64_t lent)
{
	cap_t c = cap_init();
	int r = c ? 0 : -ENOMEM;

	for (cap_value_t i = 0; r == 0 && i < 64 && cap_valid(i); i++) {
		if (cap_get_bound(i) < 0)
			break;
		if (((caps | lent) >> i & 1) && cap_set_flag(c, CAP_PERMITTED, 1, &i, CAP_SET) < 0)
			r = -errno;
		if ((caps >> i & 1) && cap_set_flag(c, CAP_EFFECTIVE, 1, &i, CAP_SET) < 0)
			r = -errno;
	}
	if (r == 0 && cap_set_proc(c) < 0)
		r = -errno;
	cap_free(c);
	return r;
}

/* What we have ourselves, as nobody can be given more. */
static uint64_t own_permitted(void)
{
	cap_t c = cap_get_proc();
	uint64_t own = 0;

	for (cap_value_t i = 0; c && i < 64 && cap_valid(i); i++) {
		cap_flag_value_t v = CAP_CLEAR;

		if (cap_get_flag(c, i, CAP_PERMITTED, &v) == 0 && v == CAP_SET)
			own |= 1ULL << i;
	}
	cap_free(c);
	return own;
}

int rights_take(int fd, const struct serve_peer *peer)
{
	uint64_t own = own_permitted(), lent = own & 1ULL << CAP_CHECKPOINT_RESTORE;
	struct powers peers;
	int r;

	if (geteuid() != 0) /* a user's own service serves that user */
		return peer->uid == geteuid() ? 0 : -EPERM;
	peers = powers_of(fd, peer);
	take_home(peer->uid);
	r = take_groups(fd);
	if (r == 0)
		r = set_bounds(&peers);
	if (r < 0)
		return r;
	if (prctl(PR_SET_KEEPCAPS, 1) < 0 || setresgid(peer->gid, peer->gid, peer->gid) < 0 ||
		setresuid(peer->uid, peer->uid, peer->uid) < 0)
		return -errno;
	r = set_caps(peers.effective & own, lent);
	if (r == 0 && prctl(PR_SET_KEEPCAPS, 0) < 0)
		r = -errno;
	/* The change of ids took it away, and with it /proc/self; whoever has fewer capabilities
	 * can't trace us all the same. */
	return r == 0 && prctl(PR_SET_DUMPABLE, 1) < 0 ? -errno : r;
}

int rights_lend(void)
{
	cap_value_t cap = CAP_CHECKPOINT_RESTORE;
	cap_flag_value_t v = CAP_CLEAR;
	cap_t c = cap_get_proc();
	int r = c ? 0 : -errno;

	if (r == 0 && cap_get_flag(c, cap, CAP_PERMITTED, &v) == 0 && v == CAP_SET &&
		(cap_set_flag(c, CAP_EFFECTIVE, 1, &cap, CAP_SET) < 0 || cap_set_proc(c) < 0))
		r = -errno;
	cap_free(c);
	return r;
}
