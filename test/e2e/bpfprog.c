/*
 * e2e: args: fd two filter listener locked cooked unpinned
 * e2e: refuse for unpinned: fd, bpf-prog, pinned nowhere
 *
 * Holds: a program of eBPF that is pinned: fd: open; two: two descriptors of it; filter: as the filter of a UDP
 *        socket, which cuts what comes in; listener: of a socket of TCP that listens, and of what is accepted from it;
 *        locked: of one whose filter can't be changed any more; cooked: of a packet socket. unpinned: one that is not.
 * Shows: the program works as before; that it is pinned has not changed.
 */
#include "fds.h"
#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/vfs.h>

#define BPF_FS       "/sys/fs/bpf"
#define BPF_FS_MAGIC 0xcafe4a11
#define LETS_PASS    11 /* bytes of a packet, with the header of UDP */

static char pin[64];

static int bpf(int cmd, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

/* Where machines have it; one that is mounted stays. */
static void have_bpf_fs(void)
{
	struct statfs fs;

	if (statfs(BPF_FS, &fs) < 0)
		SKIP("no " BPF_FS ": %s", strerror(errno));
	if (fs.f_type != BPF_FS_MAGIC && mount("bpf", BPF_FS, "bpf", 0, "mode=0700") < 0)
		SKIP("mount of bpf: %s", strerror(errno));
}

/* r0 = how much passes; exit */
static int load(int passes)
{
	struct bpf_insn code[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = passes},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr a = {.insns = (uintptr_t)code, .license = (uintptr_t) "none"};
	int fd;

	a.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
	a.insn_cnt = sizeof(code) / sizeof(*code);
	fd = bpf(BPF_PROG_LOAD, &a);
	if (fd < 0)
		SKIP("bpf(BPF_PROG_LOAD): %s", strerror(errno));
	snprintf(pin, sizeof(pin), BPF_FS "/ckpt-victim-%d", getpid());
	unlink(pin);
	a = (union bpf_attr){.pathname = (uintptr_t)pin, .bpf_fd = (uint32_t)fd};
	MUST(bpf(BPF_OBJ_PIN, &a));
	return fd;
}

static void attach(int fd, int program)
{
	MUST(setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &program, sizeof(program)));
	close(program);
}

static void pause_here(bool pinned)
{
	victim_ready();
	victim_wait();
	CHECK(pinned == (access(pin, F_OK) == 0), "%s: pinned or not", pin);
}

static struct sockaddr_in loopback(int fd)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);

	MUST(bind(fd, (struct sockaddr *)&a, len));
	MUST(getsockname(fd, (struct sockaddr *)&a, &len));
	return a;
}

static void descriptors(bool two)
{
	int fd = load(0), other = two ? MUST(dup(fd)) : -1;
	struct fds_view was;

	fds_view(fd, &was);
	pause_here(true);
	fds_expect(fd, &was, false, "program");
	attach(MUST(socket(AF_INET, SOCK_DGRAM, 0)), other < 0 ? fd : other);
}

/* The program lets 11 bytes pass, of which 8 are the header of UDP. */
static void udp(bool locked)
{
	int fd = MUST(socket(AF_INET, SOCK_DGRAM, 0)), out = MUST(socket(AF_INET, SOCK_DGRAM, 0));
	struct sockaddr_in at = loopback(fd);
	int one = 1, none = 0;
	char buf[10];

	attach(fd, load(LETS_PASS));
	if (locked)
		MUST(setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &one, sizeof(one)));
	MUST(sendto(out, "before", 6, 0, (struct sockaddr *)&at, sizeof(at)));
	pause_here(true);
	CHECK(recv(fd, buf, sizeof(buf), MSG_DONTWAIT) == 3 && !memcmp(buf, "bef", 3),
		"what came before");
	MUST(sendto(out, "after", 5, 0, (struct sockaddr *)&at, sizeof(at)));
	CHECK(recv(fd, buf, sizeof(buf), 0) == 3 && !memcmp(buf, "aft", 3), "what comes now");
	CHECK(locked == (setsockopt(fd, SOL_SOCKET, SO_DETACH_BPF, &none, sizeof(none)) < 0),
		"SO_DETACH_BPF: %s", strerror(errno));
	MUST(sendto(out, "all", 3, 0, (struct sockaddr *)&at, sizeof(at)));
	CHECK(recv(fd, buf, sizeof(buf), 0) == 3, "without the program");
}

/* Nobody gets in while the program is there: it lets no packet pass. */
static void listener(void)
{
	int l = MUST(socket(AF_INET, SOCK_STREAM, 0)), none = 0, c;
	struct sockaddr_in at = loopback(l);
	struct pollfd p = {.events = POLLOUT};

	MUST(listen(l, 5));
	attach(l, load(0));
	pause_here(true);
	c = MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	CHECK(connect(c, (struct sockaddr *)&at, sizeof(at)) < 0 && errno == EINPROGRESS,
		"connect: %s", strerror(errno));
	p.fd = c;
	CHECK(poll(&p, 1, 300) == 0, "somebody got in");
	MUST(setsockopt(l, SOL_SOCKET, SO_DETACH_BPF, &none, sizeof(none)));
	CHECK(poll(&p, 1, 10000) == 1, "nobody gets in without the program");
	MUST(accept(l, NULL, NULL));
}

static void cooked(void)
{
	int fd = MUST(socket(AF_PACKET, SOCK_DGRAM, 0)), none = 0;
	struct sockaddr_ll at = {.sll_family = AF_PACKET,
		.sll_protocol = htons(0x88b6),
		.sll_ifindex = 1,
		.sll_halen = 6};
	int out = MUST(socket(AF_PACKET, SOCK_DGRAM, 0));
	struct pollfd p = {.fd = fd, .events = POLLIN};

	attach(fd, load(0));
	MUST(bind(fd, (struct sockaddr *)&at, sizeof(at)));
	pause_here(true);
	MUST(sendto(out, "packet", 6, 0, (struct sockaddr *)&at, sizeof(at)));
	CHECK(poll(&p, 1, 300) == 0, "a packet has passed");
	MUST(setsockopt(fd, SOL_SOCKET, SO_DETACH_BPF, &none, sizeof(none)));
	MUST(sendto(out, "packet", 6, 0, (struct sockaddr *)&at, sizeof(at)));
	CHECK(poll(&p, 1, 10000) == 1, "no packet passes without the program");
}

int main(int argc, char **argv)
{
	const char *what = argc == 2 ? argv[1] : "";

	victim_init(argc, argv);
	have_bpf_fs();
	if (!strcmp(what, "unpinned")) {
		load(0);
		MUST(unlink(pin));
		pause_here(false);
		return 0;
	}
	if (!strcmp(what, "fd") || !strcmp(what, "two"))
		descriptors(*what == 't');
	else if (!strcmp(what, "listener"))
		listener();
	else if (!strcmp(what, "cooked"))
		cooked();
	else
		udp(!strcmp(what, "locked"));
	unlink(pin);
	return 0;
}
