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

size_t pages_find(Ckpt__PageRun *const *runs, size_t n, uint64_t address)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (pages_run_end(runs[mid]) <= address)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const Ckpt__PageRun *pages_resolve(const struct model *m, const struct model_rec *rec,
	const Ckpt__PageRun *run, uint64_t address)
{
	const struct model_rec *of;
	Ckpt__PageRun *const *runs;
	size_t n, i;

	if (run->kind != CKPT__PAGE_RUN__KIND__ALIAS)
		return run;
	of = run->of > 0 ? model_find(m, rec->type, (uint64_t)run->of) : NULL;
	if (!of || of >= rec)
		return NULL;
	n = pages_runs(of->msg, &runs);
	i = pages_find(runs, n, address);
	if (i == n || runs[i]->start > address || pages_run_end(runs[i]) <= address ||
		runs[i]->kind == CKPT__PAGE_RUN__KIND__ALIAS)
		return NULL;
	return runs[i];
}

static const char *alias_wrong(
	const struct model *m, const struct model_rec *rec, const Ckpt__PageRun *run)
{
	uint64_t at = run->start, end = pages_run_end(run);

	while (at < end) {
		const Ckpt__PageRun *of = pages_resolve(m, rec, run, at);

		if (!of)
			return "the task that it is an alias of has no such pages, or stands behind "
			       "it";
		at = pages_run_end(of);
	}
	return NULL;
}

/* @end: of the run before. Return: NULL, or what is wrong. */
static const char *run_wrong(const struct image *img, const struct model *m,
	const struct model_rec *rec, const Ckpt__PageRun *run, uint64_t end)
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
	if (run->kind == CKPT__PAGE_RUN__KIND__ALIAS)
		return alias_wrong(m, rec, run);
	if (run->kind != CKPT__PAGE_RUN__KIND__SHARD)
		return "its kind is not known to this build";
	if (!image_page_name(img, run->shard))
		return "its page file is not in the image";
	if (__builtin_add_overflow(run->offset, bytes, &file_end) ||
		file_end > image_page_size(img, run->shard))
		return "it lies outside of its page file";
	return NULL;
}

int pages_check(struct ckpt_op *op, const struct image *img, const struct model *m,
	const struct model_rec *rec)
{
	Ckpt__PageRun *const *runs;
	size_t n = pages_runs(rec->msg, &runs);
	uint64_t end = 0;

	for (size_t i = 0; i < n; i++) {
		const char *why = run_wrong(img, m, rec, runs[i], end);

		if (why)
			return op_fail(op, CKPT_E_IMAGE, EBADMSG, NULL, NULL,
				"image %s: %s: '%s' of %" PRIu64 ": run %zu of %" PRIu64
				" pages at %#" PRIx64 ": %s",
				image_dir(img), image_records_name(img), rec->type->name,
				rec->owner, i, runs[i]->pages, runs[i]->start, why);
		end = pages_run_end(runs[i]);
	}
	return 0;
}
