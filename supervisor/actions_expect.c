/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * actions_expect.c - see actions_expect.h. Pure.
 */
#include "supervisor/actions_expect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/shot.h"

/* Each take_ function returns NULL, or what is wrong with the value. */

static const char *take_true(const json_t *value, bool *out_flag)
{
	if (!json_is_true(value))
		return "must be true";
	*out_flag = true;
	return NULL;
}

static const char *take_ms(const json_t *value, uint64_t max, const char *wrong, uint64_t *out_ms)
{
	json_int_t ms = json_integer_value(value);

	if (!json_is_integer(value) || ms < 1 || (uint64_t)ms > max)
		return wrong;
	*out_ms = (uint64_t)ms;
	return NULL;
}

static const char *take_area(const json_t *value, struct expected_area *area)
{
	area->everywhere = json_is_true(value);
	if (!area->everywhere && !shot_rectangle(value, area->rectangle))
		return "must be true, for all of the screen, or [x, y, width, height]";
	area->set = true;
	return NULL;
}

static const char *take_words(const json_t *value, size_t max, const char **out_words)
{
	if (!json_is_string(value))
		return "must be a text, {\"equals\": text} or {\"matches\": pattern}";
	if (json_string_length(value) > max)
		return "is too long";
	*out_words = json_string_value(value);
	return NULL;
}

static const char *take_text(const json_t *value, struct expected_text *text)
{
	const json_t *equals = json_object_get(value, "equals");
	const json_t *matches = json_object_get(value, "matches");
	const char *pattern = NULL;
	const char *wrong;

	if (json_is_string(value) || (equals && json_object_size(value) == 1))
		return take_words(equals ? equals : value, EXPECT_TEXT_MAX, &text->equals);
	if (!matches || json_object_size(value) != 1)
		return "must be a text, {\"equals\": text} or {\"matches\": pattern}";
	wrong = take_words(matches, EXPECT_PATTERN_MAX, &pattern);
	if (wrong)
		return wrong;
	if (regcomp(&text->regex, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		return "\"matches\" is no POSIX extended regular expression";
	text->pattern = pattern;
	return NULL;
}

static const char *take_member(const char *name, const json_t *value, struct action_expect *expect)
{
	if (strcmp(name, "settled") == 0)
		return take_true(value, &expect->settled);
	if (strcmp(name, "quiet_ms") == 0)
		return take_ms(value, EXPECT_QUIET_MAX_MS, "must be an integer from 1 to 60000",
		               &expect->quiet_ms);
	if (strcmp(name, "timeout_ms") == 0)
		return take_ms(value, EXPECT_TIMEOUT_MAX_MS, "must be an integer from 1 to 600000",
		               &expect->timeout_ms);
	if (strcmp(name, "changed") == 0)
		return take_area(value, &expect->changed);
	if (strcmp(name, "unchanged") == 0)
		return take_area(value, &expect->unchanged);
	if (strcmp(name, "url") == 0)
		return take_text(value, &expect->url);
	if (strcmp(name, "title") == 0)
		return take_text(value, &expect->title);
	return "is unknown";
}

bool expected_text_is_set(const struct expected_text *expected)
{
	return expected->equals || expected->pattern;
}

bool expected_text_matches(const struct expected_text *expected, const char *text)
{
	if (expected->pattern)
		return regexec(&expected->regex, text, 0, NULL, 0) == 0;
	return !expected->equals || strcmp(expected->equals, text) == 0;
}

/* Something besides the times. */
static bool expects_something(const struct action_expect *expect)
{
	return expect->settled || expect->changed.set || expect->unchanged.set ||
	       expected_text_is_set(&expect->url) || expected_text_is_set(&expect->title);
}

static bool parse(const json_t *value, struct action_expect *expect,
                  char out_wrong[EXPECT_WRONG_MAX])
{
	const char *name;
	json_t *member;

	if (!json_is_object(value)) {
		snprintf(out_wrong, EXPECT_WRONG_MAX, "must be an object, as {\"settled\": true}");
		return false;
	}
	/* Only looked at: the iterator's type is what asks for more. */
	json_object_foreach((json_t *)value, name, member)
	{
		const char *wrong = take_member(name, member, expect);

		if (wrong) {
			snprintf(out_wrong, EXPECT_WRONG_MAX, "%.40s: %s", name, wrong);
			return false;
		}
	}
	if (!expects_something(expect)) {
		snprintf(out_wrong, EXPECT_WRONG_MAX,
		         "has none of settled, changed, unchanged, url, title");
		return false;
	}
	return true;
}

bool action_expect_parse(const json_t *value, struct action_expect **out_expect,
                         char out_wrong[EXPECT_WRONG_MAX])
{
	struct action_expect *expect = calloc(1, sizeof(*expect));

	if (!expect) {
		out_wrong[0] = '\0';
		return false;
	}
	expect->quiet_ms = EXPECT_QUIET_MS;
	expect->timeout_ms = EXPECT_TIMEOUT_MS;
	if (!parse(value, expect, out_wrong)) {
		action_expect_destroy(expect);
		return false;
	}
	*out_expect = expect;
	return true;
}

void action_expect_destroy(struct action_expect *expect)
{
	if (!expect)
		return;
	if (expect->url.pattern)
		regfree(&expect->url.regex);
	if (expect->title.pattern)
		regfree(&expect->title.regex);
	free(expect);
}
