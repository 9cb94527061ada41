/*
 * json_str.h - text of any origin as a string of JSON.
 */
#ifndef CKPT_UTIL_JSON_STR_H
#define CKPT_UTIL_JSON_STR_H

#include <jansson.h>

/**
 * json_of_str() - a string; of text that is not UTF-8 (file names may be anything) the bytes in question
 * become \xNN
 * Return: a new reference; NULL when out of memory
 */
json_t *json_of_str(const char *s);

#endif
