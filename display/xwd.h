/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xwd.h - the header of an X window dump (X11/XWDFile.h, version 7) as Xvfb writes it for a
 * 24-bit TrueColor screen. The bytes come from a hostile guest. Any thread; no state.
 */
#ifndef CLOCHE_DISPLAY_XWD_H
#define CLOCHE_DISPLAY_XWD_H

#include <stdint.h>

#include "lib/error.h"

#define XWD_HEADER_SIZE 100u /* the fixed part: 25 big-endian 32-bit fields; a name follows */
#define XWD_COLOR_SIZE 12u

/* What is left to know of a dump once its header is believed. */
struct xwd_layout {
	uint32_t width, height; /* pixels, within PROTO_DISPLAY_SIDE_MIN..MAX */
	uint32_t stride;        /* bytes from a row to the next: a multiple of 4, >= 4 * width */
	uint32_t pixels_offset; /* bytes before the first pixel: a multiple of 4 */
	uint64_t size;          /* bytes of the whole file */
};

/*
 * Checks every field that the pixels' place and meaning depend on: rows of 32-bit little-endian
 * 0x00RRGGBB. @header is a private copy of XWD_HEADER_SIZE bytes: not memory that can change.
 * 0, or -EINVAL with the first field that is wrong named in @err.
 */
int xwd_parse_header(const uint8_t *header, struct xwd_layout *out_layout, struct error *err);

#endif
