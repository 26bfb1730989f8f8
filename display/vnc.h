/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vnc.h - a screen shown to VNC viewers (RFC 6143, RFB 3.3 to 3.8), by libvncserver.
 *
 *	scan's thread ── vnc_source_show() ──► the source: a copy of the screen
 *	                                          │ damaged tiles, a map a viewer
 *	a thread a viewer ◄───────────────────────┘
 *	   its own copy, its own libvncserver screen with one client, its socket
 *
 * Encoders are libvncserver's. It writes until all is written, so each viewer has a thread: one that
 * doesn't read stops its own thread and nobody else. Damage, pacing and who may type are ours. The
 * pointer is in the picture: the guest's X server paints it there. A viewer is anybody who may connect: what it
 * says is cut into messages and checked before the library sees any of it (vnc_gate.h).
 *
 * The library and what it drags in are loaded when the first viewer comes, and not before: a session
 * that nobody looks at starts without it.
 */
#ifndef CLOCHE_DISPLAY_VNC_H
#define CLOCHE_DISPLAY_VNC_H

#include <stdbool.h>
#include <stdint.h>

#include "display/tiles.h"
#include "lib/error.h"

struct vnc_library; /* opaque */
struct vnc_source;  /* opaque */
struct vnc_viewer;  /* opaque */

/* 0; -ENOENT: it isn't there; -ENOMEM. Takes milliseconds, and disk accesses the first time. */
int vnc_library_load(struct vnc_library **out_library, struct error *err);

/* All sources have been destroyed. The library itself stays where it is. Takes NULL. */
void vnc_library_release(struct vnc_library *library);

/*
 * Between the two no viewer's thread is where a fork(2) would leave the library's own locks held in the child.
 * Waits for no viewer. Both take NULL.
 */
void vnc_library_hold(struct vnc_library *library);
void vnc_library_go_on(struct vnc_library *library);

#define VNC_EVENTS_AT_ONCE                                                                         \
	400 /* keys and pointers that come at most between two questions whether it may go on */

/* What a viewer does; on its thread, must not block. */
struct vnc_events {
	/* Whether it is listened to; if not, until vnc_viewer_go_on(). */
	bool (*may_go_on)(void *arg);
	void (*key)(void *arg, uint32_t keysym, bool down);
	/* @buttons: bit 0 is the left one, as in RFB; inside the screen. */
	void (*pointer)(void *arg, unsigned x, unsigned y, unsigned buttons);
	/* The last one: it has gone, or was sent away. vnc_viewer_destroy() doesn't wait any more. */
	void (*ended)(void *arg);
};

/*
 * A screen of @width x @height that shows nothing yet; called @name in viewers' titles (copied).
 * 0 with *out_source owned by the caller; -ENOMEM. I/O thread.
 */
int vnc_source_create(struct vnc_library *library, unsigned width, unsigned height,
                      const char *name, struct vnc_source **out_source, struct error *err);

/* All of its viewers have been destroyed. Takes NULL. */
void vnc_source_destroy(struct vnc_source *source);

/*
 * Shows viewers what has changed in @tiles, which must have the source's size: false if not, and then
 * all viewers are sent away. Any one thread; copies, doesn't wait for viewers.
 */
bool vnc_source_show(struct vnc_source *source, const struct tiles *tiles);

/*
 * A viewer on the connected stream socket @fd, which is taken, on failure too. @number is a descriptor below
 * FD_SETSIZE, of whatever: select(2), which the library uses, takes no other; the viewer's until it is destroyed,
 * and on failure the caller's still. @events must live until then. One that hasn't introduced itself within 10 s
 * is sent away. 0 with *out_viewer owned by the caller; -ENOMEM, -errno.
 */
int vnc_viewer_create(struct vnc_source *source, int fd, int number,
                      const struct vnc_events *events, void *arg, struct vnc_viewer **out_viewer,
                      struct error *err);

/*
 * Sends it away, if it is still there, and waits for its thread. Its number, which may still refer to its socket; -1
 * when the library has closed it. Takes NULL. I/O thread.
 */
int vnc_viewer_destroy(struct vnc_viewer *viewer);

/* It may be listened to again. I/O thread. */
void vnc_viewer_go_on(const struct vnc_viewer *viewer);

/* Why it has ended, once it has; borrowed. */
const char *vnc_viewer_reason(const struct vnc_viewer *viewer);

/* Bytes sent to it so far. Any thread. */
uint64_t vnc_viewer_sent(const struct vnc_viewer *viewer);

#endif
