/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rectangle.h - a piece of a screen, in pixels from its top left corner. No state, any thread.
 */
#ifndef CLOCHE_DISPLAY_RECTANGLE_H
#define CLOCHE_DISPLAY_RECTANGLE_H

#include <stdbool.h>

struct rectangle {
	unsigned x, y, width, height;
};

/* True: at least one pixel, and all of them on a screen of that size. Whatever the numbers. */
static inline bool rectangle_is_within(const struct rectangle *r, unsigned width, unsigned height)
{
	return r->width > 0 && r->height > 0 && r->width <= width && r->height <= height &&
	       r->x <= width - r->width && r->y <= height - r->height;
}

/* Both within a screen. */
static inline bool rectangle_overlaps(const struct rectangle *a, const struct rectangle *b)
{
	return a->x < b->x + b->width && b->x < a->x + a->width && a->y < b->y + b->height &&
	       b->y < a->y + a->height;
}

#endif
