/*
 * cli.h - what the verbs of the command share: arguments, messages, rendering.
 *
 * A verb is one file with one function cli_VERB(): it parses its arguments into a request, calls
 * libckpt, and renders the result or the error. It returns the exit status, which is the kind of
 * the failure (enum ckpt_kind).
 *
 * Results go to stdout, everything else to stderr: `ckpt VERB --json | program` always sees
 * exactly one JSON object.
 */
#ifndef CKPT_CLI_CLI_H
#define CKPT_CLI_CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <jansson.h>

#include "ckpt.h"
#include "lib/options.h"
#include "lib/result_json.h"
#include "util/units.h"

/** One run of the command. */
struct cli {
	const struct verb_desc *verb;
	struct option_front front;
	FILE *log;            /* stderr, or the file of --log */
	bool progress_shown;  /* a progress line stands on stderr now */
	bool served;          /* by a service, for somebody else */
	bool tty;             /* stderr is a terminal */
	uint64_t progress_ns; /* when it was drawn */
	uint64_t started_ns;
};

/** The two fields of a request that name an image. */
struct image_arg {
	const char **dir; /* NULL: by its crid only */
	uint64_t *crid;
};

typedef int cli_verb_fn(struct cli *cli, int argc, char **argv);

cli_verb_fn cli_dump, cli_restore, cli_run_program, cli_show, cli_verify, cli_diff, cli_check,
	cli_explain, cli_list, cli_remove, cli_gc, cli_serve, cli_call, cli_help;

/** cli_find() - what runs a verb; NULL: nothing does */
cli_verb_fn *cli_find(enum verb verb);

/** cli_run() - run a command; argv[0] is the name of the verb. Return: the exit status */
int cli_run(struct cli *cli, int argc, char **argv);

/**
 * cli_parse() - arguments into a request
 * @argv:  argv[0] is the verb's name
 * @req:   the verb's zeroed request struct; strings in it point into argv
 * @args:  positional arguments, at least 2 entries; NULL where there is none
 * --json is noticed even when the arguments before it are wrong, so that the error is JSON too.
 * Return: 0; -1 with *err filled
 */
int cli_parse(struct cli *cli, int argc, char **argv, void *req, const char *args[2],
	struct ckpt_error *err);

/**
 * cli_image() - a positional argument that names an image: a directory, or digits for a crid
 * Digits that are the name of a directory here are taken as the directory.
 * @ret_dir, @ret_crid:  exactly one of them is set; @ret_dir NULL: only a crid will do
 * Return: 0; -1 with *err filled
 */
int cli_image(const char *arg, const char **ret_dir, uint64_t *ret_crid, struct ckpt_error *err);

/**
 * cli_start() - everything between arguments and work: cli_parse(), the image of a positional
 * argument, help, the log and the progress line
 * @images:  where the verb's images go that are named by position (as many as verb->args says), or NULL
 * Return: 0 go on; 1 all was done (help), *ret_status is 0; -1 failed and reported, *ret_status is
 * the exit status
 */
int cli_start(struct cli *cli, int argc, char **argv, void *req, const struct image_arg *images,
	int *ret_status);

/**
 * cli_end_as() - end by the signal by which a program has died: a shell that waits for us sees the same
 * Return: the exit status where it has not
 */
int cli_end_as(int wait_status);

/** cli_tell() - print an error as text or JSON */
void cli_tell(struct cli *cli, const struct ckpt_error *err);

/** cli_fail() - report an error as text or JSON, free it. Return: the exit status */
int cli_fail(struct cli *cli, struct ckpt_error *err);

/** cli_unknown_verb() - fill *err with the verb that may have been meant */
void cli_unknown_verb(const char *name, struct ckpt_error *err);

/** cli_finish() - flush stdout, which may be a full disk. Return: status, or CKPT_E_SPACE */
int cli_finish(struct cli *cli, int status);

/** cli_json() - print a JSON object and a newline on stdout; takes the reference */
void cli_json(json_t *object);

/** cli_log() - a line for the user; the function that goes into ckpt_common.log */
void cli_log(void *arg, enum ckpt_log_level level, const char *line);

/** cli_progress() - the function that goes into ckpt_common.progress */
void cli_progress(void *arg, const char *stage, uint64_t done_bytes, uint64_t total_bytes);

/** cli_progress_erase() - take the progress line away, if one is shown */
void cli_progress_erase(struct cli *cli);

#endif
