/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * listener.h - accepts connections on a loop, and rests when the process has no room for one more.
 *
 * A connection that can't be accepted for want of fds or memory stays in the kernel's queue and keeps
 * the socket readable: a plain watch would spin. The loop's thread only.
 */
#ifndef CLOCHE_LIB_LISTENER_H
#define CLOCHE_LIB_LISTENER_H

#include <stdbool.h>

#include "lib/log.h"
#include "lib/loop.h"

struct listener {
	struct loop *loop; /* borrowed */
	int fd;            /* owned, -1 when not listening */
	struct loop_watch watch;
	struct loop_timer rest;
	bool paused;
	struct log_limit limit;
	/* A new connection, non-blocking; @fd is the callee's. It may stop or pause the listener. */
	void (*accepted)(struct listener *listener, int fd);
};

#define LISTENER_INIT                                                                              \
	{                                                                                          \
		.fd = -1                                                                           \
	}

/*
 * Accepts on the listening, non-blocking socket @fd from now on. Owns @fd if it returns 0; else
 * -errno.
 */
int listener_start(struct listener *listener, struct loop *loop, int fd,
                   void (*accepted)(struct listener *listener, int fd));

/*
 * Accepts nobody until it is resumed: who connects waits in the kernel's queue. Both do nothing when
 * not listening.
 */
void listener_pause(struct listener *listener);
void listener_resume(struct listener *listener);

/* Stops and closes; does nothing when not listening. */
void listener_stop(struct listener *listener);

#endif
