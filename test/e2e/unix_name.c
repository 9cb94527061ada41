/*
 * e2e: args: kinds relative deleted replaced renamed long mode gone-dir unbound
 *
 * Holds: sockets with names: abstract, with zeros in it, chosen by the kernel, a path; a path from a
 *        working directory that was left since, with "..", below a directory; whose file is unlinked,
 *        replaced by a file or by another socket, renamed; as long as a name can be; whose file has
 *        another mode and owner; whose directory is gone; sockets without a name.
 * Shows: Unix sockets: bound.
 */
#include "unix.h"

/* A datagram to where the name leads, from a socket without a name. */
static void expect_reach(const char *name, int fd, const char *what)
{
	struct sockaddr_un a;
	socklen_t len = unix_addr(&a, name);
	int s = MUST(socket(AF_UNIX, SOCK_DGRAM, 0));

	CHECK(sendto(s, "x", 1, 0, (void *)&a, len) == 1, "%s: %s: %s", what, name,
		strerror(errno));
	CHECK(recv(fd, &(char){0}, 1, MSG_DONTWAIT) == 1, "%s: %s leads elsewhere", what, name);
	close(s);
}

static void name_kinds(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	const char *name = unix_own_name("@kind");
	socklen_t len;
	int fd[5];

	fd[0] = unix_bound(SOCK_DGRAM, name);
	fd[1] = MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
	memcpy(a.sun_path, "\0a\0b", 4);
	snprintf(a.sun_path + 5, 20, "%d", (int)getpid());
	MUST(bind(fd[1], (void *)&a, offsetof(struct sockaddr_un, sun_path) + 30));
	fd[2] = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	MUST(bind(fd[2], (void *)&a, offsetof(struct sockaddr_un, sun_path)));
	fd[3] = unix_bound(SOCK_DGRAM, "kind.sock");
	fd[4] = unix_bound(SOCK_SEQPACKET, unix_own_name("@kind"));
	len = sizeof(a);
	MUST(getsockname(fd[2], (void *)&a, &len));
	CHECK(len == offsetof(struct sockaddr_un, sun_path) + 6, "the test is broken: %u", len);
	unix_handshake(fd, 5);
	expect_reach(name, fd[0], "abstract");
	expect_reach("kind.sock", fd[3], "path");
}

static void name_relative(void)
{
	int fd[4];

	MUST(mkdir("a", 0755));
	MUST(mkdir("a/b", 0755));
	MUST(mkdir("c", 0755));
	MUST(chdir("a/b"));
	fd[0] = unix_bound(SOCK_DGRAM, "here.sock");
	fd[1] = unix_bound(SOCK_DGRAM, "../up.sock");
	fd[2] = unix_bound(SOCK_DGRAM, "../../c/./across.sock");
	MUST(chdir("../../c"));
	fd[3] = unix_bound(SOCK_DGRAM, "here.sock");
	MUST(chdir(victim_home));
	unix_handshake(fd, 4);
	expect_reach("a/b/here.sock", fd[0], "from below");
	expect_reach("a/up.sock", fd[1], "with ..");
	expect_reach("c/across.sock", fd[2], "with .. twice");
	expect_reach("c/here.sock", fd[3], "the same name from elsewhere");
}

static void name_deleted(void)
{
	int fd[3];

	fd[0] = unix_bound(SOCK_DGRAM, "deleted.sock");
	MUST(unlink("deleted.sock"));
	fd[1] = unix_listening(SOCK_STREAM, "stream.sock", 3);
	fd[2] = unix_client(SOCK_STREAM, "stream.sock");
	MUST(unlink("stream.sock"));
	unix_handshake(fd, 3);
	CHECK(access("deleted.sock", F_OK) < 0 && access("stream.sock", F_OK) < 0,
		"the files are there again");
	unix_expect_talk(fd[2], MUST(accept(fd[1], NULL, NULL)), "through a deleted name");
}

static void name_replaced(void)
{
	int fd[4], file;

	fd[0] = unix_bound(SOCK_DGRAM, "file.sock");
	MUST(unlink("file.sock"));
	file = MUST(open("file.sock", O_RDWR | O_CREAT, 0600));
	MUST(write(file, "text", 4));
	close(file);
	fd[1] = unix_bound(SOCK_DGRAM, "twice.sock");
	MUST(unlink("twice.sock"));
	fd[2] = unix_bound(SOCK_DGRAM, "twice.sock");
	fd[3] = unix_bound(SOCK_DGRAM, "dir.sock");
	MUST(unlink("dir.sock"));
	MUST(mkdir("dir.sock", 0700));
	unix_handshake(fd, 4);
	expect_reach("twice.sock", fd[2], "the second of one name");
	file = MUST(open("file.sock", O_RDONLY));
	CHECK(read(file, (char[8]){0}, 8) == 4, "the file that has the name now was touched");
	MUST(rmdir("dir.sock"));
}

static void name_renamed(void)
{
	int fd[2];

	fd[0] = unix_bound(SOCK_DGRAM, "old.sock");
	MUST(rename("old.sock", "new.sock"));
	fd[1] = unix_bound(SOCK_DGRAM, "old.sock");
	unix_handshake(fd, 2);
	expect_reach("new.sock", fd[0], "renamed");
	expect_reach("old.sock", fd[1], "in its place");
}

static void name_long(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	char *name = a.sun_path;
	size_t room = sizeof(a.sun_path);
	int fd[2];

	memset(name, 'n', room);
	fd[0] = MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
	MUST(bind(fd[0], (void *)&a, sizeof(a)));
	memset(name, 'm', room);
	name[0] = '\0';
	snprintf(name + 1, 20, "%d", (int)getpid());
	fd[1] = MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
	MUST(bind(fd[1], (void *)&a, sizeof(a)));
	unix_handshake(fd, 2);
	fd[1] = MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
	memset(name, 'n', room);
	CHECK(sendto(fd[1], "x", 1, 0, (void *)&a, sizeof(a)) == 1, "%s", strerror(errno));
	CHECK(recv(fd[0], &(char){0}, 1, MSG_DONTWAIT) == 1, "the long name leads elsewhere");
}

static void name_mode(void)
{
	struct stat st;
	int fd[2];

	fd[0] = unix_bound(SOCK_DGRAM, "mode.sock");
	MUST(chmod("mode.sock", 0622));
	MUST(chown("mode.sock", 12, 34));
	umask(0077);
	fd[1] = unix_bound(SOCK_DGRAM, "masked.sock");
	unix_handshake(fd, 2);
	MUST(stat("mode.sock", &st));
	CHECK((st.st_mode & 07777) == 0622 && st.st_uid == 12 && st.st_gid == 34,
		"mode %o, owner %u:%u", st.st_mode, st.st_uid, st.st_gid);
	MUST(stat("masked.sock", &st));
	CHECK(S_ISSOCK(st.st_mode) && (st.st_mode & 07777) == 0700, "mode %o", st.st_mode);
	expect_reach("mode.sock", fd[0], "path");
}

static void name_gone_dir(void)
{
	int fd[1];

	MUST(mkdir("gone", 0700));
	fd[0] = unix_bound(SOCK_DGRAM, "gone/x.sock");
	MUST(unlink("gone/x.sock"));
	MUST(rmdir("gone"));
	unix_handshake(fd, 1);
	CHECK(access("gone", F_OK) < 0, "the directory is there again");
}

static void name_unbound(void)
{
	int fd[3], one = 1;

	fd[0] = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	fd[1] = MUST(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	MUST(setsockopt(fd[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)));
	fd[2] = MUST(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0));
	unix_handshake(fd, 3);
}

int main(int argc, char **argv)
{
	static const struct victim_case cases[] = {{"kinds", name_kinds},
		{"relative", name_relative}, {"deleted", name_deleted}, {"replaced", name_replaced},
		{"renamed", name_renamed}, {"long", name_long}, {"mode", name_mode},
		{"gone-dir", name_gone_dir}, {"unbound", name_unbound}};

	return victim_cases(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
