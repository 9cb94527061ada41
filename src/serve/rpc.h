/*
 * rpc.h - the messages of JSON-RPC 2.0 (https://www.jsonrpc.org/specification).
 */
#ifndef CKPT_SERVE_RPC_H
#define CKPT_SERVE_RPC_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "ckpt.h"

/* Codes of the specification; those of the operations are RPC_OPERATION less the kind of failure. */
enum rpc_code {
	RPC_PARSE_ERROR = -32700,
	RPC_INVALID_REQUEST = -32600,
	RPC_METHOD_NOT_FOUND = -32601,
	RPC_INVALID_PARAMS = -32602,
	RPC_INTERNAL_ERROR = -32603,
	RPC_OPERATION = -32000,
};

/* All functions that return json_t give a new reference, or NULL when memory ran out. */

/**
 * rpc_parse() - text into JSON
 * Return: 0; -1 with *ret_error, an error object
 */
int rpc_parse(const char *text, size_t len, json_t **ret, json_t **ret_error);

/** rpc_error() - an error object */
json_t *rpc_error(enum rpc_code code, const char *message);

/** rpc_error_of() - the error object for an error of the library, which is freed */
json_t *rpc_error_of(struct ckpt_error *err);

/** rpc_response() - @id is borrowed, NULL gives null; @result or @error are taken, the other is NULL */
json_t *rpc_response(json_t *id, json_t *result, json_t *error);

/** rpc_notification() - @params are taken */
json_t *rpc_notification(const char *method, json_t *params);

/** A request, borrowed from its message. */
struct rpc_request {
	json_t *id; /* NULL: a notification, which has no response */
	const char *method;
	json_t *params; /* NULL: none */
};

/** rpc_request() - Return: 0; -1: @message is no request, *ret has its id if that can be told */
int rpc_request(json_t *message, struct rpc_request *ret);

#endif
