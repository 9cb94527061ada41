/*
 * check.c - `ckpt check`: what the running kernel can do, and what this process may do.
 */
#include "cli/cli.h"

#include "core/fault.h"

static const char *const state_marks[] = {
	[CKPT_FEATURE_ABSENT] = "no",
	[CKPT_FEATURE_DENIED] = "denied",
	[CKPT_FEATURE_PRESENT] = "yes",
};

static void print_text(const struct ckpt_check_result *r)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct ckpt_feature *f = &r->features[i];

		printf("%-6s  %-30s %s\n", state_marks[f->state], f->name, f->needed_for);
		if (*f->detail)
			printf("%-6s  %-30s (%s)\n", "", "", f->detail);
		if (f->state != CKPT_FEATURE_PRESENT)
			printf("%-6s  %-30s %s: %s\n", "", "",
				f->required ? "required; without it" : "without it",
				f->lost_without);
	}
	if (r->missing)
		printf("\n%zu required feature%s missing: ckpt can't work here\n", r->missing,
			r->missing == 1 ? " is" : "s are");
	else
		printf("\nall that is required is here\n");
}

static void print_faults(bool json)
{
	json_t *list = json ? json_array() : NULL;

	for (const char *const *name = fault_names(); *name; name++) {
		if (json)
			json_array_append_new(list, json_string(*name));
		else
			puts(*name);
	}
	if (json)
		cli_json(json_pack("{s:o}", "faults", list));
}

int cli_check(struct cli *cli, int argc, char **argv)
{
	struct ckpt_check_req req = {};
	struct ckpt_check_result result = {};
	struct ckpt_error err = {};
	int status;

	if (cli_start(cli, argc, argv, &req, NULL, &status) != 0)
		return status;
	if (cli->front.faults) {
		print_faults(cli->front.json);
		return cli_finish(cli, 0);
	}
	if (ckpt_check(&req, &result, &err) < 0)
		return cli_fail(cli, &err);
	if (cli->front.json)
		cli_json(check_json(&result));
	else
		print_text(&result);
	status = result.missing ? CKPT_E_REFUSED : 0;
	ckpt_check_result_done(&result);
	return cli_finish(cli, status);
}
