/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * actions.h - one action on a screen, in the words of Anthropic's computer tool, made into what the
 * agent understands.
 *
 *	{"action":"left_click","coordinate":[640,400],"text":"ctrl"}
 *
 * The vocabulary is a table in actions.c. Pure: nothing here talks to a session.
 */
#ifndef CLOCHE_SUPERVISOR_ACTIONS_H
#define CLOCHE_SUPERVISOR_ACTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "supervisor/failure.h"

#define ACTION_TEXT_MAX 8192u  /* bytes of one `type`, and of a URL */
#define ACTION_SCROLL_MAX 100u /* wheel clicks of one `scroll` */
#define ACTION_WAIT_MAX_S 100u /* seconds of one `wait` */

enum action_effect {
	ACTION_INPUT,      /* agent verb input, with action->steps */
	ACTION_NAVIGATE,   /* agent verb browser, to action->url */
	ACTION_WAIT,       /* nothing, for action->wait_ms */
	ACTION_SCREENSHOT, /* control verb screenshot */
};

struct action {
	const char *name; /* static */
	enum action_effect effect;
	bool has_point;
	uint32_t x, y;
	json_t *steps; /* owned; ACTION_INPUT: [step…] of lib/proto.h */
	char *url;     /* owned; ACTION_NAVIGATE */
	uint64_t wait_ms;
	uint64_t timeout_ms; /* what to allow the agent for it, at least */
};

void action_finish(struct action *action);
#define cleanup_action __attribute__((cleanup(action_finish)))

/*
 * Parses one action of @size bytes. 0; -1: STATUS_USAGE naming the argument that is missing,
 * unknown, of the wrong type or out of range.
 */
int action_parse(const char *text, size_t size, struct action *out_action, struct failure *failure);

/* Checks that the action's coordinate is on a screen of this geometry. 0 or -1, STATUS_USAGE. */
int action_check_screen(const struct action *action, uint32_t width, uint32_t height,
                        struct failure *failure);

/* Prints the vocabulary, a line an action, each beginning with @indent. */
void action_print_vocabulary(FILE *out, const char *indent);

#endif
