/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * actions_look.c - see actions_look.h; what is expected is actions_wait.c's. Single thread.
 */
#include "supervisor/actions_look.h"

#include <string.h>

#include "lib/proto.h"

#define COMPARE_TIMEOUT_MS 10000u

const struct action_view *action_look_view(const struct actor *actor, const struct action *action)
{
	return action->frame.has_view ? &action->frame.view : &actor->screen;
}

int action_look_name(const struct actor *actor, char out_frame[SHOT_FRAME_MAX],
                     struct failure *failure)
{
	const struct shot_wish wish = { .hash_only = true };
	cleanup_shot struct shot shot = { 0 };

	out_frame[0] = '\0';
	if (shot_take(actor->client, &wish, &shot, failure) == 0) {
		memcpy(out_frame, shot.frame, SHOT_FRAME_MAX);
		return 0;
	}
	if (strcmp(failure->code, PROTO_ERR_NOT_READY) != 0)
		return -1;
	*failure = (struct failure){ 0 };
	return 0;
}

int action_look_compare(const struct actor *actor, const char *frame, const char *against,
                        const uint32_t *area, struct wire_message *out_reply,
                        struct failure *failure)
{
	json_t *request = json_pack("{s:s,s:s}", "verb", "compare", "frame", frame);

	if (against && !*against)
		json_object_set_new(request, "name", json_false());
	else if (against)
		json_object_set_new(request, "against", json_string(against));
	if (area)
		json_object_set_new(request, "rect",
		                    json_pack("[I,I,I,I]", (json_int_t)area[0], (json_int_t)area[1],
		                              (json_int_t)area[2], (json_int_t)area[3]));
	return client_call(actor->client, request, NULL, 0, COMPARE_TIMEOUT_MS, out_reply, failure);
}

static int compare_area(const struct actor *actor, const struct action *action, const char *now,
                        const uint32_t *area, json_t *answer, struct failure *failure)
{
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;

	if (action_look_compare(actor, action->frame.id, now, area, &reply, failure) < 0)
		return -1;
	if (!json_is_true(json_object_get(reply.object, "changed")))
		return 0;
	json_object_set_new(answer, "changed",
	                    action_view_show(action_look_view(actor, action),
	                                     json_object_get(reply.object, "rects")));
	return failure_set(failure, STATUS_FAILED, PROTO_ERR_STALE_FRAME,
	                   "%s: the screen has changed since frame %s, %s", action->name,
	                   action->frame.id,
	                   area ? "where this is about" : "and this may be anywhere");
}

int action_look_stale(const struct actor *actor, const struct action *action, const char *now,
                      json_t *answer, struct failure *failure)
{
	const struct action_view *view = action_look_view(actor, action);
	uint32_t area[4];

	if (action->region[2] > 0) {
		action_view_place_rectangle(view, action->region, area);
		return compare_area(actor, action, now, area, answer, failure);
	}
	if (action->point_count == 0)
		return compare_area(actor, action, now, NULL, answer, failure);
	for (size_t i = 0; i < action->point_count; i++) {
		struct action_point point = action_view_place(view, action->points[i]);
		const uint32_t pixel[4] = { point.x, point.y, 1, 1 };

		if (compare_area(actor, action, now, pixel, answer, failure) < 0)
			return -1;
	}
	return 0;
}
