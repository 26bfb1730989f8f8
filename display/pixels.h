/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pixels.h - 0x00RRGGBB, as the screen's copy has them, to R, G, B bytes, as pictures do. Any thread; no state.
 */
#ifndef CLOCHE_DISPLAY_PIXELS_H
#define CLOCHE_DISPLAY_PIXELS_H

#include <stddef.h>
#include <stdint.h>

/* Writes 3 * @count bytes. */
void pixels_to_rgb(const uint32_t *pixels, size_t count, uint8_t *out_rgb);

#endif
