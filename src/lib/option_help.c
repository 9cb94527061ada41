/*
 * option_help.c - the help as text: the verbs, and each verb's options, from the tables.
 */
#include "lib/options.h"

#include <string.h>

#define HELP_COLUMN 28

/* "  -D, --dir DIR" padded to the column of the text, or followed by a new line when too long. */
static void print_names(const struct option_row *row, FILE *out)
{
	int n;
	char letter[8] = "    ";
	bool optional = option_value_optional(row);

	if (row->letter)
		snprintf(letter, sizeof(letter), "-%c, ", row->letter);
	n = fprintf(out, "  %s--%s%s%s%s", letter, row->name,
		!row->metavar ? "" : (optional ? "[=" : " "), row->metavar ? row->metavar : "",
		row->metavar && optional ? "]" : "");
	if (n > HELP_COLUMN - 2) {
		fputc('\n', out);
		n = 0;
	}
	fprintf(out, "%*s", HELP_COLUMN - n, "");
}

static void help_verb(const struct verb_desc *verb, FILE *out)
{
	size_t pos = 0;
	const struct option_row *row;

	fprintf(out, "Usage: ckpt %s %s\n\nckpt %s: %s.\n\nOptions:\n", verb->name, verb->synopsis,
		verb->name, verb->summary);
	while ((row = option_next(verb->verb, &pos))) {
		if (!option_listed(row))
			continue;
		print_names(row, out);
		fprintf(out, "%s\n", row->help);
		if (row->dflt)
			fprintf(out, "%*s(default: %s)\n", HELP_COLUMN, "", row->dflt);
	}
}

void options_help(const struct verb_desc *verb, FILE *out)
{
	if (verb) {
		help_verb(verb, out);
		return;
	}
	fputs("Usage: ckpt VERB [OPTIONS]\n\n"
	      "Saves a running process, with all its threads, and brings it back.\n\nVerbs:\n",
		out);
	for (const struct verb_desc *v = verbs(); v->name; v++)
		fprintf(out, "  %-10s%s\n", v->name, v->summary);
	fputs("\n'ckpt help VERB' prints a verb's options, 'ckpt --version' the version.\n", out);
}
