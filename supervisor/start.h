/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * start.h - a session's way from a plan to the point where it can be used; run, restore and bake
 * share it. Single thread.
 *
 *	start_begin     makes the folder, starts the VMM, waits for the agent, joins the relays,
 *	                opens the page; shows what it waits for. Fails: nothing is left
 *	start_wait      … for more
 *	start_keep      lets go of it: it runs on          or     start_abort   leaves nothing
 *	start_print     the timeline
 *	start_finish    frees the rest; aborts what was neither kept nor aborted
 */
#ifndef CLOCHE_SUPERVISOR_START_H
#define CLOCHE_SUPERVISOR_START_H

#include "supervisor/command.h"
#include "supervisor/launch.h"

struct start {
	const struct invocation *inv;   /* borrowed */
	const struct launch_plan *plan; /* borrowed */
	int signal_fd;                  /* borrowed: interrupt_watch()'s */
	uint64_t deadline_ns;           /* for all waits together */
	struct session session;
	struct launch launch;
	struct client client;
	const char *waiting_for;
	uint64_t started_ns; /* CLOCK_MONOTONIC, right before the VMM was started */
	json_t *status;      /* owned: the VMM's, once the agent is ready */
	json_t *page;        /* owned: the browser's answer, when there is a page */
	uint64_t page_ms, total_ms;
};

#define START_INIT                                                                                 \
	{                                                                                          \
		.signal_fd = -1, .session = SESSION_INIT, .launch = LAUNCH_INIT,                   \
		.client = CLIENT_INIT, .waiting_for = "VMM"                                        \
	}

/*
 * Starts the session @name. The caller has set the first four members of an initialised @start. -1:
 * the failure says why, in the VMM's words where it has any, and the guest's last lines were printed.
 */
int start_begin(struct start *start, const char *name, struct failure *failure);

/* Waits for a stage (lib/proto.h, "wait") and takes the status. Leaves the session on failure. */
int start_wait(struct start *start, const char *stage, struct failure *failure);

/* Milliseconds since the VMM was started, and those left until the deadline, at least one. */
uint64_t start_elapsed_ms(const struct start *start);
uint64_t start_left_ms(const struct start *start);

void start_keep(struct start *start);
void start_abort(struct start *start);

/* Prints that the session is ready, its timeline and its page, as text or as JSON. */
void start_print(const struct start *start);

void start_finish(struct start *start);
#define cleanup_start __attribute__((cleanup(start_finish)))

#endif
