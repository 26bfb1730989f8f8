/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/viewer_input.h"

#include <string.h>

#include "display/vnc.h"
#include "lib/log.h"
#include "lib/proto.h"

/* RFB's eight: left, middle, right, wheel up, down, left, right, and one more; X numbers them from 1. */
#define BUTTONS 8
/* Events at once: the agent takes 1024 steps, and one may be a move and all buttons. */
#define BATCH 100

void viewer_input_init(struct viewer_input *input)
{
	*input = (struct viewer_input){ 0 };
	pthread_mutex_init(&input->lock, NULL);
}

void viewer_input_finish(struct viewer_input *input)
{
	pthread_mutex_destroy(&input->lock);
}

bool viewer_input_has_room(struct viewer_input *input, uint64_t from)
{
	pthread_mutex_lock(&input->lock);
	bool has_room =
		from != input->from || VIEWER_EVENTS_MAX - input->count >= VNC_EVENTS_AT_ONCE;
	pthread_mutex_unlock(&input->lock);
	return has_room;
}

/* The lock is held. */
static void put(struct viewer_input *input, const struct viewer_event *event)
{
	ASSERT(input->count < VIEWER_EVENTS_MAX);
	input->events[input->count++] = *event;
}

/*
 * X keysyms (X11/keysymdef.h): ISO_Level3_Shift to ISO_Level5_Lock, Mode_switch, Num_Lock, Caps_Lock and Shift_Lock.
 * The guest's own would be applied to what the viewer's have been applied to already.
 */
static bool is_in_other_keysyms(uint32_t keysym)
{
	return (keysym >= 0xfe03 && keysym <= 0xfe13) || keysym == 0xff7e || keysym == 0xff7f ||
	       keysym == 0xffe5 || keysym == 0xffe6;
}

bool viewer_input_key(struct viewer_input *input, uint64_t from, uint32_t keysym, bool down)
{
	const struct viewer_event event = { .is_key = true, .down = down, .keysym = keysym };

	/* The agent would refuse all that comes along with it. */
	if (keysym < 1 || keysym > PROTO_KEYSYM_MAX || is_in_other_keysyms(keysym))
		return false;
	pthread_mutex_lock(&input->lock);
	bool counts = from == input->from;
	if (counts)
		put(input, &event);
	pthread_mutex_unlock(&input->lock);
	return counts;
}

bool viewer_input_pointer(struct viewer_input *input, uint64_t from, unsigned x, unsigned y,
                          unsigned buttons)
{
	const struct viewer_event event = { .x = x, .y = y, .buttons = buttons };

	pthread_mutex_lock(&input->lock);
	struct viewer_event *last = input->count ? &input->events[input->count - 1] : NULL;
	bool counts = from == input->from;
	if (counts && last && !last->is_key && last->buttons == buttons)
		*last = event;
	else if (counts)
		put(input, &event);
	pthread_mutex_unlock(&input->lock);
	return counts;
}

/* --- steps -------------------------------------------------------------------------------------- */

static void add(json_t *steps, json_t *step)
{
	ASSERT(step && json_array_append_new(steps, step) == 0);
}

static bool is_down(const struct viewer_input *input, uint32_t keysym, unsigned *out_at)
{
	for (unsigned i = 0; i < input->key_count; i++)
		if (input->keys[i] == keysym) {
			*out_at = i;
			return true;
		}
	return false;
}

static void add_key(struct viewer_input *input, json_t *steps, uint32_t keysym, bool down)
{
	unsigned at;
	bool was_down = is_down(input, keysym, &at);

	if (!down && !was_down)
		return;
	if (down && !was_down) {
		if (input->key_count == VIEWER_KEYS_MAX)
			return;
		input->keys[input->key_count++] = keysym;
	}
	if (!down)
		input->keys[at] = input->keys[--input->key_count];
	add(steps, json_pack("{s:I,s:b}", "keysym", (json_int_t)keysym, "down", down));
}

static void add_buttons(struct viewer_input *input, json_t *steps, unsigned buttons)
{
	for (unsigned i = 0; i < BUTTONS; i++)
		if ((input->buttons ^ buttons) >> i & 1)
			add(steps, json_pack("{s:i,s:b}", "button", (int)i + 1, "down",
			                     (int)(buttons >> i & 1)));
	input->buttons = buttons;
}

json_t *viewer_input_take(struct viewer_input *input, bool only_ups)
{
	struct viewer_event events[BATCH];

	pthread_mutex_lock(&input->lock);
	unsigned count = input->count < BATCH ? input->count : BATCH;
	memcpy(events, input->events, count * sizeof(events[0]));
	input->count -= count;
	memmove(input->events, input->events + count, input->count * sizeof(events[0]));
	pthread_mutex_unlock(&input->lock);
	if (count == 0)
		return NULL;
	json_t *steps = json_array();
	ASSERT(steps);
	for (unsigned i = 0; i < count; i++) {
		const struct viewer_event *event = &events[i];

		if (event->is_key && !(only_ups && event->down))
			add_key(input, steps, event->keysym, event->down);
		if (only_ups && !event->is_key)
			add_buttons(input, steps, input->buttons & event->buttons);
		if (only_ups || event->is_key)
			continue;
		add(steps, json_pack("{s:[i,i]}", "move", (int)event->x, (int)event->y));
		add_buttons(input, steps, event->buttons);
	}
	return steps;
}

json_t *viewer_input_give(struct viewer_input *input, uint64_t from)
{
	pthread_mutex_lock(&input->lock);
	input->from = from;
	input->count = 0;
	pthread_mutex_unlock(&input->lock);
	if (input->key_count == 0 && input->buttons == 0)
		return NULL;
	json_t *steps = json_array();
	ASSERT(steps);
	add_buttons(input, steps, 0);
	while (input->key_count)
		add_key(input, steps, input->keys[input->key_count - 1], false);
	return steps;
}
