/*
 * discover.h - what the service can do, as an OpenRPC document (https://spec.open-rpc.org).
 */
#ifndef CKPT_SERVE_DISCOVER_H
#define CKPT_SERVE_DISCOVER_H

#include <jansson.h>
#include <stdio.h>

/** discover_document() - made from the table of options. Return: a new reference */
json_t *discover_document(void);

/** discover_markdown() - the same for people: docs/RPC.md */
void discover_markdown(FILE *out);

#endif
