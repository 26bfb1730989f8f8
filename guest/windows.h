/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * windows.h - the little that a window manager must do for a browser that fills the screen, and
 * the barrier that tells when a client has caught up. The input worker's process; calls that ask
 * the server block for its answer.
 */
#ifndef CLOCHE_GUEST_WINDOWS_H
#define CLOCHE_GUEST_WINDOWS_H

#include <stdbool.h>
#include <stdint.h>
#include <xcb/xcb.h>

struct windows; /* opaque */

/* Begins to listen to the root window of @screen (borrowed, like @conn). 0, -ENOMEM or -EIO. */
int windows_create(xcb_connection_t *conn, const xcb_screen_t *screen,
                   struct windows **out_windows);
void windows_destroy(struct windows *windows);

/* Handles an event of the connection; those of others are ignored. */
void windows_handle(struct windows *windows, const xcb_generic_event_t *event);

/*
 * Waits until the client that has the keyboard has handled all X events sent to it so far: it is
 * asked by _NET_WM_PING, whose answer follows them. Where no window can be asked, or doesn't answer
 * within @timeout_ms, that is all there is; @other gets each event that isn't for us. false when the
 * server is gone.
 */
bool windows_barrier(struct windows *windows, uint32_t timeout_ms,
                     void (*other)(void *arg, const xcb_generic_event_t *event), void *arg);

#endif
