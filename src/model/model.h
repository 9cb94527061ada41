/*
 * model.h - a process tree as pure data: records between the kernel and the image.
 *
 * A record is {resource type, owner, protobuf message}. The owner says whose it is: a pid for a
 * task's record, a tid for a thread's, the number of an open file description for a file's, 0 for
 * the tree. Which of them is said by the type's scope. No live descriptor, no tracer state: a model
 * can be freed at any point.
 */
#ifndef CKPT_MODEL_MODEL_H
#define CKPT_MODEL_MODEL_H

#include <stddef.h>
#include <stdint.h>
#include <protobuf-c/protobuf-c.h>

enum model_scope { SCOPE_TREE, SCOPE_TASK, SCOPE_THREAD, SCOPE_FILE };

/** One kind of record; the registry (res/) holds one per resource. */
struct model_type {
	const char *name; /* the record's tag in the image: the resource's base name */
	enum model_scope scope;
	const ProtobufCMessageDescriptor *desc;
	const char *const
		*volatile_fields; /* NULL-terminated names that diff passes over, or NULL */
};

struct model_rec {
	const struct model_type *type;
	uint64_t owner;
	ProtobufCMessage *msg; /* owned by the model */
	size_t next;           /* index + 1 of the next record of this type, 0 at the end */
};

/* The records of one type, as index + 1; 0 where there is none. */
struct model_chain {
	const struct model_type *type;
	size_t first, last;
};

/* Outside model.c only recs and n are used, and only read. */
struct model {
	struct model_rec *recs; /* in the order of addition */
	size_t n, cap;
	struct model_chain *chains;
	size_t n_chains, cap_chains;
	size_t *slots; /* hash over {type, owner}: index + 1 of a record, 0 free */
	size_t n_slots;
};

void model_init(struct model *m);
void model_done(struct model *m);

/**
 * model_add() - append a record
 * @msg: taken, also on failure; made with malloc (protobuf_c_message_free_unpacked() frees it)
 * Return: 0; -ENOMEM; -EEXIST when this owner already has a record of this type
 */
int model_add_take(
	struct model *m, const struct model_type *type, uint64_t owner, ProtobufCMessage *msg);

/** model_find() - Return: the record of that type and owner, valid until the next addition; or NULL */
const struct model_rec *model_find(
	const struct model *m, const struct model_type *type, uint64_t owner);

/** model_get() - Return: the message of that type and owner, or NULL */
void *model_get(const struct model *m, const struct model_type *type, uint64_t owner);

/**
 * model_next() - iterate over the records of one type, in the order of addition
 * @pos: 0 at the start
 * Return: the record, valid until the next addition; NULL at the end.
 */
const struct model_rec *model_next(
	const struct model *m, const struct model_type *type, size_t *pos);

#endif
