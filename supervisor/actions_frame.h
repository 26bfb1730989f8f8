/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * actions_frame.h - what an action's coordinates are on, and how a frame's name says it. Pure.
 *
 * The VMM names what the screen shows (lib/proto.h, verb compare). A picture that is smaller than
 * the screen, or shows a part of it, is called so that its coordinates can be found again:
 *
 *	0badcafe-12                         all of the screen, as it is
 *	0badcafe-12@640x400/1280x800+0+0    640x400 pixels show the 1280x800 of the screen at 0,0
 */
#ifndef CLOCHE_SUPERVISOR_ACTIONS_FRAME_H
#define CLOCHE_SUPERVISOR_ACTIONS_FRAME_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "supervisor/shot.h"

#define ACTION_FRAME_MAX 96 /* bytes of a frame's whole name, with NUL */

struct action_point {
	uint32_t x, y;
};

/* A picture of a part of the screen. The screen itself is one of its own size. */
struct action_view {
	uint32_t width, height; /* of the picture */
	struct action_point origin;
	uint32_t of_width, of_height; /* of the part, which begins at origin */
};

struct action_frame {
	char id[SHOT_FRAME_MAX]; /* the VMM's; "": no frame */
	bool has_view;           /* false: of the screen itself */
	struct action_view view;
};

/* The screen itself. */
struct action_view action_view_of_screen(uint32_t width, uint32_t height);

/* Reads a frame's name. False: it is none. */
bool action_frame_parse(const char *text, struct action_frame *out_frame);

/* Writes a frame's name: that of @id as @frame shows it. */
void action_frame_name(const struct action_frame *frame, const char *id,
                       char out_name[ACTION_FRAME_MAX]);

/* The middle of a picture's pixel, on the screen. */
struct action_point action_view_place(const struct action_view *view, struct action_point pixel);

/* All pixels of the screen that a rectangle of the picture, [x, y, width, height], touches. */
void action_view_place_rectangle(const struct action_view *view, const uint32_t rectangle[4],
                                 uint32_t out_rectangle[4]);

/* The other way: what of the screen's rectangles, [[x, y, width, height]…], the picture shows. */
json_t *action_view_show(const struct action_view *view, const json_t *rectangles);

#endif
