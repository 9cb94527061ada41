/*
 * rows.h - how the rows of the table of options are written; for the files that hold them.
 *
 * A field that several requests have stands in several rows, because it lies at another offset in
 * each. What all requests begin with (struct ckpt_common) lies at offset 0 of every one of them.
 */
#ifndef CKPT_LIB_ROWS_H
#define CKPT_LIB_ROWS_H

#include "lib/options.h"

#define COMMON_FIRST(type)                                                                         \
	_Static_assert(offsetof(struct type, common) == 0, "common is the first field")

#define PATH_LONGEST 4095
#define PID_LONGEST  (1 << 22) /* PID_MAX_LIMIT of Linux */
#define PID(r)       .type = OPT_PID, .offset = offsetof(struct r, pid), .min = 1, .max = PID_LONGEST
#define CRID(r)      .type = OPT_U64, .offset = offsetof(struct r, crid), .min = 1, .max = INT64_MAX
#define STR(r, f)    .type = OPT_STRING, .offset = offsetof(struct r, f), .min = 1, .max = PATH_LONGEST
#define FLAG(r, f)   .type = OPT_FLAG, .offset = offsetof(struct r, f)
#define FRONT(f)     .home = HOME_FRONT, .offset = offsetof(struct option_front, f)

/* In the order of the help; each ends with a NULL name. */
extern const struct option_row rows_dump[];    /* dump and explain */
extern const struct option_row rows_restore[]; /* restore */
extern const struct option_row rows_image[];   /* show, verify, diff */
extern const struct option_row rows_said[];    /* of all verbs: what is said, and how */
extern const struct option_row rows_store[];   /* run, list, remove, gc */
extern const struct option_row rows_service[]; /* serve, call */
extern const struct option_row rows_help[];    /* help, and what needs no option */

/* Wishes that several verbs have. */
extern const struct option_name names_tcp[];
extern const struct option_name names_unix[];
extern const struct option_name names_notify[];

#endif
