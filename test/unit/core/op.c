/*
 * Operations: the first error, its text, the log, fault points, the trace.
 */
#include "core/op.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/fault.h"
#include "core/trace.h"
#include "util/str.h"

static void text_is(const struct ckpt_error *e, const char *want)
{
	char *text = ckpt_error_text(e);

	cr_assert_str_eq(text, want);
	free(text);
}

Test(op, the_first_error_wins)
{
	struct ckpt_error err;
	struct ckpt_op op;

	op_init(&op, NULL);
	cr_assert_eq(
		op_fail(&op, CKPT_E_TARGET, ESRCH, "ptrace", "look again", "pid %d", 12), -ESRCH);
	cr_assert_eq(op_fail(&op, CKPT_E_SPACE, ENOSPC, NULL, NULL, "other"), -ENOSPC);
	cr_assert_eq(op_fail(&op, CKPT_E_SPACE, 0, NULL, NULL, "other"), -EINVAL);
	op_target(&op, CKPT_TARGET_STOPPED);
	op_target(&op, CKPT_TARGET_GONE);
	op_done(&op, &err);
	cr_assert_eq(err.kind, CKPT_E_TARGET);
	cr_assert_eq(err.err, ESRCH);
	cr_assert_str_eq(err.object, "pid 12");
	cr_assert_str_eq(err.call, "ptrace");
	cr_assert_str_eq(err.advice, "look again");
	cr_assert_eq(err.target, CKPT_TARGET_GONE);
	text_is(&err, "pid 12: ptrace: No such process (the target is gone); look again");
	ckpt_error_done(&err);
	ckpt_error_done(&err);
	ckpt_error_done(NULL);
}

Test(op, an_operation_that_succeeds_has_no_error)
{
	struct ckpt_error err;
	struct ckpt_op op;

	op_init(&op, NULL);
	op_done(&op, &err);
	cr_assert_eq(err.kind, CKPT_OK);
	cr_assert_null(err.object);
}

Test(op, an_error_is_one_line)
{
	struct ckpt_error e = {.object = "a file\nname", .err = 0};

	text_is(&e, "a file?name");
	e.object = NULL;
	text_is(&e, "failed");
}

Test(op, errno_says_kind_and_advice)
{
	static const struct {
		int err;
		enum ckpt_kind kind;
		const char *advice;
	} rows[] = {
		{ENOSPC, CKPT_E_SPACE, "free some space"},
		{EACCES, CKPT_E_PRIVILEGE, "root"},
		{EROFS, CKPT_E_SYSTEM, "read-only"},
		{ENOTDIR, CKPT_E_USAGE, "not a directory"},
		{EIO, CKPT_E_SYSTEM, NULL},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct ckpt_op op;

		op_init(&op, NULL);
		cr_assert_eq(op_fail_errno(&op, rows[i].err, "open", "x"), -rows[i].err);
		cr_assert_eq(op.first.kind, rows[i].kind);
		cr_assert_eq(!op.first.advice, !rows[i].advice);
		if (rows[i].advice)
			cr_assert_not_null(strstr(op.first.advice, rows[i].advice));
		op_done(&op, NULL);
	}
}

static void *fail_often(void *arg)
{
	for (int i = 0; i < 2000; i++)
		op_fail(arg, CKPT_E_SYSTEM, EIO, "write", NULL, "worker %d", i);
	return NULL;
}

Test(op, workers_may_fail_together)
{
	pthread_t t[4];
	struct ckpt_op op;

	op_init(&op, NULL);
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, fail_often, &op);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	cr_assert_eq(op.first.err, EIO);
	cr_assert_str_eq(op.first.object, "worker 0");
	op_done(&op, NULL);
}

static void remember(void *arg, enum ckpt_log_level level, const char *line)
{
	strbuf_addf(arg, "%d %s;", level, line);
}

Test(op, the_log_has_a_level)
{
	_cleanup_strbuf_ struct strbuf sb = {};
	struct ckpt_common common = {.log = remember, .log_arg = &sb};
	struct ckpt_op op;

	common.log_level = CKPT_LOG_INFO;
	op_init(&op, &common);
	op_debug(&op, "no");
	op_info(&op, "i%d", 1);
	op_warn(&op, "w");
	op_log(&op, CKPT_LOG_ERROR, "e");
	cr_assert_str_eq(sb.s, "2 i1;1 w;0 e;");
	op_done(&op, NULL);
	strbuf_done(&sb);
	common.log_level = CKPT_LOG_DEBUG;
	op_init(&op, &common);
	op_fail(&op, CKPT_E_SYSTEM, 0, NULL, NULL, "first");
	op_fail(&op, CKPT_E_SYSTEM, 0, NULL, NULL, "second");
	cr_assert_str_eq(sb.s, "3 after the first error: second;");
	op_done(&op, NULL);
}

/* ---- fault points ---- */

Test(fault, a_point_fails_where_the_test_asks)
{
	struct ckpt_op op;

	op_init(&op, NULL);
	unsetenv("CKPT_FAULT");
	cr_assert_eq(fault_point(&op, "dump.seize"), 0);
	setenv("CKPT_FAULT", "dump.pages", 1);
	cr_assert_eq(fault_point(&op, "dump.seize"), 0);
	cr_assert_not(op.failed);
	cr_assert_eq(fault_point(&op, "dump.pages"), -EIO);
	cr_assert(op.failed);
	op_done(&op, NULL);
}

Test(fault, a_point_outside_of_the_table_always_fails)
{
	struct ckpt_op op;

	op_init(&op, NULL);
	setenv("CKPT_FAULT", "dump.pages", 1);
	cr_assert_lt(fault_point(&op, "dump.pagez"), 0);
	op_done(&op, NULL);
}

Test(fault, a_point_kills)
{
	struct ckpt_op op;
	int status;
	pid_t pid;

	op_init(&op, NULL);
	setenv("CKPT_FAULT", "dump.kill:kill", 1);
	pid = fork();
	if (!pid)
		_exit(fault_point(&op, "dump.kill") ? 1 : 2);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	op_done(&op, NULL);
}

Test(fault, the_table_has_no_name_twice)
{
	const char *const *names = fault_names();

	cr_assert_not_null(names[0]);
	for (size_t i = 0; names[i]; i++) {
		for (size_t k = 0; k < i; k++)
			cr_assert_str_neq(names[i], names[k]);
	}
}

/* ---- trace ---- */

Test(trace, spans_become_a_chrome_trace)
{
	char path[] = "/tmp/ckpt-unit-trace-XXXXXX";
	int fd = mkstemp(path);
	struct ckpt_common common = {.trace_file = path};
	struct trace_span outer, inner;
	const char *name, *ph;
	double ts[2], dur[2];
	int pid, tid;
	json_t *root, *events;
	struct ckpt_op op;

	close(fd);
	op_init(&op, &common);
	trace_name(op.trace, 12, -1, "the \"target\"");
	outer = trace_begin(op.trace, "dump", 12, 0);
	inner = trace_begin(op.trace, "pages", 12, 0);
	usleep(2000);
	trace_end(&inner);
	usleep(1000);
	trace_end(&outer);
	trace_end(&outer); /* does nothing */
	op_done(&op, NULL);

	root = json_load_file(path, 0, NULL);
	cr_assert_not_null(root);
	unlink(path);
	events = json_object_get(root, "traceEvents");
	cr_assert_eq(json_array_size(events), 3);
	cr_assert_eq(json_unpack(json_array_get(events, 0), "{s:s, s:s, s:i, s:{s:s}}", "name",
			     &name, "ph", &ph, "pid", &pid, "args", "name", &ph),
		0);
	cr_assert_str_eq(name, "process_name");
	cr_assert_str_eq(ph, "the \"target\"");
	for (size_t i = 0; i < 2; i++) {
		cr_assert_eq(json_unpack(json_array_get(events, i + 1),
				     "{s:s, s:s, s:i, s:i, s:F, s:F}", "name", &name, "ph", &ph,
				     "pid", &pid, "tid", &tid, "ts", &ts[i], "dur", &dur[i]),
			0);
		cr_assert_str_eq(name, i ? "dump" : "pages");
		cr_assert_str_eq(ph, "X");
		cr_assert_eq(pid, 12);
	}
	/* Microseconds, and the inner span lies within the outer one. */
	cr_assert_geq(dur[0], 2000);
	cr_assert_lt(dur[0], 2000000);
	cr_assert_geq(dur[1], dur[0] + 1000);
	cr_assert_leq(ts[1], ts[0]);
	cr_assert_geq(ts[1] + dur[1], ts[0] + dur[0]);
	json_decref(root);
}

Test(op, an_error_of_what_was_only_tried)
{
	struct ckpt_error err;
	struct ckpt_op op, tried;

	op_init(&op, NULL);
	op_init(&tried, NULL);
	op_target(&op, CKPT_TARGET_RUNNING);
	op_fail(&tried, CKPT_E_TARGET, ESRCH, "waitid", "advice", "pid %d", 12);
	cr_assert_eq(op_adopt(&op, &tried), -ESRCH);
	op_done(&tried, &err);
	cr_expect_eq(err.kind, CKPT_OK, "it has been moved");
	op_done(&op, &err);
	cr_expect_eq(err.kind, CKPT_E_TARGET);
	cr_expect_eq(err.err, ESRCH);
	cr_expect_str_eq(err.object, "pid 12");
	cr_expect_str_eq(err.call, "waitid");
	cr_expect_str_eq(err.advice, "advice");
	cr_expect_eq(err.target, CKPT_TARGET_RUNNING);
	ckpt_error_done(&err);
}

/* What is tried again, and fails in another way, is told as that. */
Test(op, a_forgotten_error_is_not_told)
{
	struct ckpt_error err;
	struct ckpt_op op;

	op_init(&op, NULL);
	op_target(&op, CKPT_TARGET_RUNNING);
	op_fail(&op, CKPT_E_TARGET, ESRCH, "waitid", "advice", "first");
	op_forget(&op);
	op_fail(&op, CKPT_E_REFUSED, 0, NULL, NULL, "second");
	op_done(&op, &err);
	cr_expect_eq(err.kind, CKPT_E_REFUSED);
	cr_expect_str_eq(err.object, "second");
	cr_expect_null(err.advice);
	cr_expect_eq(err.target, CKPT_TARGET_RUNNING);
	ckpt_error_done(&err);

	op_init(&op, NULL);
	op_fail(&op, CKPT_E_TARGET, ESRCH, "waitid", "advice", "first");
	op_forget(&op);
	op_done(&op, &err);
	cr_expect_eq(err.kind, CKPT_OK);
	cr_expect_null(err.object);
}

/* What has failed before counts. */
Test(op, an_adopted_error_is_not_the_first)
{
	struct ckpt_error err;
	struct ckpt_op op, tried;

	op_init(&op, NULL);
	op_init(&tried, NULL);
	op_fail(&op, CKPT_E_REFUSED, 0, NULL, NULL, "first");
	op_fail(&tried, CKPT_E_SYSTEM, EIO, NULL, NULL, "second");
	cr_assert_eq(op_adopt(&op, &tried), -EIO);
	op_done(&tried, NULL);
	op_done(&op, &err);
	cr_expect_str_eq(err.object, "first");
	ckpt_error_done(&err);
}

Test(trace, without_a_trace_nothing_happens)
{
	struct trace_span s = trace_begin(NULL, "x", 1, 1);

	trace_end(&s);
	trace_name(NULL, 1, 1, "x");
	cr_assert_eq(trace_write(NULL, "/nowhere/at/all"), 0);
	trace_free(NULL);
}

Test(trace, a_trace_that_cannot_be_written_is_a_warning)
{
	_cleanup_strbuf_ struct strbuf sb = {};
	struct ckpt_common common = {.log = remember,
		.log_arg = &sb,
		.log_level = CKPT_LOG_WARN,
		.trace_file = "/nowhere/at/all"};
	struct ckpt_error err;
	struct ckpt_op op;

	op_init(&op, &common);
	op_done(&op, &err);
	cr_assert_eq(err.kind, CKPT_OK);
	cr_assert_str_eq(sb.s, "1 trace /nowhere/at/all: No such file or directory;");
}
