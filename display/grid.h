/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * grid.h - a screen cut into tiles, row by row from the top left; those at the right and at the bottom may be
 * smaller. Geometry only: no pixels. Any thread; no state.
 */
#ifndef CLOCHE_DISPLAY_GRID_H
#define CLOCHE_DISPLAY_GRID_H

#include <stddef.h>
#include <stdint.h>

#include "display/rectangle.h"

#define TILE_WIDTH 64u /* pixels */
#define TILE_HEIGHT 32u

struct grid {
	unsigned width, height; /* pixels, 1 to PROTO_DISPLAY_SIDE_MAX */
	unsigned columns, rows; /* of tiles */
};

struct grid grid_of(unsigned width, unsigned height);

static inline unsigned grid_count(const struct grid *grid)
{
	return grid->columns * grid->rows;
}

/* The pixels of tile number @index. */
struct rectangle grid_tile(const struct grid *grid, unsigned index);

/* Marks, with 1, those of the tiles that have a pixel in common with @area; the others are left. */
void grid_mark(const struct grid *grid, const struct rectangle *area, uint8_t *marked);

/*
 * Rectangles that together cover the marked tiles (a byte a tile, not 0) and nothing else, none of them
 * twice; few, not always the fewest. @marked is worn: it is all 0 afterwards. Their number, at most @max, which
 * is at least 1: where they don't suffice, the last is a box around all that was left, and whatever lies there.
 */
size_t grid_rectangles(const struct grid *grid, uint8_t *marked, struct rectangle *out, size_t max);

#endif
