/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * picture.h - what clients want to know of the screen of one moment: a picture of it, and what has changed since
 * another moment. I/O thread; the work is the display thread's (screen.h).
 */
#ifndef CLOCHE_VMM_PICTURE_H
#define CLOCHE_VMM_PICTURE_H

#include <jansson.h>
#include <stdbool.h>

#include "display/screenshot.h"

struct vm;

#define PICTURE_RECTANGLES_MAX 256 /* in an answer */

/* The end of a request: an ok or error reply without a usable id, owned by the callee, and a picture
 * as a sealed memfd, borrowed, or -1. */
typedef void picture_done(void *arg, json_t *reply, int fd);

/* Takes a picture; @done is called exactly once, later or at once. Works while paused. */
void picture_shoot(struct vm *vm, const struct screenshot_wish *wish, picture_done *done,
                   void *arg);

struct comparison_wish {
	const char *frame;     /* a name (frame_ids.h); all strings are borrowed for the call */
	const char *against;   /* NULL: the screen now */
	struct rectangle area; /* what is asked about; .width 0: all of the screen */
	bool picture;          /* only of the screen now */
	bool unnamed; /* the screen now gets no name: of what is asked often none is forgotten */
};

/* Says what has changed. Likewise. */
void picture_compare(struct vm *vm, const struct comparison_wish *wish, picture_done *done,
                     void *arg);

/* [[x,y,width,height],…]; NULL without memory. */
json_t *picture_list(const struct rectangle *areas, size_t count);

#endif
