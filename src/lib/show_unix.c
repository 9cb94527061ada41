/*
 * show_unix.c - a saved unix socket in words: " /run/x, connected to file 7, 30 bytes wait".
 */
#include "lib/show.h"

#include "proto/unixsock.pb-c.h"

/* As ss(8) does: '@' before an abstract name, and in it for each zero. */
static void put_name(FILE *out, const ProtobufCBinaryData *name)
{
	for (size_t i = 0; i < name->len; i++)
		fputc(!name->data[i]                                   ? '@'
			: name->data[i] < ' ' || name->data[i] == 0x7f ? '?'
								       : name->data[i],
			out);
}

static void put_peer(FILE *out, const Ckpt__UnixSock *m)
{
	switch (m->peer_is) {
	case CKPT__UNIX_SOCK__PEER__HERE:
		fprintf(out, ", connected to file %u", m->peer);
		break;
	case CKPT__UNIX_SOCK__PEER__GONE:
		fputs(", its peer is gone", out);
		break;
	case CKPT__UNIX_SOCK__PEER__WAITING:
		fprintf(out, ", waits to be accepted by file %u", m->peer);
		break;
	case CKPT__UNIX_SOCK__PEER__OUTSIDE:
		fputs(", connects again to ", out);
		put_name(out, &m->peer_name);
		break;
	default:
		break;
	}
}

static void put_queue(FILE *out, const Ckpt__UnixSock *m)
{
	size_t bytes = 0, files = 0;

	for (size_t i = 0; i < m->n_queue; i++) {
		bytes += m->queue[i]->data.len;
		files += m->queue[i]->n_files;
	}
	if (m->n_queue > 1)
		fprintf(out, ", %zu messages of %zu bytes wait", m->n_queue, bytes);
	else if (m->n_queue)
		fprintf(out, ", %zu bytes wait", bytes);
	if (files)
		fprintf(out, " with %zu descriptor%s", files, files == 1 ? "" : "s");
}

void show_unix(const void *msg, FILE *out)
{
	static const char *const shut[] = {
		"", ", shut for reading", ", shut for writing", ", shut"};
	const Ckpt__UnixSock *m = msg;

	fputs(m->name.len ? " " : "", out);
	put_name(out, &m->name);
	if (m->listening)
		fprintf(out, ", listening (backlog %u)", m->backlog);
	put_peer(out, m);
	fputs(m->peer_is == CKPT__UNIX_SOCK__PEER__GONE ? "" : shut[m->shutdown & 3], out);
	put_queue(out, m);
}
