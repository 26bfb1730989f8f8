/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * picture.c - see picture.h. One thread at a time.
 */
#include "display/picture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "display/pixels.h"
#include "lib/log.h"

int picture_resize(struct picture *picture, unsigned width, unsigned height)
{
	ASSERT(width >= 1 && width <= PROTO_DISPLAY_SIDE_MAX);
	ASSERT(height >= 1 && height <= PROTO_DISPLAY_SIDE_MAX);
	struct grid grid = grid_of(width, height);
	uint32_t *pixels = calloc((size_t)width * height, sizeof(*pixels));
	uint8_t *changed = malloc(grid_count(&grid));

	if (!pixels || !changed) {
		free(pixels);
		free(changed);
		return -ENOMEM;
	}
	memset(changed, 1, grid_count(&grid));
	picture_finish(picture);
	*picture = (struct picture){ grid, pixels, changed };
	return 0;
}

void picture_finish(struct picture *picture)
{
	free(picture->pixels);
	free(picture->changed);
	*picture = (struct picture){ 0 };
}

unsigned picture_tile_count(const struct picture *picture)
{
	return grid_count(&picture->grid);
}

struct rectangle picture_tile(const struct picture *picture, unsigned index)
{
	ASSERT(index < picture_tile_count(picture));
	return grid_tile(&picture->grid, index);
}

size_t picture_get_tile(const struct picture *picture, unsigned index,
                        uint32_t out_pixels[PICTURE_TILE_PIXELS])
{
	struct rectangle tile = picture_tile(picture, index);

	for (unsigned y = 0; y < tile.height; y++)
		memcpy(out_pixels + (size_t)y * tile.width,
		       picture->pixels + (size_t)(tile.y + y) * picture->grid.width + tile.x,
		       tile.width * sizeof(*out_pixels));
	return (size_t)tile.width * tile.height;
}

void picture_put_tile(struct picture *picture, unsigned index, const uint32_t *pixels)
{
	struct rectangle tile = picture_tile(picture, index);

	for (unsigned y = 0; y < tile.height; y++)
		memcpy(picture->pixels + (size_t)(tile.y + y) * picture->grid.width + tile.x,
		       pixels + (size_t)y * tile.width, tile.width * sizeof(*pixels));
}

void picture_get_rgb(const struct picture *picture, uint8_t *out_rgb)
{
	pixels_to_rgb(picture->pixels, (size_t)picture->grid.width * picture->grid.height, out_rgb);
}
