/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_wait.c - `cloche wait`: until a stage is reached, or the picture has settled. Single thread.
 */
#include <stdio.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/proto.h"
#include "supervisor/options.h"
#include "supervisor/output.h"
#include "supervisor/shot.h"

#define TIMEOUT_DEFAULT_MS 60000u
#define QUIET_DEFAULT_MS 500u

static const char *const stages[] = { "agent", "display", "browser", "loaded" };

struct wait_options {
	const char *what;
	uint64_t timeout_ms, quiet_ms;
};

static int wait_stage(struct client *client, const char *stage, uint64_t timeout_ms,
                      struct failure *failure)
{
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;

	return client_call(client, json_pack("{s:s,s:s}", "verb", "wait", "for", stage), NULL, 0,
	                   timeout_ms, &reply, failure);
}

/* *out_answer gets what the VMM says of it, and the picture's hash. */
static int wait_settled(struct client *client, const struct wait_options *o, json_t **out_answer,
                        struct failure *failure)
{
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;
	const struct shot_wish wish = { .hash_only = true };
	cleanup_shot struct shot shot = { 0 };
	uint64_t begin = clock_now_ns();

	if (wait_stage(client, "display", o->timeout_ms, failure) < 0)
		return -1;
	uint64_t taken_ms = (clock_now_ns() - begin) / NS_PER_MS;
	uint64_t left_ms = taken_ms < o->timeout_ms ? o->timeout_ms - taken_ms : 1;
	json_t *request =
		json_pack("{s:s,s:I}", "verb", "settle", "quiet_ms", (json_int_t)o->quiet_ms);
	if (client_call(client, request, NULL, 0, left_ms, &reply, failure) < 0)
		return -1;
	if (!json_is_true(json_object_get(reply.object, "settled")))
		return failure_set(failure, STATUS_TIMEOUT, PROTO_ERR_TIMEOUT,
		                   "the screen did not stay the same for %llu ms within "
		                   "%llu ms",
		                   (unsigned long long)o->quiet_ms,
		                   (unsigned long long)o->timeout_ms);
	if (shot_take(client, &wish, &shot, failure) < 0)
		return -1;
	*out_answer = json_pack("{s:s,s:s,s:O*}", "hash", shot.hash, "frame",
	                        client_string(reply.object, "frame"), "periodic",
	                        json_object_get(reply.object, "periodic"));
	return 0;
}

static int wait_and_tell(struct invocation *inv, const char *name, const struct wait_options *o,
                         struct failure *failure)
{
	cleanup_session struct session session = SESSION_INIT;
	cleanup_client struct client client = CLIENT_INIT;
	uint64_t begin = clock_now_ns();
	json_t *more = NULL;

	if (session_open(name, &session, failure) < 0 ||
	    client_open(&client, &session, failure) < 0)
		return -1;
	if (strcmp(o->what, "settled") == 0
	            ? wait_settled(&client, o, &more, failure) < 0
	            : wait_stage(&client, o->what, o->timeout_ms, failure) < 0)
		return -1;
	uint64_t ms = (clock_now_ns() - begin) / NS_PER_MS;
	if (inv->json) {
		json_t *answer = output_answer_new();

		json_object_update_new(answer, json_pack("{s:s,s:I}", "for", o->what, "ms",
		                                         (json_int_t)ms));
		if (more)
			json_object_update(answer, more);
		output_answer(answer);
	} else {
		const char *hash = client_string(more, "hash");

		printf("%s  %llu ms%s%s\n", o->what, (unsigned long long)ms, *hash ? "  hash " : "",
		       hash);
	}
	json_decref(more);
	return STATUS_OK;
}

int command_wait(struct invocation *inv, struct failure *failure)
{
	struct wait_options o = { "agent", TIMEOUT_DEFAULT_MS, QUIET_DEFAULT_MS };
	const struct option options[] = {
		{ "for", 0, OPTION_STRING, &o.what, "WHAT",
		  "agent (default), display, browser, loaded (all memory is there), or settled: "
		  "the "
		  "picture stands still",
		  0, 0 },
		{ "timeout", 0, OPTION_DURATION, &o.timeout_ms, "TIME",
		  "give up then (default 60s)", 1, PROTO_TIMEOUT_MAX_MS },
		{ "quiet-ms", 0, OPTION_NUMBER, &o.quiet_ms, "N",
		  "settled: for so many milliseconds (default 500)", 1, 60000 },
	};
	struct arguments arguments;
	bool known = false;
	int rc = options_parse(inv, options, sizeof(options) / sizeof(options[0]),
	                       (struct options_shape){ 1, 1, false }, &arguments, failure);

	if (rc != 0)
		return rc > 0 ? STATUS_OK : -1;
	for (size_t i = 0; i < sizeof(stages) / sizeof(stages[0]); i++)
		known |= strcmp(o.what, stages[i]) == 0;
	if (!known && strcmp(o.what, "settled") != 0)
		return failure_set(
			failure, STATUS_USAGE, CODE_USAGE,
			"--for: '%.32s' is none of agent, display, browser, loaded, settled",
			o.what);
	return wait_and_tell(inv, arguments.items[0], &o, failure);
}
