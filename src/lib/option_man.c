/*
 * option_man.c - the man page as roff, man(7) macros: the tables, and the text around them.
 */
#include "lib/options.h"

#include <string.h>

/* Text with what roff would take for its own: backslashes, hyphens that are typed as minus signs, and
 * dots and quotes at the beginning of a line. */
static void put(FILE *out, const char *text)
{
	bool line_start = true;

	for (; *text; text++) {
		if (line_start && (*text == '.' || *text == '\''))
			fputs("\\&", out);
		line_start = *text == '\n';
		if (*text == '\\')
			fputs("\\e", out);
		else if (*text == '-')
			fputs("\\-", out);
		else
			fputc(*text, out);
	}
}

static void put_line(FILE *out, const char *text)
{
	put(out, text);
	fputc('\n', out);
}

static void option(FILE *out, const struct option_row *row)
{
	fputs(".TP\n", out);
	if (row->letter)
		fprintf(out, "\\fB\\-%c\\fR, ", row->letter);
	fputs("\\fB\\-\\-", out);
	put(out, row->name);
	fputs("\\fR", out);
	if (row->metavar) {
		fputs(option_value_optional(row) ? "[=\\fI" : " \\fI", out);
		put(out, row->metavar);
		fputs(option_value_optional(row) ? "\\fR]" : "\\fR", out);
	}
	fputc('\n', out);
	put(out, row->help);
	fputs(".\n", out);
	if (row->dflt) {
		fputs("Default: ", out);
		put(out, row->dflt);
		fputs(".\n", out);
	}
}

static void verb(FILE *out, const struct verb_desc *v)
{
	size_t pos = 0;
	const struct option_row *row;

	fprintf(out, ".SS ckpt %s ", v->name);
	put_line(out, v->synopsis);
	put_line(out, v->text);
	while ((row = option_next(v->verb, &pos)))
		if (option_listed(row))
			option(out, row);
}

static const char *const head[] = {
	".SH NAME",
	"ckpt \\- save a running process, and bring it back",
	".SH SYNOPSIS",
};

static const char *const body[] = {
	".SH DESCRIPTION",
	"\\fBckpt\\fR saves a running process, with all its threads, into an image (a directory), and",
	"brings it back later: every thread goes on at the very instruction where it was.",
	"It works from outside, in user space. The program need not be prepared, and the kernel needs",
	"no module.",
	".PP",
	"A dump does no harm: whatever goes wrong, the process goes on as if nothing had been.",
	"An image appears whole, by one rename, or not at all.",
	"What can't be saved is refused by name, all of it at once, before the process is stopped;",
	"\\fBckpt explain\\fR tells it beforehand.",
	".PP",
	"Where an image is asked for, a directory or the id of a checkpoint in the store (its",
	"\\fIcrid\\fR) can be given.",
	".SH COMMANDS",
};

static const char *const tail[] = {
	".SH COMING FROM CRIU",
	"The options",
	".BR \\-t ,\\~ \\-D ,\\~ \\-R ,\\~ \\-s ,\\~ \\-d ,\\~ \\-v ,\\~ \\-o\\~ and \\~\\-\\-pidfile",
	"mean the same here. What CRIU wants to be allowed explicitly needs no option; these are",
	"accepted and change nothing:",
	".BR \\-\\-tcp\\-established ,\\~ \\-\\-file\\-locks ,\\~ \\-\\-shell\\-job ,\\~ \\-\\-link\\-remap .",
	".SH OUTPUT",
	"Results go to standard output, messages to standard error. With \\fB\\-\\-json\\fR there is",
	"exactly one JSON object on standard output, of the result or of the error:",
	"{\"error\": {\"kind\", \"errno\", \"strerror\", \"syscall\", \"resource\", \"pid\", \"fd\",",
	"\"target_state\", \"hint\", \"text\"}}.",
	"A crid is a string there, as it has more digits than many readers keep.",
	".SH EXIT STATUS",
	".TP\n0\nall went well.",
	".TP\n1\nonly of \\fBckpt diff\\fR, and no error: the images differ.",
	".TP\n2\n(usage) the request itself is wrong.",
	".TP\n3\n(refused) the process holds something that can't be saved or restored.",
	".TP\n4\n(target) there is no such process, it died, or it changed meanwhile.",
	".TP\n5\n(image) the image is damaged, incomplete or unknown.",
	".TP\n6\n(conflict) a pid, a path or an image is in the way.",
	".TP\n7\n(space) disk, memory or descriptors ran out.",
	".TP\n8\n(privilege) the caller may not do this.",
	".TP\n9\n(system) a system call failed that should not have.",
	".TP\n10\n(cancelled) the caller of a service wished no more of it.",
	".PP",
	"\\fBckpt restore\\fR in the foreground exits as the restored process exits: with its exit",
	"status, or by the same signal.",
	".SH FILES",
	".TP\n.I /var/lib/ckpt/CRID",
	"the store: images of dumps without \\fB\\-D\\fR.",
	".TP\n.I $XDG_STATE_HOME/ckpt/CRID",
	"the same for users other than root; ~/.local/state where the variable is not set.",
	".SH EXAMPLES",
	".EX",
	"ckpt explain \\-t 1234                  # what would be saved, what is in the way",
	"ckpt dump \\-t 1234 \\-D /tmp/image       # save it and end it",
	"ckpt restore /tmp/image                # bring it back, wait for it",
	"ckpt dump \\-t 1234 \\-R \\-D /tmp/image    # save it, and let it go on",
	"ckpt restore \\-\\-plan /tmp/image         # what would a restore do?",
	".EE",
	".SH SEE ALSO",
	".BR ptrace (2),",
	".BR proc (5),",
	".BR capabilities (7)",
};

static void put_lines(FILE *out, const char *const *lines, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fprintf(out, "%s\n", lines[i]);
}

void options_man(FILE *out)
{
	fprintf(out, ".TH CKPT 1 \"\" \"ckpt %s\" \"User Commands\"\n", CKPT_VERSION);
	put_lines(out, head, sizeof(head) / sizeof(head[0]));
	for (const struct verb_desc *v = verbs(); v->name; v++) {
		fprintf(out, ".B ckpt %s\n", v->name);
		put_line(out, v->synopsis);
		fputs(".br\n", out);
	}
	put_lines(out, body, sizeof(body) / sizeof(body[0]));
	for (const struct verb_desc *v = verbs(); v->name; v++)
		verb(out, v);
	put_lines(out, tail, sizeof(tail) / sizeof(tail[0]));
}
