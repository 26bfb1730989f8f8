/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view_file.h - a descriptor of ours in libwebsockets' loop.
 *
 * Embedded in its owner. The loop has a duplicate of the descriptor, and closes that when it comes
 * round to it; the owner keeps its own. The loop's thread only.
 */
#ifndef CLOCHE_SUPERVISOR_VIEW_FILE_H
#define CLOCHE_SUPERVISOR_VIEW_FILE_H

#include <libwebsockets.h>
#include <stdbool.h>

struct view_file {
	struct lws *wsi; /* borrowed; NULL: not watched */
	bool paused;     /* isn't looked at for input */
	void (*readable)(struct view_file *file);
	void (*writable)(struct view_file *file); /* may be NULL */
	void (*hung_up)(struct view_file *file);  /* the loop has stopped watching it */
};

/* The name of the protocol that goes with view_file_callback() on the vhost. */
#define VIEW_FILE_PROTOCOL "file"

/*
 * Watches @fd (borrowed) for input; @file's callbacks are set. Callbacks may call all of this. 0 or
 * -errno.
 */
int view_file_start(struct view_file *file, struct lws_vhost *vhost, int fd);

/* No callback comes after it; does nothing when not watched. */
void view_file_stop(struct view_file *file);

/* Looks for input, or doesn't. Both do nothing when not watched. */
void view_file_pause(struct view_file *file, bool paused);
/* Calls writable() once when it is. */
void view_file_want_write(struct view_file *file);

int view_file_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                       size_t size);

#endif
