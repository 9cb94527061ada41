/*
 * diff.c - `ckpt diff`: how two images differ. Exits as diff(1) does: 0 the same, 1 different, more an error.
 */
#include "cli/cli.h"

int cli_diff(struct cli *cli, int argc, char **argv)
{
	struct ckpt_diff_req req = {};
	struct ckpt_error err = {};
	const struct image_arg images[] = {
		{&req.dir_a, &req.crid_a},
		{&req.dir_b, &req.crid_b},
	};
	size_t differences = 0;
	int status;

	if (cli_start(cli, argc, argv, &req, images, &status) != 0)
		return status;
	req.json = cli->front.json;
	if (ckpt_diff(&req, stdout, &differences, &err) < 0)
		return cli_fail(cli, &err);
	return cli_finish(cli, differences ? CKPT_DIFFERENT : CKPT_OK);
}
