/*
 * show_files.c - the descriptors of a saved task, each with what its open file description is.
 *
 * A description's kind is the resource that has a record of its id; what a kind has to tell is
 * found by reflection: its path, or its first text that is not empty, or else its numbers.
 */
#include "lib/show.h"

#include <fcntl.h>
#include <string.h>

#include "model/reflect.h"
#include "proto/fdtable.pb-c.h"
#include "res/registry.h"
#include "res/res.h"
#include "util/str.h"

static const char *text_of(const ProtobufCMessage *msg)
{
	for (unsigned i = 0; i < msg->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &msg->descriptor->fields[i];

		if (f->type == PROTOBUF_C_TYPE_STRING && reflect_count(msg, f) &&
			*reflect_str(reflect_at(msg, f, 0)))
			return reflect_str(reflect_at(msg, f, 0));
	}
	return "";
}

/* "count=3 semaphore", "items: 12" */
static void print_numbers(const ProtobufCMessage *msg, FILE *out)
{
	const char *blank = "";

	for (unsigned i = 0; i < msg->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &msg->descriptor->fields[i];
		size_t n = reflect_count(msg, f);
		uint64_t v;

		if (!n || f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_BYTES ||
			!strcmp(f->name, "mode"))
			continue;
		if (f->label == PROTOBUF_C_LABEL_REPEATED) {
			fprintf(out, "%s%s: %zu", blank, f->name, n);
			blank = " ";
			continue;
		}
		if (f->type == PROTOBUF_C_TYPE_MESSAGE)
			continue;
		v = reflect_u64(f->type, reflect_at(msg, f, 0));
		if (!v)
			continue;
		fprintf(out, "%s%s", blank, f->name);
		if (f->type != PROTOBUF_C_TYPE_BOOL)
			fprintf(out, "=%lld", (long long)v);
		blank = " ";
	}
}

static void description(const struct loaded *l, uint32_t id, FILE *out)
{
	for (const struct res *const *r = registry(); *r; r++) {
		/* contents and locks belong to a file as well, but are no kind */
		const ProtobufCMessage *msg =
			(*r)->file ? model_get(&l->model, &(*r)->type, id) : NULL;

		if (!msg)
			continue;
		fprintf(out, "%-10s ", (*r)->type.name);
		if (show_socket(l, id, (*r)->type.name, msg, out))
			return;
		if (*text_of(msg))
			str_put(out, text_of(msg));
		else
			print_numbers(msg, out);
		return;
	}
	fputs("?", out);
}

static const char *access_text(uint32_t flags)
{
	if (flags & O_PATH)
		return "path";
	switch (flags & O_ACCMODE) {
	case O_RDONLY:
		return "r";
	case O_WRONLY:
		return flags & O_APPEND ? "a" : "w";
	default:
		return flags & O_APPEND ? "ra" : "rw";
	}
}

void show_files(const struct loaded *l, uint64_t pid, FILE *out)
{
	const Ckpt__FdTable *table = model_get(&l->model, load_type("fdtable"), pid);

	if (!table)
		return;
	fprintf(out, "\n  %5s %-4s %12s  %-10s %s\n", "fd", "", "position", "kind", "what");
	for (size_t i = 0; i < table->n_fds; i++) {
		const Ckpt__Fd *fd = table->fds[i];
		const Ckpt__File *file = model_get(&l->model, load_type("file"), fd->file);

		fprintf(out, "  %5u %-4s %12llu  ", fd->fd, file ? access_text(file->flags) : "?",
			file ? (unsigned long long)file->pos : 0);
		description(l, fd->file, out);
		fputs(fd->cloexec ? "  (close on exec)\n" : "\n", out);
	}
}
