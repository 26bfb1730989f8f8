/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * png.h - RGB rows to PNG (ISO/IEC 15948), by libspng. Any thread; no state.
 */
#ifndef CLOCHE_DISPLAY_PNG_H
#define CLOCHE_DISPLAY_PNG_H

#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"

/*
 * Encodes @width x @height packed RGB pixels. 0: *out_png holds *out_size bytes, to be freed by the
 * caller with free(); -EIO with libspng's word otherwise. Takes milliseconds; never blocks.
 */
int png_encode_rgb(const uint8_t *rgb, unsigned width, unsigned height, void **out_png,
                   size_t *out_size, struct error *err);

#endif
