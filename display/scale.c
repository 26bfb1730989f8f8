/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scale.c - see scale.h. No state, any thread.
 *
 * Lengths are counted so that both pictures have whole ones: along a side, a source pixel is as long as the picture
 * has pixels, and the other way round. Then all shares are integers, and a picture's pixel has as
 * many of them, in all, as the source has pixels. The largest sum, 4096 * 4096 * 255, fits in 32 bits.
 */
#include "display/scale.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/proto.h"

#define CHANNELS 3u

void scale_fit(unsigned width, unsigned height, unsigned max_width, uint64_t max_pixels,
               unsigned *out_width, unsigned *out_height)
{
	uint64_t w = max_width && max_width < width ? max_width : width, h;

	for (;; w--) {
		h = (height * w + width / 2) / width;
		h = h > 0 ? h : 1;
		if (max_pixels == 0 || w * h <= max_pixels || w == 1)
			break;
	}
	*out_width = (unsigned)w;
	*out_height = (unsigned)(max_pixels && h > max_pixels ? max_pixels : h);
}

/* A row's share of every picture's column: sums of width(source) * colour. */
static void reduce_row(const uint8_t *row, unsigned from, unsigned to, uint32_t *sums)
{
	unsigned left = from; /* of the picture's pixel that is being summed up */
	uint32_t r = 0, g = 0, b = 0;

	for (unsigned x = 0; x < from; x++, row += CHANNELS) {
		unsigned part = to < left ? to : left;

		r += part * row[0];
		g += part * row[1];
		b += part * row[2];
		left -= part;
		if (left > 0)
			continue;
		sums[0] = r;
		sums[1] = g;
		sums[2] = b;
		sums += CHANNELS;
		/* What is left of it begins the next one, which isn't shorter. */
		part = to - part;
		left = from - part;
		r = part * row[0];
		g = part * row[1];
		b = part * row[2];
	}
}

static void add_rows(uint32_t *total, const uint32_t *sums, size_t count, uint32_t weight)
{
	for (size_t i = 0; i < count; i++)
		total[i] += weight * sums[i];
}

/* The mean of @total, which has @shares in all. */
static void put_row(const uint32_t *total, size_t count, double shares, uint8_t *rgb)
{
	double inverse = 1.0 / shares;

	for (size_t i = 0; i < count; i++)
		rgb[i] = (uint8_t)(total[i] * inverse + 0.5);
}

static void shrink(const uint8_t *from, size_t stride, const struct rectangle *area, unsigned width,
                   unsigned height, uint32_t *sums, uint8_t *rgb)
{
	size_t count = (size_t)CHANNELS * width;
	uint32_t *total = sums + count;
	double shares = (double)area->width * area->height;
	unsigned left = area->height;

	for (unsigned y = 0; y < area->height; y++, from += stride) {
		unsigned part = height < left ? height : left;

		reduce_row(from, area->width, width, sums);
		add_rows(total, sums, count, part);
		left -= part;
		if (left > 0)
			continue;
		put_row(total, count, shares, rgb);
		rgb += count;
		memset(total, 0, count * sizeof(*total));
		part = height - part;
		left = area->height - part;
		if (part > 0)
			add_rows(total, sums, count, part);
	}
}

int scale_rgb(const uint8_t *rgb, unsigned stride, const struct rectangle *area, unsigned width,
              unsigned height, uint8_t *out_rgb)
{
	const uint8_t *from = rgb + CHANNELS * ((size_t)area->y * stride + area->x);
	size_t row = (size_t)CHANNELS * width;

	ASSERT(width >= 1 && width <= area->width && area->width <= PROTO_DISPLAY_SIDE_MAX);
	ASSERT(height >= 1 && height <= area->height && area->height <= PROTO_DISPLAY_SIDE_MAX);
	if (width == area->width && height == area->height) {
		for (unsigned y = 0; y < height; y++)
			memcpy(out_rgb + y * row, from + (size_t)CHANNELS * stride * y, row);
		return 0;
	}
	cleanup_free uint32_t *sums = calloc(2 * row, sizeof(*sums));
	if (!sums)
		return -ENOMEM;
	shrink(from, (size_t)CHANNELS * stride, area, width, height, sums, out_rgb);
	return 0;
}
