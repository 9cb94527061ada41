/*
 * option_docs.c - help, man page and completion: everything that they must hold, by structure.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/options.h"

enum what { HELP, MAN, BASH, ZSH };

static char *print(enum what what, const struct verb_desc *verb)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	cr_assert(f);
	switch (what) {
	case HELP:
		options_help(verb, f);
		break;
	case MAN:
		options_man(f);
		break;
	case BASH:
		options_completion(SHELL_BASH, f);
		break;
	case ZSH:
		options_completion(SHELL_ZSH, f);
		break;
	}
	fclose(f);
	return text;
}

/* Calls expect(text, row) with the text from the verb's beginning on, for every listed row. */
static void each_row(const struct verb_desc *v, const char *text,
	void (*expect)(const char *text, const struct option_row *row))
{
	size_t pos = 0;
	const struct option_row *row;

	while ((row = option_next(v->verb, &pos)))
		if (option_listed(row))
			expect(text, row);
}

static void expect_help(const char *text, const struct option_row *row)
{
	char name[64];

	snprintf(name, sizeof(name), row->letter ? "  -%2$c, --%1$s" : "      --%1$s", row->name,
		row->letter);
	cr_expect(strstr(text, name), "help lacks '%s'", name);
	cr_expect(strstr(text, row->help), "help lacks '%s'", row->help);
}

Test(option_docs, help_of_each_verb_lists_its_options)
{
	for (const struct verb_desc *v = verbs(); v->name; v++) {
		char *text = print(HELP, v);
		char usage[128];

		snprintf(usage, sizeof(usage), "Usage: ckpt %s ", v->name);
		cr_expect(!strncmp(text, usage, strlen(usage)));
		each_row(v, text, expect_help);
		cr_expect(!strstr(text, "tcp-established"), "no-ops are not listed");
		free(text);
	}
}

Test(option_docs, help_fits_a_screen)
{
	for (const struct verb_desc *v = verbs(); v->name; v++) {
		char *text = print(HELP, v), *rest = text, *line;

		while ((line = strsep(&rest, "\n")))
			cr_expect_leq(strlen(line), 100, "%s: %s", v->name, line);
		free(text);
	}
}

Test(option_docs, help_of_the_command_lists_the_verbs)
{
	char *text = print(HELP, NULL);

	for (const struct verb_desc *v = verbs(); v->name; v++)
		cr_expect(strstr(text, v->summary), "%s", v->name);
	free(text);
}

static void expect_man(const char *text, const struct option_row *row)
{
	char name[64] = "\\fB\\-\\-", *p = name + strlen(name);

	for (const char *c = row->name; *c; c++)
		p += sprintf(p, *c == '-' ? "\\-" : "%c", *c);
	strcpy(p, "\\fR");
	cr_expect(strstr(text, name), "man page lacks '%s'", name);
}

Test(option_docs, man_page_has_its_sections_and_every_option)
{
	static const char *const sections[] = {"NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS",
		"EXIT STATUS", "EXAMPLES", "SEE ALSO"};
	char *text = print(MAN, NULL), *at = text;
	char head[64];

	cr_expect(!strncmp(text, ".TH CKPT 1 ", 11));
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
		snprintf(head, sizeof(head), "\n.SH %s\n", sections[i]);
		at = strstr(at, head);
		cr_assert(at, "%s is missing or out of order", sections[i]);
	}
	for (const struct verb_desc *v = verbs(); v->name; v++) {
		snprintf(head, sizeof(head), "\n.SS ckpt %s ", v->name);
		at = strstr(text, head);
		cr_assert(at, "%s", v->name);
		each_row(v, at, expect_man);
	}
	free(text);
}

/* roff takes a line that begins with a dot or an apostrophe as a request: ours are all known. */
Test(option_docs, man_page_has_no_stray_requests)
{
	static const char *const known[] = {
		".TH ", ".SH ", ".SS ", ".TP", ".PP", ".B ", ".BR ", ".I ", ".br", ".EX", ".EE"};
	char *text = print(MAN, NULL), *rest = text, *line;

	while ((line = strsep(&rest, "\n"))) {
		bool ok = *line != '.' && *line != '\'';

		for (size_t i = 0; !ok && i < sizeof(known) / sizeof(known[0]); i++)
			ok = !strncmp(line, known[i], strlen(known[i]));
		cr_expect(ok, "%s", line);
	}
	free(text);
}

static void expect_long(const char *text, const struct option_row *row)
{
	char name[64];

	snprintf(name, sizeof(name), "--%s", row->name);
	cr_expect(strstr(text, name), "completion lacks %s", name);
}

Test(option_docs, completion_knows_every_option)
{
	for (enum what shell = BASH; shell <= ZSH; shell++) {
		char *text = print(shell, NULL);

		for (const struct verb_desc *v = verbs(); v->name; v++) {
			char head[64];
			char *at;

			snprintf(head, sizeof(head), "\n\t%s)\n", v->name);
			at = strstr(text, head);
			cr_assert(at, "%s", v->name);
			each_row(v, at, expect_long);
		}
		free(text);
	}
}

Test(option_docs, bash_accepts_its_script)
{
	char *text = print(BASH, NULL);
	FILE *f = popen("bash -n", "w");

	cr_assert(f);
	fputs(text, f);
	cr_expect_eq(pclose(f), 0);
	free(text);
}

/* What bash proposes on "ckpt restore --changed-files <TAB>". */
Test(option_docs, bash_proposes_values)
{
	char *text = print(BASH, NULL);
	char path[] = "/tmp/ckpt-unit-XXXXXX", command[256], line[128] = "";
	int fd = mkstemp(path);
	FILE *f;

	cr_assert(fd >= 0);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	snprintf(command, sizeof(command),
		"bash -c '. %s; COMP_WORDS=(ckpt restore --changed-files w) COMP_CWORD=3; _ckpt; "
		"echo ${COMPREPLY[*]}'",
		path);
	f = popen(command, "r");
	cr_assert(f);
	cr_expect(fgets(line, sizeof(line), f));
	cr_expect_str_eq(line, "warn\n");
	cr_expect_eq(pclose(f), 0);
	unlink(path);
	free(text);
}
