/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * frames.h - the control verb "frames": the screen's changes to whoever brought a socket
 * (display/frame_stream.h).
 *
 * All functions are the I/O thread's. Frames are sent by the scan's thread and never waited for: each client
 * has marks of the tiles that are still to be told, and at most one frame's copy on its way. A slow one is
 * told the newest of each tile when it has read what it was sent, and delays nobody.
 */
#ifndef CLOCHE_VMM_FRAMES_H
#define CLOCHE_VMM_FRAMES_H

#include <stdbool.h>

#include "lib/error.h"

#define FRAMES_CLIENTS_MAX 8

struct frames; /* opaque */
struct vm;

/* 0 or -ENOMEM; *out_frames is owned by the caller. */
int frames_create(struct vm *vm, struct frames **out_frames);

/* Hangs up on all clients. Takes NULL. */
void frames_destroy(struct frames *frames);

/*
 * Sends frames to @fd, a connected stream socket, until it is closed or something comes in on it. @fast:
 * looks at the screen with 30 Hz, whether something changes or not. 0, and @fd is owned; -ENOTSOCK: @fd is
 * something else; -EBUSY: FRAMES_CLIENTS_MAX are served; other -errno.
 */
int frames_add(struct frames *frames, int fd, bool fast);

#endif
