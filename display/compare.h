/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * compare.h - in which tiles two screens differ, and a picture that shows it. Any thread; no state.
 */
#ifndef CLOCHE_DISPLAY_COMPARE_H
#define CLOCHE_DISPLAY_COMPARE_H

#include <stddef.h>
#include <stdint.h>

#include "display/tiles.h"
#include "lib/error.h"

/*
 * Marks (a byte a tile, 0 or 1) in which tiles of @grid the hashes @now differ from those @before, of @old_grid:
 * in all of them if the screens aren't of the same size. Their number.
 */
unsigned compare_hashes(const struct grid *old_grid, const uint64_t *before,
                        const struct grid *grid, const uint64_t *now, uint8_t *out_marked);

/*
 * A PNG of the screen in @tiles: marked tiles as they are, red lines around them, all else faded.
 * 0 with a sealed memfd, owned by the caller, and its size; or -errno with @err filled.
 */
int compare_picture(const struct tiles *tiles, const uint8_t *marked, int *out_fd, size_t *out_size,
                    struct error *err);

#endif
