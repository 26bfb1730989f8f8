/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * actions_look.h - the screen before, around and after an action: names of frames, what has
 * changed, what was expected. Single thread; blocks.
 */
#ifndef CLOCHE_SUPERVISOR_ACTIONS_LOOK_H
#define CLOCHE_SUPERVISOR_ACTIONS_LOOK_H

#include "supervisor/actions_perform.h"

/* What the action's coordinates are on; actor_check() has passed. */
const struct action_view *action_look_view(const struct actor *actor, const struct action *action);

/* Names what the screen shows now; "" when there is no screen yet. 0 or -1. */
int action_look_name(const struct actor *actor, char out_frame[SHOT_FRAME_MAX],
                     struct failure *failure);

/*
 * Asks what differs between @frame and @against, NULL: the screen now, to be named in the reply;
 * "": the screen now, without a name. In @area, NULL: anywhere.
 */
int action_look_compare(const struct actor *actor, const char *frame, const char *against,
                        const uint32_t *area, struct wire_message *out_reply,
                        struct failure *failure);

/*
 * For if_unchanged: is what lies under the action's points, in its region, or without either
 * anywhere on the screen, in @now still as in the frame that the action names? 0; -1, with
 * PROTO_ERR_STALE_FRAME when it isn't.
 */
int action_look_stale(const struct actor *actor, const struct action *action, const char *now,
                      json_t *answer, struct failure *failure);

/*
 * Waits until what the action expects is true; @before names the screen before it. Adds what was
 * seen to @answer as "expect". 0; -1, with CODE_UNEXPECTED when its time is over.
 */
int action_look_expect(const struct actor *actor, const struct action *action, const char *before,
                       json_t *answer, struct failure *failure);

#endif
