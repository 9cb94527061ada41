/*
 * Sockets of MPTCP: one that listens goes on, and so does a connection that it has accepted from a peer
 * that has no MPTCP; one of MPTCP with itself is refused.
 *
 * e2e: args: plain both
 * e2e: refuse for both: MPTCP
 * e2e: no cycle for plain: the kernel leaves SO_RCVLOWAT of what MPTCP accepts at 0, which can't be set
 */
#include "victim.h"

#include <netinet/in.h>
#include <sys/socket.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

int main(int argc, char **argv)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t len = sizeof(at);
	int l, c, s, proto = 0;
	char word[8];

	victim_init(argc, argv);
	l = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
	if (l < 0)
		SKIP("no MPTCP here: %s", strerror(errno));
	MUST(socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP));
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	MUST(bind(l, (struct sockaddr *)&at, len));
	MUST(listen(l, 3));
	MUST(getsockname(l, (struct sockaddr *)&at, &len));
	c = MUST(socket(AF_INET, SOCK_STREAM, strcmp(argv[1], "both") ? 0 : IPPROTO_MPTCP));
	MUST(connect(c, (struct sockaddr *)&at, len));
	s = MUST(accept(l, NULL, NULL));
	MUST(send(c, "before", 6, 0));
	victim_ready();
	victim_wait();
	CHECK(recv(s, word, 6, 0) == 6 && !memcmp(word, "before", 6), "what was sent before");
	MUST(send(s, "after", 5, 0));
	CHECK(recv(c, word, 5, 0) == 5 && !memcmp(word, "after", 5), "what was sent afterwards");
	len = sizeof(proto);
	MUST(getsockopt(l, SOL_SOCKET, SO_PROTOCOL, &proto, &len));
	CHECK(proto == IPPROTO_MPTCP, "protocol %d", proto);
	close(c);
	c = MUST(socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP));
	len = sizeof(at);
	MUST(connect(c, (struct sockaddr *)&at, len));
	s = MUST(accept(l, NULL, NULL));
	MUST(send(c, "again", 5, 0));
	CHECK(recv(s, word, 5, 0) == 5 && !memcmp(word, "again", 5), "a new connection");
	return 0;
}
