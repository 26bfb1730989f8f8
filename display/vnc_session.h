/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vnc_session.h - one viewer's connection: libvncserver's encoders behind a gate of ours (vnc_gate.h).
 *
 * One thread, which may wait for its viewer: the library writes until all is written.
 */
#ifndef CLOCHE_DISPLAY_VNC_SESSION_H
#define CLOCHE_DISPLAY_VNC_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "display/grid.h"
#include "lib/error.h"

#define VNC_STUCK_MS 60000 /* a viewer that takes nothing for this long is closed */

struct vnc_library;
struct vnc_session; /* opaque */

struct vnc_session_options {
	int fd; /* the viewer's; borrowed, non-blocking */
	/*
	 * A descriptor below FD_SETSIZE for the library, which uses select(2): it is made to mean other things.
	 * Borrowed, and maybe closed: see vnc_session_destroy().
	 */
	int number;
	const char *name; /* of the desktop; borrowed */
	struct grid grid; /* of the screen */
	uint32_t *pixels; /* borrowed: rows of 0x00RRGGBB */
	/* What the viewer does; must not call the session. The place may be beyond the screen. */
	void *arg;
	void (*key)(void *arg, uint32_t keysym, bool down);
	void (*pointer)(void *arg, unsigned x, unsigned y, unsigned buttons);
};

/* Greets the viewer. 0, -ENOMEM or -errno; *out_session is owned by the caller. */
int vnc_session_create(struct vnc_library *library, const struct vnc_session_options *options,
                       struct vnc_session **out_session);

/*
 * Takes NULL. False: the library has closed .number, which may be anybody's by now. Otherwise it is the caller's
 * still, and refers to the viewer's socket or to nothing of use.
 */
bool vnc_session_destroy(struct vnc_session *session);

/*
 * Reads what the viewer has sent, VNC_GATE_BUFFER bytes at most, and acts on it. 0: read on when there is more;
 * -ECONNRESET: it has gone; -EPROTO, with @err: we don't talk to it; -errno.
 */
int vnc_session_read(struct vnc_session *session, struct error *err);

/* True: the viewer has introduced itself. */
bool vnc_session_is_open(const struct vnc_session *session);

/* True: it has asked for what is new, and hasn't got it. */
bool vnc_session_is_waiting(const struct vnc_session *session);

/*
 * Sends what it asked for, if anything of that has changed: in these rectangles, or since it has asked last. Blocks
 * until the viewer has read it, its socket is shut down, or it is stuck. 0, or as vnc_session_read().
 */
int vnc_session_update(struct vnc_session *session, const struct rectangle *changed, size_t count);

/* Bytes of pictures sent so far. */
uint64_t vnc_session_sent(const struct vnc_session *session);

#endif
