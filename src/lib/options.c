/*
 * options.c - the rows: every verb and every option of the command, once.
 *
 * A field that several requests have stands in several rows, because it lies at another offset in
 * each. What all requests begin with (struct ckpt_common) lies at offset 0 of every one of them.
 */
#include "lib/options.h"

#include <stdlib.h>
#include <string.h>

#include "res/file/fdpolicy.h"
#include "res/ipc/wish.h"
#include "res/socket/tcp.h"
#include "util/vec.h"

#define COMMON_FIRST(type)                                                                         \
	_Static_assert(offsetof(struct type, common) == 0, "common is the first field")
COMMON_FIRST(ckpt_dump_req);
COMMON_FIRST(ckpt_restore_req);
COMMON_FIRST(ckpt_show_req);
COMMON_FIRST(ckpt_verify_req);
COMMON_FIRST(ckpt_diff_req);
COMMON_FIRST(ckpt_explain_req);
COMMON_FIRST(ckpt_check_req);
COMMON_FIRST(ckpt_serve_req);
COMMON_FIRST(ckpt_list_req);
COMMON_FIRST(ckpt_run_req);
COMMON_FIRST(ckpt_remove_req);
COMMON_FIRST(ckpt_gc_req);
COMMON_FIRST(ckpt_call_req);

static const struct verb_desc verb_table[] = {
	{VERB_DUMP, "dump", ARGS_NONE, "-t PID [-D DIR] [-R | -s] [--force] [--sysvipc[=LIST]]",
		"save a running process into an image; the process ends unless -R or -s is given",
		"Saves the process PID, with all its threads, into an image. When the image is "
		"complete and in place, and not before, the process is ended, or goes on with "
		"--leave-running, or stays stopped with --leave-stopped. Whatever goes wrong, the "
		"process goes on as if nothing had been. Prints the id of the checkpoint (crid), "
		"the directory, counts, sizes and times.",
		sizeof(struct ckpt_dump_req)},
	{VERB_RESTORE, "restore", ARGS_IMAGE, "[-d] [--plan] [--pidfile FILE] DIR|CRID",
		"bring the process of an image back",
		"Brings back what an image holds, with the same process and thread ids. In the "
		"foreground it waits for the restored process, passes signals on to it, and exits "
		"as it exits; with --detach it returns as soon as the process runs. With --plan it "
		"prints what it would do, system call by system call, and starts nothing.",
		sizeof(struct ckpt_restore_req)},
	{VERB_SHOW, "show", ARGS_IMAGE, "[--json] DIR|CRID", "print what is in an image",
		"Prints what an image holds: the process tree, the threads, each with where it was "
		"(with -v or --json all its general registers), the memory map with sizes by kind, "
		"the open files.",
		sizeof(struct ckpt_show_req)},
	{VERB_VERIFY, "verify", ARGS_IMAGE, "[--json] DIR|CRID",
		"check every checksum, length and reference of an image",
		"Reads the whole image and checks every checksum, length and reference in it. The "
		"first damage that is found is the error.",
		sizeof(struct ckpt_verify_req)},
	{VERB_DIFF, "diff", ARGS_IMAGES, "[--json] A B", "print how two images differ",
		"Compares two images record by record and field by field, and their memory page by "
		"page. Exits 0 when there is no difference, 1 when there is one, which no error of "
		"any verb does. What differs between any two dumps, such as times, is passed over.",
		sizeof(struct ckpt_diff_req)},
	{VERB_CHECK, "check", ARGS_NONE, "[--json]",
		"which kernel features and capabilities are here, and what is lost without",
		"Tries each kernel feature and capability that ckpt uses, says whether it is here, "
		"what it is needed for, and what is lost without it. Never goes by the version. "
		"Exits 0 when all that is required is here, 3 otherwise.",
		sizeof(struct ckpt_check_req)},
	{VERB_EXPLAIN, "explain", ARGS_NONE, "-t PID [--json]",
		"what a dump of a running process would save, and what it would refuse and why",
		"Looks at a running process without stopping it, and says, resource by resource, "
		"what a dump would save, what it would refuse and why, and what to do about it. "
		"Exits 0 when nothing would be refused, 3 otherwise.",
		sizeof(struct ckpt_explain_req)},
	{VERB_RUN, "run", ARGS_PROGRAM,
		"[--every TIME] [--keep N] [--restart-on-failure] -- PROGRAM [ARG...]",
		"run a program, checkpoint it, go on from its last checkpoint",
		"Runs a program and checkpoints it into the store, periodically or when it is told to. "
		"Where the program dies, or the machine, it goes on from the last checkpoint: at once "
		"with --restart-on-failure, and with the next 'ckpt run' of the same job in any case. "
		"Exits as the program exits; a job whose program ends with 0 is done.",
		sizeof(struct ckpt_run_req)},
	{VERB_LIST, "list", ARGS_NONE, "[--json]", "print what is in the store",
		"Prints the checkpoints in the store, oldest first, each below the one that it needs: "
		"crid, when, program, tasks, size.",
		sizeof(struct ckpt_list_req)},
	{VERB_REMOVE, "remove", ARGS_CRID, "[--json] CRID", "take a checkpoint out of the store",
		"Removes a checkpoint from the store. One that others need is not removed from under "
		"them.",
		sizeof(struct ckpt_remove_req)},
	{VERB_GC, "gc", ARGS_NONE, "[--keep N] [--quota SIZE] [--json]",
		"remove old checkpoints from the store",
		"Keeps the newest checkpoints of each program and removes the others from the store; "
		"then the oldest, until the rest is no larger than the quota. What others need stays.",
		sizeof(struct ckpt_gc_req)},
	{VERB_SERVE, "serve", ARGS_NONE, "--socket PATH|@NAME",
		"serve the same to programs, as JSON-RPC 2.0 over a unix socket",
		"Listens at a unix socket and does what its callers ask for, as JSON-RPC 2.0: the verbs "
		"are the methods, the options are their parameters. A caller may do what it could do "
		"by itself. With systemd's socket activation no --socket is needed. 'ckpt --socket "
		"PATH VERB ...' has any command done by such a service, 'ckpt call' any method.",
		sizeof(struct ckpt_serve_req)},
	{VERB_CALL, "call", ARGS_CALL, "--socket PATH|@NAME METHOD [JSON]",
		"call a method of a service, and print its result as JSON",
		"Calls a method of 'ckpt serve' with the parameters of the JSON object, and prints the "
		"result, or the error, as JSON. The method rpc.discover describes all of them.",
		sizeof(struct ckpt_call_req)},
	{VERB_HELP, "help", ARGS_VERB, "[VERB]", "print help",
		"Prints the help of a verb, or of the whole command.", 0},
	{0, NULL, ARGS_NONE, NULL, NULL, NULL, 0},
};

static const struct option_name changed_names[] = {
	{"refuse", CKPT_CHANGED_REFUSE},
	{"warn", CKPT_CHANGED_WARN},
	{"ignore", CKPT_CHANGED_IGNORE},
	{NULL, 0},
};

static const struct option_name cgroups_names[] = {
	{"keep", CKPT_CGROUPS_KEEP},
	{"make", CKPT_CGROUPS_MAKE},
	{"ignore", CKPT_CGROUPS_IGNORE},
	{NULL, 0},
};

static const struct option_name unix_names[] = {
	{"refuse", CKPT_UNIX_REFUSE},
	{"close", CKPT_UNIX_CLOSE},
	{"reconnect", CKPT_UNIX_RECONNECT},
	{NULL, 0},
};

static const struct option_name tcp_names[] = {
	{"keep", CKPT_TCP_KEEP},
	{"close", CKPT_TCP_CLOSE},
	{"reset", CKPT_TCP_RESET},
	{NULL, 0},
};

static const struct option_name shell_names[] = {
	{"bash", SHELL_BASH},
	{"zsh", SHELL_ZSH},
	{NULL, 0},
};

#define PATH_LONGEST 4095
#define PID_LONGEST  (1 << 22) /* PID_MAX_LIMIT of Linux */
#define PID(r)       .type = OPT_PID, .offset = offsetof(struct r, pid), .min = 1, .max = PID_LONGEST
#define CRID(r)      .type = OPT_U64, .offset = offsetof(struct r, crid), .min = 1, .max = INT64_MAX
#define STR(r, f)    .type = OPT_STRING, .offset = offsetof(struct r, f), .min = 1, .max = PATH_LONGEST
#define FLAG(r, f)   .type = OPT_FLAG, .offset = offsetof(struct r, f)
#define FRONT(f)     .home = HOME_FRONT, .offset = offsetof(struct option_front, f)

static const struct option_row row_table[] = {
	/* what is worked on */
	{.verbs = VERB_DUMP,
		.name = "pid",
		.letter = 't',
		PID(ckpt_dump_req),
		.metavar = "PID",
		.alias = "tree",
		.required = true,
		.help = "the process to save"},
	{.verbs = VERB_EXPLAIN,
		.name = "pid",
		.letter = 't',
		PID(ckpt_explain_req),
		.metavar = "PID",
		.alias = "tree",
		.required = true,
		.help = "the process to look at"},
	{.verbs = VERB_DUMP,
		.name = "dir",
		.letter = 'D',
		STR(ckpt_dump_req, dir),
		.metavar = "DIR",
		.alias = "images-dir",
		.is_dir = true,
		.dflt = "/var/lib/ckpt/CRID; of a user: $XDG_STATE_HOME/ckpt/CRID",
		.help = "directory for the image, made where it is missing"},
	{.verbs = VERB_RESTORE,
		.name = "dir",
		.letter = 'D',
		STR(ckpt_restore_req, dir),
		.metavar = "DIR",
		.alias = "images-dir",
		.is_dir = true,
		.help = "directory of the image"},
	{.verbs = VERB_SHOW,
		.name = "dir",
		.letter = 'D',
		STR(ckpt_show_req, dir),
		.metavar = "DIR",
		.alias = "images-dir",
		.is_dir = true,
		.help = "directory of the image"},
	{.verbs = VERB_VERIFY,
		.name = "dir",
		.letter = 'D',
		STR(ckpt_verify_req, dir),
		.metavar = "DIR",
		.alias = "images-dir",
		.is_dir = true,
		.help = "directory of the image"},
	{.verbs = VERB_RESTORE,
		.name = "crid",
		CRID(ckpt_restore_req),
		.metavar = "CRID",
		.excludes = "dir",
		.help = "id of a checkpoint in the store"},
	{.verbs = VERB_SHOW,
		.name = "crid",
		CRID(ckpt_show_req),
		.metavar = "CRID",
		.excludes = "dir",
		.help = "id of a checkpoint in the store"},
	{.verbs = VERB_VERIFY,
		.name = "crid",
		CRID(ckpt_verify_req),
		.metavar = "CRID",
		.excludes = "dir",
		.help = "id of a checkpoint in the store"},
	{.verbs = VERB_DIFF,
		.name = "dir-a",
		STR(ckpt_diff_req, dir_a),
		.metavar = "DIR",
		.is_dir = true,
		.help = "directory of the first image"},
	{.verbs = VERB_DIFF,
		.name = "dir-b",
		STR(ckpt_diff_req, dir_b),
		.metavar = "DIR",
		.is_dir = true,
		.help = "directory of the second image"},
	{.verbs = VERB_DIFF,
		.name = "crid-a",
		.type = OPT_U64,
		.offset = offsetof(struct ckpt_diff_req, crid_a),
		.min = 1,
		.max = INT64_MAX,
		.metavar = "CRID",
		.excludes = "dir-a",
		.help = "id of the first checkpoint in the store"},
	{.verbs = VERB_DIFF,
		.name = "crid-b",
		.type = OPT_U64,
		.offset = offsetof(struct ckpt_diff_req, crid_b),
		.min = 1,
		.max = INT64_MAX,
		.metavar = "CRID",
		.excludes = "dir-b",
		.help = "id of the second checkpoint in the store"},

	/* dump */
	{.verbs = VERB_DUMP,
		.name = "crid",
		CRID(ckpt_dump_req),
		.metavar = "CRID",
		.dflt = "a new one",
		.help = "id of the checkpoint, for who must know it beforehand"},
	{.verbs = VERB_DUMP,
		.name = "leave-running",
		.letter = 'R',
		FLAG(ckpt_dump_req, leave_running),
		.excludes = "leave-stopped",
		.help = "the process goes on afterwards"},
	{.verbs = VERB_DUMP,
		.name = "leave-stopped",
		.letter = 's',
		FLAG(ckpt_dump_req, leave_stopped),
		.excludes = "leave-running",
		.help = "the process stays stopped afterwards, until SIGCONT"},
	{.verbs = VERB_DUMP,
		.name = "force",
		FLAG(ckpt_dump_req, force),
		.help = "replace an image that is in the directory"},
	{.verbs = VERB_DUMP,
		.name = "sysvipc",
		.type = OPT_STRINGS,
		.offset = offsetof(struct ckpt_dump_req, sysvipc),
		.metavar = "LIST",
		.implied = "tree",
		.check = wish_wrong,
		.dflt = "none; without LIST those that the process was the last to use",
		.help = "save System V semaphores and queues: tree, sem:ID, msg:ID, 0xKEY"},

	/* restore */
	{.verbs = VERB_RESTORE,
		.name = "detach",
		.letter = 'd',
		FLAG(ckpt_restore_req, detach),
		.alias = "restore-detached",
		.help = "don't wait for the restored process"},
	{.verbs = VERB_RESTORE,
		.name = "frozen",
		FLAG(ckpt_restore_req, frozen),
		.help = "leave every task stopped, until SIGCONT"},
	{.verbs = VERB_RESTORE,
		.name = "pidfile",
		STR(ckpt_restore_req, pidfile),
		.metavar = "FILE",
		.help = "write the pid of the restored process to FILE"},
	{.verbs = VERB_RESTORE,
		.name = "changed-files",
		.type = OPT_ENUM,
		.offset = offsetof(struct ckpt_restore_req, changed_files),
		.names = changed_names,
		.metavar = "HOW",
		.dflt = "refuse for mapped executables and libraries, warn for data",
		.help = "when a file changed since the dump: refuse, warn or ignore"},
	{.verbs = VERB_RESTORE,
		.name = "cgroups",
		.type = OPT_ENUM,
		.offset = offsetof(struct ckpt_restore_req, cgroups),
		.names = cgroups_names,
		.metavar = "HOW",
		.dflt = "keep: back into groups that are still there, else a warning",
		.help = "control groups: keep; make those that are gone anew; or ignore all"},
	{.verbs = VERB_DUMP,
		.name = "fd",
		.type = OPT_STRINGS,
		.offset = offsetof(struct ckpt_dump_req, fds),
		.metavar = "[PID:]N=WHAT",
		.check = fdpolicy_fd_wrong,
		.dflt = "what can't be saved is refused",
		.help = "don't save descriptor N, of process PID; at restore it becomes WHAT"},
	{.verbs = VERB_DUMP,
		.name = "resource",
		.type = OPT_STRINGS,
		.offset = offsetof(struct ckpt_dump_req, resources),
		.metavar = "KIND=HOW",
		.check = fdpolicy_resource_wrong,
		.help = "refused ones of a kind: refuse, ignore, close or null"},
	{.verbs = VERB_DUMP,
		.name = "policy",
		STR(ckpt_dump_req, policy),
		.metavar = "FILE",
		.help = "read such wishes from FILE: 'fd PID:N=WHAT', 'resource KIND=HOW' a line"},
	{.verbs = VERB_DUMP,
		.name = "unix-outside",
		.type = OPT_ENUM,
		.offset = offsetof(struct ckpt_dump_req, unix_outside),
		.names = unix_names,
		.metavar = "HOW",
		.dflt = "refuse, naming both ends",
		.help = "unix sockets connected to other programs: refuse, close or reconnect"},
	{.verbs = VERB_DUMP,
		.name = "tcp",
		.type = OPT_ENUM,
		.offset = offsetof(struct ckpt_dump_req, tcp),
		.names = tcp_names,
		.metavar = "HOW",
		.dflt = "keep",
		.help = "TCP connections to other programs: keep, close or reset both ends"},
	{.verbs = VERB_RESTORE,
		.name = "tcp",
		.type = OPT_ENUM,
		.offset = offsetof(struct ckpt_restore_req, tcp),
		.names = tcp_names,
		.metavar = "HOW",
		.dflt = "keep",
		.help = "TCP connections to other programs: keep, close or reset both ends"},
	{.verbs = VERB_RESTORE,
		.name = "tcp-map",
		.type = OPT_STRINGS,
		.offset = offsetof(struct ckpt_restore_req, tcp_map),
		.metavar = "OLD=NEW",
		.check = tcp_map_wrong,
		.help = "TCP sockets with address OLD get NEW instead; repeatable"},
	{.verbs = VERB_EXPLAIN,
		.name = "unix-outside",
		.type = OPT_ENUM,
		.offset = offsetof(struct ckpt_explain_req, unix_outside),
		.names = unix_names,
		.metavar = "HOW",
		.help = "as if it were given to the dump"},
	{.verbs = VERB_RESTORE,
		.name = "fd",
		.type = OPT_STRINGS,
		.offset = offsetof(struct ckpt_restore_req, fds),
		.metavar = "[PID:]N=WHAT",
		.check = fdpolicy_fd_wrong,
		.dflt = "what led outside becomes the same number of the command",
		.help = "descriptor N becomes inherit[:M], path:FILE, null or close; repeatable"},
	{.verbs = VERB_RESTORE,
		.name = "resource",
		.type = OPT_STRINGS,
		.offset = offsetof(struct ckpt_restore_req, resources),
		.metavar = "KIND=HOW",
		.check = fdpolicy_resource_wrong,
		.help = "those of a kind that were not saved: ignore, close or null"},
	{.verbs = VERB_RESTORE,
		.name = "policy",
		STR(ckpt_restore_req, policy),
		.metavar = "FILE",
		.help = "read such wishes from FILE: 'fd PID:N=WHAT', 'resource KIND=HOW' a line"},
	{.verbs = VERB_EXPLAIN,
		.name = "fd",
		.type = OPT_STRINGS,
		.offset = offsetof(struct ckpt_explain_req, fds),
		.metavar = "[PID:]N=WHAT",
		.check = fdpolicy_fd_wrong,
		.help = "as if it were given to the dump"},
	{.verbs = VERB_EXPLAIN,
		.name = "resource",
		.type = OPT_STRINGS,
		.offset = offsetof(struct ckpt_explain_req, resources),
		.metavar = "KIND=HOW",
		.check = fdpolicy_resource_wrong,
		.help = "as if it were given to the dump"},
	{.verbs = VERB_EXPLAIN,
		.name = "policy",
		STR(ckpt_explain_req, policy),
		.metavar = "FILE",
		.help = "as if it were given to the dump"},
	{.verbs = VERB_RESTORE,
		.name = "new-ptys",
		FLAG(ckpt_restore_req, new_ptys),
		.help = "a pseudo terminal whose number is taken gets another one"},
	{.verbs = VERB_RESTORE,
		.name = "plan",
		.type = OPT_FLAG,
		FRONT(plan),
		.called = true,
		.help = "print what would be done, step by step; start nothing"},

	/* what is said, and how */
	{.verbs = VERB_DUMP | VERB_RESTORE | VERB_SHOW | VERB_VERIFY | VERB_DIFF | VERB_CHECK |
		  VERB_EXPLAIN | VERB_LIST | VERB_REMOVE | VERB_GC | VERB_RUN,
		.name = "json",
		.type = OPT_FLAG,
		FRONT(json),
		.help = "the result, or the error, as one JSON object on stdout"},
	{.verbs = VERB_CHECK,
		.name = "faults",
		.type = OPT_FLAG,
		FRONT(faults),
		.help = "print the names of the fault points, for tests"},
	{.verbs = VERB_ALL & ~VERB_HELP,
		.name = "verbose",
		.letter = 'v',
		.type = OPT_LEVEL,
		.offset = offsetof(struct ckpt_common, log_level),
		.max = 4,
		.metavar = "N",
		.dflt = "2: errors and warnings",
		.help = "say more; -v -v even more; -v1 to -v4 sets the level"},
	{.verbs = VERB_ALL & ~VERB_HELP,
		.name = "log",
		.letter = 'o',
		.type = OPT_STRING,
		FRONT(log_file),
		.min = 1,
		.max = PATH_LONGEST,
		.metavar = "FILE",
		.alias = "log-file",
		.dflt = "stderr",
		.help = "write the log to FILE"},
	{.verbs = VERB_DUMP | VERB_RESTORE,
		.name = "trace",
		STR(ckpt_common, trace_file),
		.metavar = "FILE",
		.help = "write the stages of the run to FILE, for Chrome's or Perfetto's viewer"},

	/* run */
	{.verbs = VERB_RUN,
		.name = "every",
		.type = OPT_TIME,
		.offset = offsetof(struct ckpt_run_req, every_s),
		.min = 1,
		.max = UINT32_MAX,
		.metavar = "TIME",
		.dflt = "never",
		.help = "a checkpoint each time that so much has passed, such as 10m"},
	{.verbs = VERB_RUN,
		.name = "on-signal",
		.type = OPT_SIGNAL,
		.offset = offsetof(struct ckpt_run_req, on_signal),
		.min = 1,
		.max = 64,
		.metavar = "SIGNAL",
		.dflt = "none",
		.help = "a checkpoint when ckpt gets this signal, such as USR1"},
	{.verbs = VERB_RUN,
		.name = "keep",
		.type = OPT_U64,
		.offset = offsetof(struct ckpt_run_req, keep),
		.min = 1,
		.max = UINT32_MAX,
		.metavar = "N",
		.dflt = "all",
		.help = "keep the N newest of this job"},
	{.verbs = VERB_RUN,
		.name = "restart-on-failure",
		FLAG(ckpt_run_req, restart_on_failure),
		.help = "when it dies or its status is not 0, go on from the last checkpoint"},
	{.verbs = VERB_RUN,
		.name = "name",
		STR(ckpt_run_req, name),
		.metavar = "NAME",
		.dflt = "by program, arguments and working directory",
		.help = "name of the job: the same name goes on where it was"},

	/* store */
	{.verbs = VERB_REMOVE,
		.name = "crid",
		CRID(ckpt_remove_req),
		.metavar = "CRID",
		.required = true,
		.help = "id of the checkpoint"},
	{.verbs = VERB_GC,
		.name = "keep",
		.type = OPT_U64,
		.offset = offsetof(struct ckpt_gc_req, keep),
		.min = 1,
		.max = UINT32_MAX,
		.metavar = "N",
		.dflt = "all",
		.help = "keep the N newest of each program, known by name and pid"},
	{.verbs = VERB_GC,
		.name = "quota",
		.type = OPT_SIZE,
		.offset = offsetof(struct ckpt_gc_req, quota),
		.min = 1,
		.max = INT64_MAX,
		.metavar = "SIZE",
		.dflt = "no limit",
		.help = "bytes that the store may have, such as 20G"},

	/* service */
	{.verbs = VERB_SERVE,
		.name = "socket",
		STR(ckpt_serve_req, socket),
		.metavar = "PATH",
		.dflt = "the socket that systemd passes",
		.help = "where to listen: a path, or @NAME for an abstract address"},
	{.verbs = VERB_SERVE,
		.name = "session",
		.type = OPT_U64,
		.offset = offsetof(struct ckpt_serve_req, session),
		.min = 3,
		.max = INT32_MAX,
		.metavar = "FD",
		.excludes = "socket",
		.help = "serve the one connection that is open at FD"},
	{.verbs = VERB_CALL,
		.name = "socket",
		.type = OPT_STRING,
		FRONT(socket),
		.min = 1,
		.max = PATH_LONGEST,
		.metavar = "PATH",
		.help = "where the service listens: a path, or @NAME"},

	/* help */
	{.verbs = VERB_HELP,
		.name = "man",
		.type = OPT_FLAG,
		FRONT(man),
		.help = "print the man page as roff"},
	{.verbs = VERB_HELP,
		.name = "rpc",
		.type = OPT_FLAG,
		FRONT(rpc),
		.help = "print the methods of the service, for docs/RPC.md"},
	{.verbs = VERB_HELP,
		.name = "completion",
		.type = OPT_ENUM,
		FRONT(completion),
		.names = shell_names,
		.metavar = "SHELL",
		.help = "print the completion script for bash or zsh"},
	{.verbs = VERB_ALL,
		.name = "help",
		.letter = 'h',
		.type = OPT_FLAG,
		FRONT(help),
		.help = "print this help"},

	/* CRIU asks to be allowed these; here they need no option */
	{.verbs = VERB_DUMP | VERB_RESTORE, .name = "tcp-established", .type = OPT_NOTHING},
	{.verbs = VERB_DUMP | VERB_RESTORE,
		.name = "file-locks",
		.letter = 'l',
		.type = OPT_NOTHING},
	{.verbs = VERB_DUMP | VERB_RESTORE,
		.name = "shell-job",
		.letter = 'j',
		.type = OPT_NOTHING},
	{.verbs = VERB_DUMP | VERB_RESTORE, .name = "link-remap", .type = OPT_NOTHING},
	{.verbs = 0, .name = NULL},
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

const struct option_row *options(void)
{
	return row_table;
}

const struct option_row *option_next(enum verb verb, size_t *pos)
{
	while (row_table[*pos].name) {
		const struct option_row *row = &row_table[(*pos)++];

		if (row->verbs & verb)
			return row;
	}
	return NULL;
}

const struct option_row *option_find(enum verb verb, const char *name)
{
	size_t pos = 0;
	const struct option_row *row;

	while ((row = option_next(verb, &pos)))
		if (!strcmp(row->name, name) || (row->alias && !strcmp(row->alias, name)))
			return row;
	return NULL;
}

bool option_value_optional(const struct option_row *row)
{
	return row->type == OPT_LEVEL || row->implied;
}

bool option_listed(const struct option_row *row)
{
	return row->type != OPT_NOTHING;
}
