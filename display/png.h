/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * png.h - RGB rows to PNG (ISO/IEC 15948), tuned for screenshots in milliseconds. Any thread; no
 * state.
 *
 * 8-bit RGB, one IDAT. The filter of a row is None, or Up where hardly two neighbouring pixels are
 * alike (photographs), which None would store almost raw. Deflate alone, measured at 1280x800 (best
 * of 41, EPYC, one core; tests/bench/data/page.png / smooth colours with noise in every pixel):
 *
 *	zlib 1, None                       7.0 ms   188 KB      65.4 ms  2,577 KB
 *	zlib Z_RLE, None or Up            10.6 ms   606 KB      22.9 ms  1,516 KB
 *	libdeflate 1, None or Up           7.3 ms   193 KB      22.1 ms  1,665 KB
 *	libdeflate 2, None or Up           6.8 ms   178 KB      43.1 ms  1,559 KB
 *	ISA-L 0, None or Up                1.1 ms   244 KB       8.6 ms  2,638 KB
 *	ISA-L 1, None                      1.1 ms   196 KB       7.6 ms  2,943 KB
 *	ISA-L 1, None or Up (ours)         1.2 ms   218 KB       9.3 ms  1,634 KB
 *	ISA-L 2, None or Up                1.2 ms   215 KB      12.0 ms  1,679 KB
 *	ISA-L 3, None or Up                6.0 ms   211 KB      11.3 ms  1,675 KB
 *
 * libspng can't be given another deflate than zlib, and what is left of a PNG without it are three
 * chunks: so they are written here, and the tests decode them with libspng.
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
