/*
 * Holds: vsock sockets: new, bound, listening, with sizes of buffers of their own.
 * Shows: "VSOCK where the kernel has it".
 */
#include "fds.h"
#include <sys/socket.h>

#include <linux/vm_sockets.h> /* older ones need the former */

static struct sockaddr_vm name_of(int fd)
{
	struct sockaddr_vm a;
	socklen_t len = sizeof(a);

	memset(&a, 0, sizeof(a));
	MUST(getsockname(fd, (struct sockaddr *)&a, &len));
	return a;
}

static uint64_t size_of(int fd, int name)
{
	uint64_t n = 0;
	socklen_t len = sizeof(n);

	MUST(getsockopt(fd, AF_VSOCK, name, &n, &len));
	return n;
}

int main(int argc, char **argv)
{
	struct sockaddr_vm a = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY}, was[3];
	uint64_t size = 100000, max = 200000;
	int fd[3], listening;
	socklen_t len = sizeof(int);

	victim_init(argc, argv);
	for (int i = 0; i < 3; i++) {
		fd[i] = socket(AF_VSOCK, SOCK_STREAM | (i ? 0 : SOCK_NONBLOCK), 0);
		if (fd[i] < 0)
			SKIP("no vsock here: %s", strerror(errno));
		a.svm_port = 100000 + getpid() * 4 + i;
		if (i)
			MUST(bind(fd[i], (struct sockaddr *)&a, sizeof(a)));
	}
	MUST(setsockopt(fd[1], AF_VSOCK, SO_VM_SOCKETS_BUFFER_MAX_SIZE, &max, sizeof(max)));
	MUST(setsockopt(fd[1], AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, &size, sizeof(size)));
	MUST(listen(fd[2], 5));
	for (int i = 0; i < 3; i++)
		was[i] = name_of(fd[i]);
	victim_ready();
	victim_wait();
	for (int i = 0; i < 3; i++) {
		struct sockaddr_vm now = name_of(fd[i]);

		CHECK(now.svm_cid == was[i].svm_cid && now.svm_port == was[i].svm_port,
			"socket %d: expected %u:%u, got %u:%u", i, was[i].svm_cid, was[i].svm_port,
			now.svm_cid, now.svm_port);
		MUST(getsockopt(fd[i], SOL_SOCKET, SO_ACCEPTCONN, &listening, &len));
		CHECK(listening == (i == 2), "socket %d: listening %d", i, listening);
	}
	CHECK(fcntl(fd[0], F_GETFL) & O_NONBLOCK, "it blocks now");
	CHECK(size_of(fd[1], SO_VM_SOCKETS_BUFFER_SIZE) == size &&
			size_of(fd[1], SO_VM_SOCKETS_BUFFER_MAX_SIZE) == max,
		"other sizes");
	return 0;
}
