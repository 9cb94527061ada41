/*
 * blob.h - the agent's code, carried as bytes (agent_blob.S).
 */
#ifndef CKPT_INJECT_BLOB_H
#define CKPT_INJECT_BLOB_H

#include <stddef.h>
#include <stdint.h>

extern const uint8_t agent_blob[], agent_blob_end[];

/** agent_blob_len() - its length in bytes; its first byte is agent_main() */
static inline size_t agent_blob_len(void)
{
	/* two symbols of the linker, not one object: as numbers */
	return (uintptr_t)agent_blob_end - (uintptr_t)agent_blob;
}

#endif
