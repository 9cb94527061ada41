/*
 * wish.c - see wish.h.
 */
#include "res/ipc/wish.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "util/str.h"

#define WORD_MAX 32

/* The next word of a list, without its comma; empty where it is too long. Return: false at the end. */
static bool next_word(const char **p, char word[WORD_MAX])
{
	size_t n = strcspn(*p, ",");

	if (!**p)
		return false;
	snprintf(word, WORD_MAX, "%.*s", n < WORD_MAX ? (int)n : 0, *p);
	*p += n + ((*p)[n] == ',');
	return true;
}

static bool is_number(const char *text, unsigned base, uint64_t max)
{
	uint64_t n;

	return str_u64(&text, base, &n) == 0 && !*text && n <= max;
}

static bool is_wish(const char *word)
{
	const char *rest;

	if (str_eq(word, "tree"))
		return true;
	if ((rest = str_startswith(word, "sem:")) || (rest = str_startswith(word, "msg:")))
		return is_number(rest, 10, INT32_MAX);
	rest = str_startswith(word, "0x");
	return rest && is_number(rest, 16, UINT32_MAX);
}

const char *wish_wrong(const char *text)
{
	char word[WORD_MAX];
	size_t len = strlen(text);
	bool any = false;

	while (next_word(&text, word)) {
		if (!is_wish(word))
			return "it is a list of tree, sem:ID, msg:ID and 0xKEY, separated by "
			       "commas";
		any = true;
	}
	return any && len && text[-1] != ',' ? NULL : "the list is empty, or ends with a comma";
}

static bool wished(const char *const *wishes, const char *name)
{
	char word[WORD_MAX];

	for (; wishes && *wishes; wishes++)
		for (const char *p = *wishes; next_word(&p, word);)
			if (str_eq(word, name))
				return true;
	return false;
}

bool wish_tree(const char *const *wishes)
{
	return wished(wishes, "tree");
}

/* Keys are compared as numbers: 0x7 and 0x00000007 are one. */
static bool key_wished(const char *const *wishes, uint32_t key)
{
	char word[WORD_MAX];

	for (; key && wishes && *wishes; wishes++) {
		for (const char *p = *wishes; next_word(&p, word);) {
			const char *digits = str_startswith(word, "0x");
			uint64_t n;

			if (digits && str_u64(&digits, 16, &n) == 0 && n == key)
				return true;
		}
	}
	return false;
}

bool wish_names(const char *const *wishes, const char *kind, int id, key_t key)
{
	char name[WORD_MAX];

	snprintf(name, sizeof(name), "%s:%d", kind, id);
	return wished(wishes, name) || key_wished(wishes, (uint32_t)key);
}
