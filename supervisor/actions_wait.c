/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * actions_wait.c - waits for what an action is expected to lead to; see actions_look.h. Single
 * thread.
 *
 * First for the page's URL and title and for a change, asked again and again; then for the screen
 * to settle; then all is looked at once more, as it may have gone on meanwhile; and at last it is
 * seen what has stayed as it was.
 */
#include "supervisor/actions_look.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/clock.h"
#include "lib/proto.h"

#define ROUND_MS 50u
#define LAST_LOOK_MS 100u /* what settling gets when no time is left */
#define STATE_TIMEOUT_MS 30000u
#define MISSED_MAX 300

struct waiting {
	const struct actor *actor;
	const struct action *action;
	const struct action_expect *expect;
	const char *before;
	uint64_t deadline_ns;
	json_t *seen;              /* borrowed: the answer's "expect" */
	json_t *missed;            /* owned: names of what isn't true */
	char url[256], title[256]; /* cut, for the message */
};

static void miss(struct waiting *w, const char *name)
{
	json_array_append_new(w->missed, json_string(name));
}

/* Where an area of the action is on the screen; NULL: everywhere. */
static const uint32_t *place(const struct waiting *w, const struct expected_area *area,
                             uint32_t buffer[4])
{
	if (area->everywhere)
		return NULL;
	action_view_place_rectangle(action_look_view(w->actor, w->action), area->rectangle, buffer);
	return buffer;
}

static int look_at_area(struct waiting *w, const char *name, const struct expected_area *area,
                        bool should_change, struct failure *failure)
{
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;
	uint32_t buffer[4];
	bool changed;

	if (!area->set)
		return 0;
	if (!w->before[0])
		return failure_set(failure, STATUS_TIMEOUT, PROTO_ERR_NOT_READY,
		                   "%s: expect: %s: there was no screen before it", w->action->name,
		                   name);
	if (action_look_compare(w->actor, w->before, "", place(w, area, buffer), &reply, failure) <
	    0)
		return -1;
	changed = json_is_true(json_object_get(reply.object, "changed"));
	json_object_set_new(w->seen, name,
	                    action_view_show(action_look_view(w->actor, w->action),
	                                     json_object_get(reply.object, "rects")));
	if (changed != should_change)
		miss(w, name);
	return 0;
}

static void look_at_text(struct waiting *w, const char *name, const struct expected_text *expected,
                         const json_t *state)
{
	const char *text = client_string(state, name);
	char *kept = strcmp(name, "url") == 0 ? w->url : w->title;

	if (!expected_text_is_set(expected))
		return;
	snprintf(kept, sizeof(w->url), "%s", text);
	json_object_set_new(w->seen, name, json_string(text));
	if (!expected_text_matches(expected, text))
		miss(w, name);
}

static int look_at_page(struct waiting *w, struct failure *failure)
{
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;

	if (!expected_text_is_set(&w->expect->url) && !expected_text_is_set(&w->expect->title))
		return 0;
	if (client_call_agent(w->actor->client,
	                      json_pack("{s:s,s:s}", "verb", "browser", "op", "state"), NULL, 0,
	                      STATE_TIMEOUT_MS, &reply, failure) < 0)
		return -1;
	look_at_text(w, "url", &w->expect->url, reply.object);
	look_at_text(w, "title", &w->expect->title, reply.object);
	return 0;
}

/* Looks at what can be waited for by looking. 0 or -1; w->missed says what isn't true. */
static int look(struct waiting *w, struct failure *failure)
{
	json_array_clear(w->missed);
	return look_at_page(w, failure) < 0 ||
	                       look_at_area(w, "changed", &w->expect->changed, true, failure) < 0
	               ? -1
	               : 0;
}

static uint64_t left_ms(const struct waiting *w)
{
	uint64_t now = clock_now_ns();

	return now < w->deadline_ns ? (w->deadline_ns - now + NS_PER_MS - 1) / NS_PER_MS : 0;
}

static int wait_by_looking(struct waiting *w, struct failure *failure)
{
	const struct timespec round = { .tv_nsec = ROUND_MS * (long)NS_PER_MS };

	for (;;) {
		if (look(w, failure) < 0)
			return -1;
		if (json_array_size(w->missed) == 0 || left_ms(w) == 0)
			return 0;
		nanosleep(&round, NULL);
	}
}

/* What stays unchanged is told from what hasn't changed yet by a screen that has settled. */
static int wait_for_rest(struct waiting *w, struct failure *failure)
{
	static const char *const copied[] = { "settled", "periodic" };
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;
	uint64_t left = left_ms(w);

	if (client_call(w->actor->client,
	                json_pack("{s:s,s:I}", "verb", "settle", "quiet_ms",
	                          (json_int_t)w->expect->quiet_ms),
	                NULL, 0, left > LAST_LOOK_MS ? left : LAST_LOOK_MS, &reply, failure) == 0) {
		for (size_t i = 0; i < sizeof(copied) / sizeof(copied[0]); i++)
			json_object_set(w->seen, copied[i],
			                json_object_get(reply.object, copied[i]));
		return 0;
	}
	if (strcmp(failure->code, PROTO_ERR_TIMEOUT) != 0)
		return -1;
	*failure = (struct failure){ 0 };
	json_object_set_new(w->seen, "settled", json_false());
	return 0;
}

static int wait_for_all(struct waiting *w, struct failure *failure)
{
	if (wait_by_looking(w, failure) < 0)
		return -1;
	if (json_array_size(w->missed) > 0 || (!w->expect->settled && !w->expect->unchanged.set))
		return 0;
	if (wait_for_rest(w, failure) < 0 || look(w, failure) < 0)
		return -1;
	if (w->expect->settled && !json_is_true(json_object_get(w->seen, "settled")))
		miss(w, "settled");
	return look_at_area(w, "unchanged", &w->expect->unchanged, false, failure);
}

/* Says what was missed, and for a text what there was instead. */
static int explain(const struct waiting *w, struct failure *failure)
{
	char text[MISSED_MAX] = "";
	size_t used = 0;
	size_t index;
	json_t *item;

	json_array_foreach(w->missed, index, item)
	{
		const char *name = json_string_value(item);
		bool is_url = strcmp(name, "url") == 0;
		bool is_text = is_url || strcmp(name, "title") == 0;
		int n = snprintf(text + used, sizeof(text) - used, "%s%s%s%.100s%s",
		                 index ? ", " : "", name, is_text ? " is \"" : "",
		                 is_text ? is_url ? w->url : w->title : "", is_text ? "\"" : "");

		used += (size_t)n;
		if (used >= sizeof(text))
			break;
	}
	return failure_set(failure, STATUS_FAILED, CODE_UNEXPECTED,
	                   "%s: not as expected after %llu ms: %s", w->action->name,
	                   (unsigned long long)w->expect->timeout_ms, text);
}

int action_look_expect(const struct actor *actor, const struct action *action, const char *before,
                       json_t *answer, struct failure *failure)
{
	uint64_t begin = clock_now_ns();
	json_auto_t *missed = json_array();
	struct waiting w = { .actor = actor,
		             .action = action,
		             .expect = action->expect,
		             .before = before,
		             .deadline_ns = begin + action->expect->timeout_ms * NS_PER_MS,
		             .seen = json_object(),
		             .missed = missed };
	int rc;

	if (json_object_set_new(answer, "expect", w.seen) < 0 || !missed)
		return failure_set_nomem(failure);
	rc = wait_for_all(&w, failure);
	json_object_set_new(w.seen, "waited_ms",
	                    json_integer((json_int_t)((clock_now_ns() - begin) / NS_PER_MS)));
	if (rc < 0)
		return -1;
	json_object_set_new(w.seen, "met", json_boolean(json_array_size(missed) == 0));
	if (json_array_size(missed) == 0)
		return 0;
	json_object_set(w.seen, "missed", missed);
	return explain(&w, failure);
}
