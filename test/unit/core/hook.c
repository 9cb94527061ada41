/*
 * hook.c - which values name which hook at which point.
 */
#include "core/hook.h"

#include <criterion/criterion.h>

Test(hook, values_of_a_dump)
{
	cr_expect_null(hook_dump_wrong("/usr/bin/true"));
	cr_expect_null(hook_dump_wrong("relative"));
	cr_expect_null(hook_dump_wrong("./odd=name"));
	cr_expect_null(hook_dump_wrong("before-dump=/x"));
	cr_expect_null(hook_dump_wrong("dump-stopped=x=y"));
	cr_expect_null(hook_dump_wrong("after-dump=/x"));
	cr_expect_not_null(hook_dump_wrong("after-dump="));
	cr_expect_not_null(hook_dump_wrong(""));
	cr_expect_not_null(hook_dump_wrong("after-dmp=/x"));
	cr_expect_not_null(hook_dump_wrong("after-restore=/x"));
	cr_expect_not_null(hook_dump_wrong("after=/x"));
}

Test(hook, values_of_a_restore_and_of_both)
{
	cr_expect_null(hook_restore_wrong("restore-stopped=/x"));
	cr_expect_not_null(hook_restore_wrong("before-dump=/x"));
	cr_expect_null(hook_any_wrong("before-restore=/x"));
	cr_expect_null(hook_any_wrong("dump-stopped=/x"));
	cr_expect_not_null(hook_any_wrong("stopped=/x"));
}

Test(hook, the_file_in_a_value)
{
	cr_expect_str_eq(hook_file("/x"), "/x");
	cr_expect_str_eq(hook_file("before-dump=/x=y"), "/x=y");
	cr_expect_str_eq(hook_file("./before-dump=/x"), "./before-dump=/x");
}

static char logged[256];

static void remember(void *arg, enum ckpt_log_level level, const char *line)
{
	snprintf(logged, sizeof(logged), "%d %s", level, line);
}

Test(hook, a_failure_is_the_error_and_at_the_last_point_a_warning)
{
	static const char *const v[] = {"/bin/false", NULL};
	struct ckpt_common common = {.log_level = CKPT_LOG_WARN, .log = remember};
	struct ckpt_error err = {};
	struct ckpt_op op;
	struct hooks h = {.op = &op, .v = v, .dir = "/d"};

	op_init(&op, &common);
	hooks_after(&h, HOOK_AFTER_DUMP, CKPT_TARGET_GONE);
	cr_expect_not(op.failed);
	cr_expect_str_eq(logged, "1 hook /bin/false at after-dump: exit status 1");
	cr_expect_lt(hooks_call(&h, HOOK_DUMP_STOPPED), 0);
	op_done(&op, &err);
	cr_expect_eq(err.kind, CKPT_E_REFUSED);
	cr_expect_str_eq(err.object, "hook /bin/false at dump-stopped: exit status 1");
	ckpt_error_done(&err);
}

static bool at_once(void *arg)
{
	return true;
}

Test(hook, a_cancelled_operation_does_not_wait_for_it, .timeout = 20)
{
	static const char *const v[] = {"/bin/cat", NULL}; /* ends by itself: its input does */
	struct ckpt_common common = {.cancelled = at_once};
	struct ckpt_error err = {};
	struct ckpt_op op;
	struct hooks h = {.op = &op, .v = v, .dir = "/d"};

	op_init(&op, &common);
	hooks_call(&h, HOOK_DUMP_STOPPED);
	op_done(&op, &err);
	cr_expect(err.kind == CKPT_E_CANCELLED || err.kind == CKPT_OK);
	ckpt_error_done(&err);
}
