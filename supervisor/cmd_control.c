/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_control.c - `cloche control`: who looks at a session, and which of them has keyboard and pointer.
 * Single thread.
 */
#include <inttypes.h>
#include <stdio.h>

#include "lib/proto.h"
#include "supervisor/client.h"
#include "supervisor/options.h"
#include "supervisor/output.h"
#include "supervisor/parse.h"

#define CONTROL_TIMEOUT_MS 10000u

struct control_options {
	bool take, release;
	uint64_t viewer; /* 0: the VMM chooses */
};

static void print_viewers(const json_t *reply)
{
	json_int_t holder = client_integer(reply, "holder", 1, INT64_MAX, 0);
	const json_t *viewers = json_object_get(reply, "viewers");
	const json_t *viewer;
	size_t i;

	if (json_array_size(viewers) == 0) {
		printf("nobody looks on\n");
		return;
	}
	printf("%-8s %8s %12s  %s\n", "VIEWER", "SINCE", "SENT", "");
	json_array_foreach(viewers, i, viewer)
	{
		json_int_t number = client_integer(viewer, "viewer", 1, INT64_MAX, 0);
		json_int_t ms = client_integer(viewer, "since_ms", 0, INT64_MAX, 0);
		json_int_t bytes = client_integer(viewer, "bytes", 0, INT64_MAX, 0);
		bool may = json_is_true(json_object_get(viewer, "control"));

		printf("%-8" PRId64 " %6" PRId64 " s %8" PRId64 " KiB  %s\n", (int64_t)number,
		       (int64_t)(ms / 1000), (int64_t)(bytes >> 10),
		       number == holder ? "has control"
		       : may            ? ""
		                        : "looks only");
	}
}

static int ask(struct invocation *inv, const char *name, const struct control_options *o,
               struct failure *failure)
{
	cleanup_session struct session session = SESSION_INIT;
	cleanup_client struct client client = CLIENT_INIT;
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;
	json_t *request = json_pack("{s:s,s:s}", "verb", "control", "op",
	                            o->take      ? "take"
	                            : o->release ? "release"
	                                         : "state");

	if (o->viewer)
		json_object_set_new(request, "viewer", json_integer((json_int_t)o->viewer));
	if (session_open(name, &session, failure) < 0 ||
	    client_open(&client, &session, failure) < 0) {
		json_decref(request);
		return -1;
	}
	if (client_call(&client, request, NULL, 0, CONTROL_TIMEOUT_MS, &reply, failure) < 0)
		return -1;
	if (!inv->json) {
		print_viewers(reply.object);
		return STATUS_OK;
	}
	json_t *answer = output_answer_new();
	json_object_set_new(answer, "name", json_string(session.name));
	json_object_set(answer, "viewers", json_object_get(reply.object, "viewers"));
	json_t *holder = json_object_get(reply.object, "holder");
	if (holder)
		json_object_set(answer, "holder", holder);
	output_answer(answer);
	return STATUS_OK;
}

int command_control(struct invocation *inv, struct failure *failure)
{
	struct control_options o = { 0 };
	const struct option options[] = {
		{ "take", 0, OPTION_FLAG, &o.take, NULL,
		  "give keyboard and pointer to VIEWER (default: who connected last)", 0, 0 },
		{ "release", 0, OPTION_FLAG, &o.release, NULL, "give them back to the agents", 0,
		  0 },
	};
	struct arguments arguments;
	int rc = options_parse(inv, options, sizeof(options) / sizeof(options[0]),
	                       (struct options_shape){ 1, 2, false }, &arguments, failure);

	if (rc != 0)
		return rc > 0 ? STATUS_OK : -1;
	if (o.take && o.release)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE,
		                   "--take and --release exclude each other");
	if (arguments.count > 1 && !o.take)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE, "a viewer is for --take");
	if (arguments.count > 1 &&
	    parse_number("VIEWER", arguments.items[1], 1, INT64_MAX, &o.viewer, failure) < 0)
		return -1;
	return ask(inv, arguments.items[0], &o, failure);
}
