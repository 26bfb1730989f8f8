/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * find.h - finds a known picture wherever it stands on a screen, pixel for pixel.
 *
 * Exact only: the same picture in another size, font, theme or behind something else is another picture.
 * One thread at a time; the template doesn't change once it is made. The screen is a hostile guest's: it
 * can slow the search down, by being full of what begins like the template, but not mislead it.
 */
#ifndef CLOCHE_DISPLAY_FIND_H
#define CLOCHE_DISPLAY_FIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "display/picture.h"
#include "lib/error.h"

#define FIND_PIXELS_MIN 64u /* that count, or anything would do */

struct find_template; /* opaque */

/*
 * A template of @width x @height pixels, 0xAARRGGBB: those that aren't wholly opaque don't count, nor do
 * those where @mask (likewise, of the same size; NULL: none) is dark or transparent. 0; -EINVAL with @err:
 * fewer than FIND_PIXELS_MIN pixels count, or all have one colour; -ENOMEM.
 */
int find_create(const uint32_t *argb, const uint32_t *mask, unsigned width, unsigned height,
                struct find_template **out_template, struct error *err);

/* Takes NULL. */
void find_destroy(struct find_template *template);

/*
 * Looks for the template where a tile that picture->changed marks may be part of it: elsewhere it would
 * have been found before. True: *out_place is where, the topmost.
 */
bool find_changed(struct find_template *template, const struct picture *picture,
                  struct rectangle *out_place);

/* True: it stands at @x, @y, and is wholly on the screen. */
bool find_is_at(const struct find_template *template, const struct picture *picture, unsigned x,
                unsigned y);

/* How many pixels count. */
size_t find_pixels(const struct find_template *template);

#endif
