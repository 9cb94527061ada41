/*
 * verbs.c - every verb of the command, once.
 */
#include <string.h>

#include "lib/options.h"

static const struct verb_desc verb_table[] = {
	{VERB_DUMP, "dump", ARGS_NONE, "-t PID [-D DIR] [-R | -s] [--force] [--sysvipc[=LIST]]",
		"save a running process into an image; the process ends unless -R or -s is given",
		"Saves the process PID, with all its threads, into an image. When the image is "
		"complete and in place, and not before, the process is ended, or goes on with "
		"--leave-running, or stays stopped with --leave-stopped. Whatever goes wrong, the "
		"process goes on as if nothing had been. Prints the id of the checkpoint (crid), "
		"the directory, counts, sizes and times.",
		sizeof(struct ckpt_dump_req), NULL, NULL},
	{VERB_RESTORE, "restore", ARGS_IMAGE, "[-d | --exec] [--plan] [--pidfile FILE] DIR|CRID",
		"bring the process of an image back",
		"Brings back what an image holds, with the same process and thread ids. In the "
		"foreground it waits for the restored process, passes signals on to it, and exits "
		"as it exits; with --detach it returns as soon as the process runs. With --exec it "
		"becomes the restored process itself, as by execve: that has the pid, the parent, the "
		"session and the terminal of this command, and its children have the pids that they "
		"had. With --plan it "
		"prints what it would do, system call by system call, and starts nothing.",
		sizeof(struct ckpt_restore_req), NULL, NULL},
	{VERB_SHOW, "show", ARGS_IMAGE, "[--json] DIR|CRID", "print what is in an image",
		"Prints what an image holds: the process tree, the threads, each with where it was "
		"(with -v or --json all its general registers), the memory map with sizes by kind, "
		"the open files.",
		sizeof(struct ckpt_show_req), NULL, NULL},
	{VERB_VERIFY, "verify", ARGS_IMAGE, "[--json] DIR|CRID",
		"check every checksum, length and reference of an image",
		"Reads the whole image and checks every checksum, length and reference in it. The "
		"first damage that is found is the error.",
		sizeof(struct ckpt_verify_req), NULL, NULL},
	{VERB_DIFF, "diff", ARGS_IMAGES, "[--json] A B", "print how two images differ",
		"Compares two images record by record and field by field, and their memory page by "
		"page. Exits 0 when there is no difference, 1 when there is one, which no error of "
		"any verb does. What differs between any two dumps, such as times, is passed over.",
		sizeof(struct ckpt_diff_req), NULL, NULL},
	{VERB_CHECK, "check", ARGS_NONE, "[--json]",
		"which kernel features and capabilities are here, and what is lost without",
		"Tries each kernel feature and capability that ckpt uses, says whether it is here, "
		"what it is needed for, and what is lost without it. Never goes by the version. "
		"Exits 0 when all that is required is here, 3 otherwise.",
		sizeof(struct ckpt_check_req), NULL, NULL},
	{VERB_EXPLAIN, "explain", ARGS_NONE, "-t PID [--json]",
		"what a dump of a running process would save, and what it would refuse and why",
		"Looks at a running process without stopping it, and says, resource by resource, "
		"what a dump would save, what it would refuse and why, and what to do about it. "
		"Exits 0 when nothing would be refused, 3 otherwise.",
		sizeof(struct ckpt_explain_req), NULL, NULL},
	{VERB_RUN, "run", ARGS_PROGRAM,
		"[--every TIME] [--keep N] [--restart-on-failure] -- PROGRAM [ARG...]",
		"run a program, checkpoint it, go on from its last checkpoint",
		"Runs a program and checkpoints it into the store, periodically or when it is told to. "
		"Where the program dies, or the machine, it goes on from the last checkpoint: at once "
		"with --restart-on-failure, and with the next 'ckpt run' of the same job in any case. "
		"Exits as the program exits; a job whose program ends with 0 is done.",
		sizeof(struct ckpt_run_req),
		.no_method =
			"it is the parent of the program, whose terminal and descriptors are those of who calls it: the method command has both"},
	{VERB_LIST, "list", ARGS_NONE, "[--json]", "print what is in the store",
		"Prints the checkpoints in the store, oldest first, each below the one that it needs: "
		"crid, when, program, tasks, size.",
		sizeof(struct ckpt_list_req), NULL, NULL},
	{VERB_REMOVE, "remove", ARGS_CRID, "[--json] CRID", "take a checkpoint out of the store",
		"Removes a checkpoint from the store. One that others need is not removed from under "
		"them.",
		sizeof(struct ckpt_remove_req), NULL, NULL},
	{VERB_GC, "gc", ARGS_NONE, "[--keep N] [--quota SIZE] [--json]",
		"remove old checkpoints from the store",
		"Keeps the newest checkpoints of each program and removes the others from the store; "
		"then the oldest, until the rest is no larger than the quota. What others need, or a job "
		"of 'ckpt run', stays. A quota that stands in the file 'quota' of the store, such as 20G, "
		"holds for each dump into it, too.",
		sizeof(struct ckpt_gc_req), NULL, NULL},
	{VERB_SERVE, "serve", ARGS_NONE, "--socket PATH|@NAME",
		"serve the same to programs, as JSON-RPC 2.0 over a unix socket",
		"Listens at a unix socket and does what its callers ask for, as JSON-RPC 2.0: the verbs "
		"are the methods, the options are their parameters. A caller may do what it could do "
		"by itself. With systemd's socket activation no --socket is needed. 'ckpt --socket "
		"PATH VERB ...' has any command done by such a service, 'ckpt call' any method.",
		sizeof(struct ckpt_serve_req), .no_method = "it is the service",
		.no_function =
			"a service is a process with the rights of root: the library starts one by its command where it needs one"},
	{VERB_CALL, "call", ARGS_CALL, "--socket PATH|@NAME METHOD [JSON]",
		"call a method of a service, and print its result as JSON",
		"Calls a method of 'ckpt serve' with the parameters of the JSON object, and prints the "
		"result, or the error, as JSON. The method rpc.discover describes all of them.",
		sizeof(struct ckpt_call_req), .no_method = "it calls methods",
		.no_function =
			"every program speaks JSON-RPC to a socket without us; a request of a service, as text, is no business of C structs"},
	{VERB_HELP, "help", ARGS_VERB, "[VERB]", "print help",
		"Prints the help of a verb, or of the whole command.", 0,
		.no_method = "rpc.discover has it as an OpenRPC document",
		.no_function = "it is text for people"},
	{0, NULL, ARGS_NONE, NULL, NULL, NULL, 0, NULL, NULL},
};

const struct verb_desc *verbs(void)
{
	return verb_table;
}

const struct verb_desc *verb_find(const char *name)
{
	for (const struct verb_desc *v = verb_table; v->name; v++)
		if (!strcmp(v->name, name))
			return v;
	return NULL;
}
