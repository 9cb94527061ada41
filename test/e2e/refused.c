/*
 * e2e: args: netlink mount
 * e2e: args: namespace many
 * e2e: refuse for netlink: socket
 * e2e: refuse for mount: mount
 * e2e: refuse for namespace: namespace
 * e2e: refuse for many: mount, socket, namespace
 *
 * Holds: one thing that is not saved yet; many: several of them, one in a child.
 * Shows: "What is not saved yet is refused by name, all offenders at once, before anything is touched."
 */
#include "victim.h"
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <linux/netlink.h>

static pid_t child;

/* A descriptor that this kernel may not have. */
static int refused_may(int fd, const char *what)
{
	if (fd < 0)
		SKIP("no %s here: %s", what, strerror(errno));
	return fd;
}

static void refused_socket(void)
{
	MUST(socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT));
}

static void refused_anon(const char *what)
{
	if (!strcmp(what, "mount"))
		refused_may(syscall(SYS_fsopen, "tmpfs", 0), "fsopen");
}

static void refused_other(const char *what)
{
	if (!strcmp(what, "namespace")) {
		MUST(open("/proc/self/ns/net", O_RDONLY));
	} else if (!strcmp(what, "child")) {
		child = MUST(fork());
		if (!child) {
			MUST(prctl(PR_SET_PDEATHSIG, SIGKILL));
			MUST(open("/proc/self/ns/net", O_RDONLY));
			pause();
			_exit(0);
		}
	}
}

int main(int argc, char **argv)
{
	static const char *const many[] = {"mount", "netlink", "child"};

	victim_init(argc, argv);
	CHECK(argc == 2, "usage: refused KIND");
	for (int i = 0; i < 3; i++) {
		const char *what = strcmp(argv[1], "many") ? argv[1] : many[i];

		refused_anon(what);
		refused_other(what);
		if (!strcmp(what, "netlink"))
			refused_socket();
		if (what == argv[1])
			break;
	}
	victim_ready();
	victim_wait();
	if (child) {
		MUST(kill(child, SIGKILL));
		MUST(waitpid(child, NULL, 0));
	}
	return 0;
}
