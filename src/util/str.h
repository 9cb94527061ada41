/*
 * Text: a growing string, and fast scanners over text of the kernel.
 *
 * A scanner takes a cursor and moves it past what it accepted; it does not move on failure. Text
 * of /proc is tens of megabytes for a large process, so nothing here goes through sscanf.
 */
#ifndef CKPT_UTIL_STR_H
#define CKPT_UTIL_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* A string being built. Start with `struct strbuf sb = {};`. The first failure sticks in @err, the
 * later calls then do nothing, so that only the end of a chain is checked. @s is NULL or
 * NUL-terminated, @len counts without the NUL. */
struct strbuf {
	char *s;
	size_t len, cap;
	int err;
};

/**
 * strbuf_addn() - append @n bytes
 * @sb:  bytes may contain NUL; the string is terminated after them
 * @s:   need not be terminated
 * Return: 0, or the sticky error of @sb (-ENOMEM).
 */
int strbuf_addn(struct strbuf *sb, const void *s, size_t n);

/**
 * strbuf_add() - append a NUL-terminated string
 * Return: 0, or the sticky error of @sb.
 */
int strbuf_add(struct strbuf *sb, const char *s);

/**
 * strbuf_addc() - append one byte
 * Return: 0, or the sticky error of @sb.
 */
int strbuf_addc(struct strbuf *sb, char c);

/**
 * strbuf_addf() - append formatted text, printf(3)
 * Return: 0, or the sticky error of @sb.
 */
int strbuf_addf(struct strbuf *sb, const char *fmt, ...) __attribute__((__format__(printf, 2, 3)));

/**
 * strbuf_vaddf() - strbuf_addf() over a va_list, which is consumed
 * Return: 0, or the sticky error of @sb.
 */
int strbuf_vaddf(struct strbuf *sb, const char *fmt, va_list ap)
	__attribute__((__format__(printf, 2, 0)));

/**
 * strbuf_take() - hand the string over; @sb is empty afterwards, also on failure
 * @ret:  caller frees; never NULL on success ("" for an empty one); untouched on failure
 * Return: 0, or the sticky error of @sb.
 */
int strbuf_take(struct strbuf *sb, char **ret);

/**
 * strbuf_done() - free the string; @sb is empty and can be used again
 */
void strbuf_done(struct strbuf *sb);

#define _cleanup_strbuf_ __attribute__((__cleanup__(strbuf_done)))

/**
 * str_u64() - scan an unsigned number
 * @p:     cursor, moved past the digits; no leading blanks, sign or 0x are accepted
 * @base:  8, 10 or 16
 * @ret:   untouched on failure
 * Return: 0; -EINVAL no digit; -ERANGE more than 64 bits.
 */
int str_u64(const char **p, int base, uint64_t *ret);

/**
 * str_s64() - scan a decimal number with an optional minus sign
 * @p:    cursor, moved past the number
 * @ret:  untouched on failure
 * Return: 0; -EINVAL no digit; -ERANGE does not fit.
 */
int str_s64(const char **p, int64_t *ret);

/**
 * str_u32() - str_u64() for 32 bits
 * Return: 0; -EINVAL no digit; -ERANGE more than 32 bits.
 */
int str_u32(const char **p, int base, uint32_t *ret);

/**
 * str_int() - str_s64() for an int
 * Return: 0; -EINVAL no digit; -ERANGE does not fit.
 */
int str_int(const char **p, int *ret);

/**
 * str_unescape() - undo the kernel's octal escapes (\012) in place
 * @s:       NUL-terminated
 * @escaped: the characters that this file of the kernel escapes; a backslash sequence for any other
 *           character is part of the text. /proc/PID/maps escapes only "\n", mountinfo " \t\n\\#".
 * Where the backslash is not among them, a text that holds the very sequence cannot be told apart.
 * Return: the new length in bytes.
 * Source: Linux fs/seq_file.c seq_path(), mangle_path().
 */
size_t str_unescape(char *s, const char *escaped);

/**
 * str_startswith() - whether @s begins with @prefix
 * Return: the rest of @s after @prefix, or NULL.
 */
static inline const char *str_startswith(const char *s, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

static inline bool str_eq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

/**
 * str_put() - print a string of foreign origin: control characters become '?', so that it stays on its
 * line and moves no cursor
 * @s: may be NULL: nothing is printed
 */
void str_put(FILE *out, const char *s);

/* Move the cursor over blanks and tabs, not over newlines. */
static inline void str_skip_blanks(const char **p)
{
	while (**p == ' ' || **p == '\t')
		(*p)++;
}

/* Move the cursor to the start of the next line, or to the final NUL. */
static inline void str_skip_line(const char **p)
{
	const char *nl = strchr(*p, '\n');

	*p = nl ? nl + 1 : *p + strlen(*p);
}

#endif
