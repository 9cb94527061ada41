/*
 * fill.h - contents from the page files into new memory and new files.
 */
#ifndef CKPT_RESTORE_FILL_H
#define CKPT_RESTORE_FILL_H

#include "image/image.h"
#include "model/model.h"
#include "core/op.h"
#include "model/page_map.h"
#include "restore/sink.h"

/* What contents go through; kept for the next time. Zeroed at first. */
struct fill_buf {
	uint8_t *v;
	size_t cap;
};

struct fill_req {
	const struct image *img;
	const struct model *model;
	const struct model_rec
		*rec; /* with runs; of the model, for an alias leads to another record */
	struct sink *to;
	const char *what;     /* for messages */
	unsigned workers;     /* at most so many threads; each verifies what it reads */
	struct fill_buf *buf; /* of the calling thread; NULL: none is kept */
	/* Instead of the record's runs: only these, each from the record of that type of the task it is of. */
	const struct page_map *only;
	const struct model_type *type;
};

/**
 * fill_sink() - write the runs of a record, or of several, at their places in a file or a task
 * @ret_bytes: added to; may be NULL
 * Return: 0; negative after op_fail().
 */
int fill_sink(struct ckpt_op *op, const struct fill_req *req, uint64_t *ret_bytes);

void fill_buf_done(struct fill_buf *b);

#endif
