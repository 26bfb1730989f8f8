/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_balloon.c - `cloche balloon`: takes memory back from a guest, or lets it have that again, and
 * tells how it does. Single thread.
 */
#include <stdio.h>

#include "lib/proto.h"
#include "supervisor/balloon.h"
#include "supervisor/options.h"
#include "supervisor/output.h"
#include "supervisor/parse.h"
#include "supervisor/process.h"

#define TIMEOUT_DEFAULT_MS 60000u
#define SIZE_MAX_MIB 65536u

static void print(const json_t *state)
{
	const json_t *stats = json_object_get(state, "stats");

	printf("balloon  %lld MiB of %lld MiB asked for%s\n",
	       (long long)balloon_mib(state, "actual_mib"),
	       (long long)balloon_mib(state, "target_mib"),
	       json_is_true(json_object_get(state, "driver")) ? "" : "; no driver in the guest");
	printf("given    %lld MiB by the balloon, %lld MiB reported free, since the start\n",
	       (long long)balloon_mib(state, "inflated_mib"),
	       (long long)balloon_mib(state, "reported_mib"));
	if (json_object_get(state, "resident_mib"))
		printf("host     %lld MiB in use for this session\n",
		       (long long)balloon_mib(state, "resident_mib"));
	if (stats)
		printf("guest    %lld MiB free, %lld MiB available, of %lld MiB (%lld s ago)\n",
		       (long long)(client_integer(stats, "free_bytes", 0, INT64_MAX, 0) >> 20),
		       (long long)(client_integer(stats, "available_bytes", 0, INT64_MAX, 0) >> 20),
		       (long long)(client_integer(stats, "total_bytes", 0, INT64_MAX, 0) >> 20),
		       (long long)(client_integer(stats, "age_ms", 0, INT64_MAX, 0) / 1000));
}

static void tell(const struct invocation *inv, const struct client *client, json_t *state)
{
	uint64_t resident;
	json_t *answer;

	json_object_del(state, "id");
	json_object_del(state, "ok");
	if (process_resident(client->peer, &resident) == 0)
		json_object_set_new(state, "resident_mib",
		                    json_integer((json_int_t)(resident >> 20)));
	if (!inv->json) {
		print(state);
		return;
	}
	answer = output_answer_new();
	json_object_set_new(answer, "name", json_string(client->session->name));
	json_object_update(answer, state);
	output_answer(answer);
}

int command_balloon(struct invocation *inv, struct failure *failure)
{
	cleanup_session struct session session = SESSION_INIT;
	cleanup_client struct client client = CLIENT_INIT;
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;
	uint64_t target_mib = 0, timeout_ms = TIMEOUT_DEFAULT_MS;
	const struct option options[] = {
		{ "timeout", 0, OPTION_DURATION, &timeout_ms, "TIME",
		  "with SIZE: how long to wait for the guest (default 60s)", 1,
		  PROTO_TIMEOUT_MAX_MS },
	};
	struct arguments arguments;
	int rc = options_parse(inv, options, sizeof(options) / sizeof(options[0]),
	                       (struct options_shape){ 1, 2, false }, &arguments, failure);

	if (rc != 0)
		return rc > 0 ? STATUS_OK : -1;
	if (arguments.count == 2 &&
	    parse_memory("SIZE", arguments.items[1], 0, SIZE_MAX_MIB, &target_mib, failure) < 0)
		return -1;
	if (session_open(arguments.items[0], &session, failure) < 0 ||
	    client_open(&client, &session, failure) < 0)
		return -1;
	if (arguments.count == 2
	            ? balloon_move(inv, &client, target_mib, timeout_ms, &reply, failure) < 0
	            : balloon_ask(&client, NULL, &reply, failure) < 0)
		return -1;
	tell(inv, &client, reply.object);
	return STATUS_OK;
}
