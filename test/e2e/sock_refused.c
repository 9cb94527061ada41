/*
 * e2e: args: netns xdp connector audit ebpf corked
 * e2e: refuse for netns: fd, udp, network namespace
 * e2e: refuse for xdp: fd, xdp, rings
 * e2e: refuse for connector: fd, netlink connector
 * e2e: refuse for audit: fd, netlink audit
 * e2e: refuse for ebpf: fd, udp, eBPF
 * e2e: refuse for corked: fd, UDP_CORK
 *
 * Holds: a socket that can't be saved: of another network namespace; of a family or protocol of which the kernel
 *        keeps more than it tells; with a filter, or with data, that it does not give back.
 * Shows: sockets are refused by name, in words.
 */
#include "victim.h"
#include <linux/bpf.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>

static int have(int fd, const char *what)
{
	if (fd < 0)
		SKIP("no %s here: %s", what, strerror(errno));
	return fd;
}

static void stay(void)
{
	victim_ready();
	victim_wait();
}

static void netns(void)
{
	int own = MUST(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));

	have(unshare(CLONE_NEWNET), "network namespace");
	MUST(socket(AF_INET, SOCK_DGRAM, 0));
	MUST(setns(own, CLONE_NEWNET));
	close(own);
	stay();
}

static void xdp(void)
{
	have(socket(44, SOCK_RAW, 0), "AF_XDP");
	stay();
}

static void connector(void)
{
	have(socket(AF_NETLINK, SOCK_DGRAM, NETLINK_CONNECTOR), "connector");
	stay();
}

static void audit(void)
{
	have(socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT), "audit");
	stay();
}

static void ebpf(void)
{
	/* r0 = 65535; exit */
	struct bpf_insn code[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0xffff},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr a;
	int prog, fd = MUST(socket(AF_INET, SOCK_DGRAM, 0));

	memset(&a, 0, sizeof(a));
	a.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
	a.insns = (uintptr_t)code;
	a.insn_cnt = 2;
	a.license = (uintptr_t) "GPL";
	prog = have((int)syscall(SYS_bpf, BPF_PROG_LOAD, &a, sizeof(a)), "bpf(2)");
	MUST(setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &prog, sizeof(prog)));
	close(prog);
	stay();
}

static void corked(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(9)};
	int fd = MUST(socket(AF_INET, SOCK_DGRAM, 0)), on = 1;

	MUST(setsockopt(fd, IPPROTO_UDP, 1 /* UDP_CORK */, &on, sizeof(on)));
	MUST(sendto(fd, "held back", 9, 0, (struct sockaddr *)&a, sizeof(a)));
	stay();
}

int main(int argc, char **argv)
{
	static const struct victim_case cases[] = {{"netns", netns}, {"xdp", xdp},
		{"connector", connector}, {"audit", audit}, {"ebpf", ebpf}, {"corked", corked}};

	return victim_cases(argc, argv, cases, sizeof(cases) / sizeof(*cases));
}
