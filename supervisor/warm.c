/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * warm.c - see warm.h. No state, single thread.
 */
#include "supervisor/warm.h"

#include <stdio.h>
#include <string.h>

#include "supervisor/balloon.h"
#include "supervisor/interrupt.h"
#include "supervisor/output.h"

#define IDLE_PERCENT 90
#define IDLE_STEP_MS 2000u
#define IDLE_TRIES 30
#define EXEC_TIMEOUT_MS 20000u
#define TIDY_TIMEOUT_MS 60000u
#define BALLOON_TIMEOUT_MS 120000u
#define RESERVE_MIB 96 /* what a guest keeps while the balloon has the rest */
#define STAT_SIZE 256

/* The first line of /proc/stat: time of all CPUs, in ticks. False: it makes no sense. */
static bool parse_stat(const char *text, uint64_t *out_idle, uint64_t *out_all)
{
	unsigned long long t[8];
	uint64_t all = 0;

	if (sscanf(text, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &t[0], &t[1], &t[2], &t[3],
	           &t[4], &t[5], &t[6], &t[7]) != 8)
		return false;
	for (size_t i = 0; i < 8; i++) {
		if (__builtin_add_overflow(all, (uint64_t)t[i], &all))
			return false;
	}
	*out_idle = t[3] + t[4];
	*out_all = all;
	return true;
}

int warm_idle_percent(const char *before, const char *after)
{
	uint64_t idle[2];
	uint64_t all[2];

	if (!parse_stat(before, &idle[0], &all[0]) || !parse_stat(after, &idle[1], &all[1]) ||
	    all[1] <= all[0] || idle[1] < idle[0] || idle[1] - idle[0] > all[1] - all[0])
		return -1;
	return (int)((double)(idle[1] - idle[0]) * 100 / (double)(all[1] - all[0]));
}

static int read_stat(struct client *client, char out_text[STAT_SIZE], struct failure *failure)
{
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;

	if (client_call_agent(
		    client, json_pack("{s:s,s:[s,s]}", "verb", "exec", "argv", "cat", "/proc/stat"),
		    NULL, 0, EXEC_TIMEOUT_MS, &reply, failure) < 0)
		return -1;
	snprintf(out_text, STAT_SIZE, "%.*s",
	         (int)(reply.blob_size < STAT_SIZE ? reply.blob_size : STAT_SIZE - 1),
	         reply.blob ? (const char *)reply.blob : "");
	return 0;
}

int warm_wait_until_idle(const struct invocation *inv, struct client *client, int signal_fd,
                         struct failure *failure)
{
	char stat[2][STAT_SIZE];

	if (read_stat(client, stat[0], failure) < 0)
		return -1;
	for (int try = 0; try < IDLE_TRIES; try++) {
		output_progress(inv, "waiting for the guest to come to rest");
		if (interrupt_sleep(signal_fd, IDLE_STEP_MS, failure) < 0 ||
		    read_stat(client, stat[1], failure) < 0)
			return -1;
		if (warm_idle_percent(stat[0], stat[1]) >= IDLE_PERCENT)
			break;
		memcpy(stat[0], stat[1], STAT_SIZE);
	}
	return 0;
}

int warm_shrink(const struct invocation *inv, struct client *client, struct failure *failure)
{
	cleanup_message struct wire_message tidied = WIRE_MESSAGE_INIT;
	cleanup_message struct wire_message state = WIRE_MESSAGE_INIT;
	cleanup_message struct wire_message moved = WIRE_MESSAGE_INIT;
	cleanup_message struct wire_message back = WIRE_MESSAGE_INIT;
	struct failure stuck = { 0 };
	json_int_t target;

	if (client_call_agent(client, json_pack("{s:s}", "verb", "tidy"), NULL, 0, TIDY_TIMEOUT_MS,
	                      &tidied, failure) < 0 ||
	    balloon_ask(client, NULL, &state, failure) < 0)
		return -1;
	target = (client_integer(json_object_get(state.object, "stats"), "available_bytes", 0,
	                         INT64_MAX, 0) >>
	          20) -
	         RESERVE_MIB;
	if (target <= 0)
		return 0;
	/* As far as it goes: what the guest can't spare, it keeps. */
	if (balloon_move(inv, client, (uint64_t)target, BALLOON_TIMEOUT_MS, &moved, &stuck) < 0 &&
	    stuck.status != STATUS_TIMEOUT) {
		*failure = stuck;
		return -1;
	}
	return balloon_move(inv, client, 0, BALLOON_TIMEOUT_MS, &back, failure);
}
