/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * watching.h - a session's screen and events as they come, for commands that go on until something ends
 * them. Single thread.
 *
 * Order of calls: the fields at the top are set; watching_begin(); watching_run(); watching_finish().
 */
#ifndef CLOCHE_SUPERVISOR_WATCHING_H
#define CLOCHE_SUPERVISOR_WATCHING_H

#include "supervisor/client.h"
#include "supervisor/frames.h"

struct watching {
	struct client *client;  /* borrowed */
	int signal_fd;          /* borrowed; -1: none */
	bool fast;              /* look 30 times a second at a screen that is still, too */
	bool events, with_text; /* events are wanted; those of actions with what was typed */
	uint64_t deadline_ns;   /* CLOCK_MONOTONIC; 0: none */
	/* A frame is in frames.picture. -1: stop, with or without a failure of the owner's. */
	frames_done *frame;
	/* An event has come; may be NULL. -1: stop. */
	int (*event)(const json_t *event, void *arg);
	/* Called about once a second; may be NULL. */
	void (*tick)(void *arg);
	void *arg; /* borrowed */

	int fd; /* owned: the stream */
	struct frames frames;
};

enum watching_end {
	WATCHING_STOPPED,     /* by a callback */
	WATCHING_INTERRUPTED, /* by a signal */
	WATCHING_EXPIRED,     /* the deadline */
	WATCHING_OVER,        /* the session has ended */
};

/* Asks for frames and events. -1: the session says no. */
int watching_begin(struct watching *watching, struct failure *failure);

/* Calls back until something ends it: that, or -1. */
int watching_run(struct watching *watching, struct failure *failure);

/* Takes one that was zeroed with fd = -1, too. */
void watching_finish(struct watching *watching);
#define cleanup_watching __attribute__((cleanup(watching_finish)))

#endif
