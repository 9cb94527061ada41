/*
 * store.c - `ckpt list`, `ckpt remove`, `ckpt gc`: the store.
 */
#include <time.h>

#include "cli/cli.h"

static void print_item(const struct ckpt_list_item *e, unsigned depth)
{
	time_t at = (time_t)(e->created_ns / 1000000000);
	char when[32] = "?", size[UNITS_LEN], shared[UNITS_LEN];
	struct tm tm;

	if (e->damaged) {
		printf("%-20llu damaged: see 'ckpt verify'\n", (unsigned long long)e->crid);
		return;
	}
	if (localtime_r(&at, &tm))
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
	printf("%*s%-20llu %s  pid %d (%s), %u task%s, %u thread%s, %s", 2 * (int)depth, "",
		(unsigned long long)e->crid, when, e->pid, e->program, e->tasks, plural(e->tasks),
		e->threads, plural(e->threads), bytes_text(e->bytes, size));
	if (e->shared_bytes)
		printf(" and %s of those above", bytes_text(e->shared_bytes, shared));
	puts(e->of_job ? ", of a job" : "");
}

/* Each below the one that it needs; one whose parent is not there is at the top. */
static void print_below(const struct ckpt_list_result *r, uint64_t parent, unsigned depth)
{
	for (size_t i = 0; i < r->n; i++) {
		if (r->items[i].parent_crid != parent)
			continue;
		print_item(&r->items[i], depth);
		print_below(r, r->items[i].crid, depth + 1);
	}
}

static bool has(const struct ckpt_list_result *r, uint64_t crid)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->items[i].crid == crid)
			return true;
	return false;
}

static void print_list(const struct ckpt_list_result *r)
{
	char total[UNITS_LEN];

	print_below(r, 0, 0);
	for (size_t i = 0; i < r->n; i++) {
		if (!r->items[i].parent_crid || has(r, r->items[i].parent_crid))
			continue;
		print_item(&r->items[i], 0);
		print_below(r, r->items[i].crid, 1);
	}
	printf("%zu checkpoint%s, %s\n", r->n, plural(r->n), bytes_text(r->total_bytes, total));
}

int cli_list(struct cli *cli, int argc, char **argv)
{
	struct ckpt_list_req req = {};
	struct ckpt_list_result result;
	struct ckpt_error err = {};
	int status;

	if (cli_start(cli, argc, argv, &req, NULL, &status) != 0)
		return status;
	if (ckpt_list(&req, &result, &err) < 0)
		return cli_fail(cli, &err);
	if (cli->front.json)
		cli_json(list_json(&result));
	else
		print_list(&result);
	ckpt_list_result_done(&result);
	return cli_finish(cli, 0);
}

int cli_remove(struct cli *cli, int argc, char **argv)
{
	struct ckpt_remove_req req = {};
	const struct image_arg crid = {NULL, &req.crid};
	struct ckpt_error err = {};
	int status;

	if (cli_start(cli, argc, argv, &req, &crid, &status) != 0)
		return status;
	if (ckpt_remove(&req, &err) < 0)
		return cli_fail(cli, &err);
	if (cli->front.json)
		cli_json(json_object());
	return cli_finish(cli, 0);
}

int cli_gc(struct cli *cli, int argc, char **argv)
{
	struct ckpt_gc_req req = {};
	struct ckpt_gc_result result;
	struct ckpt_error err = {};
	char removed[UNITS_LEN], left[UNITS_LEN];
	int status;

	if (cli_start(cli, argc, argv, &req, NULL, &status) != 0)
		return status;
	if (ckpt_gc(&req, &result, &err) < 0)
		return cli_fail(cli, &err);
	if (cli->front.json)
		cli_json(gc_json(&result));
	else
		printf("removed %llu checkpoint%s, %s; %llu left, %s\n",
			(unsigned long long)result.removed, plural(result.removed),
			bytes_text(result.removed_bytes, removed), (unsigned long long)result.left,
			bytes_text(result.left_bytes, left));
	return cli_finish(cli, 0);
}
