/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_supervisor_actions.c - the vocabularies of `cloche act`: what each action becomes.
 * How mistakes are named: test_supervisor_actions_mistakes.c. Links the supervisor's modules.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "supervisor/actions_list.h"
#include "supervisor/actions_private.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct action_view whole = { 1280, 800, { 0, 0 }, 1280, 800 };

#define PRESS(button) "{\"button\":" #button ",\"down\":true}"
#define RELEASE(button) "{\"button\":" #button ",\"down\":false}"
#define CLICK(button) PRESS(button) "," RELEASE(button)
#define HOLD(key) "{\"key\":\"" key "\",\"down\":true}"
#define LET_GO(key) "{\"key\":\"" key "\",\"down\":false}"
#define STEP "{\"sleep_ms\":20}"
#define REST "{\"sleep_ms\":100}"

/* clang-format off */
static const struct {
	const char *action, *steps;
} inputs[] = {
	/* Anthropic's */
	{ "{'action':'mouse_move','coordinate':[3,4]}", "[{\"move\":[3,4]}]" },
	{ "{'action':'left_click','coordinate':[0,0]}", "[{\"move\":[0,0]}," CLICK(1) "]" },
	{ "{'action':'left_click'}", "[" CLICK(1) "]" },
	{ "{'action':'right_click','coordinate':[3,4]}", "[{\"move\":[3,4]}," CLICK(3) "]" },
	{ "{'action':'middle_click','coordinate':[1279,799]}", "[{\"move\":[1279,799]}," CLICK(2) "]" },
	{ "{'action':'double_click','coordinate':[3,4]}", "[{\"move\":[3,4]}," CLICK(1) "," CLICK(1) "]" },
	{ "{'action':'triple_click','coordinate':[3,4]}",
	  "[{\"move\":[3,4]}," CLICK(1) "," CLICK(1) "," CLICK(1) "]" },
	{ "{'action':'left_click','coordinate':[3,4],'text':'Ctrl+shift'}",
	  "[" HOLD("ctrl") "," HOLD("shift") ",{\"move\":[3,4]}," CLICK(1) ","
	  LET_GO("shift") "," LET_GO("ctrl") "]" },
	{ "{'action':'left_click','text':'cmd'}", "[" HOLD("super") "," CLICK(1) "," LET_GO("super") "]" },
	{ "{'action':'left_click_drag','start_coordinate':[10,20],'coordinate':[31,40]}",
	  "[{\"move\":[10,20]}," PRESS(1) "," REST "," STEP ",{\"move\":[15,25]}," STEP ",{\"move\":[20,30]}," STEP ",{\"move\":[25,35]}," STEP ",{\"move\":[31,40]}," REST ","
	  RELEASE(1) "]" },
	{ "{'action':'left_click_drag','coordinate':[30,40]}",
	  "[" PRESS(1) "," REST "," STEP ",{\"move\":[30,40]}," REST "," RELEASE(1) "]" },
	{ "{'coordinate':[3,4],'text':'alt','start_coordinate':[1,2],'action':'left_click_drag'}",
	  "[" HOLD("alt") ",{\"move\":[1,2]}," PRESS(1) "," REST "," STEP ",{\"move\":[1,2]}," STEP ",{\"move\":[2,3]}," STEP ",{\"move\":[2,3]}," STEP ",{\"move\":[3,4]},"
	  REST "," RELEASE(1) "," LET_GO("alt") "]" },
	{ "{'action':'left_mouse_down'}", "[" PRESS(1) "]" },
	{ "{'action':'left_mouse_up'}", "[" RELEASE(1) "]" },
	{ "{'action':'scroll','coordinate':[3,4],'scroll_direction':'up','scroll_amount':2}",
	  "[{\"move\":[3,4]}," CLICK(4) "," CLICK(4) "]" },
	{ "{'action':'scroll','scroll_direction':'down','scroll_amount':1}", "[" CLICK(5) "]" },
	{ "{'action':'scroll','coordinate':[3,4],'scroll_direction':'left','scroll_amount':1}",
	  "[{\"move\":[3,4]}," CLICK(6) "]" },
	{ "{'action':'scroll','coordinate':[3,4],'scroll_direction':'right','scroll_amount':1,"
	  "'text':'shift'}",
	  "[" HOLD("shift") ",{\"move\":[3,4]}," CLICK(7) "," LET_GO("shift") "]" },
	{ "{'action':'scroll','coordinate':[3,4],'scroll_direction':'down','scroll_amount':0}",
	  "[{\"move\":[3,4]}]" },
	{ "{'action':'type','text':'\xc3\xa9 \xe6\xbc\xa2\xf0\x9f\x99\x82\\n'}",
	  "[{\"text\":\"\xc3\xa9 \xe6\xbc\xa2\xf0\x9f\x99\x82\\n\"}]" },
	{ "{'action':'key','text':'ctrl+a'}", "[{\"key\":\"ctrl+a\"}]" },
	{ "{'action':'key','text':' ctrl+a  Delete '}", "[{\"key\":\"ctrl+a\"},{\"key\":\"Delete\"}]" },
	{ "{'action':'key','text':' '}", "[{\"key\":\"space\"}]" },
	{ "{'action':'key','text':'a b','repeat':2}",
	  "[{\"key\":\"a\"},{\"key\":\"b\"},{\"key\":\"a\"},{\"key\":\"b\"}]" },
	{ "{'action':'hold_key','text':'shift a','duration':0.25}",
	  "[" HOLD("shift") "," HOLD("a") ",{\"sleep_ms\":250}," LET_GO("a") "," LET_GO("shift") "]" },
	{ "{'action':'hold_key','text':'a','duration':61}",
	  "[" HOLD("a") ",{\"sleep_ms\":60000},{\"sleep_ms\":1000}," LET_GO("a") "]" },
	{ "{'action':'hold_key','text':'a','duration':0}", "[" HOLD("a") "," LET_GO("a") "]" },
	/* OpenAI's */
	{ "{'type':'click','x':3,'y':4,'button':'left'}", "[{\"move\":[3,4]}," CLICK(1) "]" },
	{ "{'type':'click','x':3,'y':4,'button':'right'}", "[{\"move\":[3,4]}," CLICK(3) "]" },
	{ "{'type':'click','x':3,'y':4,'button':'wheel'}", "[{\"move\":[3,4]}," CLICK(2) "]" },
	{ "{'type':'click','x':3,'y':4,'button':'back'}", "[{\"move\":[3,4]}," CLICK(8) "]" },
	{ "{'type':'click','x':3,'y':4,'button':'forward'}", "[{\"move\":[3,4]}," CLICK(9) "]" },
	{ "{'type':'click','x':3,'y':4,'button':'left','keys':['CTRL','SHIFT']}",
	  "[" HOLD("ctrl") "," HOLD("shift") ",{\"move\":[3,4]}," CLICK(1) ","
	  LET_GO("shift") "," LET_GO("ctrl") "]" },
	{ "{'type':'click','x':3,'y':4,'button':'left','keys':[]}", "[{\"move\":[3,4]}," CLICK(1) "]" },
	{ "{'type':'double_click','x':3,'y':4}", "[{\"move\":[3,4]}," CLICK(1) "," CLICK(1) "]" },
	{ "{'type':'double_click','x':3,'y':4,'keys':['ALT']}",
	  "[" HOLD("alt") ",{\"move\":[3,4]}," CLICK(1) "," CLICK(1) "," LET_GO("alt") "]" },
	{ "{'type':'drag','path':[{'x':1,'y':2},{'x':5,'y':6}]}",
	  "[{\"move\":[1,2]}," PRESS(1) "," REST "," STEP ",{\"move\":[2,3]}," STEP ",{\"move\":[3,4]}," STEP ",{\"move\":[4,5]}," STEP ",{\"move\":[5,6]}," REST ","
	  RELEASE(1) "]" },
	{ "{'type':'drag','path':[{'x':1,'y':2},{'x':9,'y':9},{'x':5,'y':6}],'keys':['META']}",
	  "[" HOLD("meta") ",{\"move\":[1,2]}," PRESS(1) "," REST "," STEP ",{\"move\":[9,9]}," STEP ",{\"move\":[5,6]},"
	  REST "," RELEASE(1) "," LET_GO("meta") "]" },
	{ "{'type':'move','x':3,'y':4}", "[{\"move\":[3,4]}]" },
	{ "{'type':'move','x':3,'y':4,'keys':['shift']}",
	  "[" HOLD("shift") ",{\"move\":[3,4]}," LET_GO("shift") "]" },
	{ "{'type':'scroll','x':3,'y':4,'scroll_x':0,'scroll_y':240}",
	  "[{\"move\":[3,4]}," CLICK(5) "," CLICK(5) "]" },
	{ "{'type':'scroll','x':3,'y':4,'scroll_x':-1,'scroll_y':-190}",
	  "[{\"move\":[3,4]}," CLICK(4) "," CLICK(4) "," CLICK(6) "]" },
	{ "{'type':'scroll','x':3,'y':4,'scroll_x':170,'scroll_y':0,'keys':['ctrl']}",
	  "[" HOLD("ctrl") ",{\"move\":[3,4]}," CLICK(7) "," LET_GO("ctrl") "]" },
	{ "{'type':'keypress','keys':['CTRL','A']}", "[{\"key\":\"CTRL+a\"}]" },
	{ "{'type':'keypress','keys':['CTRL','SHIFT','T']}", "[{\"key\":\"CTRL+SHIFT+t\"}]" },
	{ "{'type':'keypress','keys':['A']}", "[{\"key\":\"A\"}]" },
	{ "{'type':'keypress','keys':['CTRL','+']}", "[{\"key\":\"CTRL++\"}]" },
	{ "{'type':'keypress','keys':[' ']}", "[{\"key\":\"space\"}]" },
	{ "{'type':'keypress','keys':['ENTER']}", "[{\"key\":\"ENTER\"}]" },
	{ "{'type':'type','text':'abc'}", "[{\"text\":\"abc\"}]" },
};
/* clang-format on */

/* The action in @text, in which ' stands for ". */
static struct action parse(const char *text)
{
	struct action_list list = { 0 };
	struct failure failure = { 0 };
	struct action action;
	char *copy = strdup(text);

	for (char *at = copy; *at; at++) {
		if (*at == '\'')
			*at = '"';
	}
	if (action_list_parse(copy, strlen(copy), &list, &failure) < 0)
		fail_msg("%s: %s", text, failure.message);
	assert_int_equal(list.count, 1);
	assert_false(list.is_array);
	action = list.items[0];
	free(list.items);
	free(copy);
	return action;
}

static json_t *steps_of(const struct action *action, const struct action_view *view)
{
	struct failure failure = { 0 };
	json_t *steps;

	if (action_make_steps(action, view, &steps, &failure) < 0)
		fail_msg("%s: %s", action->name, failure.message);
	return steps;
}

static void test_steps(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(inputs); i++) {
		struct action action = parse(inputs[i].action);
		json_t *expected = json_loads(inputs[i].steps, 0, NULL);
		json_t *steps;

		assert_non_null(expected);
		assert_int_equal(action.effect, ACTION_INPUT);
		assert_true(action.timeout_ms > action.duration_ms);
		steps = steps_of(&action, &whole);
		if (!json_equal(steps, expected))
			fail_msg("%s: %s", inputs[i].action, json_dumps(steps, 0));
		json_decref(steps);
		json_decref(expected);
		action_finish(&action);
	}
}

static void test_others(void **state)
{
	static const struct {
		const char *action;
		enum action_effect effect;
		uint64_t duration_ms;
	} cases[] = {
		{ "{'action':'screenshot'}", ACTION_SCREENSHOT, 0 },
		{ "{'type':'screenshot'}", ACTION_SCREENSHOT, 0 },
		{ "{'action':'cursor_position'}", ACTION_CURSOR, 0 },
		{ "{'action':'wait','duration':1.5}", ACTION_WAIT, 1500 },
		{ "{'action':'wait','duration':300}", ACTION_WAIT, 300000 },
		{ "{'type':'wait'}", ACTION_WAIT, 2000 },
		{ "{'action':'navigate','url':'https://example.com/'}", ACTION_NAVIGATE, 0 },
		{ "{'action':'zoom','region':[0,0,1280,800]}", ACTION_SCREENSHOT, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct action action = parse(cases[i].action);

		assert_int_equal(action.effect, cases[i].effect);
		assert_int_equal(action.duration_ms, cases[i].duration_ms);
		assert_true((action.region[2] > 0) == (action.name[0] == 'z'));
		if (action.effect == ACTION_NAVIGATE)
			assert_string_equal(action.url, "https://example.com/");
		action_finish(&action);
	}
}

/* A new row comes with a test of it. */
static void test_every_name_is_tested(void **state)
{
	static const char *const elsewhere[] = { "screenshot", "cursor_position", "wait",
		                                 "navigate", "zoom" };

	(void)state;
	for (const struct action_vocabulary *v = action_vocabularies; v->member; v++) {
		for (size_t i = 0; i < v->count; i++) {
			char begin[64];
			bool found = false;

			snprintf(begin, sizeof(begin), "'%s':'%s'", v->member, v->specs[i].name);
			for (size_t k = 0; k < COUNT(inputs); k++)
				found = found || strstr(inputs[k].action, begin);
			for (size_t k = 0; k < COUNT(elsewhere); k++)
				found = found || strcmp(elsewhere[k], v->specs[i].name) == 0;
			if (!found)
				fail_msg("%s has no test", begin);
		}
	}
}

static bool has_string(const json_t *array, const char *text)
{
	size_t index;
	json_t *item;

	json_array_foreach(array, index, item)
	{
		if (strcmp(json_string_value(item), text) == 0)
			return true;
	}
	return false;
}

/* The schema names every argument of every action, and no other, and those that must be there. */
static void check_schema(const json_t *schema, const char *member, const struct action_spec *spec)
{
	const json_t *properties = json_object_get(schema, "properties");
	const json_t *required = json_object_get(schema, "required");
	size_t count = 1, must = 1;

	assert_string_equal(
		json_string_value(json_object_get(json_object_get(properties, member), "const")),
		spec->name);
	assert_true(has_string(required, member));
	assert_true(json_is_false(json_object_get(schema, "additionalProperties")));
	for (size_t i = 0; i < ACTION_ARGUMENTS_MAX && spec->arguments[i].name; i++, count++) {
		assert_non_null(json_object_get(properties, spec->arguments[i].name));
		assert_int_equal(has_string(required, spec->arguments[i].name),
		                 !spec->arguments[i].optional);
		must += !spec->arguments[i].optional;
	}
	for (const struct argument_spec *a = action_common_arguments; a->name; a++, count++)
		assert_non_null(json_object_get(properties, a->name));
	assert_int_equal(json_object_size(properties), count);
	assert_int_equal(json_array_size(required), must);
}

static void test_schema(void **state)
{
	json_t *schema = action_schema();
	const json_t *actions = json_object_get(
		json_object_get(json_object_get(schema, "$defs"), "action"), "oneOf");
	size_t index = 0;

	(void)state;
	for (const struct action_vocabulary *v = action_vocabularies; v->member; v++) {
		for (size_t i = 0; i < v->count; i++)
			check_schema(json_array_get(actions, index++), v->member, &v->specs[i]);
	}
	assert_int_equal(json_array_size(actions), index);
	json_decref(schema);
}

static void test_longest(void **state)
{
	static const struct {
		const char *action;
		size_t steps;
	} cases[] = {
		{ "{'action':'scroll','coordinate':[1,1],'scroll_direction':'up',"
		  "'scroll_amount':100}",
		  201 },
		{ "{'type':'scroll','x':1,'y':1,'scroll_x':12000,'scroll_y':-12000}", 401 },
		{ "{'action':'key','text':'a b c d e f g h i j','repeat':100}", 1000 },
		{ "{'action':'hold_key','text':'a','duration':300}", 7 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct action action = parse(cases[i].action);
		json_t *steps = steps_of(&action, &whole);

		assert_int_equal(json_array_size(steps), cases[i].steps);
		assert_true(json_array_size(steps) <= ACTION_STEPS_MAX);
		json_decref(steps);
		action_finish(&action);
	}
}

/* clang-format off */
static const struct action_view half = { 640, 400, { 0, 0 }, 1280, 800 };
static const struct action_view odd = { 640, 400, { 0, 0 }, 1279, 799 };
static const struct action_view part = { 200, 100, { 300, 400 }, 100, 50 }; /* drawn twice as large */
static const struct action_view smaller = { 1024, 640, { 0, 0 }, 1280, 800 };
/* clang-format on */

static void test_points_of_pictures(void **state)
{
	static const struct {
		const char *action, *steps;
		const struct action_view *view;
	} cases[] = {
		{ "{'action':'mouse_move','coordinate':[0,0]}", "[{\"move\":[1,1]}]", &half },
		{ "{'action':'mouse_move','coordinate':[639,399]}", "[{\"move\":[1279,799]}]",
		  &half },
		{ "{'action':'mouse_move','coordinate':[639,399]}", "[{\"move\":[1278,798]}]",
		  &odd },
		{ "{'action':'mouse_move','coordinate':[0,0]}", "[{\"move\":[300,400]}]", &part },
		{ "{'action':'mouse_move','coordinate':[199,99]}", "[{\"move\":[399,449]}]",
		  &part },
		{ "{'type':'move','x':1023,'y':639}", "[{\"move\":[1279,799]}]", &smaller },
		{ "{'type':'move','x':512,'y':320}", "[{\"move\":[640,400]}]", &smaller },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct action action = parse(cases[i].action);
		json_t *expected = json_loads(cases[i].steps, 0, NULL);
		json_t *steps = steps_of(&action, cases[i].view);

		if (!json_equal(steps, expected))
			fail_msg("%s: %s", cases[i].action, json_dumps(steps, 0));
		json_decref(steps);
		json_decref(expected);
		action_finish(&action);
	}
}

static void test_region(void **state)
{
	static const struct {
		const char *action;
		const struct action_view *view;
		uint32_t placed[4];
	} cases[] = {
		{ "{'action':'zoom','region':[0,0,1280,800]}", &whole, { 0, 0, 1280, 800 } },
		{ "{'action':'zoom','region':[10,20,11,21]}", &whole, { 10, 20, 1, 1 } },
		{ "{'action':'zoom','region':[0,0,640,400]}", &half, { 0, 0, 1280, 800 } },
		{ "{'action':'zoom','region':[5,6,7,8]}", &half, { 10, 12, 4, 4 } },
		{ "{'action':'zoom','region':[0,0,640,400]}", &odd, { 0, 0, 1279, 799 } },
		{ "{'action':'zoom','region':[1,1,2,2]}", &part, { 300, 400, 1, 1 } },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct action action = parse(cases[i].action);
		struct failure failure = { 0 };
		uint32_t placed[4];

		assert_int_equal(action_place_rectangle(&action, "region", action.region,
		                                        cases[i].view, placed, &failure),
		                 0);
		assert_memory_equal(placed, cases[i].placed, sizeof(placed));
		action_finish(&action);
	}
}

static void test_list(void **state)
{
	static const char text[] = "[{\"action\":\"left_click\"},{\"type\":\"wait\"}]";
	struct action_list list = { 0 };
	struct failure failure = { 0 };

	(void)state;
	assert_int_equal(action_list_parse(text, strlen(text), &list, &failure), 0);
	assert_true(list.is_array);
	assert_int_equal(list.count, 2);
	assert_string_equal(list.items[0].name, "left_click");
	assert_string_equal(list.items[1].name, "wait");
	action_list_finish(&list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_every_name_is_tested),
		cmocka_unit_test(test_points_of_pictures),
		cmocka_unit_test(test_region),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_schema),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
