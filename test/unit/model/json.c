/*
 * Any message as JSON, field type by field type.
 */
#include "model/dump_json.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "test/unit/model/all_types.pb-c.h"
#include "test/unit/model/labels.pb-c.h"

static json_t *field(const void *msg, const char *name)
{
	static json_t *obj;

	json_decref(obj);
	obj = json_of_msg(msg);
	cr_assert_not_null(obj);
	return json_object_get(obj, name);
}

static void expect(const void *msg, const char *name, const char *want)
{
	json_t *v = field(msg, name);
	char *text = v ? json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS) : NULL;

	cr_assert_not_null(text, "%s is not there", name);
	cr_assert_str_eq(text, want);
	free(text);
}

/* Of a secret only its length is told. */
Test(json, secrets)
{
	Test__All a = TEST__ALL__INIT;

	a.secret = (ProtobufCBinaryData){3, (uint8_t *)"key"};
	expect(&a, "secret", "{\"bytes\":3}");
}

Test(json, scalars)
{
	Test__All a = TEST__ALL__INIT;

	a.i32 = -1;
	a.sf64 = INT64_MIN;
	a.u32 = UINT32_MAX;
	a.u64 = INT64_MAX;
	a.f64 = (uint64_t)INT64_MAX + 1;
	a.bo = 1;
	a.en = TEST__COLOR__BLUE;
	a.db = 0.5;
	expect(&a, "i32", "-1");
	expect(&a, "sf64", "-9223372036854775808");
	expect(&a, "u32", "4294967295");
	expect(&a, "u64", "9223372036854775807");
	expect(&a, "f64", "\"9223372036854775808\"");
	expect(&a, "bo", "true");
	expect(&a, "en", "\"BLUE\"");
	expect(&a, "db", "0.5");
	expect(&a, "fl", "0.0");
	expect(&a, "st", "\"\"");
	a.en = (Test__Color)5;
	expect(&a, "en", "5");
	a.db = NAN;
	expect(&a, "db", "\"nan\"");
}

Test(json, text_that_is_not_utf8)
{
	Test__All a = TEST__ALL__INIT;

	a.st = "gr\xc3\xbc\xc3\x9f";
	expect(&a, "st", "\"gr\xc3\xbc\xc3\x9f\"");
	a.st = "/tmp/\xff.txt";
	expect(&a, "st", "\"/tmp/\\\\xff.txt\"");
}

Test(json, bytes_short_and_long)
{
	Test__All a = TEST__ALL__INIT;
	uint8_t data[65] = {0x01, 0xab};
	char want[140];

	a.by = (ProtobufCBinaryData){0, NULL};
	expect(&a, "by", "\"\"");
	a.by = (ProtobufCBinaryData){2, data};
	expect(&a, "by", "\"01ab\"");
	a.by.len = 64;
	snprintf(want, sizeof(want), "\"01ab%0124d\"", 0);
	expect(&a, "by", want);
	a.by.len = 65;
	snprintf(want, sizeof(want), "{\"bytes\":65,\"xxh3\":\"%016" PRIx64 "\"}",
		(uint64_t)XXH3_64bits(data, 65));
	expect(&a, "by", want);
}

Test(json, lists_messages_and_choices)
{
	Test__All a = TEST__ALL__INIT;
	Test__Inner in = TEST__INNER__INIT, *ptrs[] = {&in, &in};
	uint64_t numbers[] = {1, UINT64_MAX};

	expect(&a, "r_in", "[]");
	cr_assert_null(field(&a, "in"));
	cr_assert_null(field(&a, "o_u32"));
	a.n_r_u64 = 2, a.r_u64 = numbers;
	a.n_r_in = 2, a.r_in = ptrs;
	in.x = 4;
	a.one_case = TEST__ALL__ONE_O_U32;
	expect(&a, "r_u64", "[1,\"18446744073709551615\"]");
	expect(&a, "r_in",
		"[{\"deeper\":[],\"s\":\"\",\"x\":4},{\"deeper\":[],\"s\":\"\",\"x\":4}]");
	expect(&a, "o_u32", "0");
	cr_assert_null(field(&a, "o_st"));
}

Test(json, optional_fields_that_are_absent)
{
	Test__Labels a = TEST__LABELS__INIT;

	expect(&a, "req", "0");
	cr_assert_null(field(&a, "opt_u32"));
	cr_assert_null(field(&a, "opt_st"));
	a.has_opt_u32 = 1;
	a.opt_st = "";
	expect(&a, "opt_u32", "0");
	expect(&a, "opt_st", "\"\"");
}

Test(json, a_model)
{
	static const struct model_type inner = {.name = "inner", .desc = &test__inner__descriptor};
	Test__Inner *msg = malloc(sizeof(*msg));
	struct model m;
	json_t *j;
	char *text;

	model_init(&m);
	test__inner__init(msg);
	msg->x = 3;
	cr_assert_eq(model_add_take(&m, &inner, 12, &msg->base), 0);
	j = json_of_model(&m);
	text = json_dumps(j, JSON_COMPACT | JSON_SORT_KEYS);
	cr_assert_str_eq(text, "[{\"owner\":12,\"resource\":\"inner\",\"value\":"
			       "{\"deeper\":[],\"s\":\"\",\"x\":3}}]");
	free(text);
	json_decref(j);
	model_done(&m);
}
