/*
 * start.c - the beginning and the end that all verbs have in common.
 */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/fd.h"

static int open_log(struct cli *cli, struct ckpt_error *err)
{
	if (!cli->front.log_file)
		return 0;
	cli->log = fopen(cli->front.log_file, "we");
	if (cli->log) {
		setvbuf(cli->log, NULL, _IOLBF, 0);
		return 0;
	}
	cli->log = stderr;
	*err = (struct ckpt_error){
		.kind = errno == EACCES ? CKPT_E_PRIVILEGE : CKPT_E_USAGE,
		.err = errno,
		.object = strdup(cli->front.log_file),
		.call = strdup("open the log"),
	};
	return -1;
}

/* Before anything is done: an option that can't be followed is not found out afterwards. */
static int try_trace(const struct ckpt_common *common, struct ckpt_error *err)
{
	int fd = common->trace_file ? open(common->trace_file, O_WRONLY | O_CREAT | O_CLOEXEC, 0644)
				    : -EBADF;

	if (fd >= 0 || !common->trace_file) {
		fd_close(fd);
		return 0;
	}
	*err = (struct ckpt_error){
		.kind = errno == EACCES ? CKPT_E_PRIVILEGE : CKPT_E_USAGE,
		.err = errno,
		.object = strdup(common->trace_file),
		.call = strdup("open the trace"),
	};
	return -1;
}

/* The image by position, or by --dir or --crid: exactly one. */
static int take_image(
	struct cli *cli, const char *arg, const struct image_arg *image, struct ckpt_error *err)
{
	bool dir = image->dir && *image->dir;

	if (arg && (dir || *image->crid))
		return usage_error(err, "name the image once", "%s: both '%s' and %s",
			cli->verb->name, arg, dir ? "--dir" : "--crid");
	if (arg)
		return cli_image(arg, image->dir, image->crid, err);
	if (!dir && !*image->crid)
		return usage_error(err, NULL, "%s: %s ckpt %s %s", cli->verb->name,
			cli->verb->args == ARGS_IMAGES ? "two images are needed:" : "which image?",
			cli->verb->name, cli->verb->synopsis);
	return 0;
}

static int prepare(struct cli *cli, int argc, char **argv, struct ckpt_common *common,
	const struct image_arg *images, struct ckpt_error *err)
{
	const char *args[2];
	int n = cli->verb->args == ARGS_IMAGES                                  ? 2
		: cli->verb->args == ARGS_IMAGE || cli->verb->args == ARGS_CRID ? 1
										: 0;

	if (cli_parse(cli, argc, argv, common, args, err) < 0)
		return -1;
	if (cli->front.help)
		return 0;
	for (int i = 0; i < n; i++)
		if (take_image(cli, args[i], &images[i], err) < 0)
			return -1;
	if (options_complete(cli->verb->verb, common, err) < 0)
		return -1;
	if (try_trace(common, err) < 0)
		return -1;
	return open_log(cli, err);
}

int cli_start(struct cli *cli, int argc, char **argv, void *req, const struct image_arg *images,
	int *ret_status)
{
	struct ckpt_common *common = req; /* the first field of every request */
	struct ckpt_error err = {};

	common->log_level = CKPT_LOG_WARN;
	if (prepare(cli, argc, argv, common, images, &err) < 0) {
		options_done(cli->verb->verb, req);
		*ret_status = cli_fail(cli, &err);
		return -1;
	}
	if (cli->front.help) {
		options_help(cli->verb, stdout);
		options_done(cli->verb->verb, req);
		*ret_status = cli_finish(cli, 0);
		return 1;
	}
	common->log = cli_log;
	common->log_arg = cli;
	cli->started_ns = now_ns();
	cli->tty = isatty(STDERR_FILENO);
	if (cli->tty) {
		common->progress = cli_progress;
		common->progress_arg = cli;
	}
	return 0;
}

int cli_finish(struct cli *cli, int status)
{
	cli_progress_erase(cli);
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fprintf(stderr, "ckpt: stdout: write: %s\n", strerror(errno));
	return status ? status : CKPT_E_SPACE;
}

/* Die by the signal that the restored process died by: a shell that waits for us sees the same. The
 * core file, if any, was written by the process itself; ours would be of no use. */
int cli_end_as(int wait_status)
{
	int sig = WTERMSIG(wait_status);
	sigset_t set;

	if (WIFEXITED(wait_status))
		return WEXITSTATUS(wait_status);
	fflush(NULL);
	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
	prctl(PR_SET_DUMPABLE, 0);
	signal(sig, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, sig);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	raise(sig);
	return 128 + sig;
}
