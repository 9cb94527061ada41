/*
 * The growing string and the number scanners: see the header.
 */
#include "util/str.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "util/vec.h"

/* Room for @extra bytes and the NUL. */
static int strbuf_reserve(struct strbuf *sb, size_t extra)
{
	if (sb->err)
		return sb->err;
	if (extra >= SIZE_MAX - sb->len)
		sb->err = -ENOMEM;
	else
		sb->err = vec_reserve(&sb->s, &sb->cap, sb->len + extra + 1, 1);
	return sb->err;
}

int strbuf_addn(struct strbuf *sb, const void *s, size_t n)
{
	if (strbuf_reserve(sb, n) < 0)
		return sb->err;
	if (n > 0)
		memcpy(sb->s + sb->len, s, n);
	sb->len += n;
	sb->s[sb->len] = '\0';
	return 0;
}

int strbuf_add(struct strbuf *sb, const char *s)
{
	return strbuf_addn(sb, s, strlen(s));
}

int strbuf_addc(struct strbuf *sb, char c)
{
	return strbuf_addn(sb, &c, 1);
}

int strbuf_vaddf(struct strbuf *sb, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	if (strbuf_reserve(sb, 128) < 0)
		return sb->err;
	va_copy(again, ap);
	n = vsnprintf(sb->s + sb->len, sb->cap - sb->len, fmt, ap);
	if (n < 0) {
		sb->s[sb->len] = '\0';
		sb->err = -EINVAL;
	} else if ((size_t)n >= sb->cap - sb->len && strbuf_reserve(sb, (size_t)n) == 0) {
		vsnprintf(sb->s + sb->len, sb->cap - sb->len, fmt, again);
	}
	va_end(again);
	if (sb->err == 0)
		sb->len += (size_t)n;
	return sb->err;
}

int strbuf_addf(struct strbuf *sb, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = strbuf_vaddf(sb, fmt, ap);
	va_end(ap);
	return r;
}

int strbuf_take(struct strbuf *sb, char **ret)
{
	int r = strbuf_addn(sb, "", 0);

	if (r < 0) {
		strbuf_done(sb);
		return r;
	}
	*ret = sb->s;
	*sb = (struct strbuf){};
	return 0;
}

void strbuf_done(struct strbuf *sb)
{
	int saved = errno;

	free(sb->s);
	*sb = (struct strbuf){};
	errno = saved;
}

/* The value of a digit, or 99 which is above every base. */
static inline unsigned int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned int)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned int)(c - 'a') + 10;
	if (c >= 'A' && c <= 'F')
		return (unsigned int)(c - 'A') + 10;
	return 99;
}

int str_u64(const char **p, int base, uint64_t *ret)
{
	const char *s = *p;
	uint64_t value = 0;
	unsigned int d = digit_value(*s);

	if (d >= (unsigned int)base)
		return -EINVAL;
	do {
		if (__builtin_mul_overflow(value, (uint64_t)base, &value) ||
			__builtin_add_overflow(value, (uint64_t)d, &value))
			return -ERANGE;
		d = digit_value(*++s);
	} while (d < (unsigned int)base);
	*p = s;
	*ret = value;
	return 0;
}

int str_s64(const char **p, int64_t *ret)
{
	const char *s = *p;
	bool minus = *s == '-';
	uint64_t value;
	int r;

	s += minus;
	r = str_u64(&s, 10, &value);
	if (r < 0)
		return r;
	if (value > (uint64_t)INT64_MAX + minus)
		return -ERANGE;
	*p = s;
	*ret = (int64_t)(minus ? -value : value);
	return 0;
}

int str_u32(const char **p, int base, uint32_t *ret)
{
	const char *s = *p;
	uint64_t value;
	int r = str_u64(&s, base, &value);

	if (r < 0)
		return r;
	if (value > UINT32_MAX)
		return -ERANGE;
	*p = s;
	*ret = (uint32_t)value;
	return 0;
}

int str_int(const char **p, int *ret)
{
	const char *s = *p;
	int64_t value;
	int r = str_s64(&s, &value);

	if (r < 0)
		return r;
	if (value < INT_MIN || value > INT_MAX)
		return -ERANGE;
	*p = s;
	*ret = (int)value;
	return 0;
}

/* The byte that the three octal digits at @s stand for, or -1. */
static int octal_byte(const char *s)
{
	int i, value = 0;

	for (i = 0; i < 3; i++) {
		if (s[i] < '0' || s[i] > (i == 0 ? '3' : '7'))
			return -1;
		value = value << 3 | (s[i] - '0');
	}
	return value;
}

size_t str_unescape(char *s, const char *escaped)
{
	char *out = strchr(s, '\\');
	const char *in = out;

	if (!out)
		return strlen(s);
	while (*in) {
		int c = *in == '\\' ? octal_byte(in + 1) : -1;

		if (c > 0 && strchr(escaped, c)) {
			*out++ = (char)c;
			in += 4;
		} else {
			*out++ = *in++;
		}
	}
	*out = '\0';
	return (size_t)(out - s);
}

void str_put(FILE *out, const char *s)
{
	for (; s && *s; s++)
		fputc((unsigned char)*s < ' ' || *s == 0x7f ? '?' : *s, out);
}
