/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * find.c - see find.h. One thread at a time.
 *
 * Three steps, each of which leaves little to the next:
 *
 *	tiles    where neither a tile nor its neighbours within the template's reach have changed, it can't
 *	         have come to stand since the last look
 *	anchor   of the template, two neighbouring pixels whose colours differ, the pair that is the rarest in
 *	         it: flat areas, of which screens are full, have no such pair. One pass over the rows
 *	pixels   all that count, in an order drawn by lot: whatever a screen is full of, one that isn't the
 *	         template is told from it after a few, unless it was painted to be nearly the same
 */
#include "display/find.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lib/log.h"

#define MASK_LUMA 128u
#define PAIRS 4096u /* buckets in which pairs are counted; those that share one count as alike */

struct point {
	uint16_t x, y;
	uint32_t colour; /* 0x00RRGGBB */
};

struct find_template {
	unsigned width, height;
	size_t count;
	struct point *points; /* owned: what counts, in the order of comparison */
	struct point left;    /* the anchor; the other half is to its right */
	uint32_t right_colour;
	uint8_t search
		[PICTURE_TILES_MAX]; /* tiles in which the anchor may be; find_changed()'s own */
};

/* --- making one ------------------------------------------------------------------------------ */

static bool counts(const uint32_t *argb, const uint32_t *mask, size_t i)
{
	if (argb[i] >> 24 != 0xff)
		return false;
	if (!mask)
		return true;
	uint32_t m = mask[i];
	uint32_t luma = ((m >> 16 & 0xff) * 299 + (m >> 8 & 0xff) * 587 + (m & 0xff) * 114) / 1000;
	return m >> 24 == 0xff && luma >= MASK_LUMA;
}

static void collect(struct find_template *template, const uint32_t *argb, const uint32_t *mask)
{
	for (unsigned y = 0; y < template->height; y++)
		for (unsigned x = 0; x < template->width; x++) {
			size_t i = (size_t)y * template->width + x;

			if (counts(argb, mask, i))
				template->points[template->count++] =
					(struct point){ (uint16_t)x, (uint16_t)y,
					                argb[i] & 0xffffff };
		}
}

static unsigned bucket(uint32_t left, uint32_t right)
{
	return (unsigned)((left * 2654435761u ^ right * 2246822519u) >> 20) % PAIRS;
}

/* True: points @i and @i + 1 are neighbours in a row whose colours differ. */
static bool is_pair(const struct find_template *template, size_t i)
{
	const struct point *p = &template->points[i];

	return i + 1 < template->count && p[1].y == p[0].y && p[1].x == p[0].x + 1 &&
	       p[1].colour != p[0].colour;
}

/* False: there is no pair. */
static bool choose_anchor(struct find_template *template)
{
	uint32_t seen[PAIRS] = { 0 };
	uint32_t fewest = UINT32_MAX;

	for (size_t i = 0; i < template->count; i++)
		if (is_pair(template, i))
			seen[bucket(template->points[i].colour, template->points[i + 1].colour)]++;
	for (size_t i = 0; i < template->count; i++) {
		if (!is_pair(template, i))
			continue;
		uint32_t here =
			seen[bucket(template->points[i].colour, template->points[i + 1].colour)];
		if (here < fewest) {
			fewest = here;
			template->left = template->points[i];
			template->right_colour = template->points[i + 1].colour;
		}
	}
	return fewest != UINT32_MAX;
}

/* Fisher-Yates, with xorshift: unknown to the guest, not secret from anybody else. */
static void shuffle(struct find_template *template)
{
	uint64_t state = 0;

	if (getrandom(&state, sizeof(state), 0) != (ssize_t)sizeof(state) || state == 0)
		state = 88172645463325252ull;
	for (size_t i = template->count; i-- > 1;) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		size_t k = (size_t)(state % (i + 1));
		struct point other = template->points[k];

		template->points[k] = template->points[i];
		template->points[i] = other;
	}
}

int find_create(const uint32_t *argb, const uint32_t *mask, unsigned width, unsigned height,
                struct find_template **out_template, struct error *err)
{
	ASSERT(width >= 1 && width <= PROTO_DISPLAY_SIDE_MAX);
	ASSERT(height >= 1 && height <= PROTO_DISPLAY_SIDE_MAX);
	struct find_template *template = calloc(1, sizeof(*template));
	int ret = 0;

	if (template)
		template->points = malloc((size_t)width * height * sizeof(*template->points));
	if (!template || !template->points) {
		find_destroy(template);
		return error_set(err, -ENOMEM, "no memory for %ux%u pixels", width, height);
	}
	template->width = width;
	template->height = height;
	collect(template, argb, mask);
	if (template->count < FIND_PIXELS_MIN)
		ret = error_set(err, -EINVAL, "only %zu of its pixels count; it takes %u",
		                template->count, FIND_PIXELS_MIN);
	else if (!choose_anchor(template))
		ret = error_set(err, -EINVAL, "no two neighbouring pixels in it differ");
	if (ret) {
		find_destroy(template);
		return ret;
	}
	shuffle(template);
	*out_template = template;
	return 0;
}

void find_destroy(struct find_template *template)
{
	if (!template)
		return;
	free(template->points);
	free(template);
}

size_t find_pixels(const struct find_template *template)
{
	return template->count;
}

/* --- looking for it -------------------------------------------------------------------------- */

bool find_is_at(const struct find_template *template, const struct picture *picture, unsigned x,
                unsigned y)
{
	unsigned width = picture->grid.width, height = picture->grid.height;

	if (template->width > width || template->height > height || x > width - template->width ||
	    y > height - template->height)
		return false;
	const uint32_t *corner = picture->pixels + (size_t)y * width + x;
	for (size_t i = 0; i < template->count; i++) {
		const struct point *p = &template->points[i];

		if (corner[(size_t)p->y * width + p->x] != p->colour)
			return false;
	}
	return true;
}

/* The pixels at which the anchor may be when the template covers a pixel of @tile. */
static struct rectangle reach(const struct find_template *template, const struct picture *picture,
                              struct rectangle tile)
{
	unsigned before_x = template->width - 1 - template->left.x;
	unsigned before_y = template->height - 1 - template->left.y;
	unsigned x = tile.x > before_x ? tile.x - before_x : 0;
	unsigned y = tile.y > before_y ? tile.y - before_y : 0;
	unsigned end_x = tile.x + tile.width + template->left.x;
	unsigned end_y = tile.y + tile.height + template->left.y;

	if (end_x > picture->grid.width)
		end_x = picture->grid.width;
	if (end_y > picture->grid.height)
		end_y = picture->grid.height;
	return (struct rectangle){ x, y, end_x - x, end_y - y };
}

/* Marks the tiles in which the anchor may be. False: nothing has changed. */
static bool mark(struct find_template *template, const struct picture *picture)
{
	unsigned count = grid_count(&picture->grid);
	bool any = false;

	memset(template->search, 0, count);
	for (unsigned i = 0; i < count; i++) {
		if (!picture->changed[i])
			continue;
		struct rectangle area = reach(template, picture, grid_tile(&picture->grid, i));
		grid_mark(&picture->grid, &area, template->search);
		any = true;
	}
	return any;
}

/* Looks for the anchor in pixels @begin to @end of row @y, and for the template around it. */
static bool search_row(const struct find_template *template, const struct picture *picture,
                       unsigned y, unsigned begin, unsigned end, struct rectangle *out_place)
{
	const uint32_t *row = picture->pixels + (size_t)y * picture->grid.width;
	uint32_t left = template->left.colour, right = template->right_colour;

	if (end > picture->grid.width - 1)
		end = picture->grid.width - 1;
	for (unsigned x = begin; x < end; x++) {
		if (row[x] != left || row[x + 1] != right || x < template->left.x ||
		    !find_is_at(template, picture, x - template->left.x, y - template->left.y))
			continue;
		*out_place = (struct rectangle){ x - template->left.x, y - template->left.y,
			                         template->width, template->height };
		return true;
	}
	return false;
}

bool find_changed(struct find_template *template, const struct picture *picture,
                  struct rectangle *out_place)
{
	const struct grid *grid = &picture->grid;

	if (template->width > grid->width || template->height > grid->height ||
	    !mark(template, picture))
		return false;
	for (unsigned y = template->left.y; y < grid->height; y++) {
		const uint8_t *search = template->search + y / TILE_HEIGHT * grid->columns;

		for (unsigned begin = 0, end; begin < grid->columns; begin = end) {
			end = begin + 1;
			if (!search[begin])
				continue;
			while (end < grid->columns && search[end])
				end++;
			if (search_row(template, picture, y, begin * TILE_WIDTH, end * TILE_WIDTH,
			               out_place))
				return true;
		}
	}
	return false;
}
