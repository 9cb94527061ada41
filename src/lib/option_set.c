/*
 * option_set.c - values into requests, by the table of options, with errors that name the option,
 * the value, and what was expected.
 */
#include "lib/options.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "util/cleanup.h"
#include "util/str.h"

int usage_error(struct ckpt_error *err, const char *advice, const char *object, ...)
{
	va_list ap;
	struct strbuf sb = {};

	if (!err)
		return -1;
	va_start(ap, object);
	strbuf_vaddf(&sb, object, ap);
	va_end(ap);
	*err = (struct ckpt_error){.kind = CKPT_E_USAGE};
	if (strbuf_take(&sb, &err->object) < 0)
		err->object = NULL;
	err->advice = advice ? strdup(advice) : NULL;
	return -1;
}

static int no_memory(struct ckpt_error *err, const struct option_row *row)
{
	usage_error(err, NULL, "option --%s", row->name);
	if (err) {
		err->kind = CKPT_E_SPACE;
		err->err = ENOMEM;
	}
	return -1;
}

static void *field(const struct option_row *row, void *req, struct option_front *front)
{
	return (char *)(row->home == HOME_FRONT ? (void *)front : req) + row->offset;
}

static int parse_number(
	const struct option_row *row, const char *value, uint64_t *ret, struct ckpt_error *err)
{
	const char *p = value;
	int r = str_u64(&p, 10, ret);

	if (r == -EINVAL || (!r && *p))
		return usage_error(
			err, NULL, "option --%s: '%s' is not a number", row->name, value);
	if (r == -ERANGE || *ret < row->min || *ret > row->max)
		return usage_error(err, NULL, "option --%s: %s is not between %llu and %llu",
			row->name, value, (unsigned long long)row->min,
			(unsigned long long)row->max);
	return 0;
}

/* What a letter behind a number multiplies it with. */
struct unit {
	char letter;
	uint64_t factor;
};

static const struct unit sizes[] = {
	{'K', 1ULL << 10}, {'M', 1ULL << 20}, {'G', 1ULL << 30}, {'T', 1ULL << 40}, {0, 0}};
static const struct unit times[] = {{'S', 1}, {'M', 60}, {'H', 3600}, {'D', 86400}, {0, 0}};

static int parse_units(const struct option_row *row, const char *value, const struct unit *units,
	uint64_t *ret, struct ckpt_error *err)
{
	const char *p = value;
	uint64_t factor = 1;
	int r = str_u64(&p, 10, ret);

	for (const struct unit *u = units; !r && *p && u->letter; u++) {
		if (toupper((unsigned char)*p) != u->letter)
			continue;
		factor = u->factor;
		p++;
		break;
	}
	if (r == -EINVAL || (!r && *p))
		return usage_error(err,
			units == sizes ? "a number of bytes, or with K, M, G or T behind it"
				       : "a number of seconds, or with s, m, h or d behind it",
			"option --%s: '%s' can't be read", row->name, value);
	if (r == -ERANGE || *ret > row->max / factor || *ret * factor < row->min)
		return usage_error(err, NULL, "option --%s: %s is out of range", row->name, value);
	*ret *= factor;
	return 0;
}

static int parse_signal(
	const struct option_row *row, const char *value, uint64_t *ret, struct ckpt_error *err)
{
	const char *name = str_startswith(value, "SIG");

	name = name ? name : value;
	for (int sig = 1; sig < NSIG; sig++) {
		const char *known = sigabbrev_np(sig);

		if (known && strcasecmp(known, name) == 0) {
			*ret = (uint64_t)sig;
			return 0;
		}
	}
	if (!isdigit((unsigned char)*value))
		return usage_error(err, "a name such as USR1, or a number",
			"option --%s: '%s' is no signal", row->name, value);
	return parse_number(row, value, ret, err);
}

static int set_enum(
	const struct option_row *row, int *field_ptr, const char *value, struct ckpt_error *err)
{
	_cleanup_strbuf_ struct strbuf known = {};
	_cleanup_free_ char *advice = NULL;

	for (const struct option_name *n = row->names; n->name; n++) {
		if (str_eq(n->name, value)) {
			*field_ptr = n->value;
			return 0;
		}
		strbuf_addf(&known, "%s%s", n == row->names ? "one of " : ", ", n->name);
	}
	if (strbuf_take(&known, &advice) < 0)
		return no_memory(err, row);
	return usage_error(err, advice, "option --%s: '%s' is unknown", row->name, value);
}

static int set_flag(
	const struct option_row *row, bool *field_ptr, const char *value, struct ckpt_error *err)
{
	if (!value || str_eq(value, "true"))
		*field_ptr = true;
	else if (str_eq(value, "false"))
		*field_ptr = false;
	else
		return usage_error(
			err, NULL, "option --%s: '%s' is neither true nor false", row->name, value);
	return 0;
}

/* "" and "v..." raise the level by one and one per letter; a number N sets it to N - 1, so that
 * -v4 says all that there is, as CRIU's users know it. */
static int set_level(const struct option_row *row, enum ckpt_log_level *level, const char *value,
	struct ckpt_error *err)
{
	uint64_t n = *level + 1;

	if (value && isdigit((unsigned char)*value)) {
		if (parse_number(row, value, &n, err) < 0)
			return -1;
		n = n ? n - 1 : 0;
	} else if (value) {
		n += strlen(value);
		if (value[strspn(value, "v")])
			return usage_error(err, "short options after -v stand alone",
				"option --%s: '%s' is not a level", row->name, value);
	}
	*level = n > CKPT_LOG_DEBUG ? CKPT_LOG_DEBUG : (enum ckpt_log_level)n;
	return 0;
}

static int add_string(const struct option_row *row, const char *const **list, const char *value,
	struct ckpt_error *err)
{
	size_t n = 0;
	const char **grown;

	while (*list && (*list)[n])
		n++;
	grown = realloc((void *)*list, (n + 2) * sizeof(*grown));
	if (!grown)
		return no_memory(err, row);
	grown[n] = value;
	grown[n + 1] = NULL;
	*list = grown;
	return 0;
}

static int check_text(const struct option_row *row, const char *value, struct ckpt_error *err)
{
	size_t len = strlen(value);
	const char *why = row->check ? row->check(value) : NULL;

	if (row->max && len < row->min)
		return usage_error(err, NULL, "option --%s: the value is empty", row->name);
	if (row->max && len > row->max)
		return usage_error(err, NULL, "option --%s: the value is longer than %llu bytes",
			row->name, (unsigned long long)row->max);
	if (why)
		return usage_error(err, why, "option --%s: '%s' can't be read", row->name, value);
	return 0;
}

int option_set(const struct option_row *row, void *req, struct option_front *front,
	const char *value, struct ckpt_error *err)
{
	void *f = field(row, req, front);
	uint64_t n = 0;

	if (row->type == OPT_NOTHING)
		return 0;
	value = value ? value : row->implied;
	if (!value && row->type != OPT_FLAG && row->type != OPT_LEVEL)
		return usage_error(
			err, NULL, "option --%s needs a value: %s", row->name, row->metavar);
	switch (row->type) {
	case OPT_FLAG:
		return set_flag(row, f, value, err);
	case OPT_LEVEL:
		return set_level(row, f, value, err);
	case OPT_ENUM:
		return set_enum(row, f, value, err);
	case OPT_PID:
		if (parse_number(row, value, &n, err) < 0)
			return -1;
		*(pid_t *)f = (pid_t)n;
		return 0;
	case OPT_U64:
		if (parse_number(row, value, &n, err) < 0)
			return -1;
		*(uint64_t *)f = n;
		return 0;
	case OPT_SIZE:
	case OPT_TIME:
		if (parse_units(row, value, row->type == OPT_SIZE ? sizes : times, &n, err) < 0)
			return -1;
		*(uint64_t *)f = n;
		return 0;
	case OPT_SIGNAL:
		if (parse_signal(row, value, &n, err) < 0)
			return -1;
		*(int *)f = (int)n;
		return 0;
	case OPT_STRING:
		if (check_text(row, value, err) < 0)
			return -1;
		*(const char **)f = value;
		return 0;
	case OPT_STRINGS:
		if (check_text(row, value, err) < 0)
			return -1;
		return add_string(row, f, value, err);
	case OPT_NOTHING:
		break;
	}
	return 0;
}

const struct option_row *option_by_param(enum verb verb, const char *name)
{
	char dashed[64];
	const struct option_row *row;
	size_t n = strlen(name);

	if (n >= sizeof(dashed))
		return NULL;
	for (size_t i = 0; i <= n; i++)
		dashed[i] = name[i] == '_' ? '-' : name[i];
	row = option_find(verb, dashed);
	return row && (row->home == HOME_REQ || row->called) ? row : NULL;
}

int option_not_served(const struct option_row *row, struct ckpt_error *err)
{
	return usage_error(err, "use the command line, or libckpt", "option --%s: %s", row->name,
		row->no_param);
}

int option_set_named(enum verb verb, void *req, struct option_front *front, const char *name,
	const char *value, struct ckpt_error *err)
{
	const struct option_row *row = option_by_param(verb, name);

	if (row && row->no_param)
		return option_not_served(row, err);
	return row ? option_set(row, req, front, value, err) : option_unknown(verb, name, err);
}

static bool is_set(const struct option_row *row, const void *req)
{
	const char *f = (const char *)req + row->offset;

	switch (row->type) {
	case OPT_FLAG:
		return *(const bool *)f;
	case OPT_STRING:
		return *(const char *const *)f;
	case OPT_PID:
		return *(const pid_t *)f;
	case OPT_U64:
	case OPT_SIZE:
	case OPT_TIME:
		return *(const uint64_t *)f;
	default:
		return false;
	}
}

int options_complete(enum verb verb, const void *req, struct ckpt_error *err)
{
	size_t pos = 0;
	const struct option_row *row, *other;

	while ((row = option_next(verb, &pos))) {
		if (row->home != HOME_REQ)
			continue;
		if (row->required && !is_set(row, req))
			return usage_error(
				err, NULL, "option --%s is missing: %s", row->name, row->help);
		other = row->excludes ? option_find(verb, row->excludes) : NULL;
		if (other && is_set(row, req) && is_set(other, req))
			return usage_error(err, "give one of them",
				"options --%s and --%s exclude each other", row->name, other->name);
	}
	return 0;
}

void options_done(enum verb verb, void *req)
{
	size_t pos = 0;
	const struct option_row *row;

	while ((row = option_next(verb, &pos))) {
		void **f = (void **)((char *)req + row->offset);

		if (row->type != OPT_STRINGS || row->home != HOME_REQ)
			continue;
		free(*f);
		*f = NULL;
	}
}
