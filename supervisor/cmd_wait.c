/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_wait.c - `cloche wait`: until a stage is reached, or the picture has settled. Single thread.
 *
 * Settled means that no new picture has come for a while. The picture before the current one is not
 * new: a caret that blinks, in a form that is ready to be filled in, would never let it settle.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/clock.h"
#include "lib/proto.h"
#include "supervisor/options.h"
#include "supervisor/output.h"
#include "supervisor/shot.h"

#define TIMEOUT_DEFAULT_MS 60000u
#define QUIET_DEFAULT_MS 500u
#define STEP_MAX_MS 50u

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

static void sleep_ms(uint64_t ms)
{
	struct timespec time = { .tv_nsec = (long)(ms * NS_PER_MS) };

	nanosleep(&time, NULL);
}

/* *out_hash gets the picture's hash. */
static int wait_settled(struct client *client, const struct wait_options *o, char out_hash[17],
                        struct failure *failure)
{
	uint64_t now = clock_now_ns();
	uint64_t deadline_ns = now + o->timeout_ms * NS_PER_MS;
	uint64_t since_ns = now;
	uint64_t step_ms = o->quiet_ms / 4 + 1;
	char hash[17] = "";
	char before[17] = "";

	if (wait_stage(client, "display", o->timeout_ms, failure) < 0)
		return -1;
	for (;;) {
		const struct shot_wish wish = { .hash_only = true };
		cleanup_shot struct shot shot = { 0 };

		if (shot_take(client, &wish, &shot, failure) < 0)
			return -1;
		now = clock_now_ns();
		if (strcmp(hash, shot.hash) != 0) {
			if (strcmp(before, shot.hash) != 0)
				since_ns = now;
			memcpy(before, hash, sizeof(before));
			memcpy(hash, shot.hash, sizeof(hash));
		}
		if (now - since_ns >= o->quiet_ms * NS_PER_MS)
			break;
		if (now >= deadline_ns)
			return failure_set(failure, STATUS_TIMEOUT, PROTO_ERR_TIMEOUT,
			                   "the screen did not stay the same for %llu ms within "
			                   "%llu ms",
			                   (unsigned long long)o->quiet_ms,
			                   (unsigned long long)o->timeout_ms);
		sleep_ms(step_ms < STEP_MAX_MS ? step_ms : STEP_MAX_MS);
	}
	memcpy(out_hash, hash, sizeof(hash));
	return 0;
}

static int wait_and_tell(struct invocation *inv, const char *name, const struct wait_options *o,
                         struct failure *failure)
{
	cleanup_session struct session session = SESSION_INIT;
	cleanup_client struct client client = CLIENT_INIT;
	uint64_t begin = clock_now_ns();
	char hash[17] = "";
	json_t *answer;
	uint64_t ms;

	if (session_open(name, &session, failure) < 0 ||
	    client_open(&client, &session, failure) < 0)
		return -1;
	if (strcmp(o->what, "settled") == 0
	            ? wait_settled(&client, o, hash, failure) < 0
	            : wait_stage(&client, o->what, o->timeout_ms, failure) < 0)
		return -1;
	ms = (clock_now_ns() - begin) / NS_PER_MS;
	if (!inv->json) {
		printf("%s  %llu ms%s%s\n", o->what, (unsigned long long)ms, *hash ? "  hash " : "",
		       hash);
		return STATUS_OK;
	}
	answer = output_answer_new();
	json_object_update_new(answer, json_pack("{s:s,s:I,s:s*}", "for", o->what, "ms",
	                                         (json_int_t)ms, "hash", *hash ? hash : NULL));
	output_answer(answer);
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
