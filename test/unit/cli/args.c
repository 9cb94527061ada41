/*
 * args.c - the command line gets into a request, and what is wrong with it is said.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"

static char text[512];

/* Parse "dump -t 1 ...": words by blanks. Return: what cli_parse() does; the error is in text. */
static int parse(struct cli *cli, const char *line, void *req, const char *args[2])
{
	static char words[512];
	char *argv[32], *rest = words;
	int argc = 0, r;
	struct ckpt_error err = {};

	snprintf(words, sizeof(words), "%s", line);
	while (argc < 31 && (argv[argc] = strsep(&rest, " ")))
		argc++;
	argv[argc] = NULL;
	*cli = (struct cli){.verb = verb_find(argv[0]), .log = stderr};
	cr_assert(cli->verb);
	*text = '\0';
	r = cli_parse(cli, argc, argv, req, args, &err);
	if (r < 0) {
		char *s = ckpt_error_text(&err);

		cr_expect_eq(err.kind, CKPT_E_USAGE);
		snprintf(text, sizeof(text), "%s", s);
		free(s);
	}
	ckpt_error_done(&err);
	return r;
}

Test(args, dump)
{
	struct ckpt_dump_req req = {.common.log_level = CKPT_LOG_WARN};
	struct cli cli;
	const char *args[2];

	cr_assert_eq(parse(&cli, "dump -t 12 -D img -R --force -v --json -o log", &req, args), 0);
	cr_expect_eq(req.pid, 12);
	cr_expect_str_eq(req.dir, "img");
	cr_expect(req.leave_running && !req.leave_stopped && req.force);
	cr_expect_eq(req.common.log_level, CKPT_LOG_INFO);
	cr_expect(cli.front.json);
	cr_expect_str_eq(cli.front.log_file, "log");
	cr_expect_null(args[0]);
}

Test(args, as_criu_is_called)
{
	struct ckpt_dump_req req = {.common.log_level = CKPT_LOG_WARN};
	struct cli cli;
	const char *args[2];

	cr_assert_eq(parse(&cli,
			     "dump --tree 5 --images-dir img -j -v4 --tcp-established "
			     "--file-locks --link-remap --leave-stopped --log-file=l",
			     &req, args),
		0);
	cr_expect_eq(req.pid, 5);
	cr_expect_str_eq(req.dir, "img");
	cr_expect(req.leave_stopped);
	cr_expect_eq(req.common.log_level, CKPT_LOG_DEBUG);
}

Test(args, restore_with_the_image_first_or_last)
{
	static const char *const lines[] = {"restore img -d --fd 0=null --fd 1=close --plan",
		"restore -d --fd 0=null --fd=1=close --plan img",
		"restore -d --fd 0=null "
		"--fd 1=close --plan -- img"};

	for (size_t i = 0; i < 3; i++) {
		struct ckpt_restore_req req = {};
		struct cli cli;
		const char *args[2];

		cr_assert_eq(parse(&cli, lines[i], &req, args), 0, "%s", text);
		cr_expect(req.detach && !req.frozen && cli.front.plan);
		cr_expect_str_eq(args[0], "img");
		cr_expect_str_eq(req.fds[0], "0=null");
		cr_expect_str_eq(req.fds[1], "1=close");
		cr_expect_null(req.fds[2]);
		options_done(VERB_RESTORE, &req);
	}
}

Test(args, errors)
{
	static const struct {
		const char *line, *text;
	} wrong[] = {
		{"dump --leave-runing -t 1",
			"dump: unknown option --leave-runing; did you mean --leave-running?"},
		{"dump --leave -t 1",
			"dump: unknown option --leave; did you mean --leave-running?"},
		{"dump --detach=1", "dump: unknown option --detach; it is an option of "
				    "'ckpt restore'"},
		{"dump -x", "dump: unknown option -x"},
		{"dump -t", "option --pid needs a value: PID"},
		{"dump --pid", "option --pid needs a value: PID"},
		{"dump --json=1", "option --json takes no value"},
		{"dump 12", "dump: '12' is one argument too many; a process is named with -t PID"},
		{"dump twelve", "dump: 'twelve' is one argument too many"},
		{"restore a b", "restore: 'b' is one argument too many"},
		{"dump -vR", "option --verbose: 'R' is not a level; short options after -v stand "
			     "alone"},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct ckpt_restore_req req = {}; /* the largest of them */
		struct cli cli;
		const char *args[2];

		cr_expect_eq(parse(&cli, wrong[i].line, &req, args), -1, "%s", wrong[i].line);
		cr_expect_str_eq(text, wrong[i].text);
	}
}

Test(args, json_is_known_before_the_error)
{
	struct ckpt_dump_req req = {};
	struct cli cli;
	const char *args[2];

	cr_expect_eq(parse(&cli, "dump --nonsense --json", &req, args), -1);
	cr_expect(cli.front.json);
	cr_expect_eq(parse(&cli, "dump --nonsense -- --json", &req, args), -1);
	cr_expect(!cli.front.json);
}

Test(args, images_by_directory_or_crid)
{
	char dir[] = "/tmp/ckpt-unit-XXXXXX";
	const char *name = NULL;
	uint64_t crid = 0;
	struct ckpt_error err = {};

	cr_assert_eq(cli_image("some/dir", &name, &crid, &err), 0);
	cr_expect_str_eq(name, "some/dir");
	cr_expect_eq(crid, 0);
	name = NULL;
	cr_assert_eq(cli_image("1234567890123", &name, &crid, &err), 0);
	cr_expect_null(name);
	cr_expect_eq(crid, 1234567890123);
	/* 2^63 is no crid: they are positive 64-bit numbers with sign. */
	cr_expect_eq(cli_image("9223372036854775808", &name, &crid, &err), -1);
	ckpt_error_done(&err);
	cr_expect_eq(cli_image("", &name, &crid, &err), -1);
	ckpt_error_done(&err);

	cr_assert(mkdtemp(dir));
	cr_assert_eq(chdir(dir), 0);
	cr_assert_eq(mkdir("77", 0700), 0);
	crid = 0;
	cr_assert_eq(cli_image("77", &name, &crid, &err), 0);
	cr_expect_str_eq(name, "77");
	cr_expect_eq(crid, 0);
	rmdir("77");
	rmdir(dir);
}
