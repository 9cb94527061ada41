/*
 * Holds: leaders of sessions and groups, members of them in other branches of the tree, and members
 *        whose leader is dead and gone; orphans that a subreaper in the tree has got.
 * Shows: "process groups, sessions; leaders of groups and sessions that are already dead; ... children
 *        reparented to a subreaper".
 * e2e: exec: yes
 */
#include "tree.h"

enum { KEPT_SESSION, KEPT_GROUP, MEMBER_DEAD_SESSION, MEMBER_DEAD_GROUP, DEEP_ORPHAN, N };

static pid_t *pids; /* shared by all: by role */

/* Waits and verifies, as whoever it has become. */
static int stays(int role)
{
	struct tree_self self;

	pids[role] = getpid();
	/* until its parent is gone, if it is to be an orphan */
	while (role >= MEMBER_DEAD_SESSION && getppid() != pids[N])
		usleep(1000);
	self = tree_self();
	tree_report();
	tree_pass();
	tree_same(&self, "a member");
	return 20 + role;
}

static int session_leader(int arg)
{
	(void)arg;
	MUST(setsid());
	pids[KEPT_SESSION] = getpid();
	return stays(KEPT_SESSION);
}

/* A group that has its leader, in a branch of its own. */
static int group_leader(int arg)
{
	(void)arg;
	MUST(setpgid(0, 0));
	return stays(KEPT_GROUP);
}

static int in_own_group(int role)
{
	MUST(setpgid(0, 0));
	return stays(role);
}

static int dead_session_leader(int arg)
{
	(void)arg;
	MUST(setsid());
	tree_fork(in_own_group, MEMBER_DEAD_SESSION);
	return 1;
}

static int dead_group_leader(int arg)
{
	(void)arg;
	MUST(setpgid(0, 0));
	tree_fork(stays, MEMBER_DEAD_GROUP);
	return 2;
}

static int forks_and_dies(int arg)
{
	if (arg)
		tree_fork(forks_and_dies, arg - 1);
	else
		tree_fork(stays, DEEP_ORPHAN);
	return 3;
}

static void gone(pid_t pid, int status)
{
	tree_ends(pid, status << 8, "a leader that is to be dead");
}

int main(int argc, char **argv)
{
	pid_t group, session, dead_group, dead_session;
	int status, orphans = 0;

	victim_init(argc, argv);
	tree_init();
	MUST(prctl(PR_SET_CHILD_SUBREAPER, 1));
	pids = victim_shared((N + 1) * sizeof(*pids));
	pids[N] = getpid();
	session = tree_fork(session_leader, 0);
	group = tree_fork(group_leader, 0);
	dead_session = tree_fork(dead_session_leader, 0);
	gone(dead_session, 1);
	dead_group = tree_fork(dead_group_leader, 0);
	gone(dead_group, 2);
	gone(tree_fork(forks_and_dies, 3), 3);
	while (orphans < 3) { /* those of forks_and_dies that were orphans themselves */
		pid_t pid = MUST(waitpid(-1, &status, 0));

		CHECK(status == 3 << 8, "pid %d ended early: %#x", pid, status);
		orphans++;
	}
	tree_expect(N);
	CHECK(getsid(pids[MEMBER_DEAD_SESSION]) == dead_session, "the test is broken");
	victim_ready();
	victim_wait();
	CHECK(getsid(pids[MEMBER_DEAD_SESSION]) == dead_session, "session: expected %d, got %d",
		dead_session, getsid(pids[MEMBER_DEAD_SESSION]));
	CHECK(getpgid(pids[MEMBER_DEAD_GROUP]) == dead_group, "group: expected %d, got %d",
		dead_group, getpgid(pids[MEMBER_DEAD_GROUP]));
	CHECK(getsid(session) == session, "the session's leader is in session %d", getsid(session));
	CHECK(getpgid(group) == group, "the group's leader is in group %d", getpgid(group));
	CHECK(kill(-dead_group, 0) == 0, "the group without a leader is gone");
	tree_open(N);
	for (int role = 0; role < N; role++)
		tree_ends(pids[role], (20 + role) << 8, "a member");
	tree_no_more();
	return 0;
}
