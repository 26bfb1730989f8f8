/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * picture.h - a screen as somebody outside of the VMM knows it: its pixels, and which of its tiles
 * have changed.
 *
 * One thread at a time.
 */
#ifndef CLOCHE_DISPLAY_PICTURE_H
#define CLOCHE_DISPLAY_PICTURE_H

#include <stddef.h>
#include <stdint.h>

#include "display/grid.h"
#include "lib/proto.h"

#define PICTURE_TILES_MAX                                                                          \
	((PROTO_DISPLAY_SIDE_MAX / TILE_WIDTH) * (PROTO_DISPLAY_SIDE_MAX / TILE_HEIGHT))
#define PICTURE_TILE_PIXELS ((size_t)TILE_WIDTH * TILE_HEIGHT)

struct picture {
	struct grid grid; /* no width: it is empty */
	uint32_t *pixels; /* owned: width * height, 0x00RRGGBB */
	uint8_t *changed; /* owned: a byte a tile */
};

/*
 * Makes it all black, all of its tiles changed, and @width x @height large (both 1 to
 * PROTO_DISPLAY_SIDE_MAX). 0; -ENOMEM, and it is as it was. Takes an empty one, all zeros.
 */
int picture_resize(struct picture *picture, unsigned width, unsigned height);

/* Empties it; takes an empty one. */
void picture_finish(struct picture *picture);
#define cleanup_picture __attribute__((cleanup(picture_finish)))

unsigned picture_tile_count(const struct picture *picture);

/* Where tile @index lies. */
struct rectangle picture_tile(const struct picture *picture, unsigned index);

/* Copies a tile's pixels out, row after row without gaps. Their number. */
size_t picture_get_tile(const struct picture *picture, unsigned index,
                        uint32_t out_pixels[PICTURE_TILE_PIXELS]);

/* The other way; marks nothing. */
void picture_put_tile(struct picture *picture, unsigned index, const uint32_t *pixels);

/* The pixels as R, G, B bytes; @out_rgb has room for width * height * 3. */
void picture_get_rgb(const struct picture *picture, uint8_t *out_rgb);

#endif
