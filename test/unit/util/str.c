/*
 * The growing string and the scanners of kernel text.
 */
#include "util/str.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

Test(str, strbuf_builds_long_text)
{
	_cleanup_strbuf_ struct strbuf sb = {};
	char *s = NULL;
	size_t i;

	cr_assert_eq(strbuf_add(&sb, "ab"), 0);
	cr_assert_eq(strbuf_addc(&sb, 'c'), 0);
	cr_assert_eq(strbuf_addf(&sb, "%d-%0300d", 7, 1), 0);
	cr_assert_eq(sb.len, 3 + 2 + 300);
	cr_assert_eq(strbuf_take(&sb, &s), 0);
	cr_assert_eq(strncmp(s, "abc7-000", 8), 0);
	for (i = 5; i < 304; i++)
		cr_assert_eq(s[i], '0');
	cr_assert_str_eq(s + 304, "1");
	cr_assert_null(sb.s);
	cr_assert_eq(sb.len, 0);
	free(s);
}

Test(str, strbuf_take_of_nothing_is_empty_string)
{
	struct strbuf sb = {};
	char *s = NULL;

	cr_assert_eq(strbuf_take(&sb, &s), 0);
	cr_assert_str_eq(s, "");
	free(s);
}

Test(str, strbuf_error_sticks)
{
	struct strbuf sb = {.err = -ENOMEM};
	char untouched, *s = &untouched;

	cr_assert_eq(strbuf_add(&sb, "x"), -ENOMEM);
	cr_assert_eq(strbuf_addf(&sb, "%d", 1), -ENOMEM);
	cr_assert_eq(sb.len, 0);
	cr_assert_eq(strbuf_take(&sb, &s), -ENOMEM);
	cr_assert_eq(s, &untouched);
}

Test(str, strbuf_refuses_overflowing_length)
{
	struct strbuf sb = {};

	cr_assert_eq(strbuf_addn(&sb, "x", SIZE_MAX), -ENOMEM);
	cr_assert_eq(strbuf_add(&sb, "x"), -ENOMEM);
	strbuf_done(&sb);
}

Test(str, u64_bases_and_cursor)
{
	const char *p = "7ffe1234abCD-";
	uint64_t v = 1;

	cr_assert_eq(str_u64(&p, 16, &v), 0);
	cr_assert_eq(v, 0x7ffe1234abcdULL);
	cr_assert_str_eq(p, "-");
	p = "0178";
	cr_assert_eq(str_u64(&p, 8, &v), 0);
	cr_assert_eq(v, 15);
	cr_assert_str_eq(p, "8");
	p = "18446744073709551615 ";
	cr_assert_eq(str_u64(&p, 10, &v), 0);
	cr_assert_eq(v, UINT64_MAX);
}

Test(str, u64_failures_move_nothing)
{
	const char *const over = "18446744073709551616", *const hex = "10000000000000000";
	const char *p = over;
	uint64_t v = 5;

	cr_assert_eq(str_u64(&p, 10, &v), -ERANGE);
	cr_assert_eq(p, over);
	p = hex;
	cr_assert_eq(str_u64(&p, 16, &v), -ERANGE);
	p = "";
	cr_assert_eq(str_u64(&p, 10, &v), -EINVAL);
	p = " 1";
	cr_assert_eq(str_u64(&p, 10, &v), -EINVAL);
	p = "a";
	cr_assert_eq(str_u64(&p, 10, &v), -EINVAL);
	cr_assert_eq(v, 5);
}

Test(str, s64_limits)
{
	const char *p = "-9223372036854775808x";
	int64_t v;

	cr_assert_eq(str_s64(&p, &v), 0);
	cr_assert_eq(v, INT64_MIN);
	cr_assert_str_eq(p, "x");
	p = "9223372036854775807";
	cr_assert_eq(str_s64(&p, &v), 0);
	cr_assert_eq(v, INT64_MAX);
	p = "9223372036854775808";
	cr_assert_eq(str_s64(&p, &v), -ERANGE);
	p = "-";
	cr_assert_eq(str_s64(&p, &v), -EINVAL);
	p = "-0";
	cr_assert_eq(str_s64(&p, &v), 0);
	cr_assert_eq(v, 0);
}

Test(str, narrow_limits)
{
	const char *p = "ffffffff";
	uint32_t u;
	int i;

	cr_assert_eq(str_u32(&p, 16, &u), 0);
	cr_assert_eq(u, UINT32_MAX);
	p = "100000000";
	cr_assert_eq(str_u32(&p, 16, &u), -ERANGE);
	p = "-2147483648";
	cr_assert_eq(str_int(&p, &i), 0);
	cr_assert_eq(i, INT32_MIN);
	p = "2147483648";
	cr_assert_eq(str_int(&p, &i), -ERANGE);
}

Test(str, unescape_octal_only)
{
	char a[] = "/a\\040b\\012c\\134d";
	char b[] = "\\x40\\1\\12\\489\\";
	char c[] = "plain";

	cr_assert_eq(str_unescape(a, " \n\\"), 8);
	cr_assert_str_eq(a, "/a b\nc\\d");
	cr_assert_eq(str_unescape(b, " \n\\"), 14);
	cr_assert_str_eq(b, "\\x40\\1\\12\\489\\");
	cr_assert_eq(str_unescape(c, " \n\\"), 5);
}

Test(str, unescape_only_what_was_escaped)
{
	char a[] = "\\040\\012\\134\\000";

	cr_assert_eq(str_unescape(a, "\n"), 13);
	cr_assert_str_eq(a, "\\040\n\\134\\000");
}

Test(str, startswith_gives_the_rest)
{
	cr_assert_str_eq(str_startswith("memfd:x", "memfd:"), "x");
	cr_assert_null(str_startswith("mem", "memfd:"));
}

Test(str, skip_line_stops_at_the_end)
{
	const char *p = "a\nb";

	str_skip_line(&p);
	cr_assert_str_eq(p, "b");
	str_skip_line(&p);
	cr_assert_str_eq(p, "");
	str_skip_line(&p);
	cr_assert_str_eq(p, "");
}

Test(str, put_stays_on_its_line)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	str_put(f, "a\nb\033[2J\177\xc3\xa9\t");
	str_put(f, NULL);
	fclose(f);
	cr_expect_str_eq(text, "a?b?[2J?\xc3\xa9?");
	free(text);
}
