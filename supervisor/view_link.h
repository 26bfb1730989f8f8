/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view_link.h - what cloche-view says to the VMM, and what it hears: viewers handed over, control
 * asked for, the session's end. Requests are sent and answered while all else goes on. The loop's
 * thread only.
 */
#ifndef CLOCHE_SUPERVISOR_VIEW_LINK_H
#define CLOCHE_SUPERVISOR_VIEW_LINK_H

#include "lib/wire.h"
#include "supervisor/client.h"
#include "supervisor/view_file.h"

#define VIEW_REQUESTS_MAX 64u
#define VIEW_ANSWER_MS 10000u /* a VMM that is silent for longer is given up */

struct view_slot;
struct view;

/* What an answer is the answer to. */
struct view_request {
	json_int_t id; /* 0: free */
	uint64_t deadline_ns;
	struct view_slot *slot; /* borrowed; NULL: everybody's */
	unsigned generation;    /* of the slot's screen, at the time */
	/* Takes a reply, or NULL when none came. */
	void (*answered)(struct view *view, const struct view_request *request,
	                 const json_t *reply);
};

struct view_link {
	struct client client;
	struct view_file file;
	struct view_request requests[VIEW_REQUESTS_MAX];
	bool polling; /* a state request is under way */
};

/* Connects, and asks whether the VMM is there at all. Before the loop; blocks. */
int view_link_open(struct view *view, struct failure *failure);
/* Goes on in the loop. 0 or -errno. */
int view_link_start(struct view *view);
void view_link_close(struct view *view);

/* Hands @fd (borrowed) over as @slot's viewer. */
void view_link_add_viewer(struct view_slot *slot, int fd);
/* Asks for control in @slot's name, or gives it back. */
void view_link_ask(struct view_slot *slot, bool take);
/* About once a second: who has control now? What is overdue? */
void view_link_tick(struct view *view);

#endif
