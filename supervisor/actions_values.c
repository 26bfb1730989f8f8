/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * actions_values.c - the values of an action's arguments, checked one by one; those of keys are
 * actions_keys.c's. Pure.
 *
 * Each take_ function returns NULL, or what is wrong with the value; "" is no memory.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/proto.h"
#include "supervisor/actions_private.h"
#include "supervisor/parse.h"

#define BUTTON_BACK 8u

static const struct {
	const char *word;
	unsigned button;
} button_words[] = {
	{ "left", 1 }, { "wheel", 2 }, { "right", 3 }, { "back", BUTTON_BACK }, { "forward", 9 },
};

/* --- places ---------------------------------------------------------------------------------- */

static const char *take_pixels(const json_t *value, uint32_t *out_pixels)
{
	json_int_t pixels = json_integer_value(value);

	if (!json_is_integer(value))
		return "must be an integer";
	if (pixels < 0 || pixels >= PROTO_DISPLAY_SIDE_MAX)
		return "is outside of any screen";
	*out_pixels = (uint32_t)pixels;
	return NULL;
}

static const char *take_pair(const json_t *x, const json_t *y, struct action_point *out_point)
{
	struct action_point point = { 0 };
	const char *wrong = take_pixels(x, &point.x);

	if (!wrong)
		wrong = take_pixels(y, &point.y);
	if (!wrong)
		*out_point = point;
	return wrong;
}

static const char *take_point(const json_t *value, struct action_point *out_point, bool *out_has)
{
	const json_t *x = json_array_get(value, 0);
	const json_t *y = json_array_get(value, 1);
	const char *wrong;

	if (json_array_size(value) != 2 || !json_is_integer(x) || !json_is_integer(y))
		return "must be two integers, [x, y]";
	wrong = take_pair(x, y, out_point);
	*out_has = !wrong;
	return wrong;
}

static const char *take_path(const json_t *value, struct action *action)
{
	size_t count = json_array_size(value);

	if (!json_is_array(value) || count < 2 || count > ACTION_POINTS_MAX)
		return "must be 2 to 256 points, [{\"x\": x, \"y\": y}, …]";
	action->points = calloc(count, sizeof(*action->points));
	if (!action->points)
		return "";
	for (size_t i = 0; i < count; i++) {
		const json_t *point = json_array_get(value, i);
		const json_t *x = json_object_get(point, "x");
		const json_t *y = json_object_get(point, "y");
		const char *wrong;

		if (json_object_size(point) != 2 || !json_is_integer(x) || !json_is_integer(y))
			return "has a point that is no {\"x\": x, \"y\": y} of integers";
		wrong = take_pair(x, y, &action->points[i]);
		if (wrong)
			return "has a point that is outside of any screen";
		action->point_count = i + 1;
	}
	return NULL;
}

static const char *take_region(const json_t *value, struct action *action)
{
	uint32_t sides[4] = { 0 };

	if (json_array_size(value) != 4)
		return "must be four integers, [x0, y0, x1, y1]";
	for (size_t i = 0; i < 4; i++) {
		const json_t *item = json_array_get(value, i);
		json_int_t pixels = json_integer_value(item);

		if (!json_is_integer(item))
			return "must be four integers, [x0, y0, x1, y1]";
		if (pixels < 0 || pixels > PROTO_DISPLAY_SIDE_MAX)
			return "is outside of any screen";
		sides[i] = (uint32_t)pixels;
	}
	if (sides[0] >= sides[2] || sides[1] >= sides[3])
		return "is empty: x0 must be less than x1, and y0 less than y1";
	action->region[0] = sides[0];
	action->region[1] = sides[1];
	action->region[2] = sides[2] - sides[0];
	action->region[3] = sides[3] - sides[1];
	return NULL;
}

static const char *take_button(const json_t *value, struct action *action)
{
	const char *word = json_string_value(value);

	for (size_t i = 0; word && i < sizeof(button_words) / sizeof(button_words[0]); i++) {
		if (strcmp(word, button_words[i].word) == 0) {
			action->button = button_words[i].button;
			return NULL;
		}
	}
	return "must be \"left\", \"right\", \"wheel\", \"back\" or \"forward\"";
}

/* --- amounts --------------------------------------------------------------------------------- */

static const char *take_direction(const json_t *value, struct action_values *values)
{
	static const char *const directions[] = { "up", "down", "left", "right" };
	const char *word = json_string_value(value);

	for (unsigned i = 0; word && i < 4; i++) {
		if (strcmp(word, directions[i]) == 0) {
			values->direction = directions[i];
			return NULL;
		}
	}
	return "must be \"up\", \"down\", \"left\" or \"right\"";
}

static const char *take_amount(const json_t *value, struct action_values *values)
{
	json_int_t amount = json_integer_value(value);

	if (!json_is_integer(value) || amount < 0 || amount > ACTION_SCROLL_MAX)
		return "must be an integer from 0 to 100, in wheel clicks";
	values->amount = (unsigned)amount;
	return NULL;
}

/* The nearest number of wheel clicks, but one at least for what is not nothing. */
static const char *take_scroll(const json_t *value, int *out_clicks)
{
	const json_int_t most = (json_int_t)ACTION_SCROLL_MAX * ACTION_WHEEL_PIXELS;
	json_int_t pixels = json_integer_value(value);
	json_int_t clicks;

	if (!json_is_integer(value) || pixels < -most || pixels > most)
		return "must be an integer from -12000 to 12000, in pixels";
	clicks = (llabs(pixels) + ACTION_WHEEL_PIXELS / 2) / ACTION_WHEEL_PIXELS;
	if (clicks == 0 && pixels != 0)
		clicks = 1;
	*out_clicks = (int)(pixels < 0 ? -clicks : clicks);
	return NULL;
}

static const char *take_repeat(const json_t *value, struct action *action)
{
	json_int_t repeat = json_integer_value(value);

	if (!json_is_integer(value) || repeat < 1 || repeat > ACTION_REPEAT_MAX)
		return "must be an integer from 1 to 100";
	action->repeat = (unsigned)repeat;
	return NULL;
}

static const char *take_duration(const json_t *value, struct action *action)
{
	double seconds = json_number_value(value);

	/* Written so that NaN, which JSON doesn't have, would be refused too. */
	if (!json_is_number(value) || !(seconds >= 0 && seconds <= ACTION_DURATION_MAX_S))
		return "must be a number of seconds from 0 to 300";
	action->duration_ms = (uint64_t)(seconds * 1000);
	return NULL;
}

static const char *take_limit(const json_t *value, uint64_t *out_limit)
{
	json_int_t limit = json_integer_value(value);

	if (!json_is_integer(value) || limit < 1 || limit > INT32_MAX)
		return "must be a positive integer";
	*out_limit = (uint64_t)limit;
	return NULL;
}

static const char *take_frame(const json_t *value, struct action *action)
{
	if (!json_is_string(value) || !action_frame_parse(json_string_value(value), &action->frame))
		return "is no frame's name, as a screenshot's answer has it";
	return NULL;
}

static const char *take_flag(const json_t *value, bool *out_flag)
{
	if (!json_is_boolean(value))
		return "must be true or false";
	*out_flag = json_is_true(value);
	return NULL;
}

static const char *take_url(const json_t *value, const char **out_url)
{
	const char *wrong = action_take_string(value, out_url);

	return wrong ? wrong : parse_url_problem(*out_url);
}

const char *action_take_argument(enum argument_kind kind, const json_t *value,
                                 struct action *action, struct action_values *values)
{
	switch (kind) {
	case ARGUMENT_POINT:
		return take_point(value, &values->end, &values->has_end);
	case ARGUMENT_START:
		return take_point(value, &values->start, &values->has_start);
	case ARGUMENT_X:
		values->has_end = true;
		return take_pixels(value, &values->end.x);
	case ARGUMENT_Y:
		values->has_end = true;
		return take_pixels(value, &values->end.y);
	case ARGUMENT_PATH:
		return take_path(value, action);
	case ARGUMENT_REGION:
		return take_region(value, action);
	case ARGUMENT_BUTTON:
		return take_button(value, action);
	case ARGUMENT_MODIFIERS:
		return action_take_modifiers(value, action);
	case ARGUMENT_HELD:
		return action_take_held(value, action);
	case ARGUMENT_KEYS:
		return action_take_keys(value, action);
	case ARGUMENT_CHORD:
		return action_take_chord(value, action);
	case ARGUMENT_REPEAT:
		return take_repeat(value, action);
	case ARGUMENT_TEXT:
		return action_take_string(value, &action->text);
	case ARGUMENT_DIRECTION:
		return take_direction(value, values);
	case ARGUMENT_AMOUNT:
		return take_amount(value, values);
	case ARGUMENT_SCROLL_X:
		return take_scroll(value, &action->wheel_x);
	case ARGUMENT_SCROLL_Y:
		return take_scroll(value, &action->wheel_y);
	case ARGUMENT_DURATION:
		return take_duration(value, action);
	case ARGUMENT_URL:
		return take_url(value, &action->url);
	case ARGUMENT_MAX_WIDTH:
		return take_limit(value, &action->max_width);
	case ARGUMENT_MAX_PIXELS:
		return take_limit(value, &action->max_pixels);
	case ARGUMENT_FRAME:
		return take_frame(value, action);
	case ARGUMENT_IF_UNCHANGED:
		return take_flag(value, &action->if_unchanged);
	case ARGUMENT_EXPECT:
		return action_expect_parse(value, &action->expect, values->wrong) ? NULL
		                                                                  : values->wrong;
	case ARGUMENT_NONE:
	case ARGUMENT_KINDS:
		break;
	}
	return "is not expected";
}
