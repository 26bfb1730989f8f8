/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * actions_perform.c - see actions_perform.h. Single thread.
 */
#include "supervisor/actions_perform.h"

#include <errno.h>
#include <time.h>

#include "lib/clock.h"
#include "lib/proto.h"
#include "supervisor/output.h"
#include "supervisor/shot.h"

#define NAVIGATE_TIMEOUT_MS 60000u

/* Sends @steps (stolen) and takes the agent's reply. */
static int send_steps(const struct actor *actor, const struct action *action, json_t *steps,
                      struct wire_message *out_reply, struct failure *failure)
{
	uint64_t timeout_ms = actor->timeout_ms ? actor->timeout_ms : action->timeout_ms;

	/* A key that is held isn't let go when the time is over before. */
	if (timeout_ms < action->duration_ms + 1000)
		timeout_ms = action->duration_ms + 1000;
	if (timeout_ms > PROTO_TIMEOUT_MAX_MS)
		timeout_ms = PROTO_TIMEOUT_MAX_MS;
	return client_call_agent(actor->client,
	                         json_pack("{s:s,s:o}", "verb", "input", "steps", steps), NULL, 0,
	                         timeout_ms, out_reply, failure);
}

/* All of the screen as it is. */
static int whole_screen(const struct actor *actor, struct action_view *out_view,
                        struct failure *failure)
{
	struct action_view view = { 0 };

	if (client_get_screen(actor->client, &view.width, &view.height, failure) < 0)
		return -1;
	view.of_width = view.width;
	view.of_height = view.height;
	*out_view = view;
	return 0;
}

static int do_input(const struct actor *actor, const struct action *action, json_t *answer,
                    struct failure *failure)
{
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;
	struct action_view view = { 0 };
	json_t *steps;

	if (action->point_count > 0 && whole_screen(actor, &view, failure) < 0)
		return -1;
	if (action_make_steps(action, &view, &steps, failure) < 0 ||
	    send_steps(actor, action, steps, &reply, failure) < 0)
		return -1;
	if (action->point_count > 0) {
		const struct action_point *point = &action->points[action->point_count - 1];

		json_object_set_new(answer, "coordinate",
		                    json_pack("[i,i]", (int)point->x, (int)point->y));
	}
	return 0;
}

static int do_cursor(const struct actor *actor, const struct action *action, json_t *answer,
                     struct failure *failure)
{
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;
	json_int_t x;
	json_int_t y;

	if (send_steps(actor, action, json_array(), &reply, failure) < 0)
		return -1;
	x = client_integer(reply.object, "x", 0, PROTO_DISPLAY_SIDE_MAX, -1);
	y = client_integer(reply.object, "y", 0, PROTO_DISPLAY_SIDE_MAX, -1);
	if (x < 0 || y < 0)
		return failure_set(failure, STATUS_FAILED, CODE_BROKEN,
		                   "input: the agent doesn't say where the pointer is");
	json_object_set_new(answer, "coordinate", json_pack("[I,I]", x, y));
	return 0;
}

static int do_navigate(const struct actor *actor, const struct action *action, json_t *answer,
                       struct failure *failure)
{
	static const char *const copied[] = { "url", "title", "status" };
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;

	if (client_call_agent(actor->client,
	                      json_pack("{s:s,s:s,s:s}", "verb", "browser", "op", "navigate", "url",
	                                action->url),
	                      NULL, 0, actor->timeout_ms ? actor->timeout_ms : NAVIGATE_TIMEOUT_MS,
	                      &reply, failure) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(copied) / sizeof(copied[0]); i++) {
		json_t *member = json_object_get(reply.object, copied[i]);

		if (member)
			json_object_set(answer, copied[i], member);
	}
	return 0;
}

static void do_wait(uint64_t ms)
{
	struct timespec left = { .tv_sec = (time_t)(ms / 1000),
		                 .tv_nsec = (long)(ms % 1000 * NS_PER_MS) };

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

static int do_screenshot(const struct actor *actor, const struct action *action, json_t *answer,
                         struct failure *failure)
{
	cleanup_shot struct shot shot = { 0 };
	struct shot_wish wish = { 0 };
	struct action_point region[2];
	struct action_view view;
	const char *to = actor->out_path;

	if (action->has_region) {
		if (whole_screen(actor, &view, failure) < 0 ||
		    action_place_region(action, &view, region, failure) < 0)
			return -1;
		wish.x = region[0].x;
		wish.y = region[0].y;
		wish.width = region[1].x - region[0].x;
		wish.height = region[1].y - region[0].y;
	}
	if (to ? shot_save(actor->client, &wish, to, &shot, failure) < 0
	       : shot_take(actor->client, &wish, &shot, failure) < 0)
		return -1;
	if (to)
		json_object_set_new(answer, "file", json_string(to));
	shot_describe(&shot, answer);
	if (!to && !output_add_bytes(answer, "png", shot.png, shot.png_size))
		return failure_set_nomem(failure);
	return 0;
}

static int perform(const struct actor *actor, const struct action *action, json_t *answer,
                   struct failure *failure)
{
	switch (action->effect) {
	case ACTION_INPUT:
		return do_input(actor, action, answer, failure);
	case ACTION_CURSOR:
		return do_cursor(actor, action, answer, failure);
	case ACTION_NAVIGATE:
		return do_navigate(actor, action, answer, failure);
	case ACTION_WAIT:
		do_wait(action->duration_ms);
		return 0;
	case ACTION_SCREENSHOT:
		return do_screenshot(actor, action, answer, failure);
	}
	return 0;
}

int actor_perform(const struct actor *actor, const struct action *action, json_t *answer,
                  struct failure *failure)
{
	uint64_t begin = clock_now_ns();
	int rc;

	json_object_set_new(answer, "action", json_string(action->name));
	rc = perform(actor, action, answer, failure);
	json_object_set_new(answer, "ms",
	                    json_integer((json_int_t)((clock_now_ns() - begin) / NS_PER_MS)));
	return rc;
}
