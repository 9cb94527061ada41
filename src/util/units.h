/*
 * Sizes and times for people.
 */
#ifndef CKPT_UTIL_UNITS_H
#define CKPT_UTIL_UNITS_H

#include <stdint.h>

#define UNITS_LEN 24

/**
 * bytes_text() - "512 B", "1.5 GiB"
 * Return: @buf.
 */
const char *bytes_text(uint64_t bytes, char buf[UNITS_LEN]);

/**
 * time_text() - "12 us", "3.2 ms", "1.50 s"
 * @ns:  nanoseconds
 * Return: @buf.
 */
const char *time_text(uint64_t ns, char buf[UNITS_LEN]);

/** plural() - Return: "s" unless @n is 1 */
static inline const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

#endif
