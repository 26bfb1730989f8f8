/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xwd_fixture.h - an XWD file as Xvfb writes it, scattered over pages like guest RAM, for the units
 * of display/. Single thread.
 */
#ifndef CLOCHE_TESTS_UNIT_XWD_FIXTURE_H
#define CLOCHE_TESTS_UNIT_XWD_FIXTURE_H

#include "tests/unit/unit.h"

#define XWD_PAGE 4096u

/* The header's fields, by their place in the file (X11/XWDFile.h). */
enum {
	F_HEADER_SIZE = 0,
	F_FILE_VERSION = 1,
	F_PIXMAP_FORMAT = 2,
	F_DEPTH = 3,
	F_WIDTH = 4,
	F_HEIGHT = 5,
	F_XOFFSET = 6,
	F_BYTE_ORDER = 7,
	F_BITS_PER_PIXEL = 11,
	F_BYTES_PER_LINE = 12,
	F_VISUAL_CLASS = 13,
	F_RED_MASK = 14,
	F_GREEN_MASK = 15,
	F_BLUE_MASK = 16,
	F_NCOLORS = 19,
};

static inline void xwd_put_field(uint8_t *header, unsigned field, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		header[4 * field + (unsigned)i] = (uint8_t)(value >> (24 - 8 * i));
}

/* The first 100 bytes of Xvfb's own file for a screen of @width x @height. */
static inline void xwd_fill_header(uint8_t *header, uint32_t width, uint32_t height)
{
	const uint32_t fields[25] = { 160, 7,   2,     24,        width, height,   0,      0,    32,
		                      0,   32,  32,    4 * width, 4,     0xff0000, 0xff00, 0xff, 8,
		                      256, 256, width, height,    0,     0,        0 };

	for (unsigned i = 0; i < 25; i++)
		xwd_put_field(header, i, fields[i]);
}

/* The colour that the fixture paints at (x, y): no two neighbours alike. */
static inline uint32_t xwd_color(uint32_t x, uint32_t y)
{
	return ((x * 7 + y) & 0xff) << 16 | ((y * 5 + x / 256) & 0xff) << 8 | ((x ^ y) & 0xff);
}

struct xwd_fixture {
	uint32_t width, height, stride, offset;
	size_t count;
	uint8_t *ram;       /* owned: twice as many pages, the file on every other one, backwards */
	const void **pages; /* owned */
};

static inline uint8_t *xwd_byte(struct xwd_fixture *file, size_t offset)
{
	return (uint8_t *)(uintptr_t)file->pages[offset / XWD_PAGE] + offset % XWD_PAGE;
}

/* Makes a file whose pixels begin at @header_size + 12 * @colors and whose rows take @stride. */
static inline void xwd_fixture_open(struct xwd_fixture *file, uint32_t width, uint32_t height,
                                    uint32_t header_size, uint32_t colors, uint32_t stride)
{
	size_t size;

	*file = (struct xwd_fixture){ .width = width, .height = height, .stride = stride };
	file->offset = header_size + 12 * colors;
	size = file->offset + (size_t)stride * height;
	file->count = (size + XWD_PAGE - 1) / XWD_PAGE;
	file->ram = calloc(2 * file->count, XWD_PAGE);
	file->pages = calloc(file->count, sizeof(*file->pages));
	assert_non_null(file->ram);
	assert_non_null(file->pages);
	for (size_t i = 0; i < file->count; i++)
		file->pages[i] = file->ram + 2 * (file->count - 1 - i) * XWD_PAGE;
	xwd_fill_header(xwd_byte(file, 0), width, height);
	xwd_put_field(xwd_byte(file, 0), F_HEADER_SIZE, header_size);
	xwd_put_field(xwd_byte(file, 0), F_NCOLORS, colors);
	xwd_put_field(xwd_byte(file, 0), F_BYTES_PER_LINE, stride);
	for (uint32_t y = 0; y < height; y++) {
		for (uint32_t x = 0; x < width; x++) {
			/* Little-endian 0x00RRGGBB, with rubbish in the byte that isn't used. */
			uint32_t pixel = 0xee000000 | xwd_color(x, y);
			size_t offset = file->offset + (size_t)y * stride + 4 * x;

			for (unsigned k = 0; k < 4; k++)
				*xwd_byte(file, offset + k) = (uint8_t)(pixel >> (8 * k));
		}
	}
}

static inline void xwd_fixture_close(struct xwd_fixture *file)
{
	free(file->ram);
	free(file->pages);
}

/* The rows as R, G, B bytes; owned by the caller. */
static inline uint8_t *xwd_expected_rgb(const struct xwd_fixture *file)
{
	uint8_t *rgb = malloc((size_t)3 * file->width * file->height);
	uint8_t *at = rgb;

	assert_non_null(rgb);
	for (uint32_t y = 0; y < file->height; y++) {
		for (uint32_t x = 0; x < file->width; x++, at += 3) {
			at[0] = (uint8_t)(xwd_color(x, y) >> 16);
			at[1] = (uint8_t)(xwd_color(x, y) >> 8);
			at[2] = (uint8_t)xwd_color(x, y);
		}
	}
	return rgb;
}

#endif
