/*
 * What a stage says of itself.
 */
#include "core/stage.h"

#include <criterion/criterion.h>
#include <string.h>

static char said[1024];

static void remember(void *arg, enum ckpt_log_level level, const char *line)
{
	cr_assert_eq(level, CKPT_LOG_INFO);
	snprintf(said, sizeof(said), "%s", line);
}

static struct ckpt_op begin(enum ckpt_log_level level)
{
	struct ckpt_common common = {.log_level = level, .log = remember};
	struct ckpt_op op;

	said[0] = 0;
	op_init(&op, &common);
	return op;
}

Test(stage, says_what_it_did_and_how_long)
{
	struct ckpt_op op = begin(CKPT_LOG_INFO);
	struct stage s = stage_begin(&op, "seize", 7);

	stage_say(&s, "%d threads", 3);
	stage_say(&s, "%d threads stopped", 4);
	cr_assert_eq(stage_end(&s, 0), 0);
	cr_assert_eq(strncmp(said, "seize: 4 threads stopped (", 26), 0, "%s", said);
	cr_assert_eq(said[strlen(said) - 1], ')');
	s = stage_begin(&op, "open", 7);
	stage_end(&s, 0);
	cr_assert_eq(strncmp(said, "open: (", 7), 0, "%s", said);
	op_done(&op, NULL);
}

Test(stage, a_failed_one_says_nothing)
{
	struct ckpt_op op = begin(CKPT_LOG_INFO);
	struct stage s = stage_begin(&op, "seize", 7);

	stage_say(&s, "text");
	cr_assert_eq(stage_end(&s, -5), -5);
	cr_assert_str_eq(said, "");
	op_done(&op, NULL);
}

Test(stage, says_nothing_below_its_level)
{
	struct ckpt_op op = begin(CKPT_LOG_WARN);
	struct stage s = stage_begin(&op, "seize", 7);

	stage_end(&s, 0);
	cr_assert_str_eq(said, "");
	op_done(&op, NULL);
}

Test(stage, a_long_text_is_cut)
{
	struct ckpt_op op = begin(CKPT_LOG_INFO);
	struct stage s = stage_begin(&op, "seize", 7);

	stage_say(&s, "%0500d", 1);
	stage_end(&s, 0);
	cr_assert_eq(strncmp(said, "seize: 0000", 11), 0);
	cr_assert_lt(strlen(said), 300);
	op_done(&op, NULL);
}
