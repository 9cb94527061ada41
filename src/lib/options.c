/*
 * options.c - the rows of all verbs as one table, to be read and searched.
 */
#include "lib/options.h"

#include <string.h>

#include "lib/rows.h"
#include "util/vec.h"

/* In the order of the help. */
static const struct option_row *const tables[] = {
	rows_dump, rows_restore, rows_image, rows_said, rows_store, rows_service, rows_help};

/* The row at a position of all tables together; NULL: behind the last. */
static const struct option_row *row_at(size_t pos)
{
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		for (const struct option_row *row = tables[i]; row->name; row++)
			if (pos-- == 0)
				return row;
	return NULL;
}

const struct option_row *option_next(enum verb verb, size_t *pos)
{
	const struct option_row *row;

	while ((row = row_at(*pos))) {
		(*pos)++;
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
