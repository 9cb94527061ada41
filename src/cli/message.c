/*
 * message.c - what goes to stderr (log lines, the progress line, errors), and JSON on stdout.
 *
 * The progress line is drawn over itself with a carriage return, at most ten times a second and
 * not in the first 300 ms, so that a short run shows none; whoever prints a line takes it away
 * first.
 */
#include "cli/cli.h"

#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/clock.h"
#include "util/str.h"
#include "util/units.h"

#define PROGRESS_FIRST_NS 300000000ULL
#define PROGRESS_EVERY_NS 100000000ULL

void cli_progress_erase(struct cli *cli)
{
	if (!cli->progress_shown)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	cli->progress_shown = false;
}

void cli_progress(void *arg, const char *stage, uint64_t done_bytes, uint64_t total_bytes)
{
	struct cli *cli = arg;
	uint64_t now = now_ns();
	char done[UNITS_LEN], total[UNITS_LEN];

	if (now - cli->started_ns < PROGRESS_FIRST_NS || now - cli->progress_ns < PROGRESS_EVERY_NS)
		return;
	cli->progress_ns = now;
	cli->progress_shown = true;
	fprintf(stderr, "\rckpt: %s", stage);
	if (total_bytes)
		fprintf(stderr, " %s of %s (%u%%)", bytes_text(done_bytes, done),
			bytes_text(total_bytes, total),
			(unsigned)((double)done_bytes * 100 / (double)total_bytes));
	fputs("\033[K", stderr);
	fflush(stderr);
}

void cli_log(void *arg, enum ckpt_log_level level, const char *line)
{
	static const char *const marks[] = {"error: ", "warning: ", "", ""};
	struct cli *cli = arg;
	uint64_t ns = now_ns() - cli->started_ns;

	if ((size_t)level >= sizeof(marks) / sizeof(marks[0]))
		level = CKPT_LOG_DEBUG;
	cli_progress_erase(cli);
	if (cli->log == stderr)
		fprintf(stderr, "ckpt: %s%s\n", marks[level], line);
	else
		fprintf(cli->log, "%3u.%06u %s%s\n", (unsigned)(ns / 1000000000),
			(unsigned)(ns / 1000 % 1000000), marks[level], line);
}

void cli_json(json_t *object)
{
	if (!object || json_dumpf(object, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY) < 0)
		fputs("{}", stdout);
	fputc('\n', stdout);
	json_decref(object);
}

void cli_tell(struct cli *cli, const struct ckpt_error *err)
{
	_cleanup_free_ char *text = ckpt_error_text(err);

	cli_progress_erase(cli);
	if (cli->front.json)
		cli_json(json_pack("{s:o}", "error", error_json(err)));
	else
		fprintf(stderr, "ckpt: %s\n", text ? text : "out of memory");
	if (cli->log != stderr)
		fprintf(cli->log, "error: %s\n", text ? text : "out of memory");
	fflush(stdout);
}

int cli_fail(struct cli *cli, struct ckpt_error *err)
{
	int status = err->kind ? (int)err->kind : CKPT_E_SYSTEM;

	cli_tell(cli, err);
	ckpt_error_done(err);
	return cli_finish(cli, status);
}
