/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * frames.h - the stream of the control verb "frames" (display/frame_stream.h), read into a picture.
 *
 * The VMM is not trusted with more than its own session: every size is checked before memory is
 * taken or pixels are written, every tile's hash before it counts. A stream that has failed stays
 * failed. Single thread.
 */
#ifndef CLOCHE_SUPERVISOR_FRAMES_H
#define CLOCHE_SUPERVISOR_FRAMES_H

#include <stdbool.h>

#include "display/frame_stream.h"
#include "display/picture.h"

#define FRAMES_READ_MAX ((size_t)256 << 10) /* what a caller reads and pushes at once */

struct frames {
	struct picture picture; /* what has come; .changed is of the last frame */
	struct frame_head head; /* of the frame that was last told, or is coming in */
	unsigned left;          /* tiles of it that are to come */
	uint32_t next_index;    /* the smallest that the next tile may have */
	/* A head or a tile in the making. */
	uint8_t bytes[FRAME_TILE_HEAD_SIZE + PICTURE_TILE_PIXELS * 4];
	size_t used;
	int failed; /* negative errno */
};

/* A whole frame is in frames->picture. -1: stop, the rest is dropped. */
typedef int frames_done(struct frames *frames, void *arg);

/* Takes one that is all zeros, too. */
void frames_finish(struct frames *frames);

/*
 * Takes @size bytes of stream; @done is called at the end of each frame. 0; -ECANCELED: @done said
 * stop; -EPROTO, -ENOMEM with @err. Starts with all zeros.
 */
int frames_push(struct frames *frames, const void *data, size_t size, frames_done *done, void *arg,
                struct error *err);

/* True between frames: the stream may end here. */
bool frames_between(const struct frames *frames);

#endif
