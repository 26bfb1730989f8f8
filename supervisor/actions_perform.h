/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * actions_perform.h - actions, done in a session. Single thread; blocks.
 *
 * The order of calls: actor_begin(), actor_check() for every action, actor_perform() for each.
 */
#ifndef CLOCHE_SUPERVISOR_ACTIONS_PERFORM_H
#define CLOCHE_SUPERVISOR_ACTIONS_PERFORM_H

#include "supervisor/actions.h"
#include "supervisor/client.h"

#define CODE_UNEXPECTED "unexpected" /* what "expect" says didn't come true */

struct actor {
	struct client *client; /* borrowed */
	const char *out_path;  /* borrowed: where a screenshot goes; NULL: into the answer */
	uint64_t timeout_ms;   /* for what the guest does; 0: the action's own */
	struct action_view screen;
	bool has_screen;
};

/* Asks how large the screen is, if there is one. 0 or -1. */
int actor_begin(struct actor *actor, struct failure *failure);

/* Checks the action's coordinates. 0; -1: STATUS_USAGE, or STATUS_TIMEOUT without a screen. */
int actor_check(const struct actor *actor, const struct action *action, struct failure *failure);

/*
 * Does one action and adds what it has to say to @answer (borrowed), also when it fails;
 * cloche-actions(7) has the members. 0 or -1.
 */
int actor_perform(const struct actor *actor, const struct action *action, json_t *answer,
                  struct failure *failure);

#endif
