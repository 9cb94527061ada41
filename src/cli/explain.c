/*
 * explain.c - `ckpt explain`: what a dump would save, and what it would refuse and why.
 */
#include "cli/cli.h"
#include "util/str.h"

#include "util/vec.h"

static const struct {
	enum ckpt_verdict verdict;
	const char *title;
} sections[] = {
	{CKPT_REFUSED, "What a dump would refuse:"},
	{CKPT_WARNED, "What will be different after a restore:"},
	{CKPT_SAVED, "What a dump would save:"},
};

static void print_section(
	const struct ckpt_explain_result *r, enum ckpt_verdict verdict, const char *title)
{
	bool first = true;

	for (size_t i = 0; i < r->n; i++) {
		const struct ckpt_explain_item *item = &r->items[i];

		if (item->verdict != verdict)
			continue;
		if (first)
			printf("\n%s\n", title);
		first = false;
		printf("  %-12s ", item->resource);
		if (r->tasks > 1)
			printf("pid %d: ", item->pid);
		str_put(stdout, item->object);
		putchar('\n');
		if (item->option)
			printf("  %-12s   lets it pass: %s\n", "", item->option);
		if (item->reason)
			printf("  %-12s   %s%s%s\n", "", item->reason, item->advice ? "; " : "",
				item->advice ? item->advice : "");
	}
}

static void print_text(const struct ckpt_explain_result *r)
{
	const char *it = r->tasks > 1 ? "its tree" : "it";
	char total[UNITS_LEN];

	if (r->refused)
		printf("pid %d (%s): a dump would refuse %s, because of %zu thing%s\n", r->pid,
			r->comm, it, r->refused, plural(r->refused));
	else
		printf("pid %d (%s): a dump would save %s\n", r->pid, r->comm, it);
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++)
		print_section(r, sections[i].verdict, sections[i].title);
	printf("\n%u task%s, %u thread%s: %zu saved, %zu different, %zu refused; looked for %s, "
	       "without stopping anything\n",
		r->tasks, plural(r->tasks), r->threads, plural(r->threads), r->saved, r->warned,
		r->refused, time_text(r->total_ns, total));
}

int cli_explain(struct cli *cli, int argc, char **argv)
{
	struct ckpt_explain_req req = {};
	struct ckpt_explain_result result = {};
	struct ckpt_error err = {};
	int r, status;

	if (cli_start(cli, argc, argv, &req, NULL, &status) != 0)
		return status;
	r = ckpt_explain(&req, &result, &err);
	options_done(VERB_EXPLAIN, &req);
	if (r < 0)
		return cli_fail(cli, &err);
	if (cli->front.json)
		cli_json(explain_json(&result));
	else
		print_text(&result);
	status = result.refused ? CKPT_E_REFUSED : 0;
	ckpt_explain_result_done(&result);
	return cli_finish(cli, status);
}
