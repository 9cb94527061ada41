/*
 * pages.c - the runs of pages in a record: see pages.h.
 */
#include "model/pages.h"

#include <errno.h>
#include <inttypes.h>

#include "model/reflect.h"

bool pages_field(const ProtobufCFieldDescriptor *f)
{
	return f->label == PROTOBUF_C_LABEL_REPEATED &&
	       f->descriptor == &ckpt__page_run__descriptor;
}

size_t pages_runs(const ProtobufCMessage *msg, Ckpt__PageRun *const **ret)
{
	*ret = NULL;
	for (unsigned k = 0; k < msg->descriptor->n_fields; k++) {
		const ProtobufCFieldDescriptor *f = &msg->descriptor->fields[k];

		if (!pages_field(f))
			continue;
		if (reflect_count(msg, f))
			*ret = reflect_at(msg, f, 0);
		return reflect_count(msg, f);
	}
	return 0;
}

/* @end: of the run before. Return: NULL, or what is wrong. */
static const char *run_wrong(const struct image *img, const Ckpt__PageRun *run, uint64_t end)
{
	uint64_t bytes, last, file_end;

	if (!run->pages || run->start % IMAGE_PAGE_BYTES)
		return "it is empty or does not begin at a page";
	if (__builtin_mul_overflow(run->pages, IMAGE_PAGE_BYTES, &bytes) ||
		__builtin_add_overflow(run->start, bytes, &last))
		return "it is longer than the address space";
	if (run->start < end)
		return "it overlaps the run before it";
	if (run->kind == CKPT__PAGE_RUN__KIND__ZERO)
		return NULL;
	if (run->kind != CKPT__PAGE_RUN__KIND__SHARD)
		return "its kind is not known to this build";
	if (!image_page_name(img, run->shard))
		return "its page file is not in the image";
	if (__builtin_add_overflow(run->offset, bytes, &file_end) ||
		file_end > image_page_size(img, run->shard))
		return "it lies outside of its page file";
	return NULL;
}

int pages_check(struct ckpt_op *op, const struct image *img, const struct model_rec *rec)
{
	Ckpt__PageRun *const *runs;
	size_t n = pages_runs(rec->msg, &runs);
	uint64_t end = 0;

	for (size_t i = 0; i < n; i++) {
		const char *why = run_wrong(img, runs[i], end);

		if (why)
			return op_fail(op, CKPT_E_IMAGE, EBADMSG, NULL, NULL,
				"image %s: %s: '%s' of %" PRIu64 ": run %zu of %" PRIu64
				" pages at %#" PRIx64 ": %s",
				image_dir(img), image_records_name(img), rec->type->name,
				rec->owner, i, runs[i]->pages, runs[i]->start, why);
		end = runs[i]->start + pages_run_bytes(runs[i]);
	}
	return 0;
}
