/*
 * json_str.c - see json_str.h.
 */
#include "util/json_str.h"

#include "util/str.h"

/* Escape every byte outside of ASCII; only for text that is not UTF-8. */
static json_t *escaped(const char *s)
{
	_cleanup_strbuf_ struct strbuf sb = {};

	for (; *s; s++) {
		if ((unsigned char)*s >= 0x80)
			strbuf_addf(&sb, "\\x%02x", (unsigned char)*s);
		else
			strbuf_addc(&sb, *s);
	}
	return sb.err ? NULL : json_stringn(sb.s, sb.len);
}

json_t *json_of_str(const char *s)
{
	json_t *j = json_string(s);

	return j ? j : escaped(s);
}
