/*
 * show.c - `ckpt show`: what is in an image.
 */
#include "cli/cli.h"

int cli_show(struct cli *cli, int argc, char **argv)
{
	struct ckpt_show_req req = {};
	struct ckpt_error err = {};
	const struct image_arg image = {&req.dir, &req.crid};
	int status;

	if (cli_start(cli, argc, argv, &req, &image, &status) != 0)
		return status;
	req.json = cli->front.json;
	if (ckpt_show(&req, stdout, &err) < 0)
		return cli_fail(cli, &err);
	return cli_finish(cli, 0);
}
