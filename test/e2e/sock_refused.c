/*
 * e2e: args: netns xdp connector audit ebpf corked alg vsock ring part
 * e2e: refuse for netns: fd, udp, network namespace
 * e2e: refuse for xdp: fd, xdp, rings
 * e2e: refuse for connector: fd, netlink connector
 * e2e: refuse for audit: fd, netlink audit
 * e2e: refuse for ebpf: fd, udp, eBPF
 * e2e: refuse for corked: fd, UDP_CORK, IP options, --fd
 * e2e: refuse for alg: fd, kernel crypto, --fd
 * e2e: refuse for vsock: fd, connection of vsock, --fd
 * e2e: refuse for ring: memory of a socket, descriptor is closed, unmap
 * e2e: refuse for part: memory of a socket, a part only, unmap
 *
 * Holds: a socket that can't be saved: of another network namespace; of a family or protocol of which the kernel
 *        keeps more than it tells; with a filter, or with data, that it does not give back; with a ring that is
 *        mapped while no descriptor leads to it, or of which only a part is.
 * Shows: sockets are refused by name, in words.
 */
#include "victim.h"
#include <linux/bpf.h>
#include <linux/if_alg.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <linux/vm_sockets.h>

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

	MUST(setsockopt(fd, IPPROTO_IP, IP_OPTIONS, "\1\1\1", 4));
	MUST(setsockopt(fd, IPPROTO_UDP, 1 /* UDP_CORK */, &on, sizeof(on)));
	MUST(sendto(fd, "held back", 9, 0, (struct sockaddr *)&a, sizeof(a)));
	stay();
}

static void alg(void)
{
	struct sockaddr_alg a = {.salg_family = AF_ALG, .salg_type = "hash", .salg_name = "sha256"};
	int fd = have(socket(AF_ALG, SOCK_SEQPACKET, 0), "AF_ALG");

	have(bind(fd, (struct sockaddr *)&a, sizeof(a)), "such a hash");
	stay();
}

static void vsock(void)
{
	struct sockaddr_vm a = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_LOCAL, .svm_port = 200000 + getpid()};
	int fd = have(socket(AF_VSOCK, SOCK_STREAM, 0), "vsock"), client;

	have(bind(fd, (struct sockaddr *)&a, sizeof(a)), "loopback of vsock");
	MUST(listen(fd, 1));
	client = MUST(socket(AF_VSOCK, SOCK_STREAM, 0));
	have(connect(client, (struct sockaddr *)&a, sizeof(a)), "loopback of vsock");
	MUST(accept(fd, NULL, NULL));
	stay();
}

static int ring_fd;

static char *map_ring(void)
{
	struct tpacket_req r = {4096, 4, 2048, 8};
	char *p;

	ring_fd = have(socket(AF_PACKET, SOCK_RAW, 0), "packet socket");
	MUST(setsockopt(ring_fd, SOL_PACKET, PACKET_RX_RING, &r, sizeof(r)));
	p = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, ring_fd, 0);
	CHECK(p != MAP_FAILED, "mmap: %s", strerror(errno));
	return p;
}

static void ring(void)
{
	map_ring();
	close(ring_fd);
	stay();
}

static void part(void)
{
	MUST(munmap(map_ring() + 4096, 4096));
	stay();
}

int main(int argc, char **argv)
{
	static const struct victim_case cases[] = {{"netns", netns}, {"xdp", xdp},
		{"connector", connector}, {"audit", audit}, {"ebpf", ebpf}, {"corked", corked},
		{"alg", alg}, {"vsock", vsock}, {"ring", ring}, {"part", part}};

	return victim_cases(argc, argv, cases, sizeof(cases) / sizeof(*cases));
}
