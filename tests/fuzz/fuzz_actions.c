/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_actions.c - supervisor/actions*.c: JSON to actions, to steps, and to places on a screen.
 *
 * The input is the width and height of a screen, then JSON. What is taken has been understood: its
 * steps are few enough for the agent, no point of theirs is off the screen, and a refusal says why.
 */
#include <regex.h>
#include <string.h>

#include "supervisor/actions_list.h"
#include "supervisor/actions_private.h"
#include "tests/fuzz/fuzz.h"

#define STEPS_OF_AGENT 1024 /* guest/steps.h */

int __real_regcomp(regex_t *regex, const char *pattern, int flags);
int __wrap_regcomp(regex_t *regex, const char *pattern, int flags);

/* The C library's compiler isn't what is fuzzed: repeats of repeats take it as long as they like. */
int __wrap_regcomp(regex_t *regex, const char *pattern, int flags)
{
	return strpbrk(pattern, "{(*+") ? REG_BADPAT : __real_regcomp(regex, pattern, flags);
}

void fuzz_init(void)
{
}

static void check_failure(const struct failure *failure)
{
	CHECK(failure->status == STATUS_USAGE && failure->code && failure->message[0]);
}

static void check_step(const json_t *step, const struct action_view *view)
{
	const json_t *move = json_object_get(step, "move");
	json_int_t x = json_integer_value(json_array_get(move, 0));
	json_int_t y = json_integer_value(json_array_get(move, 1));
	json_int_t ms = json_integer_value(json_object_get(step, "sleep_ms"));

	CHECK(json_object_size(step) >= 1 && json_object_size(step) <= 2);
	CHECK(ms >= 0 && ms <= 60000);
	CHECK(!move || (x >= view->origin.x && x < view->origin.x + view->of_width));
	CHECK(!move || (y >= view->origin.y && y < view->origin.y + view->of_height));
}

static void check_steps(const struct action *action, const struct action_view *view)
{
	struct failure failure = { 0 };
	json_t *steps;
	size_t index;
	json_t *step;

	if (action_make_steps(action, view, &steps, &failure) < 0) {
		check_failure(&failure);
		return;
	}
	CHECK(json_array_size(steps) <= STEPS_OF_AGENT);
	json_array_foreach(steps, index, step)
	{
		check_step(step, view);
	}
	json_decref(steps);
}

static void check_rectangle(const struct action *action, const uint32_t rectangle[4],
                            const struct action_view *view)
{
	struct failure failure = { 0 };
	uint32_t at[4];

	if (rectangle[2] == 0)
		return;
	if (action_place_rectangle(action, "region", rectangle, view, at, &failure) < 0) {
		check_failure(&failure);
		return;
	}
	CHECK(at[2] > 0 && at[3] > 0);
	CHECK(at[0] >= view->origin.x && at[0] + at[2] <= view->origin.x + view->of_width);
	CHECK(at[1] >= view->origin.y && at[1] + at[3] <= view->origin.y + view->of_height);
}

static void check_frame(const struct action_frame *frame)
{
	struct action_frame again;
	char name[ACTION_FRAME_MAX];
	char name_again[ACTION_FRAME_MAX];

	if (!frame->id[0])
		return;
	action_frame_name(frame, frame->id, name);
	CHECK(action_frame_parse(name, &again));
	action_frame_name(&again, again.id, name_again);
	CHECK(strcmp(name, name_again) == 0);
}

static void check_expect(const struct action *action, const struct action_view *view)
{
	const struct action_expect *expect = action->expect;

	if (!expect)
		return;
	check_rectangle(action, expect->changed.rectangle, view);
	check_rectangle(action, expect->unchanged.rectangle, view);
	(void)expected_text_matches(&expect->title, "A title");
	(void)expected_text_matches(&expect->url, "http://127.0.0.1/");
}

void fuzz_one(struct input *in)
{
	uint32_t width = 64 + input_u16(in) % 4033;
	uint32_t height = 64 + input_u16(in) % 4033;
	const struct action_view screen = action_view_of_screen(width, height);
	struct action_list list = { 0 };
	struct failure failure = { 0 };

	if (action_list_parse((const char *)in->data, in->size, &list, &failure) < 0) {
		check_failure(&failure);
		CHECK(!list.items && list.count == 0);
		return;
	}
	CHECK(list.count >= 1 && list.count <= ACTION_LIST_MAX);
	for (size_t i = 0; i < list.count; i++) {
		const struct action *action = &list.items[i];
		const struct action_view *view =
			action->frame.has_view ? &action->frame.view : &screen;

		CHECK(action->name && action->point_count <= ACTION_POINTS_MAX);
		if (action->effect == ACTION_INPUT)
			check_steps(action, view);
		check_rectangle(action, action->region, view);
		check_frame(&action->frame);
		check_expect(action, view);
	}
	action_list_finish(&list);
}
