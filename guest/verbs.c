/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * verbs.c - the table of verbs, and the two that fit in a few lines. The agent's thread.
 */
#include "guest/verbs.h"

#include <string.h>
#include <time.h>

#include "guest/agent.h"
#include "guest/channel.h"
#include "guest/machine.h"
#include "lib/proto.h"

static const struct verb verbs[] = {
	{ "exec", verb_exec, 30000, true },        { "file", verb_file, 10000, false },
	{ "display", verb_display, 5000, false },  { "input", verb_input, 30000, false },
	{ "browser", verb_browser, 30000, false }, { "clock", verb_clock, 1000, false },
	{ "relay", verb_relay, 1000, false },      { "shutdown", verb_shutdown, 5000, false },
	{ "tidy", verb_tidy, 30000, false },       { "generation", verb_generation, 10000, false },
};

const struct verb *verb_find(const char *name)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	return NULL;
}

static void clock_set(const struct agent *agent, struct request *request)
{
	json_int_t ns = 0;
	int ret;

	/* Outside of a guest this clock is somebody's machine's. */
	if (!agent->init) {
		request_fail(request, PROTO_ERR_DENIED, "clock: only a guest's clock is set");
		return;
	}
	if (!request_number(request, "realtime_ns", true, MACHINE_REALTIME_MIN_NS,
	                    MACHINE_REALTIME_MAX_NS, &ns))
		return;
	ret = machine_set_clock(ns);
	if (ret < 0)
		request_fail(request, PROTO_ERR_FAILED, "can't set the clock: %s", strerror(-ret));
	else
		request_reply(request, NULL, NULL, 0);
}

void verb_clock(struct agent *agent, struct request *request)
{
	const char *op = "get";
	json_int_t realtime, monotonic, boottime;

	if (!request_text(request, "op", false, &op))
		return;
	if (!strcmp(op, "set")) {
		clock_set(agent, request);
	} else if (strcmp(op, "get") != 0) {
		request_fail(request, PROTO_ERR_BAD_REQUEST, "clock: \"op\" is get or set");
	} else {
		realtime = machine_read_clock(CLOCK_REALTIME);
		monotonic = machine_read_clock(CLOCK_MONOTONIC);
		boottime = machine_read_clock(CLOCK_BOOTTIME);
		request_reply(request,
		              json_pack("{s:I, s:I, s:I}", "realtime_ns", realtime, "monotonic_ns",
		                        monotonic, "boottime_ns", boottime),
		              NULL, 0);
	}
}

void verb_shutdown(struct agent *agent, struct request *request)
{
	const char *mode = NULL;

	if (!request_text(request, "mode", true, &mode))
		return;
	if (strcmp(mode, "poweroff") != 0 && strcmp(mode, "reboot") != 0) {
		request_fail(request, PROTO_ERR_BAD_REQUEST,
		             "shutdown: \"mode\" is poweroff or reboot");
		return;
	}
	agent->reboot = !strcmp(mode, "reboot");
	request_reply(request, NULL, NULL, 0);
	channel_drain(agent->channel, machine_end);
}
