/*
 * rights.c - see rights.h.
 *
 * What a caller may do it may do by itself, with its own ids: so a session is that user, and the kernel
 * decides about every file, every process and every system call. A caller that is root has what capabilities
 * it has: /proc tells them of the process that connected, and where it can't be told, or the process is
 * gone, there are none.
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
#include <unistd.h>

#include "kernel/proc.h"
#include "kernel/proc_status.h"
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

/* The effective capabilities of the process that connected; 0: not known. */
static uint64_t caps_of(const struct serve_peer *peer)
{
	_cleanup_close_ int proc = proc_open(peer->pid);
	struct proc_status st;
	uint64_t caps;

	if (proc < 0 || proc_status_read(proc, 0, &st) < 0)
		return 0;
	caps = st.uid[1] == peer->uid ? st.cap_effective : 0;
	proc_status_done(&st);
	return caps;
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
	uint64_t own = own_permitted(), caps = caps_of(peer) & own;
	uint64_t lent = own & 1ULL << CAP_CHECKPOINT_RESTORE;
	int r;

	if (geteuid() != 0) /* a user's own service serves that user */
		return peer->uid == geteuid() ? 0 : -EPERM;
	take_home(peer->uid);
	r = take_groups(fd);
	if (r < 0)
		return r;
	if (prctl(PR_SET_KEEPCAPS, 1) < 0 || setresgid(peer->gid, peer->gid, peer->gid) < 0 ||
		setresuid(peer->uid, peer->uid, peer->uid) < 0)
		return -errno;
	r = set_caps(caps, lent);
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
