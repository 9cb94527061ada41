/*
 * The records of a tree: lookup, order, growth; and their way through an image.
 */
#include "model/model.h"

#include <errno.h>

#include "model/store.h"
#include "test/unit/model/all_types.pb-c.h"

#include "../image/fixture.h"

static const struct model_type inner = {
	.name = "inner", .scope = SCOPE_TASK, .desc = &test__inner__descriptor};
static const struct model_type all = {
	.name = "all", .scope = SCOPE_TREE, .desc = &test__all__descriptor};
static const struct model_type *const types[] = {&inner, &all, NULL};
static const struct model_type *const only_all[] = {&all, NULL};

static ProtobufCMessage *inner_new(uint64_t x)
{
	Test__Inner *msg = malloc(sizeof(*msg));

	cr_assert_not_null(msg);
	test__inner__init(msg);
	msg->x = x;
	return &msg->base;
}

static uint64_t x_of(const void *msg)
{
	return ((const Test__Inner *)msg)->x;
}

Test(model, an_empty_model)
{
	struct model m;
	size_t pos = 0;

	model_init(&m);
	cr_assert_null(model_get(&m, &inner, 0));
	cr_assert_null(model_next(&m, &inner, &pos));
	cr_assert_null(model_next(&m, &inner, &pos));
	model_done(&m);
}

Test(model, one_record_per_type_and_owner)
{
	struct model_type twin = inner;
	struct model m;

	model_init(&m);
	cr_assert_eq(model_add_take(&m, &inner, 5, inner_new(50)), 0);
	cr_assert_eq(model_add_take(&m, &twin, 5, inner_new(51)), 0);
	cr_assert_eq(model_add_take(&m, &inner, 5, inner_new(52)), -EEXIST);
	cr_assert_eq(m.n, 2);
	cr_assert_eq(x_of(model_get(&m, &inner, 5)), 50);
	cr_assert_eq(x_of(model_get(&m, &twin, 5)), 51);
	cr_assert_null(model_get(&m, &inner, 6));
	model_done(&m);
}

/* As many as 4000 threads with 20 records each have: found, in order, and quickly. */
Test(model, many_records, .timeout = 20)
{
	struct model_type many[20];
	const struct model_rec *rec;
	struct model m;

	model_init(&m);
	for (int t = 0; t < 20; t++)
		many[t] = inner;
	for (uint64_t owner = 0; owner < 4000; owner++) {
		for (uint64_t t = 0; t < 20; t++)
			cr_assert_eq(
				model_add_take(&m, &many[t], owner * 8, inner_new(owner * 100 + t)),
				0);
	}
	for (uint64_t t = 0; t < 20; t++) {
		size_t pos = 0;
		uint64_t n = 0;

		for (; (rec = model_next(&m, &many[t], &pos)); n++) {
			cr_assert_eq(rec->owner, n * 8);
			cr_assert_eq(x_of(rec->msg), n * 100 + t);
			cr_assert_eq(model_get(&m, &many[t], n * 8), rec->msg);
		}
		cr_assert_eq(n, 4000);
		cr_assert_null(model_get(&m, &many[t], 4));
	}
	model_done(&m);
}

/* ---- through an image ---- */

TestSuite(store, .init = fixture_init, .fini = fixture_done);

static void save(const struct model *m, const char *dir)
{
	struct image_writer *w = writer_open(&op, dir, false);

	cr_assert_eq(model_save(&op, m, w), 0);
	cr_assert_eq(commit_as(&op, w, TEST_CRID), 0);
}

static int load(const char *dir, const struct model_type *const *known, struct model *m)
{
	struct image *img = NULL;
	int r;

	model_init(m);
	cr_assert_eq(image_open(&op, dir, &img), 0, "%s", op.first.object);
	r = model_load(&op, img, known, m);
	image_close(img);
	return r;
}

Test(store, a_model_comes_back)
{
	struct model m, got;
	Test__All *msg = malloc(sizeof(*msg)), *back;

	model_init(&m);
	test__all__init(msg);
	msg->i32 = -5;
	msg->u64 = UINT64_MAX;
	msg->st = strdup("a string");
	msg->in = (Test__Inner *)inner_new(99);
	cr_assert_eq(model_add_take(&m, &inner, 7, inner_new(70)), 0);
	cr_assert_eq(model_add_take(&m, &all, 0, &msg->base), 0);
	cr_assert_eq(model_add_take(&m, &inner, UINT64_MAX, inner_new(0)), 0);
	save(&m, in(&s, "img"));
	model_done(&m);

	cr_assert_eq(load(in(&s, "img"), types, &got), 0, "%s", op.first.object);
	cr_assert_eq(got.n, 3);
	cr_assert_eq(got.recs[0].type, &inner);
	cr_assert_eq(got.recs[1].type, &all);
	cr_assert_eq(got.recs[2].owner, UINT64_MAX);
	cr_assert_eq(x_of(model_get(&got, &inner, 7)), 70);
	back = model_get(&got, &all, 0);
	cr_assert_eq(back->i32, -5);
	cr_assert_eq(back->u64, UINT64_MAX);
	cr_assert_str_eq(back->st, "a string");
	cr_assert_eq(back->in->x, 99);
	model_done(&got);
}

Test(store, an_unknown_resource_is_named)
{
	struct model m;

	model_init(&m);
	cr_assert_eq(model_add_take(&m, &inner, 7, inner_new(70)), 0);
	save(&m, in(&s, "img"));
	model_done(&m);
	cr_assert_lt(load(in(&s, "img"), only_all, &m), 0);
	failed_with(&op, CKPT_E_IMAGE,
		"the image holds a resource 'inner' that this build does not know");
	model_done(&m);
}

static void raw(const char *tag, const void *payload, size_t len, int times)
{
	struct image_writer *w = writer_open(&op, in(&s, "img"), false);

	for (int i = 0; i < times; i++)
		cr_assert_eq(image_add(&op, w, tag, 4, payload, len), 0);
	cr_assert_eq(commit_as(&op, w, TEST_CRID), 0);
}

Test(store, a_damaged_message_is_named)
{
	struct model m;

	raw("inner", "\x08", 1, 1); /* field 1 without its number */
	cr_assert_lt(load(in(&s, "img"), types, &m), 0);
	failed_with(&op, CKPT_E_IMAGE, "records: record 0 'inner' of 4: its fields are damaged");
	model_done(&m);
}

Test(store, an_unknown_field_is_refused)
{
	struct model m;

	raw("inner", "\x08\x01\x50\x02", 4, 1); /* field 10 */
	cr_assert_lt(load(in(&s, "img"), types, &m), 0);
	failed_with(&op, CKPT_E_IMAGE, "a field 10 of Inner that this build does not know");
	model_done(&m);
}

/* Found by fuzzing: protobuf-c takes a field of the number 0, which no message may have. */
Test(store, a_field_of_number_0_is_refused)
{
	struct model m;

	raw("inner", "\x80\x00\x67", 3, 1);
	cr_assert_lt(load(in(&s, "img"), types, &m), 0);
	failed_with(&op, CKPT_E_IMAGE, "a field 0 of Inner");
	model_done(&m);
}

Test(store, an_unknown_field_further_inside_is_refused)
{
	struct model m;

	/* Inner.deeper = { deeper = { field 11 = 2 } } */
	raw("inner", "\x1a\x04\x1a\x02\x58\x02", 6, 1);
	cr_assert_lt(load(in(&s, "img"), types, &m), 0);
	failed_with(&op, CKPT_E_IMAGE, "a field 11 of Inner");
	model_done(&m);
}

Test(store, a_record_twice_is_refused)
{
	struct model m;

	raw("inner", "\x08\x01", 2, 2);
	cr_assert_lt(load(in(&s, "img"), types, &m), 0);
	failed_with(&op, CKPT_E_IMAGE, "record 1 'inner' of 4: there are two of them");
	model_done(&m);
}
