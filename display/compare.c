/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * compare.c - see compare.h. No state, any thread.
 */
#include "display/compare.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "display/memfile.h"
#include "display/pixels.h"
#include "display/png.h"
#include "display/scratch.h"
#include "lib/cleanup.h"

#define LINE 2u        /* pixels */
#define FRAMES_MAX 256 /* rectangles that get one */
#define LINE_COLOR 0xe00020u

unsigned compare_hashes(const struct grid *old_grid, const uint64_t *before,
                        const struct grid *grid, const uint64_t *now, uint8_t *out_marked)
{
	bool same_size = old_grid->width == grid->width && old_grid->height == grid->height;
	unsigned count = 0;

	for (unsigned i = 0; i < grid_count(grid); i++) {
		out_marked[i] = !same_size || before[i] != now[i];
		count += out_marked[i];
	}
	return count;
}

/* Grey, and nearer to white. */
static uint32_t fade(uint32_t pixel)
{
	uint32_t grey =
		((pixel >> 16 & 0xff) * 5 + (pixel >> 8 & 0xff) * 9 + (pixel & 0xff) * 2) / 16;

	return (128 + grey / 2) * 0x010101u;
}

static void fade_others(const struct grid *grid, const uint8_t *marked, uint32_t *pixels)
{
	for (unsigned i = 0; i < grid_count(grid); i++) {
		struct rectangle tile = grid_tile(grid, i);

		for (unsigned y = tile.y; y < tile.y + tile.height && !marked[i]; y++)
			for (unsigned x = tile.x; x < tile.x + tile.width; x++)
				pixels[y * grid->width + x] = fade(pixels[y * grid->width + x]);
	}
}

static void draw_frame(const struct grid *grid, const struct rectangle *r, uint32_t *pixels)
{
	for (unsigned y = r->y; y < r->y + r->height; y++) {
		bool whole = y < r->y + LINE || y + LINE >= r->y + r->height;

		for (unsigned x = r->x; x < r->x + r->width; x++)
			if (whole || x < r->x + LINE || x + LINE >= r->x + r->width)
				pixels[y * grid->width + x] = LINE_COLOR;
	}
}

int compare_picture(const struct tiles *tiles, const uint8_t *marked, int *out_fd, size_t *out_size,
                    struct error *err)
{
	const struct grid *grid = tiles_grid(tiles);
	size_t count = (size_t)grid->width * grid->height, size;
	struct rectangle areas[FRAMES_MAX];
	struct scratch scratch = { 0 };
	cleanup_free void *png = NULL;
	int rc = scratch_init(&scratch, count * (sizeof(uint32_t) + 3));

	if (rc < 0)
		return error_set(err, rc, "no memory for a picture of %ux%u", grid->width,
		                 grid->height);
	uint32_t *pixels = scratch.data;
	uint8_t *rgb = (uint8_t *)(pixels + count);
	memcpy(pixels, tiles_pixels(tiles), count * sizeof(*pixels));
	fade_others(grid, marked, pixels);
	size_t areas_count = tiles_rectangles(tiles, marked, areas, FRAMES_MAX);
	for (size_t i = 0; i < areas_count; i++)
		draw_frame(grid, &areas[i], pixels);
	pixels_to_rgb(pixels, count, rgb);
	rc = png_encode_rgb(rgb, grid->width, grid->height, &png, &size, err);
	scratch_finish(&scratch);
	if (rc == 0)
		rc = memfile_create("compare.png", png, size, out_fd, err);
	if (rc == 0)
		*out_size = size;
	return rc;
}
