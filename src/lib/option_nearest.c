/*
 * option_nearest.c - what may have been meant by a name that does not exist.
 *
 * The distance counts inserted, missing, wrong and swapped neighbouring letters. A third of a
 * name's letters may be wrong; beyond that a proposal confuses more than it helps. The beginning
 * of a name ("leave-run") proposes it too.
 */
#include "lib/options.h"

#include <string.h>

#include "util/cleanup.h"
#include "util/str.h"
#include "util/vec.h"

#define NAME_LONGEST 32

/* Restricted Damerau-Levenshtein distance, three rows of the table at a time. */
static size_t distance(const char *a, const char *b)
{
	size_t rows[3][NAME_LONGEST + 1], la = strlen(a), lb = strlen(b);
	size_t *before = rows[0], *prev = rows[1], *now = rows[2];

	if (la > NAME_LONGEST || lb > NAME_LONGEST)
		return SIZE_MAX;
	for (size_t j = 0; j <= lb; j++)
		prev[j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t *swap = before;

		now[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			now[j] = MIN(prev[j], now[j - 1]) + 1;
			now[j] = MIN(now[j], prev[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = MIN(now[j], before[j - 2] + 1);
		}
		before = prev;
		prev = now;
		now = swap;
	}
	return prev[lb];
}

struct nearest {
	const char *given, *best;
	size_t best_distance;
};

static void nearest_try(struct nearest *n, const char *name)
{
	size_t d = distance(n->given, name);

	if (strlen(n->given) >= 3 && str_startswith(name, n->given))
		d = 1;
	if (d > 1 && d > strlen(name) / 3)
		return;
	if (n->best && d >= n->best_distance)
		return;
	n->best = name;
	n->best_distance = d;
}

const char *verb_nearest(const char *name)
{
	struct nearest n = {.given = name};

	for (const struct verb_desc *v = verbs(); v->name; v++)
		nearest_try(&n, v->name);
	return n.best;
}

/* The other verb that has an option of this name. */
static const char *verb_having(const char *name)
{
	for (const struct verb_desc *v = verbs(); v->name; v++)
		if (option_find(v->verb, name))
			return v->name;
	return NULL;
}

static const char *verb_name(enum verb verb)
{
	for (const struct verb_desc *v = verbs(); v->name; v++)
		if (v->verb == verb)
			return v->name;
	return "?";
}

int option_unknown(enum verb verb, const char *name, struct ckpt_error *err)
{
	size_t pos = 0;
	const struct option_row *row;
	struct nearest n = {.given = name};
	const char *other = option_find(verb, name) ? NULL : verb_having(name);
	struct strbuf sb = {};
	_cleanup_free_ char *advice = NULL;

	while ((row = option_next(verb, &pos)))
		if (option_listed(row) && strcmp(row->name, name))
			nearest_try(&n, row->name);
	if (other)
		strbuf_addf(&sb, "it is an option of 'ckpt %s'", other);
	else if (n.best)
		strbuf_addf(&sb, "did you mean --%s?", n.best);
	else
		strbuf_addf(&sb, "'ckpt help %s' lists the options", verb_name(verb));
	if (strbuf_take(&sb, &advice) < 0)
		advice = NULL;
	return usage_error(err, advice, "%s: unknown option --%s", verb_name(verb), name);
}
