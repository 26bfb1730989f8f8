/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * actions_steps.c - an action as steps of the agent's verb input. Pure.
 *
 * One fixed order, each part of which may be empty: hold the modifiers, move to the point, the
 * gesture, let the modifiers go. A drag rests a moment at both of its ends and has points on the
 * way, or a page would take it for a click, and a drop for none.
 */
#include <stdio.h>

#include "lib/log.h"
#include "lib/proto.h"
#include "supervisor/actions_private.h"

#define DRAG_REST_MS 100    /* at its ends */
#define DRAG_STEP_MS 20     /* at each point: a page is shown no more often, and sees no more */
#define SLEEP_MAX_MS 60000u /* of one step */

#define WHEEL_UP 4
#define WHEEL_DOWN 5
#define WHEEL_LEFT 6
#define WHEEL_RIGHT 7

/* The steps so far; @failed without memory. */
struct building {
	json_t *steps;
	bool failed;
};

static void add(struct building *b, json_t *step)
{
	if (json_array_append_new(b->steps, step) < 0)
		b->failed = true;
}

static void add_move(struct building *b, struct action_point point)
{
	add(b, json_pack("{s:[ii]}", "move", (int)point.x, (int)point.y));
}

static void add_button(struct building *b, unsigned button, bool down)
{
	add(b, json_pack("{s:i,s:b}", "button", (int)button, "down", down));
}

static void add_key(struct building *b, const char *key, bool down)
{
	add(b, json_pack("{s:s,s:b}", "key", key, "down", down));
}

static void add_sleep(struct building *b, uint64_t ms)
{
	for (; ms > 0; ms -= ms < SLEEP_MAX_MS ? ms : SLEEP_MAX_MS)
		add(b,
		    json_pack("{s:i}", "sleep_ms", (int)(ms < SLEEP_MAX_MS ? ms : SLEEP_MAX_MS)));
}

static void add_clicks(struct building *b, unsigned button, int count)
{
	for (int i = 0; i < count; i++) {
		add_button(b, button, true);
		add_button(b, button, false);
	}
}

static void add_press(struct building *b, const struct action *action)
{
	add_clicks(b, action->button, (int)action->spec->clicks);
	add_clicks(b, action->wheel_y < 0 ? WHEEL_UP : WHEEL_DOWN,
	           action->wheel_y < 0 ? -action->wheel_y : action->wheel_y);
	add_clicks(b, action->wheel_x < 0 ? WHEEL_LEFT : WHEEL_RIGHT,
	           action->wheel_x < 0 ? -action->wheel_x : action->wheel_x);
	for (unsigned i = 0; i < action->repeat; i++) {
		for (size_t k = 0; k < json_array_size(action->keys); k++)
			add(b, json_pack("{s:O}", "key", json_array_get(action->keys, k)));
	}
	if (action->text)
		add(b, json_pack("{s:s}", "text", action->text));
}

static void add_drag_move(struct building *b, struct action_point point)
{
	add_sleep(b, DRAG_STEP_MS);
	add_move(b, point);
}

/* From where the pointer is, along the points. */
static void add_drag(struct building *b, const struct action *action,
                     const struct action_point *points, size_t count)
{
	add_button(b, action->button, true);
	add_sleep(b, DRAG_REST_MS);
	/* A browser that begins to drag something loses what moves meanwhile. */
	for (uint32_t i = 1; i < 4 && count == 2; i++)
		add_drag_move(
			b, (struct action_point){ (points[0].x * (4 - i) + points[1].x * i) / 4,
		                                  (points[0].y * (4 - i) + points[1].y * i) / 4 });
	for (size_t i = count > 1 ? 1 : 0; i < count; i++)
		add_drag_move(b, points[i]);
	add_sleep(b, DRAG_REST_MS);
	add_button(b, action->button, false);
}

static void add_hold(struct building *b, const struct action *action)
{
	size_t count = json_array_size(action->keys);

	for (size_t i = 0; i < count; i++)
		add_key(b, json_string_value(json_array_get(action->keys, i)), true);
	add_sleep(b, action->duration_ms);
	for (size_t i = count; i-- > 0;)
		add_key(b, json_string_value(json_array_get(action->keys, i)), false);
}

static void add_gesture(struct building *b, const struct action *action,
                        const struct action_point *points)
{
	switch (action->spec->gesture) {
	case GESTURE_PRESS:
		add_press(b, action);
		break;
	case GESTURE_DRAG:
		add_drag(b, action, points, action->point_count);
		break;
	case GESTURE_DOWN:
		add_button(b, action->button, true);
		break;
	case GESTURE_UP:
		add_button(b, action->button, false);
		break;
	case GESTURE_HOLD:
		add_hold(b, action);
		break;
	}
}

static int outside(const struct action *action, const char *what, const struct action_view *view,
                   struct failure *failure)
{
	bool whole = view->width == view->of_width && view->height == view->of_height;

	return failure_set(failure, STATUS_USAGE, PROTO_ERR_BAD_REQUEST,
	                   "%s: %s is outside of the %s, which is %ux%u", action->name, what,
	                   whole ? "screen" : "frame's picture", view->width, view->height);
}

static int place_points(const struct action *action, const struct action_view *view,
                        struct action_point *out_points, struct failure *failure)
{
	char what[64];

	for (size_t i = 0; i < action->point_count; i++) {
		const struct action_point *point = &action->points[i];

		snprintf(what, sizeof(what), "%s: [%u, %u]", action_point_argument(action, i),
		         point->x, point->y);
		if (point->x >= view->width || point->y >= view->height)
			return outside(action, what, view, failure);
		out_points[i] = action_view_place(view, *point);
	}
	return 0;
}

int action_place_rectangle(const struct action *action, const char *argument,
                           const uint32_t rectangle[4], const struct action_view *view,
                           uint32_t out_rectangle[4], struct failure *failure)
{
	char what[80];

	snprintf(what, sizeof(what), "%s: [%u, %u, %u, %u]", argument, rectangle[0], rectangle[1],
	         rectangle[2], rectangle[3]);
	if (rectangle[0] + rectangle[2] > view->width || rectangle[1] + rectangle[3] > view->height)
		return outside(action, what, view, failure);
	action_view_place_rectangle(view, rectangle, out_rectangle);
	return 0;
}

int action_make_steps(const struct action *action, const struct action_view *view,
                      json_t **out_steps, struct failure *failure)
{
	struct action_point points[ACTION_POINTS_MAX];
	struct building b = { .steps = json_array() };

	ASSERT(action->effect == ACTION_INPUT && action->point_count <= ACTION_POINTS_MAX);
	if (place_points(action, view, points, failure) < 0) {
		json_decref(b.steps);
		return -1;
	}
	for (size_t i = 0; i < action->modifier_count; i++)
		add_key(&b, action->modifiers[i], true);
	if (action->point_count > 0 &&
	    (action->spec->gesture != GESTURE_DRAG || action->point_count > 1))
		add_move(&b, points[0]);
	add_gesture(&b, action, points);
	for (size_t i = action->modifier_count; i-- > 0;)
		add_key(&b, action->modifiers[i], false);
	if (!b.steps || b.failed) {
		json_decref(b.steps);
		return failure_set_nomem(failure);
	}
	*out_steps = b.steps;
	return 0;
}
