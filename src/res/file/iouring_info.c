/*
 * iouring_info.c - what fdinfo tells of an io_uring ring: its counters, what polls, and what is registered.
 *
 * A ring with nothing under way has got as many completions as it took requests in.
 */
#include "res/file/iouring.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernel/fdinfo.h"
#include "proto/iouring.pb-c.h"
#include "util/str.h"

static int add_file(struct iouring_info *s, unsigned index, const char *name)
{
	if (vec_reserve(&s->files, &s->cap_files, s->n_files + 1, sizeof(*s->files)) < 0)
		return -ENOMEM;
	s->files[s->n_files].index = index;
	snprintf(s->files[s->n_files].name, sizeof(s->files->name), "%s", name);
	str_unescape(s->files[s->n_files++].name, " \t\n\\");
	return 0;
}

static int add_buffer(struct iouring_info *s, const char *value)
{
	Ckpt__IoUringBuffer *b = msg_new(Ckpt__IoUringBuffer, CKPT__IO_URING_BUFFER__INIT);
	unsigned long long start = 0, len = 0;

	if (!b ||
		vec_reserve(&s->m->buffers, &s->cap_buffers, s->m->n_buffers + 1, sizeof(b)) < 0) {
		free(b);
		return -ENOMEM;
	}
	if (sscanf(value, "%llx/%llu", &start, &len) == 2) {
		b->start = start;
		b->size_bytes = len;
	}
	s->m->buffers[s->m->n_buffers++] = b;
	return 0;
}

/* An entry of a list has a number for a key; anything behind a heading of a list belongs to it. */
static int entry(struct iouring_info *s, const char *key, const char *value)
{
	s->polls |= s->list == IOURING_POLLS;
	s->overflows |= s->list == IOURING_OVERFLOWS;
	s->persons |= s->list == IOURING_PERSONS;
	if (s->list == IOURING_FILES && *key >= '0' && *key <= '9' && !str_eq(value, "<none>"))
		return add_file(s, (unsigned)strtoul(key, NULL, 10), value);
	return s->list == IOURING_BUFFERS ? add_buffer(s, value) : 0;
}

static int line(char *key, char *value, void *arg)
{
	struct iouring_info *s = arg;
	const struct {
		const char *key;
		uint32_t *to;
		int base;
	} numbers[] = {{"SqMask", &s->head.sq_mask, 16}, {"SqHead", &s->head.sq_head, 10},
		{"SqTail", &s->head.sq_tail, 10}, {"CachedSqHead", &s->taken, 10},
		{"CqMask", &s->head.cq_mask, 16}, {"CqHead", &s->head.cq_head, 10},
		{"CqTail", &s->head.cq_tail, 10}, {"CachedCqTail", &s->completed, 10},
		{"UserFiles", &s->m->file_slots, 10}};
	static const char *const lists[] = {
		"", "UserFiles", "UserBufs", "PollList", "CqOverflowList", "Personalities"};
	const char *at = str_startswith(value, "0x");
	bool known = false;

	at = at ? at : value;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		if (!str_eq(key, numbers[i].key))
			continue;
		known = true;
		if (str_u32(&at, numbers[i].base, numbers[i].to) < 0)
			return -EBADMSG;
	}
	for (unsigned i = IOURING_FILES; i <= IOURING_PERSONS; i++)
		if (str_eq(key, lists[i])) {
			s->list = i;
			return 0;
		}
	if (known || (*key >= 'A' && *key <= 'Z')) {
		s->list = IOURING_NO_LIST;
		s->thread |= str_eq(key, "SqThread") && !str_eq(value, "-1");
		return 0;
	}
	return entry(s, key, value);
}

const char *iouring_wrong(const struct iouring_info *s, const char **ret_advice)
{
	*ret_advice = IOURING_CLOSE_IT;
	if (s->thread)
		return "it has a thread of the kernel that submits (IORING_SETUP_SQPOLL)";
	if (s->persons)
		return "credentials are registered with it";
	if (s->head.sq_mask >= IOURING_ENTRIES_MAX || s->head.cq_mask >= 2 * IOURING_ENTRIES_MAX)
		return "it is larger than any that is known";
	*ret_advice = "dump it when it has none";
	if (s->polls || s->overflows || s->taken != s->completed)
		return "it has requests under way";
	*ret_advice = IOURING_CLOSE_IT;
	return iouring_can_be_made()
		       ? NULL
		       : "this kernel can't make a ring in given memory, as a restore does";
}

void iouring_info_done(struct iouring_info *s)
{
	free(s->files);
	if (s->m)
		protobuf_c_message_free_unpacked(&s->m->base, NULL);
}

int iouring_info_read(int procfd, int fd, struct iouring_info *s)
{
	struct fdinfo common;

	s->m = msg_new(Ckpt__IoUring, CKPT__IO_URING__INIT);
	return s->m ? fdinfo_read(procfd, fd, &common, line, s) : -ENOMEM;
}
