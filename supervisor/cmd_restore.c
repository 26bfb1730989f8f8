/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_restore.c - `cloche restore`: a new session that goes on where a snapshot was taken. Single
 * thread.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/proto.h"
#include "supervisor/inspection.h"
#include "supervisor/interrupt.h"
#include "supervisor/options.h"
#include "supervisor/plan.h"
#include "supervisor/residents.h"
#include "supervisor/start.h"

#define WAIT_DEFAULT_MS 60000u

/* What the command line says, as far as it isn't the plan's. */
struct restore_options {
	const char *mode, *page, *image, *net;
	uint64_t ttl_ms, wait_ms;
	struct option_list relays;
};

/* The name of a mode that lives as long as the program. */
static int check_mode(const char *mode, const char **out_mode, struct failure *failure)
{
	static const char *const modes[] = { "template", "lazy", "eager" };

	*out_mode = NULL;
	for (size_t i = 0; mode && i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(mode, modes[i]) == 0)
			*out_mode = modes[i];
	}
	if (mode && !*out_mode)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE,
		                   "--mode: '%.32s' is none of template, lazy, eager", mode);
	return 0;
}

/* The image that the file names stands unless another is given; the VMM checks that it is the same. */
static int plan_image(struct launch_plan *plan, const char *image, struct failure *failure)
{
	if (!image)
		return 0;
	plan->images.image = realpath(image, NULL);
	if (!plan->images.image)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE, "--image: cannot use %.200s",
		                   image);
	return 0;
}

/* What the file says of itself, for session.json; and where it says that it can't be used at all. */
static int plan_from_file(struct launch_plan *plan, int signal_fd, struct failure *failure)
{
	json_auto_t *object = NULL;

	if (inspection_ask(plan->vmm, plan->restore.file, false, signal_fd, &object, failure) < 0 ||
	    inspection_read_machine(object, plan, failure) < 0)
		return -1;
	plan->origin = json_pack("{s:s,s:s,s:s}", "kind", "restore", "of",
	                         client_string(object, "id"), "file", plan->restore.file);
	return plan->origin ? 0
	                    : failure_set(failure, STATUS_FAILED, CODE_HOST,
	                                  "%.300s can't be noted: its path is not UTF-8",
	                                  plan->restore.file);
}

static int make_plan(const struct restore_options *o, const char *file, struct launch_plan *plan,
                     int signal_fd, struct failure *failure)
{
	cleanup_residents struct residents residents = RESIDENTS_INIT;

	plan->ttl_s = plan_ttl_s(o->ttl_ms);
	if (check_mode(o->mode, &plan->restore.mode, failure) < 0 ||
	    plan_page(plan, o->page, failure) < 0 || plan_relays(plan, &o->relays, failure) < 0 ||
	    plan_net(plan, o->net, failure) < 0 || plan_image(plan, o->image, failure) < 0 ||
	    plan_absolute_path(file, &plan->restore.file, failure) < 0 ||
	    images_find_vmm(&plan->vmm, failure) < 0 ||
	    plan_from_file(plan, signal_fd, failure) < 0 || plan_check_host(plan, failure) < 0 ||
	    residents_open(&residents, failure) < 0)
		return -1;
	plan->restore.templates = steal_pointer(&residents.path);
	return 0;
}

static int restore(struct invocation *inv, const struct restore_options *o, char *const names[2],
                   struct launch_plan *plan, int signal_fd, struct failure *failure)
{
	cleanup_start struct start start = START_INIT;

	start.inv = inv;
	start.plan = plan;
	start.signal_fd = signal_fd;
	start.deadline_ns = clock_now_ns() + o->wait_ms * NS_PER_MS;
	if (session_check_name(names[1], failure) < 0 ||
	    make_plan(o, names[0], plan, signal_fd, failure) < 0 ||
	    start_begin(&start, names[1], failure) < 0)
		return -1;
	start_keep(&start);
	start_print(&start);
	return STATUS_OK;
}

int command_restore(struct invocation *inv, struct failure *failure)
{
	cleanup_plan struct launch_plan plan = { 0 };
	struct restore_options o = { .ttl_ms = PLAN_TTL_DEFAULT_MS, .wait_ms = WAIT_DEFAULT_MS };
	const struct option options[] = {
		{ "mode", 0, OPTION_STRING, &o.mode, "MODE",
		  "template (shared memory), lazy or eager (default: the fastest there is)", 0, 0 },
		{ "ttl", 0, OPTION_DURATION, &o.ttl_ms, "TIME", PLAN_HELP_TTL, 0, PLAN_TTL_MAX_MS },
		{ "page", 0, OPTION_STRING, &o.page, "URL",
		  "open this page, and return when it has loaded", 0, 0 },
		{ "relay", 0, OPTION_LIST, &o.relays, "PORT:SOCKET", PLAN_HELP_RELAY, 0, 0 },
		{ "net", 0, OPTION_STRING, &o.net, "WHAT",
		  "what its network card is plugged into: as in `run` (default: nothing)", 0, 0 },
		{ "mac", 0, OPTION_STRING, &plan.mac, "ADDRESS",
		  "of the card (default: made from the name)", 0, 0 },
		{ "net-rate", 0, OPTION_STRING, &plan.net_rate, "BYTES[:PACKETS]",
		  PLAN_HELP_NET_RATE, 0, 0 },
		{ "image", 0, OPTION_STRING, &o.image, "FILE",
		  "where the root image is now (default: where it was)", 0, 0 },
		{ "timeout", 0, OPTION_DURATION, &o.wait_ms, "TIME",
		  "give up when it isn't ready by then (default 60s)", 1, PROTO_TIMEOUT_MAX_MS },
	};
	struct arguments arguments;
	cleanup_fd int signal_fd = -1;
	int rc = options_parse(inv, options, sizeof(options) / sizeof(options[0]),
	                       (struct options_shape){ 2, 2, false }, &arguments, failure);

	if (rc != 0)
		return rc > 0 ? STATUS_OK : -1;
	if (interrupt_watch(&signal_fd, failure) < 0)
		return -1;
	rc = restore(inv, &o, arguments.items, &plan, signal_fd, failure);
	if (rc < 0)
		interrupt_obey(signal_fd);
	return rc;
}
