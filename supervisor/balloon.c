/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * balloon.c - see balloon.h. Single thread.
 */
#include "supervisor/balloon.h"

#include <time.h>

#include "lib/clock.h"
#include "lib/proto.h"
#include "supervisor/output.h"

#define ASK_MS 2000u
#define STEP_MS 50
#define MIB_MAX ((json_int_t)1 << 43)

json_int_t balloon_mib(const json_t *state, const char *key)
{
	return client_integer(state, key, 0, MIB_MAX, 0);
}

int balloon_ask(struct client *client, const uint64_t *target_mib, struct wire_message *out_reply,
                struct failure *failure)
{
	json_t *request = json_pack("{s:s}", "verb", "balloon");

	if (request && target_mib)
		json_object_set_new(request, "target_mib", json_integer((json_int_t)*target_mib));
	return client_call(client, request, NULL, 0, ASK_MS, out_reply, failure);
}

int balloon_move(const struct invocation *inv, struct client *client, uint64_t target_mib,
                 uint64_t timeout_ms, struct wire_message *out_reply, struct failure *failure)
{
	const struct timespec step = { .tv_nsec = STEP_MS * (long)NS_PER_MS };
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;
	uint64_t deadline_ns = clock_now_ns() + timeout_ms * NS_PER_MS;

	if (balloon_ask(client, &target_mib, &reply, failure) < 0)
		return -1;
	while (balloon_mib(reply.object, "actual_mib") != (json_int_t)target_mib) {
		json_int_t actual = balloon_mib(reply.object, "actual_mib");

		if (clock_now_ns() >= deadline_ns &&
		    !json_is_true(json_object_get(reply.object, "driver")))
			return failure_set(failure, STATUS_TIMEOUT, PROTO_ERR_NOT_READY,
			                   "the guest runs no driver of the balloon, or not yet");
		if (clock_now_ns() >= deadline_ns)
			return failure_set(failure, STATUS_TIMEOUT, PROTO_ERR_TIMEOUT,
			                   "the balloon holds %lld of %llu MiB: the guest can't "
			                   "spare more, or is slow; it goes on trying",
			                   (long long)actual, (unsigned long long)target_mib);
		output_progress(inv, "the balloon holds %lld of %llu MiB", (long long)actual,
		                (unsigned long long)target_mib);
		nanosleep(&step, NULL);
		wire_message_finish(&reply);
		if (balloon_ask(client, NULL, &reply, failure) < 0)
			return -1;
	}
	output_progress_clear(inv);
	*out_reply = reply;
	reply = (struct wire_message)WIRE_MESSAGE_INIT;
	return 0;
}
