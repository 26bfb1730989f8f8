/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xwd.c - big-endian words 0.. of the head: size, version, format, depth, width, height, …
 */
#include "guest/xwd.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#define XWD_VERSION 7
#define XWD_COLOR_SIZE 12

enum word {
	HEADER_SIZE = 0,
	FILE_VERSION = 1,
	PIXMAP_DEPTH = 3,
	PIXMAP_WIDTH = 4,
	PIXMAP_HEIGHT = 5,
	BITS_PER_PIXEL = 11,
	BYTES_PER_LINE = 12,
	NCOLORS = 19,
	WORDS = 25
};

int xwd_parse(const void *data, size_t size, struct xwd *out_xwd, struct error *err)
{
	uint32_t words[WORDS];
	uint64_t needed;

	if (size < sizeof(words))
		return error_set(err, -EPROTO, "Xvfb's framebuffer file is too short");
	memcpy(words, data, sizeof(words));
	for (size_t i = 0; i < WORDS; i++)
		words[i] = be32toh(words[i]);
	if (words[FILE_VERSION] != XWD_VERSION || words[PIXMAP_DEPTH] != 24 ||
	    words[BITS_PER_PIXEL] != 32)
		return error_set(err, -EPROTO, "Xvfb's framebuffer has an unknown format");
	needed = words[HEADER_SIZE] + (uint64_t)words[NCOLORS] * XWD_COLOR_SIZE +
	         (uint64_t)words[BYTES_PER_LINE] * words[PIXMAP_HEIGHT];
	if (needed > size || words[BYTES_PER_LINE] / 4 < words[PIXMAP_WIDTH])
		return error_set(err, -EPROTO, "Xvfb's framebuffer file is cut short");
	out_xwd->width = words[PIXMAP_WIDTH];
	out_xwd->height = words[PIXMAP_HEIGHT];
	out_xwd->stride = words[BYTES_PER_LINE];
	return 0;
}
