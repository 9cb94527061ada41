/*
 * check.c - ckpt_check(): what the running kernel can do, and what this process may do.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/op.h"
#include "kernel/probe.h"

static enum ckpt_feature_state state_of(enum kernel_feature_state s)
{
	switch (s) {
	case FEATURE_PRESENT:
		return CKPT_FEATURE_PRESENT;
	case FEATURE_DENIED:
		return CKPT_FEATURE_DENIED;
	case FEATURE_ABSENT:
		break;
	}
	return CKPT_FEATURE_ABSENT;
}

static struct ckpt_feature look(enum kernel_feature_id id)
{
	struct kernel_feature k;
	struct ckpt_feature f;

	kernel_probe(id, &k);
	f = (struct ckpt_feature){.name = k.name,
		.needed_for = k.needed_for,
		.lost_without = k.lost_without,
		.required = k.required,
		.state = state_of(k.state)};
	snprintf(f.detail, sizeof(f.detail), "%s", k.detail);
	return f;
}

int ckpt_check(
	const struct ckpt_check_req *req, struct ckpt_check_result *ret, struct ckpt_error *err)
{
	struct ckpt_check_result result = {};
	struct ckpt_op op;
	int r = 0;

	op_init(&op, &req->common);
	result.features = calloc(FEATURE_COUNT, sizeof(*result.features));
	if (!result.features)
		r = op_fail(&op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "check");
	for (; r == 0 && result.n < FEATURE_COUNT; result.n++) {
		const struct ckpt_feature *f = &result.features[result.n];

		r = op_cancelled(&op);
		result.features[result.n] = look((enum kernel_feature_id)result.n);
		/* what no dump or restore can do without, and is not here */
		result.missing += f->required && f->state != CKPT_FEATURE_PRESENT;
	}
	op_done(&op, err);
	if (r < 0) {
		free(result.features);
		return -1;
	}
	*ret = result;
	return 0;
}

void ckpt_check_result_done(struct ckpt_check_result *r)
{
	free(r->features);
	*r = (struct ckpt_check_result){0};
}
