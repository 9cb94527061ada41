/*
 * iouring.h - between the parts of the resource iouring.
 */
#ifndef CKPT_RES_FILE_IOURING_H
#define CKPT_RES_FILE_IOURING_H

#include "res/file/files.h"
#include "util/vec.h"

struct Ckpt__IoUring;

#define IOURING_RINGS_BYTES (4UL << 20) /* room for the rings; the requests lie behind it */
#define IOURING_SQE_BYTES   64
#define IOURING_CQE_BYTES   16
#define IOURING_ENTRIES_MAX 32768

/* The beginning of the rings: struct io_rings of the kernel, as sq_off and cq_off tell it. */
struct iouring_head {
	uint32_t sq_head, sq_tail, cq_head, cq_tail;
	uint32_t sq_mask, cq_mask, sq_entries, cq_entries;
	uint32_t sq_dropped, sq_flags, cq_flags, cq_overflow;
	uint32_t unused[4];
};

#define IOURING_CQES_AT sizeof(struct iouring_head)

/* Where the list of requests lies: behind the completions, on a line of the cache. */
static inline uint64_t iouring_list_at(uint32_t cq_entries)
{
	return ALIGN_UP(IOURING_CQES_AT + (uint64_t)cq_entries * IOURING_CQE_BYTES, 64);
}

#define IOURING_CLOSE_IT "let the program close it"

/* What fdinfo tells of a ring; free with iouring_info_done(). */
struct iouring_info {
	struct iouring_head head; /* of it the counters and masks */
	uint32_t taken, completed;
	bool thread, polls, overflows, persons;
	/* whose entries are being read */
	enum {
		IOURING_NO_LIST,
		IOURING_FILES,
		IOURING_BUFFERS,
		IOURING_POLLS,
		IOURING_OVERFLOWS,
		IOURING_PERSONS
	} list;
	struct Ckpt__IoUring *m; /* buffers and the number of slots for files are in it */
	struct iouring_registered {
		unsigned index;
		char name[256];
	} * files;
	size_t n_files, cap_files, cap_buffers;
};

/**
 * iouring_info_read() - read it
 * @procfd: /proc/PID
 * @s: zero; to be freed after a failure, too
 * Return: 0; -errno of fdinfo_read().
 */
int iouring_info_read(int procfd, int fd, struct iouring_info *s);
void iouring_info_done(struct iouring_info *s);

/** iouring_wrong() - why a ring can't be saved, and what to do, both static. Return: NULL: it can be */
const char *iouring_wrong(const struct iouring_info *s, const char **ret_advice);

/** iouring_collect_memory() - file_ops.collect of a mapping of a ring that has not been restored yet */
int iouring_collect_memory(struct collect *c, uint64_t id, const struct file_look *l);

/** iouring_can_be_made() - whether this kernel makes a ring, laid out as we know it, in given memory */
bool iouring_can_be_made(void);

/** iouring_open() - file_ops.open of a ring */
int iouring_open(
	struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record);

/** iouring_opened_all() - file_ops.opened_all of a ring: the files that are registered with it */
int iouring_opened_all(struct open_ctx *o, const struct model_rec *rec, int fd);

/** iouring_plan() - file_ops.plan of a ring: the buffers that are registered with it */
void iouring_plan(struct plan *p, enum plan_phase phase, const struct model_rec *rec, int fd,
	struct prog *prog);

#endif
