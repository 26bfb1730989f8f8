/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * grid.c - see grid.h. No state, any thread.
 */
#include "display/grid.h"

#include <string.h>

#include "lib/log.h"

/* Tiles, not pixels. */
struct span {
	unsigned x, y, width, height;
};

struct grid grid_of(unsigned width, unsigned height)
{
	return (struct grid){
		.width = width,
		.height = height,
		.columns = (width + TILE_WIDTH - 1) / TILE_WIDTH,
		.rows = (height + TILE_HEIGHT - 1) / TILE_HEIGHT,
	};
}

/* A span's pixels. */
static struct rectangle pixels_of(const struct grid *grid, const struct span *span)
{
	unsigned right = (span->x + span->width) * TILE_WIDTH;
	unsigned bottom = (span->y + span->height) * TILE_HEIGHT;
	struct rectangle r = { .x = span->x * TILE_WIDTH, .y = span->y * TILE_HEIGHT };

	r.width = (right < grid->width ? right : grid->width) - r.x;
	r.height = (bottom < grid->height ? bottom : grid->height) - r.y;
	return r;
}

struct rectangle grid_tile(const struct grid *grid, unsigned index)
{
	ASSERT(grid->columns > 0);
	return pixels_of(grid, &(struct span){ .x = index % grid->columns,
	                                       .y = index / grid->columns,
	                                       .width = 1,
	                                       .height = 1 });
}

void grid_mark(const struct grid *grid, const struct rectangle *area, uint8_t *marked)
{
	unsigned right = (area->x + area->width - 1) / TILE_WIDTH;
	unsigned bottom = (area->y + area->height - 1) / TILE_HEIGHT;

	ASSERT(rectangle_is_within(area, grid->width, grid->height));
	for (unsigned y = area->y / TILE_HEIGHT; y <= bottom; y++)
		for (unsigned x = area->x / TILE_WIDTH; x <= right; x++)
			marked[y * grid->columns + x] = 1;
}

static bool is_row_marked(const struct grid *grid, const uint8_t *marked, const struct span *span,
                          unsigned y)
{
	for (unsigned x = span->x; x < span->x + span->width; x++)
		if (!marked[y * grid->columns + x])
			return false;
	return true;
}

static bool is_column_marked(const struct grid *grid, const uint8_t *marked,
                             const struct span *span, unsigned x)
{
	for (unsigned y = span->y; y < span->y + span->height; y++)
		if (!marked[y * grid->columns + x])
			return false;
	return true;
}

static void grow_right(const struct grid *grid, const uint8_t *marked, struct span *span)
{
	while (span->x + span->width < grid->columns &&
	       is_column_marked(grid, marked, span, span->x + span->width))
		span->width++;
}

static void grow_down(const struct grid *grid, const uint8_t *marked, struct span *span)
{
	while (span->y + span->height < grid->rows &&
	       is_row_marked(grid, marked, span, span->y + span->height))
		span->height++;
}

/* The larger of the two spans of marked tiles that begin at (x, y): wide first, or high first. */
static struct span largest_at(const struct grid *grid, const uint8_t *marked, unsigned x,
                              unsigned y)
{
	struct span wide = { .x = x, .y = y, .width = 1, .height = 1 };
	struct span high = wide;

	grow_right(grid, marked, &wide);
	grow_down(grid, marked, &wide);
	grow_down(grid, marked, &high);
	grow_right(grid, marked, &high);
	return high.width * high.height > wide.width * wide.height ? high : wide;
}

static void unmark(const struct grid *grid, uint8_t *marked, const struct span *span)
{
	for (unsigned y = span->y; y < span->y + span->height; y++)
		memset(marked + y * grid->columns + span->x, 0, span->width);
}

/* Around all marked tiles from number @from on. */
static struct span box_from(const struct grid *grid, const uint8_t *marked, unsigned from)
{
	ASSERT(grid->columns > 0);

	unsigned left = from % grid->columns, right = left;
	unsigned top = from / grid->columns, bottom = top;

	for (unsigned i = from; i < grid_count(grid); i++) {
		unsigned x = i % grid->columns;

		if (!marked[i])
			continue;
		left = x < left ? x : left;
		right = x > right ? x : right;
		bottom = i / grid->columns;
	}
	return (struct span){
		.x = left, .y = top, .width = right - left + 1, .height = bottom - top + 1
	};
}

size_t grid_rectangles(const struct grid *grid, uint8_t *marked, struct rectangle *out, size_t max)
{
	unsigned count = grid_count(grid);
	size_t found = 0;
	struct span last = { 0 };
	unsigned last_at = 0;

	ASSERT(max > 0 && grid->columns > 0);
	for (unsigned i = 0; i < count; i++) {
		if (!marked[i])
			continue;
		if (found == max) {
			/* Its own tiles are among what is left. */
			for (unsigned y = last.y; y < last.y + last.height; y++)
				memset(marked + y * grid->columns + last.x, 1, last.width);
			last = box_from(grid, marked, last_at);
			out[max - 1] = pixels_of(grid, &last);
			memset(marked, 0, count);
			break;
		}
		last = largest_at(grid, marked, i % grid->columns, i / grid->columns);
		last_at = i;
		unmark(grid, marked, &last);
		out[found++] = pixels_of(grid, &last);
	}
	return found;
}
