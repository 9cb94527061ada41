/*
 * restore.c - `ckpt restore`: bring a process back, and in the foreground end as it ends.
 */
#include "cli/cli.h"

/* A detached restore says what runs now. In the foreground stdout belongs to the program. */
static void print_text(const struct ckpt_restore_req *req, const struct ckpt_restore_result *r)
{
	char size[UNITS_LEN], total[UNITS_LEN], away[UNITS_LEN];

	if (!req->detach)
		return;
	printf("restored pid %d%s%s: %u task%s, %u thread%s, %s in %s, %s after it was stopped\n",
		r->pid, req->pidns ? " in a pid namespace of its own" : "",
		req->frozen ? ", stopped until SIGCONT" : "", r->tasks, plural(r->tasks),
		r->threads, plural(r->threads), bytes_text(r->bytes, size),
		time_text(r->total_ns, total), time_text(r->away_ns, away));
	for (size_t i = 0; i < r->n_pids; i++)
		printf("pid %d is %d outside\n", r->pids[i].pid, r->pids[i].outer_pid);
}

/* Of --exec: in a copy of this process, which prints it; the exit status is the caller's. */
static void failed(void *arg, const struct ckpt_error *err)
{
	cli_tell(arg, err);
}

static int restore(struct cli *cli, const struct ckpt_restore_req *req)
{
	struct ckpt_restore_result result = {};
	struct ckpt_error err = {};
	int status;

	if (ckpt_restore(req, &result, &err) < 0)
		return cli_fail(cli, &err);
	cli_progress_erase(cli);
	if (cli->front.json)
		cli_json(restore_json(req, &result));
	else
		print_text(req, &result);
	ckpt_restore_result_done(&result);
	status = cli_finish(cli, 0);
	return req->detach ? status : cli_end_as(result.exit_status);
}

static int plan(struct cli *cli, const struct ckpt_restore_req *req)
{
	struct ckpt_error err = {};

	if (ckpt_plan(req, stdout, &err) < 0)
		return cli_fail(cli, &err);
	return cli_finish(cli, 0);
}

int cli_restore(struct cli *cli, int argc, char **argv)
{
	struct ckpt_restore_req req = {};
	const struct image_arg image = {&req.dir, &req.crid};
	int status;

	if (cli_start(cli, argc, argv, &req, &image, &status) != 0)
		return status;
	req.json = cli->front.json;
	req.failed = failed;
	req.failed_arg = cli;
	status = cli->front.plan ? plan(cli, &req) : restore(cli, &req);
	options_done(VERB_RESTORE, &req);
	return status;
}
