/*
 * session_fuzz.c - libFuzzer over the service: its framing, its parser, its dispatch, its bookkeeping.
 */
#include "session_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	session_input(data, len);
	return 0;
}
