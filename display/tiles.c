/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tiles.c - see tiles.h.
 *
 * A tile is read into .tile, hashed there, and put into the copy if its hash is another: so hash and copy are
 * of the same pixels whatever the guest does, and what hasn't changed is never written. 8 KiB stay in the L1
 * cache; the guest's pages are read once.
 */
#include "display/tiles.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "display/hash.h"
#include "display/pixels.h"
#include "display/scratch.h"
#include "lib/log.h"
#include "lib/proto.h"

struct tiles {
	struct grid grid;
	bool scanned;
	struct scratch scratch; /* what the pointers below point into */
	uint32_t *pixels;
	uint64_t *hashes;
	uint8_t *changed, *worn;
	_Alignas(64) uint32_t tile[TILE_WIDTH * TILE_HEIGHT];
};

int tiles_create(unsigned width, unsigned height, struct tiles **out_tiles)
{
	ASSERT(width >= 1 && width <= PROTO_DISPLAY_SIDE_MAX);
	ASSERT(height >= 1 && height <= PROTO_DISPLAY_SIDE_MAX);

	struct grid grid = grid_of(width, height);
	size_t count = grid_count(&grid), pixels = (size_t)width * height;
	struct tiles *tiles = aligned_alloc(64, sizeof(*tiles));

	if (!tiles)
		return -ENOMEM;
	memset(tiles, 0, sizeof(*tiles));
	if (scratch_init(&tiles->scratch, count * (sizeof(uint64_t) + 2) + pixels * 4) < 0) {
		free(tiles);
		return -ENOMEM;
	}
	tiles->grid = grid;
	tiles->hashes = tiles->scratch.data;
	tiles->pixels = (uint32_t *)(tiles->hashes + count);
	tiles->changed = (uint8_t *)(tiles->pixels + pixels);
	tiles->worn = tiles->changed + count;
	*out_tiles = tiles;
	return 0;
}

void tiles_destroy(struct tiles *tiles)
{
	if (!tiles)
		return;
	scratch_finish(&tiles->scratch);
	free(tiles);
}

static void keep_tile(struct tiles *tiles, const struct rectangle *area)
{
	uint32_t *to = tiles->pixels + (size_t)area->y * tiles->grid.width + area->x;

	for (unsigned y = 0; y < area->height; y++)
		memcpy(to + (size_t)y * tiles->grid.width, tiles->tile + y * area->width,
		       area->width * sizeof(*to));
}

/* Its pixels to @tile; their hash. */
static uint64_t read_tile(const struct framebuffer *fb, const struct rectangle *area,
                          uint32_t *tile)
{
	framebuffer_read_area(fb, area, tile);
	return hash_pixels(tile, (size_t)area->width * area->height * sizeof(*tile));
}

unsigned tiles_scan(struct tiles *tiles, const struct framebuffer *fb)
{
	unsigned count = grid_count(&tiles->grid), changed = 0;

	ASSERT(framebuffer_width(fb) == tiles->grid.width &&
	       framebuffer_height(fb) == tiles->grid.height);
	for (unsigned i = 0; i < count; i++) {
		struct rectangle area = grid_tile(&tiles->grid, i);

		uint64_t hash = read_tile(fb, &area, tiles->tile);

		tiles->changed[i] = hash != tiles->hashes[i] || !tiles->scanned;
		if (!tiles->changed[i])
			continue;
		tiles->hashes[i] = hash;
		keep_tile(tiles, &area);
		changed++;
	}
	tiles->scanned = true;
	return changed;
}

void tiles_read_rgb(const struct framebuffer *fb, uint64_t *out_hashes, uint8_t *out_rgb)
{
	struct grid grid = grid_of(framebuffer_width(fb), framebuffer_height(fb));
	_Alignas(64) uint32_t tile[TILE_WIDTH * TILE_HEIGHT];

	for (unsigned i = 0; i < grid_count(&grid); i++) {
		struct rectangle area = grid_tile(&grid, i);

		out_hashes[i] = read_tile(fb, &area, tile);
		for (unsigned y = 0; y < area.height; y++)
			pixels_to_rgb(tile + y * area.width, area.width,
			              out_rgb + 3 * ((size_t)(area.y + y) * grid.width + area.x));
	}
}

void tiles_mark_all(struct tiles *tiles)
{
	memset(tiles->changed, 1, grid_count(&tiles->grid));
}

const struct grid *tiles_grid(const struct tiles *tiles)
{
	return &tiles->grid;
}

unsigned tiles_count(const struct tiles *tiles)
{
	return grid_count(&tiles->grid);
}

unsigned tiles_columns(const struct tiles *tiles)
{
	return tiles->grid.columns;
}

unsigned tiles_rows(const struct tiles *tiles)
{
	return tiles->grid.rows;
}

const uint8_t *tiles_changed(const struct tiles *tiles)
{
	return tiles->changed;
}

const uint64_t *tiles_hashes(const struct tiles *tiles)
{
	return tiles->hashes;
}

const uint32_t *tiles_pixels(const struct tiles *tiles)
{
	return tiles->pixels;
}

size_t tiles_rectangles(const struct tiles *tiles, const uint8_t *marked, struct rectangle *out,
                        size_t max)
{
	memcpy(tiles->worn, marked, grid_count(&tiles->grid));
	return grid_rectangles(&tiles->grid, tiles->worn, out, max);
}
