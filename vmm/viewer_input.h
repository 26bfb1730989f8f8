/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * viewer_input.h - what the viewer in control types and points, on its way to the guest's agent.
 *
 * Viewers' threads put events in; the I/O thread takes them out as steps of the agent's verb "input"
 * (lib/proto.h). It is bounded: pointer moves that nobody has taken yet are merged, and what comes beyond
 * the room is dropped until there is some again, which is said.
 */
#ifndef CLOCHE_VMM_VIEWER_INPUT_H
#define CLOCHE_VMM_VIEWER_INPUT_H

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define VIEWER_EVENTS_MAX 256
#define VIEWER_KEYS_MAX 32

struct viewer_event {
	bool is_key, down;
	uint32_t keysym;
	unsigned x, y, buttons;
};

struct viewer_input {
	pthread_mutex_t lock;
	struct viewer_event events[VIEWER_EVENTS_MAX];
	unsigned count, dropped;
	/* The I/O thread's: what the guest was told is down. */
	uint32_t keys[VIEWER_KEYS_MAX];
	unsigned key_count, buttons;
};

void viewer_input_init(struct viewer_input *input);
void viewer_input_finish(struct viewer_input *input);

/* Any thread. */
void viewer_input_key(struct viewer_input *input, uint32_t keysym, bool down);
void viewer_input_pointer(struct viewer_input *input, unsigned x, unsigned y, unsigned buttons);

/* I/O thread. Takes some of the events, in their order: steps for the agent, owned by the caller; NULL: there are none. */
json_t *viewer_input_take(struct viewer_input *input);

/* I/O thread. Forgets what was not taken; steps that let go of all that is down, or NULL. */
json_t *viewer_input_release(struct viewer_input *input);

/* How many events were dropped since the last call. Any thread. */
unsigned viewer_input_dropped(struct viewer_input *input);

#endif
