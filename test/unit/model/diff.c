/*
 * Differences of two models, field type by field type.
 */
#include "model/diff.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "test/unit/model/all_types.pb-c.h"
#include "test/unit/model/labels.pb-c.h"
#include "util/str.h"

static const char *const volatile_names[] = {"i64", "r_in.s", NULL};
static const struct model_type all = {.name = "all", .desc = &test__all__descriptor};
static const struct model_type some = {
	.name = "some", .desc = &test__all__descriptor, .volatile_fields = volatile_names};
static const struct model_type labels = {.name = "labels", .desc = &test__labels__descriptor};

static void collect(void *arg, const struct diff_item *item)
{
	struct strbuf *sb = arg;
	char *text = diff_text(item);

	strbuf_add(sb, text);
	strbuf_addc(sb, '\n');
	free(text);
}

/* A message of the caller's into a model of its own; by its packed form, since a model owns. */
static void put(struct model *m, const struct model_type *type, const void *msg)
{
	size_t len = protobuf_c_message_get_packed_size(msg);
	uint8_t *buf = malloc(len + 1);

	model_init(m);
	cr_assert_not_null(buf);
	protobuf_c_message_pack(msg, buf);
	cr_assert_eq(
		model_add_take(m, type, 3, protobuf_c_message_unpack(type->desc, NULL, len, buf)),
		0);
	free(buf);
}

static void expect(const struct model_type *type, const void *a, const void *b, const char *want)
{
	_cleanup_strbuf_ struct strbuf sb = {};
	struct model ma, mb;
	size_t n = 99, lines = 0;

	put(&ma, type, a);
	put(&mb, type, b);
	cr_assert_eq(diff_models(&ma, &mb, collect, &sb, &n), 0);
	for (const char *p = want; *p; p++)
		lines += *p == '\n';
	cr_assert_str_eq(sb.s ? sb.s : "", want);
	cr_assert_eq(n, lines);
	/* A model never differs from itself. */
	cr_assert_eq(diff_models(&ma, &ma, collect, &sb, &n), 0);
	cr_assert_eq(n, 0);
	model_done(&ma);
	model_done(&mb);
}

Test(diff, numbers)
{
	Test__All a = TEST__ALL__INIT, b = TEST__ALL__INIT;

	a.i32 = 1, b.i32 = -1;
	a.s32 = 2, b.s32 = INT32_MIN;
	a.sf32 = 3, b.sf32 = -3;
	a.u32 = 4, b.u32 = UINT32_MAX;
	a.f32 = 5, b.f32 = 6;
	a.i64 = 7, b.i64 = INT64_MIN;
	a.s64 = -8, b.s64 = 8;
	a.sf64 = 9, b.sf64 = -9;
	a.u64 = 0xffffffff, b.u64 = 0x7f0012345000;
	a.f64 = 0, b.f64 = UINT64_MAX;
	expect(&all, &a, &b,
		"all 3 i32: 1 -> -1\n"
		"all 3 s32: 2 -> -2147483648\n"
		"all 3 sf32: 3 -> -3\n"
		"all 3 u32: 4 -> 4294967295\n"
		"all 3 f32: 5 -> 6\n"
		"all 3 i64: 7 -> -9223372036854775808\n"
		"all 3 s64: -8 -> 8\n"
		"all 3 sf64: 9 -> -9\n"
		"all 3 u64: 4294967295 -> 0x7f0012345000\n"
		"all 3 f64: 0 -> 0xffffffffffffffff\n");
}

Test(diff, other_scalars)
{
	Test__All a = TEST__ALL__INIT, b = TEST__ALL__INIT;

	a.fl = 0.5F, b.fl = 0.25F;
	a.db = 1, b.db = -1.5;
	b.bo = 1;
	a.en = TEST__COLOR__RED, b.en = TEST__COLOR__BLUE;
	a.st = "x\n\"", b.st = "";
	expect(&all, &a, &b,
		"all 3 fl: 0.5 -> 0.25\n"
		"all 3 db: 1 -> -1.5\n"
		"all 3 bo: false -> true\n"
		"all 3 en: RED -> BLUE\n"
		"all 3 st: \"x\\x0a\\x22\" -> \"\"\n");
}

Test(diff, unknown_enum_value)
{
	Test__All a = TEST__ALL__INIT, b = TEST__ALL__INIT;

	b.en = (Test__Color)5;
	expect(&all, &a, &b, "all 3 en: NONE -> 5\n");
}

Test(diff, bytes)
{
	Test__All a = TEST__ALL__INIT, b = TEST__ALL__INIT;
	uint8_t x[100] = {}, y[100] = {};

	a.by = (ProtobufCBinaryData){2, (uint8_t *)"\x01\xff"};
	expect(&all, &a, &b, "all 3 by: 01ff -> empty\n");
	b.by = (ProtobufCBinaryData){2, (uint8_t *)"\x01\xfe"};
	expect(&all, &a, &b, "all 3 by: 01ff -> 01fe\n");
	y[95] = 1;
	a.by = (ProtobufCBinaryData){100, x};
	b.by = (ProtobufCBinaryData){100, y};
	expect(&all, &a, &b, "all 3 by@0x5f: 0000000000 -> 0100000000\n");
	b.by.len = 1;
	expect(&all, &a, &b, "all 3 by: 100 bytes 00000000000000000000000000000000... -> 00\n");
}

/* Of a secret only its length is told. */
Test(diff, secrets)
{
	Test__All a = TEST__ALL__INIT, b = TEST__ALL__INIT;
	uint8_t x[40] = {}, y[40] = {1};

	a.secret = b.secret = (ProtobufCBinaryData){40, x};
	expect(&all, &a, &b, "");
	b.secret.data = y;
	expect(&all, &a, &b, "all 3 secret: 40 secret bytes -> 40 other secret bytes\n");
	b.secret.len = 3;
	expect(&all, &a, &b, "all 3 secret: 40 secret bytes -> 3 other secret bytes\n");
}

Test(diff, messages_come_and_go)
{
	Test__All a = TEST__ALL__INIT, b = TEST__ALL__INIT;
	Test__Inner in = TEST__INNER__INIT, other = TEST__INNER__INIT;

	a.in = &in;
	expect(&all, &a, &b, "all 3 in: {...} -> absent\n");
	expect(&all, &b, &a, "all 3 in: absent -> {...}\n");
	other.x = 9;
	b.in = &other;
	expect(&all, &a, &b, "all 3 in.x: 0 -> 9\n");
}

Test(diff, repeated_by_index)
{
	Test__All a = TEST__ALL__INIT, b = TEST__ALL__INIT;
	uint64_t na[] = {1, 2, 3}, nb[] = {1, 5};
	char *sa[] = {"a"}, *sb[] = {"b", "c"};
	ProtobufCBinaryData ba[] = {{1, (uint8_t *)"\x10"}}, bb[] = {{1, (uint8_t *)"\x11"}};
	Test__Color ca[] = {TEST__COLOR__RED}, cb[] = {TEST__COLOR__NONE};
	protobuf_c_boolean ta[] = {1, 0}, tb[] = {1, 1};
	double da[] = {1}, db[] = {2};

	a.n_r_u64 = 3, a.r_u64 = na, b.n_r_u64 = 2, b.r_u64 = nb;
	a.n_r_st = 1, a.r_st = sa, b.n_r_st = 2, b.r_st = sb;
	a.n_r_by = 1, a.r_by = ba, b.n_r_by = 1, b.r_by = bb;
	a.n_r_en = 1, a.r_en = ca, b.n_r_en = 1, b.r_en = cb;
	a.n_r_bo = 2, a.r_bo = ta, b.n_r_bo = 2, b.r_bo = tb;
	a.n_r_db = 1, a.r_db = da, b.n_r_db = 1, b.r_db = db;
	expect(&all, &a, &b,
		"all 3 r_u64[1]: 2 -> 5\n"
		"all 3 r_u64[2]: 3 -> absent\n"
		"all 3 r_st[0]: \"a\" -> \"b\"\n"
		"all 3 r_st[1]: absent -> \"c\"\n"
		"all 3 r_by[0]: 10 -> 11\n"
		"all 3 r_en[0]: RED -> NONE\n"
		"all 3 r_bo[1]: false -> true\n"
		"all 3 r_db[0]: 1 -> 2\n");
}

Test(diff, repeated_messages_nest)
{
	Test__All a = TEST__ALL__INIT, b = TEST__ALL__INIT;
	Test__Inner leaf[2] = {TEST__INNER__INIT, TEST__INNER__INIT};
	Test__Inner mid[2] = {TEST__INNER__INIT, TEST__INNER__INIT};
	Test__Inner *leaves[] = {&leaf[0], &leaf[1]}, *mids[] = {&mid[0], &mid[1]};

	leaf[1].s = "z";
	for (int i = 0; i < 2; i++)
		mid[i].n_deeper = 1;
	mid[0].deeper = &leaves[0];
	mid[1].deeper = &leaves[1];
	a.n_r_in = 1, a.r_in = &mids[0];
	b.n_r_in = 1, b.r_in = &mids[1];
	expect(&all, &a, &b, "all 3 r_in[0].deeper[0].s: \"\" -> \"z\"\n");
}

Test(diff, oneof)
{
	Test__All a = TEST__ALL__INIT, b = TEST__ALL__INIT;
	Test__Inner in = TEST__INNER__INIT;

	a.one_case = TEST__ALL__ONE_O_U32;
	expect(&all, &a, &b, "all 3 o_u32: 0 -> absent\n");
	b.one_case = TEST__ALL__ONE_O_ST;
	b.o_st = "s";
	expect(&all, &a, &b, "all 3 o_u32: 0 -> absent\nall 3 o_st: absent -> \"s\"\n");
	a.one_case = TEST__ALL__ONE_O_IN;
	a.o_in = &in;
	expect(&all, &a, &b, "all 3 o_st: absent -> \"s\"\nall 3 o_in: {...} -> absent\n");
	b.one_case = TEST__ALL__ONE_O_BY;
	b.o_by = (ProtobufCBinaryData){1, (uint8_t *)"\x07"};
	expect(&all, &a, &b, "all 3 o_in: {...} -> absent\nall 3 o_by: absent -> 07\n");
}

Test(diff, labels_of_proto2)
{
	Test__Labels a = TEST__LABELS__INIT, b = TEST__LABELS__INIT, c = TEST__LABELS__INIT;

	a.req = 1, b.req = 2;
	b.has_opt_u32 = 1;
	b.opt_st = "s";
	b.has_opt_by = 1;
	b.def_st = "mine";
	b.opt_in = &c;
	expect(&labels, &a, &b,
		"labels 3 req: 1 -> 2\n"
		"labels 3 opt_u32: absent -> 0\n"
		"labels 3 opt_st: absent -> \"s\"\n"
		"labels 3 opt_by: absent -> empty\n"
		"labels 3 def_st: absent -> \"mine\"\n"
		"labels 3 opt_in: absent -> {...}\n");
}

Test(diff, volatile_fields_are_passed_over)
{
	Test__All a = TEST__ALL__INIT, b = TEST__ALL__INIT;
	Test__Inner ia = TEST__INNER__INIT, ib = TEST__INNER__INIT, *pa = &ia, *pb = &ib;

	a.i64 = 1;
	ib.s = "volatile";
	ib.x = 2;
	a.n_r_in = 1, a.r_in = &pa;
	b.n_r_in = 1, b.r_in = &pb;
	expect(&some, &a, &b, "some 3 r_in[0].x: 0 -> 2\n");
}

Test(diff, whole_records)
{
	Test__All msg = TEST__ALL__INIT;
	_cleanup_strbuf_ struct strbuf sb = {};
	struct model a, b;
	size_t n;

	put(&a, &all, &msg);
	put(&b, &some, &msg);
	cr_assert_eq(diff_models(&a, &b, collect, &sb, &n), 0);
	cr_assert_eq(n, 2);
	cr_assert_str_eq(sb.s, "all 3: {...} -> absent\nsome 3: absent -> {...}\n");
	model_done(&a);
	model_done(&b);
}
