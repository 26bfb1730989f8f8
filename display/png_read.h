/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * png_read.h - a PNG of somebody's as pixels (libspng). Any thread; no state. The file is not trusted:
 * sides and memory are bounded before anything is unpacked.
 */
#ifndef CLOCHE_DISPLAY_PNG_READ_H
#define CLOCHE_DISPLAY_PNG_READ_H

#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"

#define PNG_READ_MAX ((size_t)16 << 20) /* bytes of a file */

struct png_pixels {
	unsigned width, height; /* 1 to PROTO_DISPLAY_SIDE_MAX */
	uint32_t *argb;         /* owned, free(): rows of 0xAARRGGBB, not premultiplied */
};

/* 0; -EINVAL, -ENOMEM with @err, which says what is wrong with it. */
int png_read(const void *data, size_t size, struct png_pixels *out_pixels, struct error *err);

#endif
