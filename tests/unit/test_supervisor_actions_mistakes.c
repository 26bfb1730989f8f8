/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_supervisor_actions_mistakes.c - what is wrong with an action is named: the action, the
 * argument, and in a list the index. Links the supervisor's modules.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "supervisor/actions_list.h"
#include "supervisor/actions_private.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct mistake {
	const char *action; /* in which ' stands for " */
	const char *begins; /* the message */
};

static void check_text(const char *text, const char *begins)
{
	struct action_list list = { 0 };
	struct failure failure = { 0 };

	assert_int_equal(action_list_parse(text, strlen(text), &list, &failure), -1);
	assert_int_equal(failure.status, STATUS_USAGE);
	assert_string_equal(failure.code, "bad_request");
	if (strncmp(failure.message, begins, strlen(begins)) != 0)
		fail_msg("%s: %s", text, failure.message);
	assert_null(list.items);
}

static void check(const struct mistake *mistakes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char *text = strdup(mistakes[i].action);

		for (char *at = text; *at; at++) {
			if (*at == '\'')
				*at = '"';
		}
		check_text(text, mistakes[i].begins);
		free(text);
	}
}

static void test_no_action(void **state)
{
	static const struct mistake mistakes[] = {
		{ "", "the action is no JSON" },
		{ "{", "the action is no JSON" },
		{ "'left_click'", "the action is no JSON" },
		{ "{'action':'wait','action':'wait'}", "the action is no JSON" },
		{ "{'action':'type','text':'a\\u0000b'}", "the action is no JSON" },
		{ "[]", "a list has 1 to 256 actions, not 0" },
		{ "[7]", "[0]: an action is a JSON object" },
		{ "[[{'action':'screenshot'}]]", "[0]: an action is a JSON object" },
		{ "{}", "action: is missing" },
		{ "{'action':7}", "action: must be a string" },
		{ "{'type':null}", "type: must be a string" },
		{ "{'action':'fly'}", "action: unknown: \"fly\"" },
		{ "{'action':'click'}", "action: unknown: \"click\"" },
		{ "{'type':'left_click'}", "type: unknown: \"left_click\"" },
		{ "{'type':'Click'}", "type: unknown: \"Click\"" },
		{ "{'action':'left_click','type':'click'}",
		  "left_click: takes no argument \"type\"" },
		{ "[{'action':'wait','duration':1},{'action':'wait'}]",
		  "[1]: wait: duration: is missing" },
	};

	(void)state;
	check(mistakes, COUNT(mistakes));
}

#define POINT "'coordinate':[1,2]"

static void test_places(void **state)
{
	static const struct mistake mistakes[] = {
		{ "{'action':'mouse_move'}", "mouse_move: coordinate: is missing" },
		{ "{'action':'left_click_drag','start_coordinate':[1,2]}",
		  "left_click_drag: coordinate: is missing" },
		{ "{'action':'left_click_drag','start_coordinate':[1],'coordinate':[1,2]}",
		  "left_click_drag: start_coordinate: must be two integers" },
		{ "{'action':'left_click','coordinate':[1]}",
		  "left_click: coordinate: must be two integers" },
		{ "{'action':'left_click','coordinate':[1,2,3]}",
		  "left_click: coordinate: must be two integers" },
		{ "{'action':'left_click','coordinate':[1.5,2]}",
		  "left_click: coordinate: must be two integers" },
		{ "{'action':'left_click','coordinate':'1,2'}",
		  "left_click: coordinate: must be two integers" },
		{ "{'action':'left_click','coordinate':null}",
		  "left_click: coordinate: must be two integers" },
		{ "{'action':'left_click','coordinate':[-1,2]}",
		  "left_click: coordinate: is outside of any screen" },
		{ "{'action':'left_click','coordinate':[1,4096]}",
		  "left_click: coordinate: is outside of any screen" },
		{ "{'action':'left_mouse_down'," POINT "}",
		  "left_mouse_down: takes no argument \"coordinate\"" },
		{ "{'action':'zoom'}", "zoom: region: is missing" },
		{ "{'action':'zoom','region':[1,2,3]}", "zoom: region: must be four integers" },
		{ "{'action':'zoom','region':[1,2,3,'4']}", "zoom: region: must be four integers" },
		{ "{'action':'zoom','region':[1,2,1,4]}", "zoom: region: is empty" },
		{ "{'action':'zoom','region':[1,4,3,2]}", "zoom: region: is empty" },
		{ "{'action':'zoom','region':[1,2,3,4097]}", "zoom: region: is outside" },
		{ "{'action':'zoom','region':[-1,2,3,4]}", "zoom: region: is outside" },
		{ "{'action':'screenshot','x':1}", "screenshot: takes no argument \"x\"" },
		{ "{'action':'cursor_position'," POINT "}",
		  "cursor_position: takes no argument \"coordinate\"" },
		{ "{'type':'move','x':1}", "move: y: is missing" },
		{ "{'type':'move','y':1}", "move: x: is missing" },
		{ "{'type':'move','x':1.0,'y':1}", "move: x: must be an integer" },
		{ "{'type':'move','x':1,'y':4096}", "move: y: is outside of any screen" },
		{ "{'type':'move','x':1,'y':1,'z':1}", "move: takes no argument \"z\"" },
		{ "{'type':'drag'}", "drag: path: is missing" },
		{ "{'type':'drag','path':{'x':1,'y':2}}", "drag: path: must be 2 to 256 points" },
		{ "{'type':'drag','path':[{'x':1,'y':2}]}", "drag: path: must be 2 to 256 points" },
		{ "{'type':'drag','path':[{'x':1,'y':2},[3,4]]}", "drag: path: has a point" },
		{ "{'type':'drag','path':[{'x':1,'y':2},{'x':1}]}", "drag: path: has a point" },
		{ "{'type':'drag','path':[{'x':1,'y':2},{'x':1,'y':2,'z':3}]}",
		  "drag: path: has a point" },
		{ "{'type':'drag','path':[{'x':1,'y':2},{'x':-1,'y':2}]}",
		  "drag: path: has a point that is outside" },
	};

	(void)state;
	check(mistakes, COUNT(mistakes));
}

static void test_keys(void **state)
{
	static const struct mistake mistakes[] = {
		{ "{'action':'left_click'," POINT ",'text':'a'}", "left_click: text: must be mod" },
		{ "{'action':'left_click'," POINT ",'text':'ctrl+'}",
		  "left_click: text: must be mod" },
		{ "{'action':'left_click'," POINT ",'text':''}", "left_click: text: is empty" },
		{ "{'action':'left_click'," POINT ",'text':['ctrl']}",
		  "left_click: text: must be a string" },
		{ "{'action':'left_click'," POINT ",'text':'ctrl+ctrl+ctrl+ctrl+ctrl'}",
		  "left_click: text: has too many" },
		{ "{'action':'type'}", "type: text: is missing" },
		{ "{'action':'type','text':''}", "type: text: is empty" },
		{ "{'action':'type','text':7}", "type: text: must be a string" },
		{ "{'type':'type'}", "type: text: is missing" },
		{ "{'action':'key'}", "key: text: is missing" },
		{ "{'action':'key','text':'   '}", "key: text: is empty" },
		{ "{'action':'key','text':'a','repeat':0}", "key: repeat: must be" },
		{ "{'action':'key','text':'a','repeat':101}", "key: repeat: must be" },
		{ "{'action':'key','text':'a','repeat':'2'}", "key: repeat: must be" },
		{ "{'action':'key','text':'a b c d e f g h i j k','repeat':91}",
		  "key: repeat: comes to more than 1000 keys" },
		{ "{'action':'key','text':'1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 "
		  "9 0 1 2 3'}",
		  "key: text: has too many keys" },
		{ "{'action':'key','text':'"
		  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}",
		  "key: text: has a key whose name is longer" },
		{ "{'action':'hold_key','text':'a'}", "hold_key: duration: is missing" },
		{ "{'action':'hold_key','duration':1}", "hold_key: text: is missing" },
		{ "{'action':'hold_key','text':'a','duration':301}",
		  "hold_key: duration: must be" },
		{ "{'action':'hold_key','text':'a','duration':1,'repeat':2}",
		  "hold_key: takes no argument \"repeat\"" },
		{ "{'type':'keypress'}", "keypress: keys: is missing" },
		{ "{'type':'keypress','keys':'CTRL'}", "keypress: keys: must be an array" },
		{ "{'type':'keypress','keys':[]}", "keypress: keys: must be an array" },
		{ "{'type':'keypress','keys':['CTRL',7]}", "keypress: keys: must be an array" },
		{ "{'type':'keypress','keys':['CTRL','']}", "keypress: keys: must be an array" },
		{ "{'type':'keypress','keys':['CTRL+A']}", "keypress: keys: must have one key" },
		{ "{'type':'click','x':1,'y':2,'button':'left','keys':'CTRL'}",
		  "click: keys: must be an array" },
		{ "{'type':'click','x':1,'y':2,'button':'left','keys':['A']}",
		  "click: keys: must be modifiers" },
		{ "{'type':'click','x':1,'y':2,'button':'left','keys':[1]}",
		  "click: keys: must be an array" },
		{ "{'type':'click','x':1,'y':2}", "click: button: is missing" },
		{ "{'type':'click','x':1,'y':2,'button':'middle'}", "click: button: must be" },
		{ "{'type':'click','x':1,'y':2,'button':1}", "click: button: must be" },
	};

	(void)state;
	check(mistakes, COUNT(mistakes));
}

static void test_amounts(void **state)
{
	static const struct mistake mistakes[] = {
		{ "{'action':'scroll'," POINT ",'scroll_amount':1}",
		  "scroll: scroll_direction: is missing" },
		{ "{'action':'scroll'," POINT ",'scroll_direction':'up'}",
		  "scroll: scroll_amount: is missing" },
		{ "{'action':'scroll'," POINT ",'scroll_amount':1,'scroll_direction':'in'}",
		  "scroll: scroll_direction: must be" },
		{ "{'action':'scroll'," POINT ",'scroll_amount':1,'scroll_direction':4}",
		  "scroll: scroll_direction: must be" },
		{ "{'action':'scroll'," POINT ",'scroll_amount':101,'scroll_direction':'up'}",
		  "scroll: scroll_amount: must be" },
		{ "{'action':'scroll'," POINT ",'scroll_amount':-1,'scroll_direction':'up'}",
		  "scroll: scroll_amount: must be" },
		{ "{'action':'scroll'," POINT ",'scroll_amount':1.5,'scroll_direction':'up'}",
		  "scroll: scroll_amount: must be" },
		{ "{'type':'scroll','x':1,'y':2,'scroll_x':1}", "scroll: scroll_y: is missing" },
		{ "{'type':'scroll','x':1,'y':2,'scroll_x':1,'scroll_y':12001}",
		  "scroll: scroll_y: must be" },
		{ "{'type':'scroll','x':1,'y':2,'scroll_y':1,'scroll_x':'1'}",
		  "scroll: scroll_x: must be" },
		{ "{'action':'wait'}", "wait: duration: is missing" },
		{ "{'action':'wait','duration':'1'}", "wait: duration: must be" },
		{ "{'action':'wait','duration':-1}", "wait: duration: must be" },
		{ "{'action':'wait','duration':300.1}", "wait: duration: must be" },
		{ "{'type':'wait','duration':1}", "wait: takes no argument \"duration\"" },
		{ "{'action':'navigate'}", "navigate: url: is missing" },
		{ "{'action':'navigate','url':'example.com'}", "navigate: url: needs" },
		{ "{'action':'navigate','url':'http://a\\nb'}", "navigate: url: has a control" },
	};

	(void)state;
	check(mistakes, COUNT(mistakes));
}

/* Without any argument it is one of the required that is missed; with another, that one. */
static void test_every_action_is_strict(void **state)
{
	(void)state;
	for (const struct action_vocabulary *v = action_vocabularies; v->member; v++) {
		for (size_t i = 0; i < v->count; i++) {
			const struct action_spec *spec = &v->specs[i];
			const struct argument_spec *first = spec->arguments;
			char text[128], begins[128];

			while (first->name && first->optional)
				first++;
			snprintf(text, sizeof(text), "{\"%s\":\"%s\",\"colour\":1}", v->member,
			         spec->name);
			snprintf(begins, sizeof(begins), "%s: takes no argument \"colour\"",
			         spec->name);
			check_text(text, begins);
			if (!first->name)
				continue;
			snprintf(text, sizeof(text), "{\"%s\":\"%s\"}", v->member, spec->name);
			snprintf(begins, sizeof(begins), "%s: %s: is missing", spec->name,
			         first->name);
			check_text(text, begins);
		}
	}
}

static void test_long_text(void **state)
{
	char *text = malloc(ACTION_TEXT_MAX + 64);

	(void)state;
	for (size_t extra = 0; extra < 2; extra++) {
		size_t begin = (size_t)sprintf(text, "{\"action\":\"type\",\"text\":\"");
		struct action_list list = { 0 };
		struct failure failure = { 0 };

		memset(text + begin, 'x', ACTION_TEXT_MAX + extra);
		strcpy(text + begin + ACTION_TEXT_MAX + extra, "\"}");
		assert_int_equal(action_list_parse(text, strlen(text), &list, &failure),
		                 extra ? -1 : 0);
		action_list_finish(&list);
	}
	free(text);
}

static void test_long_list(void **state)
{
	for (unsigned count = ACTION_LIST_MAX; count <= ACTION_LIST_MAX + 1; count++) {
		json_t *array = json_array();
		struct action_list list = { 0 };
		struct failure failure = { 0 };
		char *text;

		for (unsigned i = 0; i < count; i++)
			json_array_append_new(array, json_pack("{s:s}", "type", "wait"));
		text = json_dumps(array, 0);
		assert_int_equal(action_list_parse(text, strlen(text), &list, &failure),
		                 count > ACTION_LIST_MAX ? -1 : 0);
		assert_int_equal(list.count, count > ACTION_LIST_MAX ? 0 : count);
		action_list_finish(&list);
		free(text);
		json_decref(array);
	}
	(void)state;
}

#define SCREEN(width, height)                                                                      \
	(struct action_view)                                                                       \
	{                                                                                          \
		width, height, { 0, 0 }, width, height                                             \
	}

static void check_outside(const char *text, struct action_view view, const char *message)
{
	struct action_list list = { 0 };
	struct failure failure = { 0 };
	uint32_t region[4];
	json_t *steps;

	assert_int_equal(action_list_parse(text, strlen(text), &list, &failure), 0);
	if (list.items[0].region[2] > 0)
		assert_int_equal(action_place_rectangle(&list.items[0], "region",
		                                        list.items[0].region, &view, region,
		                                        &failure),
		                 -1);
	else
		assert_int_equal(action_make_steps(&list.items[0], &view, &steps, &failure), -1);
	assert_int_equal(failure.status, STATUS_USAGE);
	assert_string_equal(failure.message, message);
	action_list_finish(&list);
}

static void test_outside_of_the_screen(void **state)
{
	(void)state;
	check_outside(
		"{\"action\":\"left_click\",\"coordinate\":[1279,799]}", SCREEN(1279, 800),
		"left_click: coordinate: [1279, 799] is outside of the screen, which is 1279x800");
	check_outside(
		"{\"action\":\"left_click\",\"coordinate\":[1279,799]}", SCREEN(1280, 799),
		"left_click: coordinate: [1279, 799] is outside of the screen, which is 1280x799");
	check_outside("{\"action\":\"left_click_drag\",\"start_coordinate\":[64,0],"
	              "\"coordinate\":[1,1]}",
	              SCREEN(64, 64),
	              "left_click_drag: start_coordinate: [64, 0] is outside of the screen, which "
	              "is 64x64");
	check_outside(
		"{\"action\":\"left_click_drag\",\"start_coordinate\":[1,0],"
		"\"coordinate\":[1,64]}",
		SCREEN(64, 64),
		"left_click_drag: coordinate: [1, 64] is outside of the screen, which is 64x64");
	check_outside("{\"type\":\"move\",\"x\":64,\"y\":1}", SCREEN(64, 64),
	              "move: x, y: [64, 1] is outside of the screen, which is 64x64");
	check_outside("{\"type\":\"drag\",\"path\":[{\"x\":1,\"y\":1},{\"x\":1,\"y\":70}]}",
	              SCREEN(64, 64),
	              "drag: path: [1, 70] is outside of the screen, which is 64x64");
	check_outside("{\"action\":\"left_click\",\"coordinate\":[640,1]}",
	              (struct action_view){ 640, 400, { 0, 0 }, 1280, 800 },
	              "left_click: coordinate: [640, 1] is outside of the frame's picture, which "
	              "is 640x400");
	check_outside("{\"action\":\"zoom\",\"region\":[0,0,65,64]}", SCREEN(64, 64),
	              "zoom: region: [0, 0, 65, 64] is outside of the screen, which is 64x64");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_action),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_amounts),
		cmocka_unit_test(test_every_action_is_strict),
		cmocka_unit_test(test_long_text),
		cmocka_unit_test(test_long_list),
		cmocka_unit_test(test_outside_of_the_screen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
