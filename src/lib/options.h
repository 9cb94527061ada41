/*
 * options.h - THE table of options: one row per field of a request.
 *
 * Everything that knows an option reads this table: getopt's tables, `--help`, the man page, shell
 * completion, and whoever fills a request from names and values. A new option is a field in
 * include/ckpt.h and a row in one of src/lib/rows_*.c, nothing else.
 */
#ifndef CKPT_LIB_OPTIONS_H
#define CKPT_LIB_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "ckpt.h"

enum verb {
	VERB_DUMP = 1 << 0,
	VERB_RESTORE = 1 << 1,
	VERB_SHOW = 1 << 2,
	VERB_VERIFY = 1 << 3,
	VERB_DIFF = 1 << 4,
	VERB_CHECK = 1 << 5,
	VERB_EXPLAIN = 1 << 6,
	VERB_SERVE = 1 << 7,
	VERB_CALL = 1 << 8,
	VERB_LIST = 1 << 9,
	VERB_REMOVE = 1 << 10,
	VERB_GC = 1 << 11,
	VERB_RUN = 1 << 12,
	VERB_HELP = 1 << 13,
	VERB_ALL = (1 << 14) - 1
};

/* Requests of verbs that are no function of the library. */

/** Of `ckpt serve`. */
struct ckpt_serve_req {
	struct ckpt_common common;
	const char *socket; /* path, or "@" and an abstract name; NULL: systemd gives one */
	uint64_t session;   /* serve this one connection, a descriptor; 0: none */
};

/** Of `ckpt call`. */
struct ckpt_call_req {
	struct ckpt_common common;
};

/** What a positional argument of a verb is. */
enum verb_args {
	ARGS_NONE,
	ARGS_IMAGE,   /* one directory or crid, unless --dir names it */
	ARGS_IMAGES,  /* two of them */
	ARGS_CRID,    /* one crid, unless --crid names it */
	ARGS_PROGRAM, /* a program and its arguments */
	ARGS_CALL,    /* a method, and its parameters as JSON */
	ARGS_VERB     /* the name of a verb, or nothing */
};

struct verb_desc {
	enum verb verb;
	const char *name;
	enum verb_args args;
	const char *synopsis; /* what follows the name: "-t PID [-D DIR]" */
	const char *summary;  /* one line, no full stop */
	const char *text;     /* a paragraph for the man page */
	size_t req_size;      /* of the request struct, 0 if there is none */
	/* Why it is no method of the service, or no function of the library; NULL: it is */
	const char *no_method, *no_function;
};

/** What only a front end reads; no part of a request. */
struct option_front {
	bool json;
	bool help;
	bool plan;
	bool faults;
	bool man;
	bool rpc;
	int completion; /* enum option_shell */
	const char *log_file;
	const char *socket;
};

enum option_shell { SHELL_NONE = 0, SHELL_BASH, SHELL_ZSH };

enum option_type {
	OPT_FLAG,    /* bool */
	OPT_STRING,  /* const char *, borrowed */
	OPT_PID,     /* pid_t */
	OPT_U64,     /* uint64_t */
	OPT_TIME,    /* uint64_t, seconds: with s, m, h or d behind it */
	OPT_SIGNAL,  /* int: a number, or a name without SIG */
	OPT_SIZE,    /* uint64_t, bytes: with K, M, G or T behind it */
	OPT_ENUM,    /* int, one of names */
	OPT_LEVEL,   /* enum ckpt_log_level: -v raises it, -vN sets it to N - 1 */
	OPT_STRINGS, /* const char *const *, NULL-terminated: may be given repeatedly */
	OPT_NOTHING  /* accepted for the sake of old fingers; needs no option here */
};

/** Where the field lies. */
enum option_home { HOME_REQ, HOME_FRONT };

struct option_name {
	const char *name;
	int value;
};

struct option_row {
	unsigned verbs; /* enum verb, or'ed */
	const char *name;
	char letter; /* 0: no short form */
	enum option_type type;
	enum option_home home;
	size_t offset;
	uint64_t min, max;               /* of a number; of a string's length when max is not 0 */
	const struct option_name *names; /* of an enum; ends with a NULL name */
	const char *metavar;             /* NULL: takes no value */
	const char *implied;             /* the value where none is given, or NULL: one is needed */
	const char *dflt;                /* text for people, or NULL */
	const char *help;                /* one line */
	const char *alias;               /* a second long name, unlisted, or NULL */
	const char *excludes;            /* the name of an option that can't be given as well */
	bool required;
	bool called; /* of a front end, and every front end has it: it says what is called */
	const char *
		no_param; /* of a request: why no service can do it for a caller, or NULL: it can */
	bool is_dir; /* for completion: the value is a directory; a string is a file elsewhere */
	/** Return: NULL, or the static reason why the value is no good */
	const char *(*check)(const char *value);
	/** Return: where in a value of OPT_STRINGS a path begins; NULL where it has none */
	const char *(*path)(const char *value);
};

/** verbs() - every verb, in the order of the help; ends with a NULL name */
const struct verb_desc *verbs(void);

/** verb_find() - Return: the verb of that name, or NULL */
const struct verb_desc *verb_find(const char *name);

/** verb_nearest() - Return: the name of a verb that may have been meant, or NULL */
const char *verb_nearest(const char *name);

/**
 * option_next() - iterate over a verb's rows, in the order of the help; start with *pos = 0
 * @verb: or several, or'ed
 * Return: NULL at the end
 */
const struct option_row *option_next(enum verb verb, size_t *pos);

/** option_find() - by long name or alias, without dashes. Return: NULL if the verb has none such */
const struct option_row *option_find(enum verb verb, const char *name);

/** option_value_optional() - Return: whether a value may be left out: "--name" or "--name=VALUE" */
bool option_value_optional(const struct option_row *row);

/** option_listed() - Return: whether help shows the row (the no-ops for old fingers are not shown) */
bool option_listed(const struct option_row *row);

/**
 * option_set() - one value into a request, checked
 * @req:   the verb's request struct
 * @front: may be NULL where the row's home is the request
 * @value: NULL for a flag that is given without a value ("true" and "false" are accepted too);
 *         a string stays the caller's and must outlive the request
 * @err:   filled on failure, kind CKPT_E_USAGE (or CKPT_E_SPACE)
 * Return: 0; -1 with *err filled
 */
int option_set(const struct option_row *row, void *req, struct option_front *front,
	const char *value, struct ckpt_error *err);

/**
 * option_set_named() - the same by name, for a front end that has names and values (JSON-RPC)
 * @name: with '-' or '_' between its words
 * Only options of the request, and those that are row->called, exist here; one that is row->no_param is
 * refused with that reason. An unknown name's error names the nearest known one.
 * Return: 0; -1 with *err filled
 */
int option_set_named(enum verb verb, void *req, struct option_front *front, const char *name,
	const char *value, struct ckpt_error *err);

/** option_not_served() - fill *err for an option that a service can't follow (row->no_param). Return: -1 */
int option_not_served(const struct option_row *row, struct ckpt_error *err);

/** option_by_param() - the row of a parameter's name, as of option_set_named(); NULL: there is none */
const struct option_row *option_by_param(enum verb verb, const char *name);

/** option_unknown() - fill *err for an option that the verb does not have. Return: -1 */
int option_unknown(enum verb verb, const char *name, struct ckpt_error *err);

/**
 * options_complete() - what no single value can tell: required options, options that exclude each other
 * Return: 0; -1 with *err filled
 */
int options_complete(enum verb verb, const void *req, struct ckpt_error *err);

/** options_done() - free what option_set() has allocated in a request */
void options_done(enum verb verb, void *req);

/** usage_error() - fill *err with kind CKPT_E_USAGE; object is a printf format. Return: -1 */
int usage_error(struct ckpt_error *err, const char *advice, const char *object, ...)
	__attribute__((format(printf, 3, 4)));

/** options_help() - print the help of a verb, or of the whole command for NULL */
void options_help(const struct verb_desc *verb, FILE *out);

/** options_man() - print the man page as roff */
void options_man(FILE *out);

/** options_completion() - print the completion script for a shell */
void options_completion(enum option_shell shell, FILE *out);

#endif
