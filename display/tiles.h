/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tiles.h - a copy of a guest's screen that is kept up to date, with a hash a tile. What the hashes say has
 * changed serves everyone who looks: viewers, settling, comparison, recording.
 *
 * One thread at a time, which needn't be the one that made it. The guest may paint meanwhile: each pixel is read
 * once a scan, and a tile's hash is always that of the copy.
 */
#ifndef CLOCHE_DISPLAY_TILES_H
#define CLOCHE_DISPLAY_TILES_H

#include <stddef.h>
#include <stdint.h>

#include "display/framebuffer.h"
#include "display/grid.h"

struct tiles; /* opaque */

/*
 * For screens of @width x @height (1 to PROTO_DISPLAY_SIDE_MAX); black and without hashes until the first scan.
 * 0 with *out_tiles owned by the caller, or -ENOMEM. Four bytes a pixel that no forked child gets.
 */
int tiles_create(unsigned width, unsigned height, struct tiles **out_tiles);

/* Takes NULL. */
void tiles_destroy(struct tiles *tiles);

/*
 * Reads the screen, which has the size that @tiles were made for. Returns how many tiles have changed since the
 * scan before; the first scan: all of them. Doesn't block.
 */
unsigned tiles_scan(struct tiles *tiles, const struct framebuffer *fb);

/*
 * One look without a copy that is kept: the screen as R, G, B rows, width * height * 3 bytes, and a hash a tile,
 * the same that tiles_hashes() has. Any thread.
 */
void tiles_read_rgb(const struct framebuffer *fb, uint64_t *out_hashes, uint8_t *out_rgb);

/* As if all had changed in the last scan: for someone who sees the screen for the first time. */
void tiles_mark_all(struct tiles *tiles);

const struct grid *tiles_grid(const struct tiles *tiles);
unsigned tiles_count(const struct tiles *tiles);
unsigned tiles_columns(const struct tiles *tiles);
unsigned tiles_rows(const struct tiles *tiles);

/* A byte a tile, 1: has changed in the last scan. Valid until the next. */
const uint8_t *tiles_changed(const struct tiles *tiles);

/* A hash a tile: XXH3-64 of its pixels, rows packed, 0x00RRGGBB little-endian. */
const uint64_t *tiles_hashes(const struct tiles *tiles);

/* The copy: rows of width pixels, 0x00RRGGBB. */
const uint32_t *tiles_pixels(const struct tiles *tiles);

/*
 * Few rectangles that cover exactly the tiles that are marked in @marked (a byte a tile). Their number, at most
 * @max, which is at least 1: where they don't suffice, the last is a box around all that was left.
 */
size_t tiles_rectangles(const struct tiles *tiles, const uint8_t *marked, struct rectangle *out,
                        size_t max);

#endif
