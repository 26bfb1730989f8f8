/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * actions_perform.h - actions, done in a session. Single thread; blocks.
 */
#ifndef CLOCHE_SUPERVISOR_ACTIONS_PERFORM_H
#define CLOCHE_SUPERVISOR_ACTIONS_PERFORM_H

#include "supervisor/actions.h"
#include "supervisor/client.h"

struct actor {
	struct client *client; /* borrowed */
	const char *out_path;  /* borrowed: where a screenshot goes; NULL: into the answer */
	uint64_t timeout_ms;   /* for what the guest does; 0: the action's own */
};

/*
 * Does one action and adds what it has to say to @answer (borrowed), also when it fails: "action",
 * "ms" and what belongs to it. 0 or -1.
 */
int actor_perform(const struct actor *actor, const struct action *action, json_t *answer,
                  struct failure *failure);

#endif
