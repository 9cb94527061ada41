/*
 * args.c - getopt_long over the table of options.
 *
 * getopt's own messages are off: it knows neither what was meant nor JSON. It is told of every
 * option by an index into the verb's rows, so that one loop serves all verbs.
 */
#include "cli/cli.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <sys/stat.h>

#include "util/str.h"

#define ROWS_MAX    48
#define FIRST_VALUE 256 /* of a long option: above every letter */

/* getopt's view of one verb. */
struct opt_tables {
	const struct option_row *rows[ROWS_MAX];
	struct option longs[2 * ROWS_MAX + 1];
	char shorts[3 * ROWS_MAX + 2];
	size_t n;
};

static int has_arg(const struct option_row *row)
{
	if (option_value_optional(row))
		return optional_argument;
	return row->metavar ? required_argument : no_argument;
}

static void build_tables(enum verb verb, struct opt_tables *t)
{
	size_t pos = 0, longs = 0;
	const struct option_row *row;
	char *s = t->shorts;

	*t = (struct opt_tables){};
	*s++ = ':'; /* tells a missing value from an unknown option */
	while ((row = option_next(verb, &pos)) && t->n < ROWS_MAX) {
		int value = FIRST_VALUE + (int)t->n;

		t->rows[t->n++] = row;
		t->longs[longs++] = (struct option){row->name, has_arg(row), NULL, value};
		if (row->alias)
			t->longs[longs++] = (struct option){row->alias, has_arg(row), NULL, value};
		if (!row->letter)
			continue;
		*s++ = row->letter;
		for (int colons = has_arg(row); colons > 0; colons--)
			*s++ = ':';
	}
}

static const struct option_row *row_of(const struct opt_tables *t, int value)
{
	if (value >= FIRST_VALUE)
		return t->rows[value - FIRST_VALUE];
	for (size_t i = 0; i < t->n; i++)
		if (t->rows[i]->letter == value)
			return t->rows[i];
	return NULL;
}

/* What the user wrote: "--lave-running=x" gives "lave-running". */
static int unknown_option(
	struct cli *cli, const struct opt_tables *t, char **argv, struct ckpt_error *err)
{
	const char *given = argv[optind - 1];
	char name[64];
	size_t n;

	if (optopt && optopt < FIRST_VALUE)
		return usage_error(err, NULL, "%s: unknown option -%c", cli->verb->name, optopt);
	if (optopt) /* a value was given to an option that has none */
		return usage_error(err, NULL, "option --%s takes no value",
			t->rows[optopt - FIRST_VALUE]->name);
	given += strspn(given, "-");
	n = strcspn(given, "=");
	snprintf(name, sizeof(name), "%.*s", (int)(n < sizeof(name) ? n : sizeof(name) - 1), given);
	return option_unknown(cli->verb->verb, name, err);
}

static int too_many(struct cli *cli, const char *arg, struct ckpt_error *err)
{
	bool pid = cli->verb->args == ARGS_NONE && isdigit((unsigned char)*arg) &&
		   option_find(cli->verb->verb, "pid");

	return usage_error(err, pid ? "a process is named with -t PID" : NULL,
		"%s: '%s' is one argument too many", cli->verb->name, arg);
}

static int max_args(enum verb_args args)
{
	switch (args) {
	case ARGS_NONE:
	case ARGS_PROGRAM: /* which cli_run_program() has taken */
		return 0;
	case ARGS_IMAGE:
	case ARGS_CRID:
	case ARGS_VERB:
		return 1;
	case ARGS_IMAGES:
	case ARGS_CALL:
		break;
	}
	return 2;
}

static int take_positional(
	struct cli *cli, int argc, char **argv, const char *args[2], struct ckpt_error *err)
{
	int n = 0, max = max_args(cli->verb->args);

	args[0] = args[1] = NULL;
	for (int i = optind; i < argc; i++) {
		if (n == max)
			return too_many(cli, argv[i], err);
		args[n++] = argv[i];
	}
	return 0;
}

/* An error before --json was reached must still be JSON. */
static void look_for_json(struct cli *cli, int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
		if (str_eq(argv[i], "--json") && option_find(cli->verb->verb, "json"))
			cli->front.json = true;
}

int cli_parse(struct cli *cli, int argc, char **argv, void *req, const char *args[2],
	struct ckpt_error *err)
{
	struct opt_tables t;
	int c;

	look_for_json(cli, argc, argv);
	build_tables(cli->verb->verb, &t);
	opterr = 0;
	optind = 0; /* starts getopt afresh */
	while ((c = getopt_long(argc, argv, t.shorts, t.longs, NULL)) != -1) {
		const struct option_row *row;

		if (c == '?')
			return unknown_option(cli, &t, argv, err);
		row = row_of(&t, c == ':' ? optopt : c);
		if (c == ':')
			return usage_error(err, NULL, "option --%s needs a value: %s", row->name,
				row->metavar);
		if (cli->served && row->no_param)
			return option_not_served(row, err);
		if (option_set(row, req, &cli->front, optarg, err) < 0)
			return -1;
	}
	return take_positional(cli, argc, argv, args, err);
}

int cli_image(const char *arg, const char **ret_dir, uint64_t *ret_crid, struct ckpt_error *err)
{
	const char *p = arg;
	struct stat st;
	uint64_t crid;

	if (!*arg)
		return usage_error(err, NULL, "the name of the image is empty");
	if (!str_u64(&p, 10, &crid) && !*p &&
		(!ret_dir || stat(arg, &st) < 0 || !S_ISDIR(st.st_mode))) {
		if (!crid || crid > INT64_MAX)
			return usage_error(err, NULL, "'%s' is no checkpoint id", arg);
		*ret_crid = crid;
		return 0;
	}
	if (!ret_dir)
		return usage_error(
			err, "'ckpt list' shows the store", "'%s' is no checkpoint id", arg);
	*ret_dir = arg;
	return 0;
}

void cli_unknown_verb(const char *name, struct ckpt_error *err)
{
	const char *near = verb_nearest(name);
	char advice[64] = "'ckpt help' lists the verbs";

	if (near)
		snprintf(advice, sizeof(advice), "did you mean 'ckpt %s'?", near);
	usage_error(err, advice, "there is no verb '%s'", name);
}
