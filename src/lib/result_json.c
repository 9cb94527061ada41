/*
 * result_json.c - see result_json.h.
 */
#include "lib/result_json.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "model/dump_json.h"
#include "util/cleanup.h"
#include "util/str.h"

json_t *json_text(const char *text)
{
	return text ? json_of_str(text) : json_null();
}

json_t *json_crid(uint64_t crid)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)crid);
	return json_string(text);
}

/* The number of a process or of a descriptor, as the text of every error names it; null: none is named. */
static json_t *number_after(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = text; p && (p = strstr(p, word)); p += len) {
		const char *digits = p + len;
		uint32_t n;

		if ((p == text || !isalnum((unsigned char)p[-1])) && str_u32(&digits, 10, &n) == 0)
			return json_integer(n);
	}
	return json_null();
}

json_t *error_json(const struct ckpt_error *err)
{
	_cleanup_free_ char *text = ckpt_error_text(err);

	return json_pack("{s:s, s:i, s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:o}", "kind",
		ckpt_kind_name(err->kind), "errno", err->err, "strerror",
		json_text(err->err ? strerror(err->err) : NULL), "syscall", json_text(err->call),
		"resource", json_text(err->object), "pid", number_after(err->object, "pid "), "fd",
		number_after(err->object, "fd "), "target_state", ckpt_target_name(err->target),
		"hint", json_text(err->advice), "text", json_text(text));
}

json_t *dump_json(const struct ckpt_dump_req *req, const struct ckpt_dump_result *r)
{
	return json_pack("{s:o, s:o, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "crid",
		json_crid(r->crid), "dir", json_text(r->dir), "pid", (int)req->pid, "tasks",
		(json_int_t)r->tasks, "threads", (json_int_t)r->threads, "bytes",
		(json_int_t)r->bytes, "page_bytes", (json_int_t)r->page_bytes, "stopped_ns",
		(json_int_t)r->stopped_ns, "total_ns", (json_int_t)r->total_ns, "target",
		ckpt_target_name(req->leave_running   ? CKPT_TARGET_RUNNING
				 : req->leave_stopped ? CKPT_TARGET_STOPPED
						      : CKPT_TARGET_GONE));
}

void json_add_status(json_t *o, int wait_status)
{
	if (WIFEXITED(wait_status))
		json_object_set_new(o, "exit_code", json_integer(WEXITSTATUS(wait_status)));
	if (WIFSIGNALED(wait_status))
		json_object_set_new(o, "signal", json_integer(WTERMSIG(wait_status)));
}

static json_t *outer_pids(const struct ckpt_restore_result *r)
{
	json_t *list = json_array();

	for (size_t i = 0; i < r->n_pids; i++)
		json_array_append_new(list, json_pack("{s:i, s:i}", "pid", (int)r->pids[i].pid,
						    "outer_pid", (int)r->pids[i].outer_pid));
	return list;
}

json_t *restore_json(const struct ckpt_restore_req *req, const struct ckpt_restore_result *r)
{
	json_t *o = json_pack("{s:o, s:i, s:I, s:I, s:I, s:I, s:I}", "crid", json_crid(r->crid),
		"pid", (int)r->pid, "tasks", (json_int_t)r->tasks, "threads",
		(json_int_t)r->threads, "bytes", (json_int_t)r->bytes, "away_ns",
		(json_int_t)r->away_ns, "total_ns", (json_int_t)r->total_ns);

	if (r->n_pids)
		json_object_set_new(o, "pids", outer_pids(r));
	if (!req->detach)
		json_add_status(o, r->exit_status);
	return o;
}

json_t *verify_json(const struct ckpt_verify_result *r)
{
	return json_pack("{s:o, s:I, s:I, s:I}", "crid", json_crid(r->crid), "records",
		(json_int_t)r->records, "page_bytes", (json_int_t)r->page_bytes, "total_ns",
		(json_int_t)r->total_ns);
}

static json_t *item_json(const struct ckpt_explain_item *item)
{
	static const char *const verdicts[] = {
		[CKPT_SAVED] = "saved",
		[CKPT_WARNED] = "warned",
		[CKPT_REFUSED] = "refused",
	};

	return json_pack("{s:s, s:i, s:s, s:o, s:o, s:o, s:o}", "verdict", verdicts[item->verdict],
		"pid", (int)item->pid, "resource", item->resource, "object",
		json_text(item->object), "reason", json_text(item->reason), "advice",
		json_text(item->advice), "option", json_text(item->option));
}

json_t *explain_json(const struct ckpt_explain_result *r)
{
	json_t *items = json_array();

	for (size_t i = 0; i < r->n; i++)
		json_array_append_new(items, item_json(&r->items[i]));
	return json_pack("{s:i, s:o, s:i, s:i, s:I, s:I, s:I, s:I, s:o}", "pid", (int)r->pid,
		"comm", json_text(r->comm), "tasks", (int)r->tasks, "threads", (int)r->threads,
		"saved", (json_int_t)r->saved, "warned", (json_int_t)r->warned, "refused",
		(json_int_t)r->refused, "total_ns", (json_int_t)r->total_ns, "items", items);
}

json_t *check_json(const struct ckpt_check_result *r)
{
	static const char *const states[] = {
		[CKPT_FEATURE_ABSENT] = "absent",
		[CKPT_FEATURE_DENIED] = "denied",
		[CKPT_FEATURE_PRESENT] = "present",
	};
	json_t *list = json_array();

	for (size_t i = 0; i < r->n; i++) {
		const struct ckpt_feature *f = &r->features[i];

		json_array_append_new(
			list, json_pack("{s:s, s:s, s:b, s:s, s:s, s:o}", "name", f->name, "state",
				      states[f->state], "required", (int)f->required, "needed_for",
				      f->needed_for, "lost_without", f->lost_without, "detail",
				      json_text(*f->detail ? f->detail : NULL)));
	}
	return json_pack("{s:b, s:I, s:o}", "usable", (int)!r->missing, "required_missing",
		(json_int_t)r->missing, "features", list);
}

json_t *list_json(const struct ckpt_list_result *r)
{
	json_t *items = json_array();

	for (size_t i = 0; i < r->n; i++) {
		const struct ckpt_list_item *e = &r->items[i];

		json_array_append_new(items,
			json_pack("{s:o, s:o, s:I, s:I, s:I, s:i, s:o, s:I, s:I, s:b, s:b}", "crid",
				json_crid(e->crid), "parent_crid",
				e->parent_crid ? json_crid(e->parent_crid) : json_null(),
				"created_ns", (json_int_t)e->created_ns, "bytes",
				(json_int_t)e->bytes, "shared_bytes", (json_int_t)e->shared_bytes,
				"pid", (int)e->pid, "program", json_text(e->program), "tasks",
				(json_int_t)e->tasks, "threads", (json_int_t)e->threads, "damaged",
				(int)e->damaged, "of_job", (int)e->of_job));
	}
	return json_pack("{s:I, s:o}", "total_bytes", (json_int_t)r->total_bytes, "items", items);
}

json_t *gc_json(const struct ckpt_gc_result *r)
{
	return json_pack("{s:I, s:I, s:I, s:I}", "removed", (json_int_t)r->removed, "removed_bytes",
		(json_int_t)r->removed_bytes, "left", (json_int_t)r->left, "left_bytes",
		(json_int_t)r->left_bytes);
}

json_t *run_json(const struct ckpt_run_result *r)
{
	json_t *o = json_pack("{s:I, s:I}", "checkpoints", (json_int_t)r->checkpoints, "restarts",
		(json_int_t)r->restarts);

	json_add_status(o, r->exit_status);
	return o;
}
