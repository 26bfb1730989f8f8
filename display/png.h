/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * png.h - RGB rows to PNG (ISO/IEC 15948), tuned for screenshots in milliseconds. Any thread; no
 * state.
 *
 * 8-bit RGB, one IDAT. The filter of a row is None, or Up where hardly two neighbouring pixels are
 * alike (photographs), which None would store almost raw. Measured at 1280x800 (best of 15, EPYC,
 * one core; a page with text, table, form and a picture / a photograph with noise in every pixel):
 *
 *	libspng, zlib 1, all filters      54.4 ms   300 KB      80.2 ms  1,989 KB
 *	libspng, zlib 1, Up               16.7 ms   320 KB      46.1 ms  2,041 KB
 *	libspng, zlib 1, None              9.7 ms   328 KB      60.3 ms  2,643 KB
 *	libspng, Z_RLE, Up                16.1 ms   382 KB      25.5 ms  1,834 KB
 *	libdeflate 1, None                 7.5 ms   336 KB      24.6 ms  2,763 KB
 *	libdeflate 1, None or Up (ours)    7.6 ms   340 KB      24.9 ms  1,880 KB
 *	libdeflate 2, None or Up           7.9 ms   319 KB      31.3 ms  1,830 KB
 *
 * libspng can't be given another deflate, and what is left of a PNG without it are three chunks: so
 * they are written here, and the tests decode them with libspng.
 */
#ifndef CLOCHE_DISPLAY_PNG_H
#define CLOCHE_DISPLAY_PNG_H

#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"

/*
 * Encodes @width x @height packed RGB pixels (both 1..PROTO_DISPLAY_SIDE_MAX). 0: *out_png holds
 * *out_size bytes, to be freed by the caller with free(); -ENOMEM with @err filled. Takes
 * milliseconds; never blocks. Works in about twice the pixels' size, which goes back to the kernel.
 */
int png_encode_rgb(const uint8_t *rgb, unsigned width, unsigned height, void **out_png,
                   size_t *out_size, struct error *err);

#endif
