/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * steps.c - JSON to struct step.
 */
#include "guest/steps.h"

#include <errno.h>
#include <stdlib.h>

#include "guest/text.h"
#include "lib/proto.h"

#define BUTTON_MAX 9

static int way_parse(json_t *object, struct step *step, struct error *err)
{
	json_t *down = json_object_get(object, "down");

	if (!down) {
		step->way = WAY_CLICK;
		return 0;
	}
	if (!json_is_boolean(down))
		return error_set(err, -EINVAL, "\"down\" must be true or false");
	step->way = json_is_true(down) ? WAY_DOWN : WAY_UP;
	return 0;
}

static int move_parse(json_t *value, uint32_t width, uint32_t height, struct step *step,
                      struct error *err)
{
	json_int_t x = json_integer_value(json_array_get(value, 0));
	json_int_t y = json_integer_value(json_array_get(value, 1));

	if (json_array_size(value) != 2 || !json_is_integer(json_array_get(value, 0)) ||
	    !json_is_integer(json_array_get(value, 1)))
		return error_set(err, -EINVAL, "\"move\" must be two integers");
	if (x < 0 || y < 0 || x >= width || y >= height)
		return error_set(err, -EINVAL,
		                 "%" JSON_INTEGER_FORMAT ",%" JSON_INTEGER_FORMAT
		                 " is outside of the %ux%u screen",
		                 x, y, width, height);
	step->kind = STEP_MOVE;
	step->x = (int16_t)x;
	step->y = (int16_t)y;
	return 0;
}

static int button_parse(json_t *object, json_t *value, struct step *step, struct error *err)
{
	json_int_t button = json_integer_value(value);

	if (!json_is_integer(value) || button < 1 || button > BUTTON_MAX)
		return error_set(err, -EINVAL, "\"button\" must be an integer, 1 to %d",
		                 BUTTON_MAX);
	step->kind = STEP_BUTTON;
	step->button = (uint8_t)button;
	return way_parse(object, step, err);
}

static int key_parse(json_t *object, json_t *value, struct step *step, struct error *err)
{
	int ret;

	if (!json_is_string(value))
		return error_set(err, -EINVAL, "\"key\" must be a string");
	ret = keys_parse_chord(json_string_value(value), &step->chord, err);
	if (ret < 0)
		return ret;
	step->kind = STEP_KEY;
	return way_parse(object, step, err);
}

static int keysym_parse(json_t *object, json_t *value, struct step *step, struct error *err)
{
	json_int_t keysym = json_integer_value(value);

	if (!json_is_integer(value) || keysym < 1 || keysym > PROTO_KEYSYM_MAX)
		return error_set(err, -EINVAL, "\"keysym\" must be an integer, 1 to %d",
		                 PROTO_KEYSYM_MAX);
	step->kind = STEP_KEYSYM;
	step->keysym = (uint32_t)keysym;
	return way_parse(object, step, err);
}

static int text_parse(json_t *value, struct step *step, struct error *err)
{
	const char *text = json_string_value(value);
	int32_t character;

	if (!text)
		return error_set(err, -EINVAL, "\"text\" must be a string");
	step->kind = STEP_TEXT;
	step->text = text;
	while ((character = text_next(&text)))
		if (character < 0 || !keys_from_character(character))
			return error_set(err, -EINVAL, "U+%04X can't be typed",
			                 (unsigned int)character);
	return 0;
}

static int sleep_parse(json_t *value, struct step *step, struct error *err)
{
	json_int_t ms = json_integer_value(value);

	if (!json_is_integer(value) || ms < 0 || ms > STEPS_SLEEP_MAX_MS)
		return error_set(err, -EINVAL, "\"sleep_ms\" must be an integer, 0 to %d",
		                 STEPS_SLEEP_MAX_MS);
	step->kind = STEP_SLEEP;
	step->sleep_ms = (uint32_t)ms;
	return 0;
}

static int step_parse(json_t *object, uint32_t width, uint32_t height, struct step *step,
                      struct error *err)
{
	json_t *value;

	if ((value = json_object_get(object, "move")))
		return move_parse(value, width, height, step, err);
	if ((value = json_object_get(object, "button")))
		return button_parse(object, value, step, err);
	if ((value = json_object_get(object, "key")))
		return key_parse(object, value, step, err);
	if ((value = json_object_get(object, "keysym")))
		return keysym_parse(object, value, step, err);
	if ((value = json_object_get(object, "text")))
		return text_parse(value, step, err);
	if ((value = json_object_get(object, "sleep_ms")))
		return sleep_parse(value, step, err);
	return error_set(err, -EINVAL, "it has none of move, button, key, keysym, text, sleep_ms");
}

int steps_parse(json_t *array, uint32_t width, uint32_t height, struct steps *out_steps,
                struct error *err)
{
	size_t count = json_array_size(array);
	struct step *list;

	if (!json_is_array(array) || count > STEPS_MAX)
		return error_set(err, -EINVAL, "\"steps\" must be an array of at most %d",
		                 STEPS_MAX);
	list = calloc(count + 1, sizeof(*list));
	if (!list)
		return error_set(err, -ENOMEM, "no memory");
	for (size_t i = 0; i < count; i++) {
		int ret = step_parse(json_array_get(array, i), width, height, &list[i], err);

		if (ret < 0) {
			free(list);
			return error_prefix(err, ret, "step %zu", i);
		}
	}
	out_steps->list = list;
	out_steps->count = count;
	return 0;
}

void steps_finish(struct steps *steps)
{
	free(steps->list);
	*steps = (struct steps){ .count = 0 };
}
