/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * balloon.h - a guest's balloon, asked and moved over the control socket. Single thread; blocks.
 *
 * The host can only set a target; the guest's driver moves towards it. So who moves it asks, again
 * and again, how far it has come.
 */
#ifndef CLOCHE_SUPERVISOR_BALLOON_H
#define CLOCHE_SUPERVISOR_BALLOON_H

#include "supervisor/client.h"
#include "supervisor/command.h"

/* Asks for its state (lib/proto.h, "balloon"), with @target_mib as the new target unless NULL. */
int balloon_ask(struct client *client, const uint64_t *target_mib, struct wire_message *out_reply,
                struct failure *failure);

/*
 * Sets the target and waits until the guest has got there, showing how far it is. 0: *out_reply is
 * the last answer; -1: STATUS_TIMEOUT when @timeout_ms have passed: the guest goes on trying.
 */
int balloon_move(const struct invocation *inv, struct client *client, uint64_t target_mib,
                 uint64_t timeout_ms, struct wire_message *out_reply, struct failure *failure);

/* Member @key of an answer, in MiB; 0 without. */
json_int_t balloon_mib(const json_t *state, const char *key);

#endif
