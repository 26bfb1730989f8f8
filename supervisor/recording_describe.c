/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * recording_describe.c - see recording_describe.h. Pure.
 */
#include "supervisor/recording_describe.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/failure.h"

struct line {
	char *text; /* ACTION_LINE_SIZE bytes */
	size_t used;
};

__attribute__((format(printf, 2, 3))) static void add(struct line *line, const char *fmt, ...)
{
	size_t room = ACTION_LINE_SIZE - line->used;
	va_list args;

	if (line->used > 0 && room > 2) {
		line->used += (size_t)snprintf(line->text + line->used, room, ", ");
		room -= 2;
	}
	va_start(args, fmt);
	int n = vsnprintf(line->text + line->used, room, fmt, args);
	va_end(args);
	if (n > 0)
		line->used += (size_t)n < room ? (size_t)n : room - 1;
}

static const char *string(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "?";
}

static const char *button_name(json_int_t button)
{
	static const char *const names[] = { "?",           "left click",  "middle click",
		                             "right click", "scroll up",   "scroll down",
		                             "scroll left", "scroll right" };

	return button >= 1 && button <= 7 ? names[button] : "button";
}

static const char *way(const json_t *step)
{
	const json_t *down = json_object_get(step, "down");

	return !down ? "" : json_is_true(down) ? " (down)" : " (up)";
}

/* Of how many steps a press consists: a button that goes down and comes up at once, or just one. */
static size_t press_size(const json_t *steps, size_t at)
{
	const json_t *step = json_array_get(steps, at), *next = json_array_get(steps, at + 1);

	return json_is_true(json_object_get(step, "down")) &&
	                       json_is_false(json_object_get(next, "down")) &&
	                       json_equal(json_object_get(step, "button"),
	                                  json_object_get(next, "button"))
	               ? 2
	               : 1;
}

/* A button, or the wheel: as many presses as are alike are told once. How many steps they are. */
static size_t add_button(struct line *line, const json_t *steps, size_t at, const json_t *place)
{
	const json_t *step = json_array_get(steps, at);
	json_int_t button = json_integer_value(json_object_get(step, "button"));
	size_t size = press_size(steps, at), count = 1;
	char where[32] = "";
	char times[32] = "";

	while (json_equal(json_array_get(steps, at + count * size), step) &&
	       press_size(steps, at + count * size) == size)
		count++;
	if (place)
		snprintf(where, sizeof(where), " %lld,%lld",
		         (long long)json_integer_value(json_array_get(place, 0)),
		         (long long)json_integer_value(json_array_get(place, 1)));
	if (count > 1)
		snprintf(times, sizeof(times), " x%zu", count);
	add(line, "%s%s%s%s", button_name(button), where, size == 1 ? way(step) : "", times);
	return count * size;
}

/* One step that is no button. */
static void add_step(struct line *line, const json_t *step)
{
	const json_t *characters = json_object_get(step, "characters");

	if (characters)
		add(line, "type %lld characters", (long long)json_integer_value(characters));
	else if (json_object_get(step, "text"))
		add(line, "type \"%.60s\"", string(step, "text"));
	else if (json_object_get(step, "key"))
		add(line, "key %.60s%s", string(step, "key"), way(step));
	else if (json_object_get(step, "keysym"))
		add(line, "key 0x%llx%s",
		    (unsigned long long)json_integer_value(json_object_get(step, "keysym")),
		    way(step));
}

static void add_steps(struct line *line, const json_t *steps)
{
	size_t count = json_array_size(steps);
	const json_t *place = NULL;

	for (size_t i = 0; i < count;) {
		const json_t *step = json_array_get(steps, i);
		const json_t *move = json_object_get(step, "move");
		const json_t *next = json_array_get(steps, i + 1);

		if (json_object_get(step, "button")) {
			i += add_button(line, steps, i, place);
			place = NULL;
			continue;
		}
		/* A move is told with the button that comes next, or as where it ended. */
		if (move && !json_object_get(next, "move") && !json_object_get(next, "button"))
			add(line, "move %lld,%lld",
			    (long long)json_integer_value(json_array_get(move, 0)),
			    (long long)json_integer_value(json_array_get(move, 1)));
		else if (!move)
			add_step(line, step);
		place = move;
		i++;
	}
}

static bool add_action(struct line *line, const json_t *object)
{
	const char *event = string(object, "event");
	const char *verb = string(object, "verb");

	if (strcmp(event, "alert") == 0) {
		add(line, "alert: %.64s", string(object, "name"));
	} else if (strcmp(event, "control") == 0) {
		const json_t *holder = json_object_get(object, "holder");

		if (holder)
			add(line, "viewer %lld takes control",
			    (long long)json_integer_value(holder));
		else
			add(line, "control is given back");
	} else if (strcmp(event, "action") == 0 && strcmp(verb, "input") == 0) {
		add_steps(line, json_object_get(object, "steps"));
		if (json_object_get(object, "more"))
			add(line, "...");
	} else if (strcmp(event, "action") == 0 && strcmp(verb, "browser") == 0) {
		add(line, "%.16s %.200s", string(object, "op"),
		    json_object_get(object, "url") ? string(object, "url") : "");
	} else {
		add(line, "%.64s", event);
	}
	if (strcmp(string(object, "by"), "viewer") == 0)
		add(line, "by a viewer");
	return line->used > 0;
}

/* Bytes of the UTF-8 character at @at; 0: there is none. */
static size_t character_size(const unsigned char *at)
{
	size_t size = *at < 0x80                  ? 1
	              : *at >= 0xc2 && *at < 0xe0 ? 2
	              : *at >= 0xe0 && *at < 0xf0 ? 3
	                                          : 4;

	if ((*at >= 0x80 && *at < 0xc2) || *at > 0xf4)
		return 0;
	for (size_t i = 1; i < size; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	return size;
}

/* Characters that were cut in two are none. */
static void mend(char *line)
{
	for (unsigned char *at = (unsigned char *)line; *at;) {
		size_t size = character_size(at);

		if (size == 0)
			*at = '?';
		at += size ? size : 1;
	}
}

void recording_describe(const char *text, size_t size, char out_line[ACTION_LINE_SIZE])
{
	json_t *object = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
	struct line line = { out_line, 0 };

	out_line[0] = '\0';
	if (!json_is_object(object) || !add_action(&line, object))
		strcpy(out_line, "?");
	json_decref(object);
	mend(out_line);
	text_clean(out_line);
}
