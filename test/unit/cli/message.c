/*
 * message.c - errors as text and as JSON, sizes and times for people, the progress line.
 */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "util/clock.h"

static struct ckpt_error sample(void)
{
	return (struct ckpt_error){
		.kind = CKPT_E_SPACE,
		.err = ENOSPC,
		.object = strdup("/img/pages-0"),
		.call = strdup("write"),
		.advice = strdup("make room"),
		.target = CKPT_TARGET_RUNNING,
	};
}

Test(message, error_text)
{
	struct ckpt_error err = sample();
	char *text = ckpt_error_text(&err);

	cr_expect_str_eq(text, "/img/pages-0: write: No space left on device (the target goes on "
			       "running, unharmed); make room");
	free(text);
	ckpt_error_done(&err);
	err = (struct ckpt_error){.kind = CKPT_E_USAGE, .object = strdup("two\nlines\033[1m")};
	text = ckpt_error_text(&err);
	cr_expect_str_eq(text, "two?lines?[1m");
	free(text);
	ckpt_error_done(&err);
}

Test(message, every_kind_and_state_has_a_name)
{
	for (int k = CKPT_OK; k <= CKPT_E_PRIVILEGE; k++)
		cr_expect_str_neq(ckpt_kind_name((enum ckpt_kind)k), "unknown", "%d", k);
	for (int t = CKPT_TARGET_NONE; t <= CKPT_TARGET_GONE; t++)
		cr_expect_str_neq(ckpt_target_name((enum ckpt_target_state)t), "unknown", "%d", t);
	cr_expect_str_eq(ckpt_kind_name((enum ckpt_kind)99), "unknown");
}

/* What fail() leaves on a stream. */
static char *captured(FILE *f)
{
	static char buf[4096];
	size_t n = fread(buf, 1, sizeof(buf) - 1, f);

	buf[n] = '\0';
	return buf;
}

Test(message, error_goes_to_stderr_as_one_line, .init = cr_redirect_stderr)
{
	struct cli cli = {.log = stderr, .verb = verb_find("dump")};
	struct ckpt_error err = sample();

	cr_expect_eq(cli_fail(&cli, &err), CKPT_E_SPACE);
	fflush(stderr);
	cr_expect_str_eq(captured(cr_get_redirected_stderr()),
		"ckpt: /img/pages-0: write: No space left on device (the target goes on running, "
		"unharmed); make room\n");
}

Test(message, error_is_one_json_object_on_stdout, .init = cr_redirect_stdout)
{
	struct cli cli = {.log = stderr, .verb = verb_find("dump"), .front.json = true};
	struct ckpt_error err = sample();
	json_t *root, *e;

	cr_expect_eq(cli_fail(&cli, &err), CKPT_E_SPACE);
	fflush(stdout);
	root = json_loads(captured(cr_get_redirected_stdout()), 0, NULL);
	cr_assert(root);
	e = json_object_get(root, "error");
	cr_expect_str_eq(json_string_value(json_object_get(e, "kind")), "space");
	cr_expect_eq(json_integer_value(json_object_get(e, "errno")), ENOSPC);
	cr_expect_str_eq(json_string_value(json_object_get(e, "resource")), "/img/pages-0");
	cr_expect_str_eq(json_string_value(json_object_get(e, "syscall")), "write");
	cr_expect_str_eq(json_string_value(json_object_get(e, "hint")), "make room");
	cr_expect_str_eq(json_string_value(json_object_get(e, "target_state")), "running");
	json_decref(root);
}

Test(message, json_text_takes_any_bytes)
{
	json_t *s = json_text("a\xff"
			      "b");

	cr_expect_str_eq(json_string_value(s), "a\\xffb");
	json_decref(s);
	s = json_text("h\xc3\xa4");
	cr_expect_str_eq(json_string_value(s), "h\xc3\xa4");
	json_decref(s);
	cr_expect(json_is_null(json_text(NULL)));
}

Test(message, crids_are_not_rounded)
{
	json_t *crid = json_crid(9007199254740993); /* 2^53 + 1 is no double */

	cr_expect_str_eq(json_string_value(crid), "9007199254740993");
	json_decref(crid);
}

Test(message, progress_waits_and_is_rate_limited, .init = cr_redirect_stderr)
{
	struct cli cli = {.log = stderr, .started_ns = now_ns()};

	cli_progress(&cli, "pages", 1, 4);
	cr_expect(!cli.progress_shown, "a short run shows nothing");
	cli.started_ns -= 1000000000;
	cli_progress(&cli, "pages", 1 << 20, 4 << 20);
	cr_expect(cli.progress_shown);
	cli_progress(&cli, "pages", 2 << 20, 4 << 20);
	cli_progress_erase(&cli);
	cr_expect(!cli.progress_shown);
	cli_progress_erase(&cli);
	fflush(stderr);
	cr_expect_str_eq(captured(cr_get_redirected_stderr()),
		"\rckpt: pages 1.0 MiB of 4.0 MiB (25%)\033[K\r\033[K");
}

Test(message, log_lines_take_the_progress_away, .init = cr_redirect_stderr)
{
	struct cli cli = {.log = stderr, .progress_shown = true};

	cli_log(&cli, CKPT_LOG_WARN, "something");
	cli_log(&cli, CKPT_LOG_INFO, "else");
	fflush(stderr);
	cr_expect_str_eq(captured(cr_get_redirected_stderr()),
		"\r\033[Kckpt: warning: something\nckpt: else\n");
}
