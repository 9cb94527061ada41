/*
 * verify.c - `ckpt verify`: whether an image is whole.
 */
#include "cli/cli.h"

static void print_text(const struct ckpt_verify_result *r)
{
	char size[UNITS_LEN], total[UNITS_LEN];

	printf("checkpoint %llu is whole: %llu record%s and %s of memory checked in %s\n",
		(unsigned long long)r->crid, (unsigned long long)r->records, plural(r->records),
		bytes_text(r->page_bytes, size), time_text(r->total_ns, total));
}

int cli_verify(struct cli *cli, int argc, char **argv)
{
	struct ckpt_verify_req req = {};
	struct ckpt_verify_result result = {};
	struct ckpt_error err = {};
	const struct image_arg image = {&req.dir, &req.crid};
	int status;

	if (cli_start(cli, argc, argv, &req, &image, &status) != 0)
		return status;
	if (ckpt_verify(&req, &result, &err) < 0)
		return cli_fail(cli, &err);
	cli_progress_erase(cli);
	if (cli->front.json)
		cli_json(verify_json(&result));
	else
		print_text(&result);
	return cli_finish(cli, 0);
}
