/*
 * thread.c - what resources of threads share.
 */
#include "res/thread/thread.h"

#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"

bool thread_as_own(const ProtobufCMessage *m, const ProtobufCMessage *own)
{
	size_t len = own ? protobuf_c_message_get_packed_size(own) : 0;
	_cleanup_free_ uint8_t *a = NULL, *b = NULL;

	if (!own || protobuf_c_message_get_packed_size(m) != len)
		return false;
	a = malloc(len + 1);
	b = malloc(len + 1);
	if (!a || !b)
		return false;
	protobuf_c_message_pack(m, a);
	protobuf_c_message_pack(own, b);
	return memcmp(a, b, len) == 0;
}
