/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * actions.h - one action on a screen, in the words of Anthropic's or OpenAI's computer tool, made
 * into what the agent understands.
 *
 *	{"action":"left_click","coordinate":[640,400],"text":"ctrl"}
 *	{"type":"click","x":640,"y":400,"button":"left","keys":["CTRL"]}
 *
 * The vocabularies are the tables of actions_table.c; cloche-actions(7) is the same for people.
 * Pure: nothing here talks to a session.
 */
#ifndef CLOCHE_SUPERVISOR_ACTIONS_H
#define CLOCHE_SUPERVISOR_ACTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "supervisor/actions_expect.h"
#include "supervisor/actions_frame.h"
#include "supervisor/failure.h"

#define ACTION_TEXT_MAX 8192u    /* bytes of one `type`, and of a URL */
#define ACTION_SCROLL_MAX 100u   /* wheel clicks of one `scroll`, each way */
#define ACTION_WHEEL_PIXELS 120u /* what one of them scrolls in Chromium */
#define ACTION_DURATION_MAX_S 300u
#define ACTION_REPEAT_MAX 100u
#define ACTION_KEYS_MAX 32u    /* keys of one `key` */
#define ACTION_STEPS_MAX 1000u /* that one action may come to; the agent takes 1024 */
#define ACTION_POINTS_MAX 256u /* of a drag */
#define ACTION_MODIFIERS_MAX 4u

enum action_effect {
	ACTION_INPUT,      /* agent verb input, with the steps of action_make_steps() */
	ACTION_CURSOR,     /* agent verb input without steps: where is the pointer? */
	ACTION_NAVIGATE,   /* agent verb browser, to action->url */
	ACTION_WAIT,       /* nothing, for action->duration_ms */
	ACTION_SCREENSHOT, /* control verb screenshot */
};

/* All strings are borrowed from the object. */
struct action {
	json_t *object;                 /* owned: what was parsed */
	const struct action_spec *spec; /* static */
	const char *name;               /* static */
	enum action_effect effect;
	struct action_point *points; /* owned */
	size_t point_count;
	const char *modifiers[ACTION_MODIFIERS_MAX]; /* static */
	size_t modifier_count;
	json_t *keys; /* owned, may be NULL: chords as the agent takes them */
	unsigned repeat;
	unsigned button;      /* X's, 0: none */
	int wheel_x, wheel_y; /* wheel clicks to the right and down */
	const char *text, *url;
	uint64_t duration_ms;
	uint32_t region[4];             /* x, y, width, height; no width: all of the screen */
	uint64_t max_width, max_pixels; /* of a screenshot; 0: no limit */
	struct action_frame frame;      /* that it was decided on */
	bool if_unchanged;              /* refuse it when what it is about isn't as in that frame */
	struct action_expect *expect;   /* owned, may be NULL */
	uint64_t timeout_ms;            /* what to allow the agent for it, at least */
};

void action_finish(struct action *action);
#define cleanup_action __attribute__((cleanup(action_finish)))

/*
 * Parses one action; @object is borrowed. 0; -1: STATUS_USAGE naming the argument that is missing,
 * unknown, of the wrong type or out of range.
 */
int action_parse(json_t *object, struct action *out_action, struct failure *failure);

/*
 * Makes the steps of an ACTION_INPUT (lib/proto.h, agent verb input); *out_steps is owned by the
 * caller. -1: STATUS_USAGE, a coordinate is outside of the picture; or no memory.
 */
int action_make_steps(const struct action *action, const struct action_view *view,
                      json_t **out_steps, struct failure *failure);

/*
 * The rectangle of an argument, [x, y, width, height], on the screen itself; @argument names it.
 * 0 or -1, STATUS_USAGE.
 */
int action_place_rectangle(const struct action *action, const char *argument,
                           const uint32_t rectangle[4], const struct action_view *view,
                           uint32_t out_rectangle[4], struct failure *failure);

/* Both vocabularies as a JSON schema, owned by the caller; NULL without memory. */
json_t *action_schema(void);

/* Prints both vocabularies, a line an action. */
void action_print_vocabulary(FILE *out);

#endif
