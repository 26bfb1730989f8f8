/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * display.h - Xvfb, and the guest pages that hold its picture. The agent's thread.
 */
#ifndef CLOCHE_GUEST_DISPLAY_H
#define CLOCHE_GUEST_DISPLAY_H

#include <stdbool.h>

struct agent;
struct display; /* opaque */

/*
 * Starts Xvfb. @ready is called once from the loop, when it answers and its framebuffer is mapped.
 * Its death, or a framebuffer that can't be had, is told to the channel. 0 or -errno.
 */
int display_create(struct agent *agent, void (*ready)(struct agent *agent),
                   struct display **out_display);

/* Ends Xvfb; takes NULL. */
void display_destroy(struct display *display);

/* True from ready until Xvfb has died. */
bool display_is_up(const struct display *display);

/* For people: why it isn't up. */
const char *display_explain(const struct display *display);

#endif
