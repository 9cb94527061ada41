/*
 * dump.c - `ckpt dump`: save a process.
 */
#include "cli/cli.h"

#include <signal.h>

static void print_text(const struct ckpt_dump_req *req, const struct ckpt_dump_result *r)
{
	char size[UNITS_LEN], stopped[UNITS_LEN], total[UNITS_LEN];
	const char *now = req->leave_running   ? "it goes on"
			  : req->leave_stopped ? "it stays stopped"
					       : "it is gone";

	printf("saved pid %d as checkpoint %llu in %s; %s\n", req->pid, (unsigned long long)r->crid,
		r->dir, now);
	printf("%u task%s, %u thread%s, %s; stopped for %s, %s in all\n", r->tasks,
		plural(r->tasks), r->threads, plural(r->threads), bytes_text(r->bytes, size),
		time_text(r->stopped_ns, stopped), time_text(r->total_ns, total));
}

int cli_dump(struct cli *cli, int argc, char **argv)
{
	struct ckpt_dump_req req = {};
	struct ckpt_dump_result result = {};
	struct ckpt_error err = {};
	int r, status;

	if (cli_start(cli, argc, argv, &req, NULL, &status) != 0)
		return status;
	/* Whoever read our messages may go away; the dump goes on. */
	signal(SIGPIPE, SIG_IGN);
	r = ckpt_dump(&req, &result, &err);
	options_done(VERB_DUMP, &req);
	if (r < 0)
		return cli_fail(cli, &err);
	cli_progress_erase(cli);
	if (cli->front.json)
		cli_json(dump_json(&req, &result));
	else
		print_text(&req, &result);
	ckpt_dump_result_done(&result);
	return cli_finish(cli, 0);
}
