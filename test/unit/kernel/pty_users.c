/*
 * pty_users.c - who has a terminal for its controlling terminal and no descriptor of it: that is told by its number
 * alone, which another /dev/pts has as well.
 */
#include "kernel/pty_users.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <asm/ioctls.h>

static int found_user(const struct pty_user *user, void *arg)
{
	*(struct pty_user *)arg = *user;
	return 1;
}

/* Who holds the master, so that the session lives. */
static bool is_us(pid_t pid, void *arg)
{
	return pid == getpid();
}

static struct pty_user user_of(struct pty_id id)
{
	struct pty_user user = {0};
	struct pty_search s = {.v = &id, .n = 1, .skip = is_us, .found = found_user, .arg = &user};

	cr_assert_geq(pty_users(&s), 0);
	return user;
}

/* A session with that terminal alone. */
static pid_t start_session(int slave)
{
	int ready[2];
	pid_t pid;
	char c;

	cr_assert_eq(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		bool ok = setsid() > 0 && ioctl(slave, TIOCSCTTY, 0) == 0 && dup2(ready[1], 0) == 0;

		close_range(1, ~0U, 0);
		if (ok && write(0, "", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	cr_assert_eq(read(ready[0], &c, 1), 1, "no session with a terminal: %s", strerror(errno));
	close(ready[0]);
	return pid;
}

Test(pty_users, controlling_terminal)
{
	int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC), off = 0, slave;
	struct pty_id id = {.session = -1};
	struct stat st;
	pid_t pid, sid;

	cr_assert_geq(master, 0);
	cr_assert_eq(ioctl(master, TIOCSPTLCK, &off), 0);
	cr_assert_eq(ioctl(master, TIOCGPTN, &id.index), 0);
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	cr_assert_geq(slave, 0);
	cr_assert_eq(fstat(slave, &st), 0);
	id.devpts = st.st_dev;
	pid = start_session(slave);
	close(slave);
	cr_assert_eq(ioctl(master, TIOCGSID, &sid), 0);
	cr_assert_eq(sid, pid);

	id.session = sid;
	cr_expect_eq(user_of(id).pid, pid, "the session was not found");
	cr_expect_eq(user_of(id).fd, -1);
	id.session = getpid();
	cr_expect_neq(user_of(id).pid, pid, "that of another session was found");
	kill(pid, SIGKILL);
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
	close(master);
}
