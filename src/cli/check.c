/*
 * check.c - `ckpt check`: what the running kernel can do, and what this process may do.
 */
#include "cli/cli.h"

#include "core/fault.h"
#include "kernel/probe.h"

static const char *const state_names[] = {
	[FEATURE_ABSENT] = "absent",
	[FEATURE_DENIED] = "denied",
	[FEATURE_PRESENT] = "present",
};

static const char *const state_marks[] = {
	[FEATURE_ABSENT] = "no",
	[FEATURE_DENIED] = "denied",
	[FEATURE_PRESENT] = "yes",
};

/* What no dump or restore can do without, and is not here. */
static size_t count_missing(const struct kernel_feature features[FEATURE_COUNT])
{
	size_t n = 0;

	for (int i = 0; i < FEATURE_COUNT; i++)
		n += features[i].required && features[i].state != FEATURE_PRESENT;
	return n;
}

static void print_text(const struct kernel_feature features[FEATURE_COUNT], size_t missing)
{
	for (int i = 0; i < FEATURE_COUNT; i++) {
		const struct kernel_feature *f = &features[i];

		printf("%-6s  %-30s %s\n", state_marks[f->state], f->name, f->needed_for);
		if (*f->detail)
			printf("%-6s  %-30s (%s)\n", "", "", f->detail);
		if (f->state != FEATURE_PRESENT)
			printf("%-6s  %-30s %s: %s\n", "", "",
				f->required ? "required; without it" : "without it",
				f->lost_without);
	}
	if (missing)
		printf("\n%zu required feature%s missing: ckpt can't work here\n", missing,
			missing == 1 ? " is" : "s are");
	else
		printf("\nall that is required is here\n");
}

static void print_json(const struct kernel_feature features[FEATURE_COUNT], size_t missing)
{
	json_t *list = json_array();

	for (int i = 0; i < FEATURE_COUNT; i++) {
		const struct kernel_feature *f = &features[i];

		json_array_append_new(
			list, json_pack("{s:s, s:s, s:b, s:s, s:s, s:o}", "name", f->name, "state",
				      state_names[f->state], "required", (int)f->required,
				      "needed_for", f->needed_for, "lost_without", f->lost_without,
				      "detail", *f->detail ? json_text(f->detail) : json_null()));
	}
	cli_json(json_pack("{s:b, s:I, s:o}", "usable", (int)!missing, "required_missing",
		(json_int_t)missing, "features", list));
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
	struct ckpt_common common = {}; /* check has no request of its own */
	struct kernel_feature features[FEATURE_COUNT];
	size_t missing;
	int status;

	if (cli_start(cli, argc, argv, &common, NULL, &status) != 0)
		return status;
	if (cli->front.faults) {
		print_faults(cli->front.json);
		return cli_finish(cli, 0);
	}
	for (int i = 0; i < FEATURE_COUNT; i++)
		kernel_probe((enum kernel_feature_id)i, &features[i]);
	missing = count_missing(features);
	if (cli->front.json)
		print_json(features, missing);
	else
		print_text(features, missing);
	return cli_finish(cli, missing ? CKPT_E_REFUSED : 0);
}
