/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * viewer_input.h - what the viewer in control types and points, on its way to the guest's agent.
 *
 * Viewers' threads put events in; the I/O thread takes them out as steps of the agent's verb "input"
 * (lib/proto.h). It is bounded: pointer moves that nobody has taken yet are merged, and a viewer is not listened
 * to while there is no room for what it may say at once. So nothing is lost: no key stays down.
 */
#ifndef CLOCHE_VMM_VIEWER_INPUT_H
#define CLOCHE_VMM_VIEWER_INPUT_H

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define VIEWER_EVENTS_MAX 1024
#define VIEWER_KEYS_MAX 32

struct viewer_event {
	bool is_key, down;
	uint32_t keysym;
	unsigned x, y, buttons;
};

struct viewer_input {
	pthread_mutex_t lock;
	uint64_t from; /* the viewer that is listened to; 0: nobody */
	struct viewer_event events[VIEWER_EVENTS_MAX];
	unsigned count;
	/* The I/O thread's: what the guest was told is down. */
	uint32_t keys[VIEWER_KEYS_MAX];
	unsigned key_count, buttons;
};

void viewer_input_init(struct viewer_input *input);
void viewer_input_finish(struct viewer_input *input);

/* Any thread. Whether there is room for VNC_EVENTS_AT_ONCE more of @from's, or they don't count. */
bool viewer_input_has_room(struct viewer_input *input, uint64_t from);

/*
 * Any thread; there is room. False: @from isn't listened to. Keys that lock, or choose a level, are left out: the
 * viewer's keysyms have it in them.
 */
bool viewer_input_key(struct viewer_input *input, uint64_t from, uint32_t keysym, bool down);
bool viewer_input_pointer(struct viewer_input *input, uint64_t from, unsigned x, unsigned y,
                          unsigned buttons);

/*
 * I/O thread. Takes some of the events, in their order: steps for the agent, owned by the caller; NULL: there are
 * none. @only_ups: of all that is done only what lets go of something.
 */
json_t *viewer_input_take(struct viewer_input *input, bool only_ups);

/*
 * I/O thread. From now on viewer @from is listened to, or nobody (0), and what was not taken is forgotten. Steps that
 * let go of all that is down, or NULL.
 */
json_t *viewer_input_give(struct viewer_input *input, uint64_t from);

#endif
