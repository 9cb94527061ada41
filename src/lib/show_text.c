/*
 * show_text.c - an image for people: where it comes from, its tree, its threads.
 */
#include "lib/show.h"

#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "kernel/syscall_name.h"
#include "proto/core.pb-c.h"
#include "proto/regs.pb-c.h"
#include "proto/task.pb-c.h"
#include "proto/threadname.pb-c.h"
#include "util/str.h"
#include "util/units.h"

static void header(const struct loaded *l, const struct shared_pages *shared, FILE *out)
{
	const struct Ckpt__Manifest *m = image_manifest(l->img);
	char when[64] = "?", size[UNITS_LEN], all[UNITS_LEN], stopped[UNITS_LEN];
	time_t sec = (time_t)(m->created_ns / 1000000000);
	struct tm tm;

	if (localtime_r(&sec, &tm))
		strftime(when, sizeof(when), "%F %T %z", &tm);
	fprintf(out, "checkpoint %llu of %s", (unsigned long long)m->crid, when);
	if (m->parent_crid)
		fprintf(out, ", parent %llu", (unsigned long long)m->parent_crid);
	fputs("\nsaved on ", out);
	str_put(out, m->hostname);
	fputs(", Linux ", out);
	str_put(out, m->kernel);
	fputc(' ', out);
	str_put(out, m->isa);
	fprintf(out, "\n%u task%s, %u thread%s, %s of memory; stopped for %s\n", m->tasks,
		plural(m->tasks), m->threads, plural(m->threads), bytes_text(m->page_bytes, size),
		time_text(m->stopped_ns, stopped));
	if (shared->alias_bytes) {
		uint64_t stored = page_map_bytes(&shared->owned);

		fprintf(out,
			"%s of it are shared by several processes: stored once instead of as %s\n",
			bytes_text(stored, size), bytes_text(stored + shared->alias_bytes, all));
	}
}

/* "futex", "call 600", or "-" for one that was in its own code. */
static void syscall_text(int64_t nr, char buf[32])
{
	const char *name = syscall_name((long)nr);

	if (nr < 0)
		snprintf(buf, 32, "-");
	else if (name)
		snprintf(buf, 32, "%s", name);
	else
		snprintf(buf, 32, "call %lld", (long long)nr);
}

static void thread(const struct loaded *l, int32_t tid, bool with_regs, FILE *out)
{
	const Ckpt__Regs *regs = model_get(&l->model, load_type("regs"), (uint64_t)tid);
	const Ckpt__ThreadName *name = model_get(&l->model, load_type("threadname"), (uint64_t)tid);
	char call[32], comm[16] = "";

	for (size_t i = 0; name && i < name->comm.len && i < sizeof(comm) - 1; i++)
		comm[i] = (char)name->comm.data[i];
	fprintf(out, "  %8d  ", tid);
	str_put(out, comm);
	fprintf(out, "%*s", (int)(16 - strlen(comm)), "");
	if (!regs) {
		fputs("no registers\n", out);
		return;
	}
	syscall_text(regs->syscall, call);
	fprintf(out, "%016llx  %016llx  %s", (unsigned long long)regs->ip,
		(unsigned long long)regs->sp, call);
	if (regs->remaining_known) {
		char left[UNITS_LEN];

		fprintf(out, " (%s left)", time_text(regs->remaining_ns, left));
	}
	fputc('\n', out);
	if (with_regs)
		show_regs(l, regs, out);
}

/* Of one that has ended, and that nobody has waited for. */
static void zombie(const Ckpt__Task *t, FILE *out)
{
	int status = (int)t->exit_status;

	fprintf(out, "\nprocess %d (", t->pid);
	str_put(out, t->comm);
	fprintf(out, "): group %d, session %d, parent %d, ", t->pgid, t->sid, t->ppid);
	if (WIFSIGNALED(status))
		fprintf(out, "a zombie: ended by signal %d\n", WTERMSIG(status));
	else
		fprintf(out, "a zombie: ended with status %d\n", WEXITSTATUS(status));
}

static void task(const struct loaded *l, const struct shared_pages *shared, const Ckpt__Task *t,
	bool regs, FILE *out)
{
	if (t->zombie) {
		zombie(t, out);
		return;
	}
	fprintf(out, "\nprocess %d (", t->pid);
	str_put(out, t->comm);
	fprintf(out, "): group %d, session %d, parent %d%s%s\n", t->pgid, t->sid, t->ppid,
		t->stopped ? ", stopped" : "",
		t->leader_exited ? ", its first thread has ended" : "");
	fprintf(out, "\n  %8s  %-16s%-18s%-18s%s\n", "thread", "name", "ip", "sp",
		"in system call");
	for (size_t i = 0; i < t->n_tids; i++)
		thread(l, t->tids[i], regs, out);
	show_memory(l, shared, (uint64_t)t->pid, out);
	show_files(l, (uint64_t)t->pid, out);
}

void show_text(const struct loaded *l, const struct shared_pages *shared, bool regs, FILE *out)
{
	const struct model_rec *rec;
	size_t pos = 0;

	header(l, shared, out);
	while ((rec = model_next(&l->model, load_type("task"), &pos)))
		task(l, shared, (const Ckpt__Task *)rec->msg, regs, out);
}
