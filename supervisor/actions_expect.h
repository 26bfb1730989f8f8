/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * actions_expect.h - what an action is expected to lead to, its member "expect". Pure.
 *
 *	"expect": {"changed":[0,100,640,200],"url":{"matches":"/done$"},"settled":true,
 *	           "timeout_ms":5000}
 *
 * Everything in it must come true.
 */
#ifndef CLOCHE_SUPERVISOR_ACTIONS_EXPECT_H
#define CLOCHE_SUPERVISOR_ACTIONS_EXPECT_H

#include <jansson.h>
#include <regex.h>
#include <stdbool.h>
#include <stdint.h>

#define EXPECT_TIMEOUT_MS 10000u /* unless it says another */
#define EXPECT_TIMEOUT_MAX_MS 600000u
#define EXPECT_QUIET_MS 500u
#define EXPECT_QUIET_MAX_MS 60000u
#define EXPECT_TEXT_MAX 8192u
#define EXPECT_PATTERN_MAX 1024u
#define EXPECT_WRONG_MAX 128 /* bytes of what is wrong, with NUL */

/* A URL or title. */
struct expected_text {
	const char *equals;  /* borrowed from the JSON; NULL: no such */
	const char *pattern; /* borrowed from the JSON; NULL: no such */
	regex_t regex;       /* owned, when there is a pattern */
};

struct expected_area {
	bool set;
	bool everywhere;
	uint32_t rectangle[4]; /* x, y, width, height, in the action's coordinates */
};

struct action_expect {
	bool settled;
	uint64_t quiet_ms, timeout_ms;
	struct expected_area changed, unchanged;
	struct expected_text url, title;
};

/*
 * Reads it; *out_expect is owned by the caller and borrows from @value. False: @out_wrong says what
 * is wrong with which member; "" without memory.
 */
bool action_expect_parse(const json_t *value, struct action_expect **out_expect,
                         char out_wrong[EXPECT_WRONG_MAX]);

/* Takes NULL. */
void action_expect_destroy(struct action_expect *expect);

bool expected_text_is_set(const struct expected_text *expected);
bool expected_text_matches(const struct expected_text *expected, const char *text);

#endif
