/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * actions_table.c - the vocabularies of `cloche act`. No state.
 *
 * An action is a row: what it does (actions_private.h), and its arguments. A new action is a new
 * row. Anthropic's are those of the computer tools 2024-10-22, 2025-01-24 and 2025-11-24 and of the
 * toolset of 2026-08-01; where they differ, what any of them takes is taken: a click without a
 * coordinate is one where the pointer is. `navigate` is ours.
 */
#include "supervisor/actions_private.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define CLICK(name, button, clicks)                                                                \
	{                                                                                          \
		name, ACTION_INPUT, GESTURE_PRESS, button, clicks, 0,                              \
		{                                                                                  \
			{ "coordinate", ARGUMENT_POINT, true },                                    \
			{                                                                          \
				"text", ARGUMENT_MODIFIERS, true                                   \
			}                                                                          \
		}                                                                                  \
	}

#define OPENAI_WAIT_MS 2000 /* its `wait` doesn't say how long */

/* clang-format off */
static const struct action_spec anthropic[] = {
	{ "screenshot", ACTION_SCREENSHOT, GESTURE_PRESS, 0, 0, 0, {
		{ "max_width", ARGUMENT_MAX_WIDTH, true },
		{ "max_pixels", ARGUMENT_MAX_PIXELS, true } } },
	{ "zoom", ACTION_SCREENSHOT, GESTURE_PRESS, 0, 0, 0, {
		{ "region", ARGUMENT_REGION, false },
		{ "max_width", ARGUMENT_MAX_WIDTH, true },
		{ "max_pixels", ARGUMENT_MAX_PIXELS, true } } },
	{ "cursor_position", ACTION_CURSOR, GESTURE_PRESS, 0, 0, 0, { { NULL, ARGUMENT_NONE, false } } },
	{ "mouse_move", ACTION_INPUT, GESTURE_PRESS, 0, 0, 0, {
		{ "coordinate", ARGUMENT_POINT, false } } },
	CLICK("left_click", 1, 1),
	CLICK("right_click", 3, 1),
	CLICK("middle_click", 2, 1),
	CLICK("double_click", 1, 2),
	CLICK("triple_click", 1, 3),
	{ "left_click_drag", ACTION_INPUT, GESTURE_DRAG, 1, 0, 0, {
		{ "start_coordinate", ARGUMENT_START, true },
		{ "coordinate", ARGUMENT_POINT, false },
		{ "text", ARGUMENT_MODIFIERS, true } } },
	{ "left_mouse_down", ACTION_INPUT, GESTURE_DOWN, 1, 0, 0, { { NULL, ARGUMENT_NONE, false } } },
	{ "left_mouse_up", ACTION_INPUT, GESTURE_UP, 1, 0, 0, { { NULL, ARGUMENT_NONE, false } } },
	{ "scroll", ACTION_INPUT, GESTURE_PRESS, 0, 0, 0, {
		{ "coordinate", ARGUMENT_POINT, true },
		{ "scroll_direction", ARGUMENT_DIRECTION, false },
		{ "scroll_amount", ARGUMENT_AMOUNT, false },
		{ "text", ARGUMENT_MODIFIERS, true } } },
	{ "type", ACTION_INPUT, GESTURE_PRESS, 0, 0, 0, { { "text", ARGUMENT_TEXT, false } } },
	{ "key", ACTION_INPUT, GESTURE_PRESS, 0, 0, 0, {
		{ "text", ARGUMENT_KEYS, false },
		{ "repeat", ARGUMENT_REPEAT, true } } },
	{ "hold_key", ACTION_INPUT, GESTURE_HOLD, 0, 0, 0, {
		{ "text", ARGUMENT_KEYS, false },
		{ "duration", ARGUMENT_DURATION, false } } },
	{ "wait", ACTION_WAIT, GESTURE_PRESS, 0, 0, 0, { { "duration", ARGUMENT_DURATION, false } } },
	{ "navigate", ACTION_NAVIGATE, GESTURE_PRESS, 0, 0, 0, { { "url", ARGUMENT_URL, false } } },
};

static const struct action_spec openai[] = {
	{ "screenshot", ACTION_SCREENSHOT, GESTURE_PRESS, 0, 0, 0, {
		{ "max_width", ARGUMENT_MAX_WIDTH, true },
		{ "max_pixels", ARGUMENT_MAX_PIXELS, true } } },
	{ "click", ACTION_INPUT, GESTURE_PRESS, 0, 1, 0, {
		{ "x", ARGUMENT_X, false },
		{ "y", ARGUMENT_Y, false },
		{ "button", ARGUMENT_BUTTON, false },
		{ "keys", ARGUMENT_HELD, true } } },
	{ "double_click", ACTION_INPUT, GESTURE_PRESS, 1, 2, 0, {
		{ "x", ARGUMENT_X, false },
		{ "y", ARGUMENT_Y, false },
		{ "keys", ARGUMENT_HELD, true } } },
	{ "drag", ACTION_INPUT, GESTURE_DRAG, 1, 0, 0, {
		{ "path", ARGUMENT_PATH, false },
		{ "keys", ARGUMENT_HELD, true } } },
	{ "move", ACTION_INPUT, GESTURE_PRESS, 0, 0, 0, {
		{ "x", ARGUMENT_X, false },
		{ "y", ARGUMENT_Y, false },
		{ "keys", ARGUMENT_HELD, true } } },
	{ "scroll", ACTION_INPUT, GESTURE_PRESS, 0, 0, 0, {
		{ "x", ARGUMENT_X, false },
		{ "y", ARGUMENT_Y, false },
		{ "scroll_x", ARGUMENT_SCROLL_X, false },
		{ "scroll_y", ARGUMENT_SCROLL_Y, false },
		{ "keys", ARGUMENT_HELD, true } } },
	{ "keypress", ACTION_INPUT, GESTURE_PRESS, 0, 0, 0, { { "keys", ARGUMENT_CHORD, false } } },
	{ "type", ACTION_INPUT, GESTURE_PRESS, 0, 0, 0, { { "text", ARGUMENT_TEXT, false } } },
	{ "wait", ACTION_WAIT, GESTURE_PRESS, 0, 0, OPENAI_WAIT_MS, { { NULL, ARGUMENT_NONE, false } } },
};
/* clang-format on */

const struct argument_spec action_common_arguments[] = {
	{ "frame", ARGUMENT_FRAME, true },
	{ "if_unchanged", ARGUMENT_IF_UNCHANGED, true },
	{ "expect", ARGUMENT_EXPECT, true },
	{ NULL, ARGUMENT_NONE, true },
};

const struct action_vocabulary action_vocabularies[] = {
	{ "action", "Anthropic's", anthropic, COUNT(anthropic) },
	{ "type", "OpenAI's", openai, COUNT(openai) },
	{ NULL, NULL, NULL, 0 },
};

static const char *const forms[ARGUMENT_KINDS] = {
	[ARGUMENT_NONE] = "",
	[ARGUMENT_POINT] = "[x, y]",
	[ARGUMENT_START] = "[x, y]",
	[ARGUMENT_X] = "pixels",
	[ARGUMENT_Y] = "pixels",
	[ARGUMENT_PATH] = "[{\"x\": x, \"y\": y}, …]",
	[ARGUMENT_REGION] = "[x0, y0, x1, y1]",
	[ARGUMENT_BUTTON] = "\"left|right|wheel|back|forward\"",
	[ARGUMENT_MODIFIERS] = "\"ctrl+shift\"",
	[ARGUMENT_HELD] = "[\"CTRL\", \"SHIFT\"]",
	[ARGUMENT_KEYS] = "\"ctrl+a\"",
	[ARGUMENT_CHORD] = "[\"CTRL\", \"A\"]",
	[ARGUMENT_REPEAT] = "times",
	[ARGUMENT_TEXT] = "\"any text\"",
	[ARGUMENT_DIRECTION] = "\"up|down|left|right\"",
	[ARGUMENT_AMOUNT] = "clicks",
	[ARGUMENT_SCROLL_X] = "pixels",
	[ARGUMENT_SCROLL_Y] = "pixels",
	[ARGUMENT_DURATION] = "seconds",
	[ARGUMENT_URL] = "\"https://…\"",
	[ARGUMENT_MAX_WIDTH] = "pixels",
	[ARGUMENT_MAX_PIXELS] = "pixels",
	[ARGUMENT_FRAME] = "\"NAME\"",
	[ARGUMENT_IF_UNCHANGED] = "true",
	[ARGUMENT_EXPECT] = "{…}",
};

const char *action_argument_form(enum argument_kind kind)
{
	return forms[kind];
}

static void print_arguments(FILE *out, const struct argument_spec *arguments, size_t max)
{
	for (size_t i = 0; i < max && arguments[i].name; i++)
		fprintf(out, " %s%s: %s%s", arguments[i].optional ? "[" : "", arguments[i].name,
		        forms[arguments[i].kind], arguments[i].optional ? "]" : "");
	fputc('\n', out);
}

static void print_spec(FILE *out, const struct action_spec *spec)
{
	fprintf(out, spec->arguments[0].name ? "    %-15s" : "    %s", spec->name);
	print_arguments(out, spec->arguments, ACTION_ARGUMENTS_MAX);
}

void action_print_vocabulary(FILE *out)
{
	for (const struct action_vocabulary *v = action_vocabularies; v->member; v++) {
		fprintf(out, "  %s, {\"%s\": NAME, …}:\n", v->owner, v->member);
		for (size_t i = 0; i < v->count; i++)
			print_spec(out, &v->specs[i]);
	}
	fprintf(out, "  and with every action:\n   ");
	print_arguments(out, action_common_arguments, SIZE_MAX);
}
