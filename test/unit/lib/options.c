/*
 * options.c - the table of options holds together, and values get into requests with precise
 * errors.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "lib/options.h"

/* ---- the table itself ---- */

Test(options, names_and_letters_are_unique_within_a_verb)
{
	for (const struct verb_desc *v = verbs(); v->name; v++) {
		size_t i = 0;
		const struct option_row *a, *b;

		while ((a = option_next(v->verb, &i))) {
			size_t j = i;

			while ((b = option_next(v->verb, &j))) {
				cr_expect_str_neq(a->name, b->name, "%s --%s", v->name, a->name);
				cr_expect(!a->letter || a->letter != b->letter, "%s -%c", v->name,
					a->letter);
				cr_expect(!b->alias || strcmp(a->name, b->alias), "%s --%s",
					v->name, b->alias);
			}
		}
	}
}

Test(options, rows_are_complete)
{
	size_t pos = 0;
	const struct option_row *row;

	while ((row = option_next(VERB_ALL, &pos))) {
		bool valued = row->type != OPT_FLAG && row->type != OPT_NOTHING;

		cr_expect(row->verbs && !(row->verbs & ~VERB_ALL), "--%s", row->name);
		cr_expect_eq(valued, row->metavar != NULL, "--%s", row->name);
		cr_expect_eq(row->type == OPT_ENUM, row->names != NULL, "--%s", row->name);
		cr_expect(!option_listed(row) || row->help, "--%s", row->name);
		for (const struct verb_desc *v = verbs(); v->name; v++) {
			if (!(row->verbs & v->verb))
				continue;
			if (row->home == HOME_REQ && v->req_size)
				cr_expect_lt(
					row->offset, v->req_size, "%s --%s", v->name, row->name);
			if (row->excludes)
				cr_expect(option_find(v->verb, row->excludes), "--%s excludes --%s",
					row->name, row->excludes);
		}
	}
}

Test(options, short_forms_that_users_of_criu_know)
{
	static const struct {
		enum verb verb;
		char letter;
		const char *name, *criu;
	} known[] = {
		{VERB_DUMP, 't', "pid", "tree"},
		{VERB_DUMP, 'D', "dir", "images-dir"},
		{VERB_DUMP, 'R', "leave-running", "leave-running"},
		{VERB_DUMP, 's', "leave-stopped", "leave-stopped"},
		{VERB_DUMP, 'v', "verbose", "verbose"},
		{VERB_DUMP, 'o', "log", "log-file"},
		{VERB_DUMP, 'j', "shell-job", "shell-job"},
		{VERB_DUMP, 'l', "file-locks", "file-locks"},
		{VERB_RESTORE, 'D', "dir", "images-dir"},
		{VERB_RESTORE, 'd', "detach", "restore-detached"},
		{VERB_RESTORE, 'v', "verbose", "verbose"},
		{VERB_RESTORE, 'o', "log", "log-file"},
		{VERB_RESTORE, 0, "pidfile", "pidfile"},
		{VERB_RESTORE, 0, "tcp-established", "tcp-established"},
		{VERB_RESTORE, 0, "link-remap", "link-remap"},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		const struct option_row *row = option_find(known[i].verb, known[i].name);

		cr_assert(row, "--%s", known[i].name);
		cr_expect_eq(row->letter, known[i].letter, "--%s", known[i].name);
		cr_expect_eq(row, option_find(known[i].verb, known[i].criu), "--%s", known[i].criu);
	}
}

/* ---- values ---- */

static int set(enum verb verb, void *req, const char *name, const char *value, char *text)
{
	struct option_front front = {};
	struct ckpt_error err = {};
	int r = option_set_named(verb, req, &front, name, value, &err);
	char *line = r < 0 ? ckpt_error_text(&err) : NULL;

	if (r < 0)
		cr_expect_eq(err.kind, CKPT_E_USAGE);
	snprintf(text, 256, "%s", line ? line : "");
	free(line);
	ckpt_error_done(&err);
	return r;
}

Test(options, values_get_into_the_fields)
{
	struct ckpt_dump_req dump = {};
	struct ckpt_restore_req restore = {};
	char text[256];

	cr_expect_eq(set(VERB_DUMP, &dump, "pid", "4194304", text), 0);
	cr_expect_eq(dump.pid, 4194304);
	cr_expect_eq(set(VERB_DUMP, &dump, "dir", "/tmp/x", text), 0);
	cr_expect_str_eq(dump.dir, "/tmp/x");
	cr_expect_eq(set(VERB_DUMP, &dump, "leave-running", "true", text), 0);
	cr_expect(dump.leave_running && !dump.leave_stopped && !dump.force);
	cr_expect_eq(set(VERB_DUMP, &dump, "leave-running", "false", text), 0);
	cr_expect(!dump.leave_running);
	cr_expect_eq(set(VERB_DUMP, &dump, "trace", "t.json", text), 0);
	cr_expect_str_eq(dump.common.trace_file, "t.json");
	cr_expect_eq(set(VERB_RESTORE, &restore, "crid", "9223372036854775807", text), 0);
	cr_expect_eq(restore.crid, 9223372036854775807ULL);
	cr_expect_eq(set(VERB_RESTORE, &restore, "changed-files", "ignore", text), 0);
	cr_expect_eq(restore.changed_files, CKPT_CHANGED_IGNORE);
}

Test(options, lists_grow_and_are_freed)
{
	static const char *const good[] = {
		"0=null", "1=path:/tmp/a=b:c", "22=inherit", "3=inherit:7", "1023=close"};
	struct ckpt_restore_req req = {};
	char text[256];

	for (size_t i = 0; i < 5; i++)
		cr_expect_eq(set(VERB_RESTORE, &req, "fd", good[i], text), 0, "%s", text);
	for (size_t i = 0; i < 5; i++)
		cr_expect_eq(req.fds[i], good[i]);
	cr_expect_null(req.fds[5]);
	options_done(VERB_RESTORE, &req);
	cr_expect_null(req.fds);
}

Test(options, a_value_that_is_implied)
{
	struct ckpt_dump_req req = {};
	char text[256];

	cr_assert_eq(set(VERB_DUMP, &req, "sysvipc", NULL, text), 0, "%s", text);
	cr_assert_eq(set(VERB_DUMP, &req, "sysvipc", "sem:1", text), 0, "%s", text);
	cr_expect_str_eq(req.sysvipc[0], "tree");
	cr_expect_str_eq(req.sysvipc[1], "sem:1");
	cr_expect_null(req.sysvipc[2]);
	cr_expect_eq(set(VERB_DUMP, &req, "sysvipc", "sem:x", text), -1);
	options_done(VERB_DUMP, &req);
}

Test(options, wrong_values_are_named)
{
	static const struct {
		enum verb verb;
		const char *name, *value, *text;
	} wrong[] = {
		{VERB_DUMP, "pid", "x1", "option --pid: 'x1' is not a number"},
		{VERB_DUMP, "pid", "1x", "option --pid: '1x' is not a number"},
		{VERB_DUMP, "pid", "", "option --pid: '' is not a number"},
		{VERB_DUMP, "pid", "-1", "option --pid: '-1' is not a number"},
		{VERB_DUMP, "pid", "0", "option --pid: 0 is not between 1 and 4194304"},
		{VERB_DUMP, "pid", "4194305", "option --pid: 4194305 is not between 1 and 4194304"},
		{VERB_DUMP, "pid", "99999999999999999999",
			"option --pid: 99999999999999999999 is not between 1 and 4194304"},
		{VERB_DUMP, "pid", NULL, "option --pid needs a value: PID"},
		{VERB_DUMP, "dir", "", "option --dir: the value is empty"},
		{VERB_DUMP, "force", "yes", "option --force: 'yes' is neither true nor false"},
		{VERB_RESTORE, "changed-files", "warm",
			"option --changed-files: 'warm' is unknown; one of refuse, warn, ignore"},
		{VERB_RESTORE, "crid", "9223372036854775808",
			"option --crid: 9223372036854775808 is not between 1 and "
			"9223372036854775807"},
		{VERB_DUMP, "leave-runing", "true",
			"dump: unknown option --leave-runing; did you mean --leave-running?"},
		{VERB_DUMP, "pidfiel", "x",
			"dump: unknown option --pidfiel; 'ckpt help dump' "
			"lists the options"},
		{VERB_DUMP, "pidfile", "x",
			"dump: unknown option --pidfile; it is an option of 'ckpt restore'"},
	};
	struct ckpt_restore_req req = {}; /* the largest of them */
	char text[256];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		cr_expect_eq(set(wrong[i].verb, &req, wrong[i].name, wrong[i].value, text), -1);
		cr_expect_str_eq(text, wrong[i].text);
	}
}

Test(options, wrong_descriptors_are_refused)
{
	static const char *const bad[] = {"", "=null", "1", "1=", "x=null",
		"1=path:", "1=inherit:", "1=inherit:x", "1=inherit:1x", "1=nil", "-1=null",
		"1 =null", "99999999999999999999=null"};
	struct ckpt_restore_req req = {};
	char text[256];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(set(VERB_RESTORE, &req, "fd", bad[i], text), -1, "%s", bad[i]);
	cr_expect_null(req.fds);
}

Test(options, front_end_options_are_no_parameters)
{
	struct ckpt_dump_req req = {};
	char text[256];

	cr_expect_eq(set(VERB_DUMP, &req, "json", "true", text), -1);
	cr_expect_eq(set(VERB_DUMP, &req, "help", "true", text), -1);
}

Test(options, verbosity_counts_as_criu_does)
{
	static const struct {
		const char *value;
		enum ckpt_log_level from, to;
	} cases[] = {
		{NULL, CKPT_LOG_WARN, CKPT_LOG_INFO},
		{"v", CKPT_LOG_WARN, CKPT_LOG_DEBUG},
		{"vvvv", CKPT_LOG_WARN, CKPT_LOG_DEBUG},
		{"0", CKPT_LOG_WARN, CKPT_LOG_ERROR},
		{"1", CKPT_LOG_WARN, CKPT_LOG_ERROR},
		{"2", CKPT_LOG_ERROR, CKPT_LOG_WARN},
		{"3", CKPT_LOG_WARN, CKPT_LOG_INFO},
		{"4", CKPT_LOG_WARN, CKPT_LOG_DEBUG},
	};
	char text[256];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ckpt_dump_req req = {.common.log_level = cases[i].from};

		cr_expect_eq(set(VERB_DUMP, &req, "verbose", cases[i].value, text), 0);
		cr_expect_eq(req.common.log_level, cases[i].to, "case %zu", i);
	}
}

Test(options, what_no_single_value_can_tell)
{
	struct ckpt_dump_req req = {};
	struct ckpt_restore_req restore = {.dir = "x", .crid = 7};
	struct ckpt_error err = {};

	cr_assert_eq(options_complete(VERB_DUMP, &req, &err), -1);
	cr_expect_str_eq(err.object, "option --pid is missing: the process to save");
	ckpt_error_done(&err);
	req.pid = 1;
	cr_expect_eq(options_complete(VERB_DUMP, &req, &err), 0);
	req.leave_running = req.leave_stopped = true;
	cr_assert_eq(options_complete(VERB_DUMP, &req, &err), -1);
	cr_expect_str_eq(
		err.object, "options --leave-running and --leave-stopped exclude each other");
	ckpt_error_done(&err);
	cr_expect_eq(options_complete(VERB_RESTORE, &restore, &err), -1);
	ckpt_error_done(&err);
}

Test(options, nearest_verb)
{
	cr_expect_str_eq(verb_nearest("dmup"), "dump");
	cr_expect_str_eq(verb_nearest("resotre"), "restore");
	cr_expect_str_eq(verb_nearest("expl"), "explain");
	cr_expect_null(verb_nearest("frobnicate"));
	cr_expect_null(verb_nearest(""));
}
