/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stillness.h - since when has the screen, or a part of it, stood still? What blinks doesn't count. One thread at a
 * time.
 *
 * A tile blinks if it goes round among few pictures (2 to 4) with a regular period: a caret, an animation of
 * few steps. It is known to by its second round, and a small one that went back to where it was, as a caret
 * does, by its first. What it did until then counts no more; a new picture, or one out of turn, counts again.
 */
#ifndef CLOCHE_DISPLAY_STILLNESS_H
#define CLOCHE_DISPLAY_STILLNESS_H

#include <stddef.h>
#include <stdint.h>

#include "display/grid.h"

struct stillness; /* opaque */

/*
 * Begins at @now_ns (CLOCK_MONOTONIC, as all times) with a screen whose tiles have @hashes. Only tiles that overlap
 * @area (NULL: all of the screen) count. 0 with *out_stillness owned by the caller, or -ENOMEM.
 */
int stillness_create(const struct grid *grid, const struct rectangle *area, uint64_t now_ns,
                     const uint64_t *hashes, struct stillness **out_stillness);

/* Takes NULL. */
void stillness_destroy(struct stillness *stillness);

/* Another look: the tiles that have @changed (a byte each) have new @hashes. */
void stillness_note(struct stillness *stillness, uint64_t now_ns, const uint8_t *changed,
                    const uint64_t *hashes);

/* When something that counts has changed last; the beginning if nothing has. */
uint64_t stillness_since(const struct stillness *stillness);

/* What blinks, as grid_rectangles() has it. */
size_t stillness_periodic(struct stillness *stillness, struct rectangle *out, size_t max);

const struct grid *stillness_grid(const struct stillness *stillness);

/* All tiles' hashes, as of the last look. */
const uint64_t *stillness_hashes(const struct stillness *stillness);

#endif
