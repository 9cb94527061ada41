/*
 * prog.c - see prog.h.
 */
#include "inject/prog.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/vec.h"

#define DATA_ALIGN 16

void prog_done(struct prog *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->steps[i].object);
	free(p->steps);
	free(p->data);
	free(p->pointers);
	*p = (struct prog){0};
}

size_t prog_add(struct prog *p, const struct prog_step *step)
{
	if (p->err || (p->err = vec_reserve(&p->steps, &p->cap, p->n + 1, sizeof(*p->steps))) < 0)
		return 0;
	p->steps[p->n] = *step;
	return p->n++;
}

void prog_object(struct prog *p, const char *fmt, ...)
{
	va_list ap;

	if (!p->describe || p->err || p->n == 0)
		return;
	free(p->steps[p->n - 1].object);
	va_start(ap, fmt);
	if (vasprintf(&p->steps[p->n - 1].object, fmt, ap) < 0) {
		p->steps[p->n - 1].object = NULL;
		p->err = -ENOMEM;
	}
	va_end(ap);
}

uint64_t prog_data(struct prog *p, const void *bytes, size_t len)
{
	size_t at = ALIGN_UP(p->data_len, DATA_ALIGN);

	if (p->err || (p->err = vec_reserve(&p->data, &p->data_cap, at + len, 1)) < 0)
		return 0;
	if (!p->data) /* no bytes at the very start */
		return 0;
	memset(p->data + p->data_len, 0, at - p->data_len);
	if (bytes && len)
		memcpy(p->data + at, bytes, len);
	else
		memset(p->data + at, 0, len);
	p->data_len = at + len;
	return at;
}

void prog_pointer(struct prog *p, uint64_t at, uint64_t to)
{
	if (p->err || (p->err = vec_reserve(&p->pointers, &p->cap_pointers, p->n_pointers + 1,
			       sizeof(*p->pointers))) < 0)
		return;
	p->pointers[p->n_pointers].at = at;
	p->pointers[p->n_pointers++].to = to;
}

uint64_t prog_value(const struct prog_arg *a, const struct prog_place *place)
{
	switch (a->kind) {
	case PROG_DATA:
		return place->data + a->value;
	case PROG_START_OF_AREA:
		return place->area_start;
	case PROG_END_OF_AREA:
		return place->area_end;
	case PROG_SPACE_ABOVE_AREA:
		return a->value - place->area_end;
	default:
		return a->value;
	}
}

void prog_lower(const struct prog *p, const struct prog_place *place, struct agent_step *out)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct prog_step *s = &p->steps[i];

		out[i] = (struct agent_step){
			.op = s->op, .expect = s->expect, .nr = (uint32_t)s->nr, .want = s->want};
		for (int k = 0; k < 6; k++) {
			out[i].args[k] = prog_value(&s->args[k], place);
			if (s->args[k].kind == PROG_RESULT)
				out[i].result_mask |= 1 << k;
		}
	}
}

void prog_lower_data(const struct prog *p, const struct prog_place *place, void *out)
{
	if (p->data_len)
		memcpy(out, p->data, p->data_len);
	for (size_t i = 0; i < p->n_pointers; i++) {
		uint64_t addr = place->data + p->pointers[i].to;

		memcpy((uint8_t *)out + p->pointers[i].at, &addr, sizeof(addr));
	}
}
