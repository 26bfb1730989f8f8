/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_freeze.c - `cloche freeze` and `cloche thaw`: park a guest's CPUs, and let them go. Both may
 * be repeated. Single thread.
 */
#include <stdio.h>

#include "supervisor/client.h"
#include "supervisor/options.h"
#include "supervisor/output.h"

#define FREEZE_TIMEOUT_MS 10000u

static int ask(struct invocation *inv, const char *verb, const char *state, struct failure *failure)
{
	cleanup_session struct session session = SESSION_INIT;
	cleanup_client struct client client = CLIENT_INIT;
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;
	struct arguments arguments;
	json_t *answer;
	int rc = options_parse(inv, NULL, 0, (struct options_shape){ 1, 1, false }, &arguments,
	                       failure);

	if (rc != 0)
		return rc > 0 ? STATUS_OK : -1;
	if (session_open(arguments.items[0], &session, failure) < 0 ||
	    client_open(&client, &session, failure) < 0 ||
	    client_call(&client, json_pack("{s:s}", "verb", verb), NULL, 0, FREEZE_TIMEOUT_MS,
	                &reply, failure) < 0)
		return -1;
	if (!inv->json) {
		printf("session %s is %s\n", session.name, state);
		return STATUS_OK;
	}
	answer = output_answer_new();
	json_object_update_new(answer,
	                       json_pack("{s:s,s:s}", "name", session.name, "state", state));
	output_answer(answer);
	return STATUS_OK;
}

int command_freeze(struct invocation *inv, struct failure *failure)
{
	return ask(inv, "pause", "paused", failure);
}

int command_thaw(struct invocation *inv, struct failure *failure)
{
	return ask(inv, "resume", "running", failure);
}
