/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * input.h - the agent's side of the verb "input": the worker's life and the queue to it.
 * The agent's thread.
 */
#ifndef CLOCHE_GUEST_INPUT_H
#define CLOCHE_GUEST_INPUT_H

struct agent;
struct input; /* opaque */

/* Starts the worker. Call when the display is up. 0 or -errno. */
int input_create(struct agent *agent, struct input **out_input);

/* Ends the worker; requests under way must have been cancelled. Takes NULL. */
void input_destroy(struct input *input);

#endif
