/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * parse.c - see parse.h. Pure functions.
 */
#include "supervisor/parse.h"

#include <stddef.h>
#include <string.h>

#include "lib/proto.h"
#include "supervisor/session.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Reads the digits at the start of @text. False when there are none or they overflow. */
static bool take_digits(const char *text, uint64_t *out_number, const char **out_rest)
{
	uint64_t number = 0;
	const char *at = text;

	while (is_digit(*at)) {
		if (__builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, (uint64_t)(*at - '0'), &number))
			return false;
		at++;
	}
	*out_number = number;
	*out_rest = at;
	return at != text;
}

int parse_number(const char *what, const char *text, uint64_t min, uint64_t max,
                 uint64_t *out_number, struct failure *failure)
{
	uint64_t number;
	const char *rest;

	if (!take_digits(text, &number, &rest) || *rest || number < min || number > max)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE,
		                   "%s: '%.64s' is no number from %llu to %llu", what, text,
		                   (unsigned long long)min, (unsigned long long)max);
	*out_number = number;
	return 0;
}

/* Bytes with an optional K, M or G (any case; "MB" and "MiB" are powers of two as well). */
static bool take_size(const char *text, uint64_t unit, uint64_t *out_bytes)
{
	static const char suffixes[] = "kmg";
	uint64_t number;
	const char *rest;

	if (!take_digits(text, &number, &rest))
		return false;
	if (*rest) {
		const char *suffix = strchr(suffixes, *rest | 0x20);

		if (!suffix || (strcmp(rest + 1, "") != 0 && strcmp(rest + 1, "B") != 0 &&
		                strcmp(rest + 1, "iB") != 0))
			return false;
		unit = 1ull << (10 * (suffix - suffixes + 1));
	}
	return !__builtin_mul_overflow(number, unit, out_bytes);
}

int parse_memory(const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *out_mib,
                 struct failure *failure)
{
	uint64_t bytes;

	if (!take_size(text, 1 << 20, &bytes) || bytes & ((1 << 20) - 1))
		return failure_set(
			failure, STATUS_USAGE, CODE_USAGE,
			"%s: '%.64s' is no memory size; write 512M, 2G or a number of MiB", what,
			text);
	if (bytes >> 20 < min || bytes >> 20 > max)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE,
		                   "%s: %llu MiB is not in %llu to %llu MiB", what,
		                   (unsigned long long)(bytes >> 20), (unsigned long long)min,
		                   (unsigned long long)max);
	*out_mib = bytes >> 20;
	return 0;
}

int parse_bytes(const char *what, const char *text, uint64_t max, uint64_t *out_bytes,
                struct failure *failure)
{
	uint64_t bytes;

	if (!take_size(text, 1, &bytes) || bytes > max)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE,
		                   "%s: '%.64s' is no size up to %llu bytes; write 512K, 20M or 2G",
		                   what, text, (unsigned long long)max);
	*out_bytes = bytes;
	return 0;
}

/* Takes up to three decimals behind a point as thousandths; further digits are refused. */
static bool take_thousandths(const char *text, uint64_t *out_thousandths, const char **out_rest)
{
	uint64_t value = 0;
	uint64_t scale = 100;

	if (!is_digit(*text))
		return false;
	for (; is_digit(*text); text++, scale /= 10)
		value += (uint64_t)(*text - '0') * scale;
	*out_thousandths = value;
	*out_rest = text;
	return true;
}

static bool take_duration(const char *text, uint64_t *out_ms)
{
	static const struct {
		const char *suffix;
		uint64_t ms;
	} units[] = { { "", 1000 }, { "s", 1000 }, { "ms", 1 }, { "m", 60000 }, { "h", 3600000 } };
	uint64_t whole;
	uint64_t thousandths = 0;
	const char *rest;

	if (!take_digits(text, &whole, &rest))
		return false;
	if (*rest == '.' && !take_thousandths(rest + 1, &thousandths, &rest))
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(rest, units[i].suffix) == 0)
			return !__builtin_mul_overflow(whole, units[i].ms, out_ms) &&
			       !__builtin_add_overflow(*out_ms, thousandths * units[i].ms / 1000,
			                               out_ms);
	}
	return false;
}

int parse_duration(const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *out_ms,
                   struct failure *failure)
{
	uint64_t ms;

	if (!take_duration(text, &ms))
		return failure_set(failure, STATUS_USAGE, CODE_USAGE,
		                   "%s: '%.64s' is no duration; write seconds, or 250ms, 15m, 2h",
		                   what, text);
	if (ms < min || ms > max)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE,
		                   "%s: %llu.%03llu s is not in %llu.%03llu to %llu s", what,
		                   (unsigned long long)(ms / 1000), (unsigned long long)(ms % 1000),
		                   (unsigned long long)(min / 1000),
		                   (unsigned long long)(min % 1000),
		                   (unsigned long long)(max / 1000));
	*out_ms = ms;
	return 0;
}

int parse_geometry(const char *what, const char *text, struct geometry *out_geometry,
                   struct failure *failure)
{
	uint64_t width;
	uint64_t height;
	const char *rest;

	if (!take_digits(text, &width, &rest) || *rest != 'x' ||
	    !take_digits(rest + 1, &height, &rest) || *rest)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE,
		                   "%s: '%.64s' is no geometry; write it as 1280x800", what, text);
	if (width < PROTO_DISPLAY_SIDE_MIN || width > PROTO_DISPLAY_SIDE_MAX ||
	    height < PROTO_DISPLAY_SIDE_MIN || height > PROTO_DISPLAY_SIDE_MAX)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE,
		                   "%s: both sides of %.64s must be in %u to %u", what, text,
		                   PROTO_DISPLAY_SIDE_MIN, PROTO_DISPLAY_SIDE_MAX);
	*out_geometry = (struct geometry){ (uint32_t)width, (uint32_t)height };
	return 0;
}

int parse_region(const char *what, const char *text, struct region *out_region,
                 struct failure *failure)
{
	uint64_t n[4] = { 0 };
	const char *rest = text;
	bool good = true;

	for (size_t i = 0; i < 4 && good; i++) {
		good = take_digits(rest, &n[i], &rest) && *rest == (i < 3 ? ',' : '\0') &&
		       n[i] >= (i < 2 ? 0 : 1) && n[i] <= PROTO_DISPLAY_SIDE_MAX;
		rest += i < 3;
	}
	if (!good)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE,
		                   "%s: '%.64s' is no piece of a screen; write it as X,Y,W,H, such "
		                   "as 100,50,640,400",
		                   what, text);
	*out_region =
		(struct region){ (uint32_t)n[0], (uint32_t)n[1], (uint32_t)n[2], (uint32_t)n[3] };
	return 0;
}

int parse_relay(const char *text, uint16_t *out_port, const char **out_socket,
                struct failure *failure)
{
	uint64_t port;
	const char *rest;

	if (!take_digits(text, &port, &rest) || *rest != ':' || !rest[1] || port < 1 ||
	    port > UINT16_MAX)
		return failure_set(
			failure, STATUS_USAGE, CODE_USAGE,
			"--relay: '%.128s' is no PORT:SOCKET; write 8080:/path/to/socket", text);
	if (port == PROTO_PORT_AGENT)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE,
		                   "--relay: port %u is the agent's own; take another",
		                   PROTO_PORT_AGENT);
	*out_port = (uint16_t)port;
	*out_socket = rest + 1;
	return 0;
}

int parse_disk(const char *text, char **out_file, bool *out_read_only, struct failure *failure)
{
	const char *comma = strrchr(text, ',');
	bool has_mode = comma && (strcmp(comma, ",ro") == 0 || strcmp(comma, ",rw") == 0);
	size_t size = has_mode ? (size_t)(comma - text) : strlen(text);

	if (size == 0)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE,
		                   "--disk: '%.128s' names no file; write FILE or FILE,ro", text);
	char *file = strndup(text, size);
	if (!file)
		return failure_set_nomem(failure);
	*out_file = file;
	*out_read_only = has_mode && comma[2] == 'o';
	return 0;
}

const char *parse_url_problem(const char *url)
{
	for (const char *at = url; *at; at++) {
		if ((unsigned char)*at < ' ' || *at == 0x7f)
			return "has a control character in it";
	}
	if (!is_letter(url[0]) || !strchr(url, ':'))
		return "needs its scheme, as in https://example.com/";
	return NULL;
}

static bool name_ok(const char *name, size_t size)
{
	if (size < 1 || size > SESSION_NAME_MAX || !(is_letter(name[0]) || is_digit(name[0])))
		return false;
	for (size_t i = 1; i < size; i++) {
		if (!is_letter(name[i]) && !is_digit(name[i]) && !strchr("._-", name[i]))
			return false;
	}
	return true;
}

bool parse_name_ok(const char *name)
{
	return name_ok(name, strlen(name));
}

bool parse_guest_path(const char *text, size_t *out_name_size, const char **out_path)
{
	const char *colon = strchr(text, ':');

	if (!colon || !name_ok(text, (size_t)(colon - text)))
		return false;
	*out_name_size = (size_t)(colon - text);
	*out_path = colon + 1;
	return true;
}
