/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * actions_perform.c - see actions_perform.h. Single thread.
 */
#include "supervisor/actions_perform.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "lib/clock.h"
#include "lib/proto.h"
#include "supervisor/actions_look.h"
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

static int do_input(const struct actor *actor, const struct action *action, json_t *answer,
                    struct failure *failure)
{
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;
	json_t *steps;

	if (action_make_steps(action, action_look_view(actor, action), &steps, failure) < 0 ||
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

static struct shot_wish shot_wish_of(const struct actor *actor, const struct action *action)
{
	struct shot_wish wish = { .max_width = action->max_width,
		                  .max_pixels = action->max_pixels };
	uint32_t region[4];

	if (action->region[2] > 0) {
		action_view_place_rectangle(action_look_view(actor, action), action->region,
		                            region);
		wish.x = region[0];
		wish.y = region[1];
		wish.width = region[2];
		wish.height = region[3];
	}
	return wish;
}

/* What of the screen the picture shows, and the name by which its coordinates are found again. */
static void describe_view(const struct actor *actor, const struct shot *shot, json_t *answer)
{
	const uint32_t *region = shot->region;
	struct action_frame frame = { .view = { shot->width,
		                                shot->height,
		                                { region[0], region[1] },
		                                region[2],
		                                region[3] } };
	char name[ACTION_FRAME_MAX];

	frame.has_view =
		!actor->has_screen || memcmp(&frame.view, &actor->screen, sizeof(frame.view)) != 0;
	action_frame_name(&frame, shot->frame, name);
	json_object_set_new(answer, "frame", json_string(name));
	json_object_set_new(answer, "scale", json_real((double)shot->width / region[2]));
	json_object_set_new(answer, "region",
	                    json_pack("[I,I,I,I]", (json_int_t)region[0], (json_int_t)region[1],
	                              (json_int_t)region[2], (json_int_t)region[3]));
}

static int do_screenshot(const struct actor *actor, const struct action *action, json_t *answer,
                         struct failure *failure)
{
	const struct shot_wish wish = shot_wish_of(actor, action);
	cleanup_shot struct shot shot = { 0 };
	const char *to = actor->out_path;

	if (to ? shot_save(actor->client, &wish, to, &shot, failure) < 0
	       : shot_take(actor->client, &wish, &shot, failure) < 0)
		return -1;
	if (to)
		json_object_set_new(answer, "file", json_string(to));
	shot_describe(&shot, answer);
	describe_view(actor, &shot, answer);
	if (!to && !output_add_bytes(answer, "png", shot.png, shot.png_size))
		return failure_set_nomem(failure);
	return 0;
}

static int do_effect(const struct actor *actor, const struct action *action, json_t *answer,
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

static void set_frame(const struct action *action, json_t *answer, const char *key, const char *id)
{
	char name[ACTION_FRAME_MAX];

	action_frame_name(&action->frame, id, name);
	json_object_set_new(answer, key, json_string(name));
}

/* What has changed since @before. A frame that the VMM has forgotten meanwhile says nothing. */
static int describe_change(const struct actor *actor, const struct action *action,
                           const char *before, json_t *answer, struct failure *failure)
{
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;
	char after[SHOT_FRAME_MAX];

	if (action_look_compare(actor, before, NULL, NULL, &reply, failure) < 0) {
		if (strcmp(failure->code, PROTO_ERR_STALE_FRAME) != 0)
			return -1;
		*failure = (struct failure){ 0 };
		return 0;
	}
	if (!shot_frame(reply.object, after))
		return failure_set(failure, STATUS_FAILED, CODE_BROKEN,
		                   "compare: the VMM names no frame");
	set_frame(action, answer, "after", after);
	json_object_set_new(answer, "changed",
	                    action_view_show(action_look_view(actor, action),
	                                     json_object_get(reply.object, "rects")));
	return 0;
}

static void add_time(json_t *answer, const char *key, uint64_t since_ns)
{
	json_object_set_new(answer, key,
	                    json_integer((json_int_t)((clock_now_ns() - since_ns) / NS_PER_MS)));
}

static int perform(const struct actor *actor, const struct action *action, json_t *answer,
                   struct failure *failure)
{
	/* A picture alone is its own before and after. */
	bool looks = action->effect != ACTION_SCREENSHOT || action->expect || action->if_unchanged;
	char before[SHOT_FRAME_MAX] = "";
	uint64_t begin;
	int rc;

	if (looks && action_look_name(actor, before, failure) < 0)
		return -1;
	if (before[0])
		set_frame(action, answer, "before", before);
	if (action->if_unchanged && action_look_stale(actor, action, before, answer, failure) < 0)
		return -1;
	begin = clock_now_ns();
	rc = do_effect(actor, action, answer, failure);
	add_time(answer, "done_ms", begin);
	if (rc < 0)
		return -1;
	if (action->expect)
		rc = action_look_expect(actor, action, before, answer, failure);
	if (before[0] && rc == 0)
		return describe_change(actor, action, before, answer, failure);
	if (before[0]) {
		struct failure ignored = { 0 };

		/* Also told of one that is not as expected. */
		(void)describe_change(actor, action, before, answer, &ignored);
		json_decref(ignored.report);
	}
	return rc;
}

int actor_begin(struct actor *actor, struct failure *failure)
{
	struct action_view *screen = &actor->screen;

	if (client_get_screen(actor->client, &screen->width, &screen->height, failure) == 0) {
		*screen = action_view_of_screen(screen->width, screen->height);
		actor->has_screen = true;
		return 0;
	}
	if (strcmp(failure->code, PROTO_ERR_NOT_READY) != 0)
		return -1;
	*failure = (struct failure){ 0 };
	return 0;
}

static int check_area(const struct actor *actor, const struct action *action, const char *argument,
                      const struct expected_area *area, struct failure *failure)
{
	uint32_t placed[4];

	if (!area->set || area->everywhere)
		return 0;
	return action_place_rectangle(action, argument, area->rectangle,
	                              action_look_view(actor, action), placed, failure);
}

int actor_check(const struct actor *actor, const struct action *action, struct failure *failure)
{
	const struct action_expect *expect = action->expect;
	const struct action_view *view = action_look_view(actor, action);
	json_auto_t *steps = NULL;
	uint32_t placed[4];
	bool has_place = action->point_count > 0 || action->region[2] > 0 ||
	                 (expect && (expect->changed.set || expect->unchanged.set));

	if (!has_place)
		return 0;
	if (!actor->has_screen)
		return failure_set(failure, STATUS_TIMEOUT, PROTO_ERR_NOT_READY,
		                   "session '%s' has no screen yet; cloche wait %s --for display",
		                   actor->client->session->name, actor->client->session->name);
	if (action->point_count > 0 && action_make_steps(action, view, &steps, failure) < 0)
		return -1;
	if (action->region[2] > 0 &&
	    action_place_rectangle(action, "region", action->region, view, placed, failure) < 0)
		return -1;
	if (!expect)
		return 0;
	if (check_area(actor, action, "expect: changed", &expect->changed, failure) < 0)
		return -1;
	return check_area(actor, action, "expect: unchanged", &expect->unchanged, failure);
}

int actor_perform(const struct actor *actor, const struct action *action, json_t *answer,
                  struct failure *failure)
{
	uint64_t begin = clock_now_ns();
	int rc;

	json_object_set_new(answer, "action", json_string(action->name));
	rc = perform(actor, action, answer, failure);
	add_time(answer, "ms", begin);
	return rc;
}
