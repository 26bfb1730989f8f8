/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_supervisor_actions.c - the vocabulary of `cloche act`: what each action becomes, and how
 * each mistake is named. Links supervisor/{actions,parse,failure}.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "supervisor/actions.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void test_steps(void **state)
{
	static const struct {
		const char *action, *steps;
	} cases[] = {
		{ "{\"action\":\"mouse_move\",\"coordinate\":[3,4]}", "[{\"move\":[3,4]}]" },
		{ "{\"action\":\"left_click\",\"coordinate\":[0,0]}",
		  "[{\"move\":[0,0]},{\"button\":1,\"down\":true},{\"button\":1,\"down\":false}]" },
		{ "{\"action\":\"right_click\",\"coordinate\":[3,4]}",
		  "[{\"move\":[3,4]},{\"button\":3,\"down\":true},{\"button\":3,\"down\":false}]" },
		{ "{\"action\":\"middle_click\",\"coordinate\":[3,4]}",
		  "[{\"move\":[3,4]},{\"button\":2,\"down\":true},{\"button\":2,\"down\":false}]" },
		{ "{\"action\":\"double_click\",\"coordinate\":[3,4]}",
		  "[{\"move\":[3,4]},{\"button\":1,\"down\":true},{\"button\":1,\"down\":false},"
		  "{\"button\":1,\"down\":true},{\"button\":1,\"down\":false}]" },
		{ "{\"action\":\"left_click\",\"coordinate\":[3,4],\"text\":\"Ctrl+shift\"}",
		  "[{\"move\":[3,4]},{\"key\":\"ctrl\",\"down\":true},{\"key\":\"shift\",\"down\":"
		  "true},"
		  "{\"button\":1,\"down\":true},{\"button\":1,\"down\":false},"
		  "{\"key\":\"shift\",\"down\":false},{\"key\":\"ctrl\",\"down\":false}]" },
		{ "{\"action\":\"scroll\",\"coordinate\":[3,4],\"scroll_direction\":\"left\","
		  "\"scroll_amount\":1}",
		  "[{\"move\":[3,4]},{\"button\":6,\"down\":true},{\"button\":6,\"down\":false}]" },
		{ "{\"action\":\"scroll\",\"coordinate\":[3,4],\"scroll_direction\":\"down\","
		  "\"scroll_amount\":0}",
		  "[{\"move\":[3,4]}]" },
		{ "{\"action\":\"type\",\"text\":\"\xc3\xa9 \xe6\xbc\xa2\xf0\x9f\x99\x82\\n\"}",
		  "[{\"text\":\"\xc3\xa9 \xe6\xbc\xa2\xf0\x9f\x99\x82\\n\"}]" },
		{ "{\"action\":\"key\",\"text\":\"ctrl+a\"}", "[{\"key\":\"ctrl+a\"}]" },
		{ "{\"action\":\"key\",\"text\":\" ctrl+a  Delete \"}",
		  "[{\"key\":\"ctrl+a\"},{\"key\":\"Delete\"}]" },
		{ "{\"action\":\"key\",\"text\":\" \"}", "[{\"key\":\"space\"}]" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct failure failure = { 0 };
		struct action action = { 0 };
		json_t *expected = json_loads(cases[i].steps, 0, NULL);

		assert_int_equal(action_parse(cases[i].action, strlen(cases[i].action), &action,
		                              &failure),
		                 0);
		assert_int_equal(action.effect, ACTION_INPUT);
		assert_true(json_equal(action.steps, expected));
		assert_true(action.timeout_ms > 0);
		json_decref(expected);
		action_finish(&action);
	}
}

static void test_others(void **state)
{
	static const char navigate[] = "{\"action\":\"navigate\",\"url\":\"https://example.com/\"}";
	static const char wait[] = "{\"action\":\"wait\",\"duration\":1.5}";
	static const char screenshot[] = "{\"action\":\"screenshot\"}";
	struct failure failure = { 0 };
	struct action action = { 0 };

	(void)state;
	assert_int_equal(action_parse(navigate, strlen(navigate), &action, &failure), 0);
	assert_int_equal(action.effect, ACTION_NAVIGATE);
	assert_string_equal(action.url, "https://example.com/");
	action_finish(&action);
	assert_int_equal(action_parse(wait, strlen(wait), &action, &failure), 0);
	assert_int_equal(action.effect, ACTION_WAIT);
	assert_int_equal(action.wait_ms, 1500);
	action_finish(&action);
	assert_int_equal(action_parse(screenshot, strlen(screenshot), &action, &failure), 0);
	assert_int_equal(action.effect, ACTION_SCREENSHOT);
	action_finish(&action);
}

static void test_scroll_is_long(void **state)
{
	static const char text[] = "{\"action\":\"scroll\",\"coordinate\":[1,1],"
				   "\"scroll_direction\":\"up\",\"scroll_amount\":100}";
	struct failure failure = { 0 };
	struct action action = { 0 };

	(void)state;
	assert_int_equal(action_parse(text, strlen(text), &action, &failure), 0);
	assert_int_equal(json_array_size(action.steps), 201);
	action_finish(&action);
}

/* Every mistake is a usage failure whose message begins with what is wrong. */
static void test_mistakes(void **state)
{
	static const struct {
		const char *action, *begins;
	} cases[] = {
		{ "", "the action is no JSON" },
		{ "{", "the action is no JSON" },
		{ "\"left_click\"", "the action is no JSON" },
		{ "{\"action\":\"wait\",\"action\":\"wait\"}", "the action is no JSON" },
		{ "[]", "an action is a JSON object" },
		{ "{}", "action: " },
		{ "{\"action\":7}", "action: " },
		{ "{\"action\":\"fly\"}", "action: unknown: \"fly\"" },
		{ "{\"action\":\"left_click\"}", "left_click: coordinate: is missing" },
		{ "{\"action\":\"left_click\",\"coordinate\":[1]}", "left_click: coordinate: " },
		{ "{\"action\":\"left_click\",\"coordinate\":[1,2,3]}",
		  "left_click: coordinate: " },
		{ "{\"action\":\"left_click\",\"coordinate\":[1.5,2]}",
		  "left_click: coordinate: " },
		{ "{\"action\":\"left_click\",\"coordinate\":\"1,2\"}",
		  "left_click: coordinate: " },
		{ "{\"action\":\"left_click\",\"coordinate\":[-1,2]}", "left_click: coordinate: " },
		{ "{\"action\":\"left_click\",\"coordinate\":[1,4096]}",
		  "left_click: coordinate: " },
		{ "{\"action\":\"left_click\",\"coordinate\":[1,2],\"text\":\"a\"}",
		  "left_click: text: " },
		{ "{\"action\":\"left_click\",\"coordinate\":[1,2],\"text\":\"ctrl+\"}",
		  "left_click: text: " },
		{ "{\"action\":\"left_click\",\"coordinate\":[1,2],\"text\":\"\"}",
		  "left_click: text: is empty" },
		{ "{\"action\":\"left_click\",\"coordinate\":[1,2],\"text\":\"ctrl+ctrl+ctrl+ctrl+"
		  "ctrl\"}",
		  "left_click: text: has too many" },
		{ "{\"action\":\"left_click\",\"coordinate\":[1,2],\"button\":1}",
		  "left_click: takes no argument \"button\"" },
		{ "{\"action\":\"screenshot\",\"x\":1}", "screenshot: takes no argument \"x\"" },
		{ "{\"action\":\"type\"}", "type: text: is missing" },
		{ "{\"action\":\"type\",\"text\":\"\"}", "type: text: is empty" },
		{ "{\"action\":\"type\",\"text\":7}", "type: text: must be a string" },
		{ "{\"action\":\"type\",\"text\":\"a\\u0000b\"}", "the action is no JSON" },
		{ "{\"action\":\"key\",\"text\":\"   \"}", "key: text: is empty" },
		{ "{\"action\":\"scroll\",\"coordinate\":[1,2],\"scroll_amount\":1}",
		  "scroll: scroll_direction: is missing" },
		{ "{\"action\":\"scroll\",\"coordinate\":[1,2],\"scroll_amount\":1,"
		  "\"scroll_direction\":\"in\"}",
		  "scroll: scroll_direction: must be" },
		{ "{\"action\":\"scroll\",\"coordinate\":[1,2],\"scroll_amount\":101,"
		  "\"scroll_direction\":\"up\"}",
		  "scroll: scroll_amount: must be" },
		{ "{\"action\":\"wait\",\"duration\":\"1\"}", "wait: duration: must be" },
		{ "{\"action\":\"wait\",\"duration\":-1}", "wait: duration: must be" },
		{ "{\"action\":\"wait\",\"duration\":100.1}", "wait: duration: must be" },
		{ "{\"action\":\"navigate\",\"url\":\"example.com\"}", "navigate: url: needs" },
		{ "{\"action\":\"navigate\",\"url\":\"http://a\\nb\"}",
		  "navigate: url: has a control" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct failure failure = { 0 };
		struct action action = { 0 };

		assert_int_equal(action_parse(cases[i].action, strlen(cases[i].action), &action,
		                              &failure),
		                 -1);
		assert_int_equal(failure.status, STATUS_USAGE);
		if (strncmp(failure.message, cases[i].begins, strlen(cases[i].begins)) != 0)
			fail_msg("%s: %s", cases[i].action, failure.message);
		assert_null(action.steps);
	}
}

static void test_long_text(void **state)
{
	char *text = malloc(ACTION_TEXT_MAX + 64);
	struct failure failure = { 0 };
	struct action action = { 0 };

	(void)state;
	for (size_t extra = 0; extra < 2; extra++) {
		size_t begin = (size_t)sprintf(text, "{\"action\":\"type\",\"text\":\"");

		memset(text + begin, 'x', ACTION_TEXT_MAX + extra);
		strcpy(text + begin + ACTION_TEXT_MAX + extra, "\"}");
		assert_int_equal(action_parse(text, strlen(text), &action, &failure),
		                 extra ? -1 : 0);
		action_finish(&action);
	}
	free(text);
}

static void test_screen(void **state)
{
	struct action action = { .name = "left_click", .has_point = true, .x = 1279, .y = 799 };
	struct failure failure = { 0 };

	(void)state;
	assert_int_equal(action_check_screen(&action, 1280, 800, &failure), 0);
	assert_int_equal(action_check_screen(&action, 1279, 800, &failure), -1);
	assert_string_equal(failure.message,
	                    "left_click: coordinate: [1279, 799] is outside of the "
	                    "screen, which is 1279x800");
	assert_int_equal(action_check_screen(&action, 1280, 799, &failure), -1);
	action.has_point = false;
	assert_int_equal(action_check_screen(&action, 1, 1, &failure), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steps),     cmocka_unit_test(test_others),
		cmocka_unit_test(test_mistakes),  cmocka_unit_test(test_scroll_is_long),
		cmocka_unit_test(test_long_text), cmocka_unit_test(test_screen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
